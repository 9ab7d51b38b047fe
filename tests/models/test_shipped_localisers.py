"""The trained networks that come with the program: complete cards, and clear sources where they are."""

import json

import numpy as np
import pytest
import torch

from models.det_prob import JUDGEMENTS
from models.localise.by_name import find_peaks
from models.localise.names import LOCALISERS
from models.psf_kernels import counts_share
from models.shipped import shipped_weights
from models.stream import render_batch
from models.training_sky import MEASURED_COUNTS
from models.weights import load_weights
from sky.readers.files import file_sha256
from sky.response import load_response
from sky.survey import get_survey
from tests.models.point_sky import point_sky

SURVEYS = ("lat-10gev", "lat-6band")
SHIPPED = [(survey, kind) for survey in SURVEYS for kind in ("localise", "localise-counts")]
PHOTONS = {"lat-10gev": 60.0, "lat-6band": 6000.0}
AXES = np.array([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
# Places in degrees from the tile's centre, 1.5 apart or more.
X_DEG = np.array([-3.2, -1.1, 0.6, 2.4, 3.4, -2.5, 0.1, 2.2])
Y_DEG = np.array([-2.7, -3.1, -2.0, -3.0, 0.2, 0.4, 1.4, 2.9])


@pytest.mark.parametrize(("survey", "kind"), SHIPPED)
def test_the_card_says_all_that_is_needed_to_make_it_again(survey: str, kind: str) -> None:
    path = shipped_weights(survey, kind)
    card = json.loads(path.with_suffix(".json").read_text())
    assert path.stat().st_size < 10e6
    assert card["command"].startswith(f"asidcat train localise --survey {survey} ")
    assert (card["network"]["normalisation"] == "likelihood") == (kind == "localise")
    for name in ("data", "commit", "machine", "limits", "written"):
        assert len(card[name]) > 5
    assert card["hours"] > 0
    assert isinstance(card["training"]["seed"], int)
    assert 0.5 < card["validation"]["completeness_0.90"] < 1
    assert set(card["calibration"]) == set(LOCALISERS)
    assert all(table["slope"] > 0 for table in card["calibration"].values())


@pytest.mark.parametrize(("survey", "kind"), SHIPPED)
def test_score_and_likelihood_were_weighed_with_these_weights(survey: str, kind: str) -> None:
    path = shipped_weights(survey, kind)
    lists = json.loads(path.with_suffix(".json").read_text())["on_lists"]
    assert set(lists) >= set(LOCALISERS if kind == "localise" else LOCALISERS[:1])
    for entry in lists.values():
        assert entry["weights_sha256"] == file_sha256(path)
        assert min(entry["line"][name] for name in ("score", "log_ts")) > 0
        assert all(entry["line"][name] >= 0 for name in JUDGEMENTS)
        assert entry["detections"] > 500
    best, alone = (lists["centre-direction"][name] for name in ("figures", "by_score_alone"))
    assert best["expected_calibration_error"] < 0.04
    assert best["completeness_0.90"] > alone["completeness_0.90"] - 0.01


@pytest.mark.parametrize(("survey", "kind"), SHIPPED)
def test_clear_sources_are_found_where_they_are(survey: str, kind: str) -> None:
    definition = get_survey(survey)
    vectors = np.stack([np.tan(np.radians(X_DEG)), np.tan(np.radians(Y_DEG)), np.ones(len(X_DEG))], -1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    share = counts_share(definition, load_response(definition.irfs), definition.reference_index)
    counts = PHOTONS[survey] * np.tile(share, (len(X_DEG), 1))
    isotropic = np.array(MEASURED_COUNTS[survey])[:, None] / (4 * np.pi) * np.ones(12 * 64)
    sky = point_sky(definition, vectors * [-1, 1, 1], counts, 0.5 * isotropic)
    batch = render_batch(sky, AXES[None], np.random.default_rng(3))
    network, _ = load_weights(shipped_weights(survey, kind))
    with torch.inference_mode():
        out = network(batch.images)
    assert batch.limit_sigma.min() > 8
    peaks = find_peaks(out, "centre-direction", 3.84)
    sure = peaks.select(peaks.score > 0.8)
    gap_px = np.hypot(batch.x_px.numpy()[:, None] - sure.x, batch.y_px.numpy()[:, None] - sure.y)
    assert np.all(gap_px.min(axis=1) < 1.5)
    assert len(sure) == len(X_DEG)
