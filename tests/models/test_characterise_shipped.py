"""The weights that come with the program, on cut-outs they have never seen."""

import json

import numpy as np
import pytest
import torch

from models.characterise import Characterisation, characterise_networks, has_networks
from models.characterise.calibration import area_under_roc, half_width
from models.characterise.inference import shipped
from models.characterise.on_lists import JUDGEMENTS
from models.characterise.shipped import NEEDED, shipped_path
from models.cutouts import CLASSES, Cutouts, CutoutStream, CutoutTruth
from models.detectors import default_detector
from sky.frames import separation_deg
from sky.readers.files import file_sha256
from sky.survey import get_survey
from tests.models.known_cutouts import known_cutouts

SHIPPED = [name for name in ("lat-10gev", "lat-6band") if has_networks(name)]
# Found with ease, and far from the brightest of training.
BRIGHT = {"lat-10gev": 2e-10, "lat-6band": 3e-9}
EXPOSURE_CM2_S = {"lat-10gev": 3.7e11, "lat-6band": 2.0e11}


def pulls_of(out: Characterisation, truth: CutoutTruth) -> np.ndarray:
    return (out.flux_cm2_s - truth.flux_cm2_s.numpy()) / out.unc_flux_cm2_s


def test_weights_are_shipped_for_the_survey_of_the_real_sky() -> None:
    assert "lat-10gev" in SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_cards_say_where_the_weights_come_from(name: str) -> None:
    for kind in NEEDED:
        path = shipped_path(kind, name)
        card = json.loads(path.with_suffix(".json").read_text())
        assert path.stat().st_size < 10_000_000
        assert {"command", "commit", "machine", "hours", "limits", "calibration", "figures"} <= set(card)
        assert card["training"]["fit"]["seed"] >= 0
        assert "never trained on" in card["data"]
    assert 0 < shipped(name).cards["real"]["operating_threshold"] < 1


@pytest.mark.parametrize("name", SHIPPED)
def test_bright_sources_are_measured_within_their_errors(name: str) -> None:
    survey, n = get_survey(name), 200
    rng = np.random.default_rng(21)
    cutouts, truth = known_cutouts(np.full(n, BRIGHT[name]), rng, name, EXPOSURE_CM2_S[name])
    out = characterise_networks(cutouts, survey)
    pull = pulls_of(out, truth)
    # Every one is of the reference index, which the networks do not know.
    assert np.median(out.flux_cm2_s) == pytest.approx(BRIGHT[name], rel=0.08)
    # The stated errors are those of skies with structure and neighbours, which this one has not.
    assert 0.4 < half_width(pull) < 1.3
    assert np.median(out.prob_real) > 0.95
    assert np.median(out.class_prob[:, CLASSES.index("FAKE")]) < 0.1
    assert (out.sys_flux >= 0).all()
    pixel_deg = 10.0 / max(survey.tile_pixels_per_10deg)
    moved = separation_deg(cutouts.glon_deg.numpy(), cutouts.glat_deg.numpy(), out.glon_deg, out.glat_deg)
    assert moved.max() < 4 * pixel_deg
    assert np.median(out.conf_95_semimajor_deg) < 0.1


@pytest.mark.parametrize("name", SHIPPED)
def test_empty_places_are_no_sources(name: str) -> None:
    cutouts, _ = known_cutouts(np.zeros(100), np.random.default_rng(22), name)
    out = characterise_networks(cutouts, get_survey(name))
    assert np.median(out.prob_real) < 0.2
    assert np.median(out.class_prob[:, CLASSES.index("FAKE")]) > 0.7


@pytest.fixture(scope="module")
def stream() -> tuple[Cutouts, CutoutTruth]:
    """A few hundred detections of a sky that no training drew: another seed."""
    drawn = iter(CutoutStream(get_survey("lat-10gev"), 2026, "test", batch_tiles=16))
    parts = [next(drawn) for _ in range(2)]
    return Cutouts.join([c for c, _ in parts]), CutoutTruth.join([t for _, t in parts])


def test_detections_of_a_synthetic_sky_are_characterised_as_promised(
    stream: tuple[Cutouts, CutoutTruth],
) -> None:
    cutouts, truth = stream
    out = characterise_networks(cutouts, get_survey("lat-10gev"))
    real = truth.real.numpy()
    assert len(real) > 300
    assert area_under_roc(out.prob_real, real) > 0.84
    # Calibration: as many sources as promised, within three binomial errors.
    spread = np.sqrt(np.sum(out.prob_real * (1 - out.prob_real)))
    assert abs(out.prob_real.sum() - real.sum()) < 3 * spread + 0.05 * len(real)
    bright = torch.nonzero(truth.real & (truth.limit_sigma >= 5) & (truth.extension_deg == 0))[:, 0].numpy()
    assert len(bright) > 60
    gap = out.flux_cm2_s[bright] / truth.flux_cm2_s.numpy()[bright] - 1
    assert abs(np.median(gap)) < 0.15
    pull = pulls_of(out, truth)[bright]
    assert 0.75 < half_width(pull) < 1.25
    code = truth.class_code.numpy()
    assert np.mean(out.class_prob.argmax(1) == code) > 0.65
    extragalactic = out.class_prob[:, :2].sum(1)
    assert extragalactic[code <= 1].mean() > 2 * extragalactic[code == CLASSES.index("PWN_SNR")].mean()


def test_blind_probabilities_agree_with_the_told_ones_on_average(
    stream: tuple[Cutouts, CutoutTruth],
) -> None:
    out = characterise_networks(stream[0], get_survey("lat-10gev"))
    assert np.abs(out.class_prob.mean(0) - out.class_prob_blind.mean(0)).max() < 0.08
    assert np.abs(out.class_prob - out.class_prob_blind).max() > 0.05


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_said_of_lists_was_fitted_to_the_weights_that_are_shipped(name: str) -> None:
    cards = shipped(name).cards
    for kind in ("real", "position"):
        entry = cards[kind]["on_lists"][default_detector(name)]
        for fitted, sha256 in entry["weights_sha256"].items():
            assert sha256 == file_sha256(shipped_path(fitted, name))
        assert all(not sky.startswith(("B2", "4fgl")) for sky in entry["skies"])
    lists = cards["real"]["on_lists"][default_detector(name)]
    assert min(lists["line"][judgement] for judgement in JUDGEMENTS) >= 0
    assert 0 < lists["operating_threshold"] < 1
