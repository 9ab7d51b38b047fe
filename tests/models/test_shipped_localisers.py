"""The trained networks that come with the program: complete cards, and clear sources where they are."""

import json

import numpy as np
import pytest
import torch

from models.localise.by_name import LOCALISERS, find_peaks
from models.psf_kernels import counts_share
from models.stream import render_batch
from models.training_sky import MEASURED_COUNTS
from models.weights import load_weights, shipped_weights
from sky.response import load_response
from sky.survey import get_survey
from tests.models.point_sky import point_sky

SURVEYS = ("lat-10gev", "lat-6band")
PHOTONS = {"lat-10gev": 60.0, "lat-6band": 6000.0}
AXES = np.array([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
# Places in degrees from the tile's centre, 1.5 apart or more.
X_DEG = np.array([-3.2, -1.1, 0.6, 2.4, 3.4, -2.5, 0.1, 2.2])
Y_DEG = np.array([-2.7, -3.1, -2.0, -3.0, 0.2, 0.4, 1.4, 2.9])


@pytest.mark.parametrize("survey", SURVEYS)
def test_the_card_says_all_that_is_needed_to_make_it_again(survey: str) -> None:
    path = shipped_weights(survey)
    card = json.loads(path.with_suffix(".json").read_text())
    assert path.stat().st_size < 10e6
    assert card["command"].startswith(f"asidcat train localise --survey {survey} -o DIR ")
    for name in ("data", "commit", "machine", "limits", "written"):
        assert len(card[name]) > 5
    assert card["hours"] > 0
    assert isinstance(card["training"]["seed"], int)
    assert 0.5 < card["validation"]["completeness_0.90"] < 1
    assert set(card["calibration"]) == set(LOCALISERS)
    assert all(table["slope"] > 0 for table in card["calibration"].values())


@pytest.mark.parametrize("survey", SURVEYS)
def test_clear_sources_are_found_where_they_are(survey: str) -> None:
    definition = get_survey(survey)
    vectors = np.stack([np.tan(np.radians(X_DEG)), np.tan(np.radians(Y_DEG)), np.ones(len(X_DEG))], -1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    share = counts_share(definition, load_response(definition.irfs), definition.reference_index)
    counts = PHOTONS[survey] * np.tile(share, (len(X_DEG), 1))
    isotropic = np.array(MEASURED_COUNTS[survey])[:, None] / (4 * np.pi) * np.ones(12 * 64)
    sky = point_sky(definition, vectors * [-1, 1, 1], counts, 0.5 * isotropic)
    batch = render_batch(sky, AXES[None], np.random.default_rng(3))
    network, _ = load_weights(shipped_weights(survey))
    with torch.inference_mode():
        out = network(batch.images)
    assert batch.limit_sigma.min() > 8
    peaks = find_peaks(out, "centre-direction", 3.84)
    sure = peaks.select(peaks.score > 0.8)
    gap_px = np.hypot(batch.x_px.numpy()[:, None] - sure.x, batch.y_px.numpy()[:, None] - sure.y)
    assert np.all(gap_px.min(axis=1) < 1.5)
    assert len(sure) == len(X_DEG)
