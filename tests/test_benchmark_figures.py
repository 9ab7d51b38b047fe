"""The figures that benchmarks quote: plain functions, against numbers known beforehand."""

import numpy as np
import pytest

from benchmarks.characterisation import figures as fig
from sky.frames import galactic_to_icrs, icrs_to_galactic


def test_area_under_the_roc_curve() -> None:
    score = np.array([0.1, 0.4, 0.35, 0.8])
    assert fig.auc(score, np.array([False, False, True, True])) == pytest.approx(0.75)
    assert fig.auc(np.ones(10), np.arange(10) < 4) == pytest.approx(0.5)


def test_calibrated_probabilities_have_a_small_error() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(size=40_000)
    event = rng.uniform(size=len(p)) < p
    assert fig.calibration_error(p, event) < 0.01
    assert fig.calibration_error(p**2, event) == pytest.approx(np.mean(np.abs(p - p**2)), abs=0.01)


def test_flux_figures_of_gaussian_errors() -> None:
    rng = np.random.default_rng(2)
    truth = np.full(20_000, 1e-10)
    error = 0.2 * truth
    out = fig.flux_figures(1.05 * truth + error * rng.normal(size=len(truth)), error, truth)
    assert out["bias"] == pytest.approx(0.05, abs=0.005)
    assert out["scatter"] == pytest.approx(0.2, rel=0.03)
    assert out["pull_width"] == pytest.approx(1.0, rel=0.03)
    assert out["pull_mean"] == pytest.approx(0.25, abs=0.03)


def test_tilted_ellipses_hold_what_they_say() -> None:
    """Places scattered along the axes of ellipses at ICRS position angles; wrong angles are seen."""
    rng = np.random.default_rng(3)
    n = 20_000
    major, minor, angle = 0.2, 0.05, rng.uniform(-90, 90, n)
    ra, dec = rng.uniform(0, 360, n), rng.uniform(-70, 70, n)
    along, across = major * rng.normal(size=n), minor * rng.normal(size=n)
    turn = np.radians(angle)
    east, north = (
        along * np.sin(turn) + across * np.cos(turn),
        along * np.cos(turn) - across * np.sin(turn),
    )
    true = icrs_to_galactic(ra + east / np.cos(np.radians(dec)), dec + north)
    scale = {"68": np.sqrt(-2 * np.log(0.32)), "95": np.sqrt(-2 * np.log(0.05))}
    ellipses = {k: (np.full(n, major * s), np.full(n, minor * s)) for k, s in scale.items()}
    out = fig.position_figures(*icrs_to_galactic(ra, dec), ellipses, angle, true)
    assert out["within_68"] == pytest.approx(0.68, abs=0.01)
    assert out["within_95"] == pytest.approx(0.95, abs=0.006)
    assert out["r68"] == pytest.approx(np.sqrt(major * minor) * scale["68"])
    wrong = fig.position_figures(*icrs_to_galactic(ra, dec), ellipses, angle + 90, true)
    assert wrong["within_68"] < 0.5
    assert np.allclose(galactic_to_icrs(*icrs_to_galactic(ra, dec))[1], dec)


def test_balanced_accuracy_weighs_classes_alike() -> None:
    truth = np.array([0] * 90 + [1] * 10)
    table = fig.confusion(np.zeros(100, int), truth, 3)
    assert table[0, 0] == 90 and table[1, 0] == 10
    assert fig.balanced_accuracy(table) == pytest.approx(0.5)
