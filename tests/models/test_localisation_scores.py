"""The benchmark's figures, on truths and detections made by hand."""

import numpy as np
import pytest

from benchmarks.localisation.position import efficient_error_deg
from benchmarks.localisation.scores import Pooled
from benchmarks.localisation.skies import Truths, make_case, sky_seed
from models import evaluate as ev
from models.likelihood.optics import SEPARATIONS_DEG, PointSpread
from sky.survey import get_survey


def made(n: int, sigma: float, inside: bool = True, glat_deg: float = 40.0) -> Truths:
    places = ev.Positions(np.arange(n) * 3.0, np.full(n, glat_deg))
    flux = np.geomspace(1e-11, 1e-9, n)
    return Truths(places, np.full(n, inside), flux, np.full(n, sigma), np.full(n, 0.05), np.full(n, 0.08))


def test_skies_of_a_kind_share_a_threshold_and_never_match_each_other() -> None:
    truths = [made(40, 6.0), made(40, 6.0)]
    # The second sky's detections lie where the first sky's truths are, but not its own.
    elsewhere = ev.Positions(truths[0].places.glon_deg, np.full(40, -40.0))
    figures = Pooled(truths, [truths[0].places, elsewhere], [np.full(40, 0.9), np.full(40, 0.8)]).figures()
    best = figures["all"]["0.90"]
    assert best["threshold"] == pytest.approx(0.9)
    assert best["completeness"] == 0.5
    assert figures["b<5"]["truths"] == 0


def test_truths_beyond_the_border_explain_but_do_not_count() -> None:
    here, beyond = made(30, 6.0), made(30, 6.0, inside=False, glat_deg=10.0)
    both = Truths(
        ev.Positions(
            np.concatenate([here.places.glon_deg, beyond.places.glon_deg]),
            np.concatenate([here.places.glat_deg, beyond.places.glat_deg]),
        ),
        np.concatenate([here.inside, beyond.inside]),
        np.tile(here.flux_cm2_s, 2),
        np.tile(here.limit_sigma, 2),
        np.tile(here.limit_deg, 2),
        np.tile(here.efficient_deg, 2),
    )
    row = Pooled([both], [both.places], [np.ones(60)]).figures()["all"]
    assert row["truths"] == 30
    assert row["0.95"]["detections"] == 60
    assert row["0.95"]["completeness"] == 1.0


def test_position_errors_are_over_the_limit() -> None:
    truths = made(50, 8.0)
    shifted = ev.Positions(truths.places.glon_deg, truths.places.glat_deg + 0.1)
    row = Pooled([truths], [shifted], [np.ones(50)]).figures()["all"]["0.90"]
    assert row["median_separation_deg"] == pytest.approx(0.1)
    assert row["position_error_over_limit"] == pytest.approx(2.0)
    assert row["position_error_over_efficient"] == pytest.approx(1.25)
    (bin_of_all,) = row["over_efficient_by_sigma"]
    assert (bin_of_all["from_sigma"], bin_of_all["sources"]) == (8.0, 50)
    assert bin_of_all["median"] == pytest.approx(1.25)


def test_the_photons_information_is_that_of_a_gaussian() -> None:
    """N photons without a background place a Gaussian to width / sqrt(N), on a high background b as known too."""
    width = np.radians(0.5)
    r = np.radians(SEPARATIONS_DEG)
    density = np.exp(-0.5 * (r / width) ** 2) / (2 * np.pi * width**2)
    spread = PointSpread(np.array([[density, density]]), np.array([[r, r]]))
    counts = np.array([[30.0, 0.0], [30.0, 30.0], [30.0, 0.0]])
    background = np.array([[0.0, 1e5], [0.0, 0.0], [1e7, 1e5]])
    buried = np.sqrt(8 * np.pi * width**4 * 1e7) / 30.0
    expected = np.sqrt(2 * np.log(2)) * np.degrees([width / np.sqrt(30), width / np.sqrt(60), buried])
    assert efficient_error_deg(spread, counts, background) == pytest.approx(expected, rel=0.01)


def test_hidden_truths_neither_count_nor_excuse() -> None:
    truths = made(50, 1.0)
    row = Pooled([truths], [truths.places], [np.ones(50)]).figures()["all"]
    assert row["truths"] == 0
    assert not np.isfinite(row["0.90"]["threshold"])


def test_the_same_number_is_the_same_sources() -> None:
    assert sky_seed(1) == sky_seed(1) != sky_seed(2)
    with pytest.raises(ValueError, match="unknown"):
        make_case(get_survey("lat-10gev"), "B9:physical:1", range(0, 1))
