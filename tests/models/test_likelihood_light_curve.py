"""Light curves of simulated sources that are constant, flare, or have a neighbour that flares."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import chi2

from models.likelihood import light_curves, measure
from models.likelihood.slice_likelihood import SliceLikelihood
from models.likelihood.surroundings import Surroundings
from tests.models.known_sky import EXPOSURE_CM2_S, make_sky
from tests.models.test_likelihood_fit import as_detections

SLICES = 10


def curves_of(sky, seed, rows=None):
    rows = np.arange(len(sky.glon_deg)) if rows is None else rows
    around = Surroundings.of(as_detections(sky, seed), rows, sky.cube, sky.exposure, sky.response)
    measured = measure(around, sky.exposure)
    return measured, light_curves(around, measured, sky.cube, sky.exposure)


def field(photons: np.ndarray, curves: np.ndarray, seed: int):
    """Sources far apart at high latitude, of given mean photons and light curves."""
    k = np.arange(len(photons))
    glon, glat = (k % 60) * 6.0 + 1, 25 + 9.0 * (k // 60)
    return make_sky(glon, glat, photons / EXPOSURE_CM2_S, np.full(len(k), 2.3), seed, curves=curves)


@pytest.fixture(scope="module")
def constant():
    photons = np.full(240, 250.0)
    sky = field(photons, np.ones((240, SLICES)), 70)
    return sky, *curves_of(sky, 71)


def test_constant_sources_are_constant(constant):
    """The index like chi squared with 9 degrees of freedom: 4FGL-DR2's threshold of 21.67 leaves 1 %."""
    _, _, found = constant
    n = len(found)
    assert np.mean(found.variability_index) == pytest.approx(9, abs=4 * np.sqrt(18 / n) + 0.5)
    for q in (0.5, 0.1):
        above = np.mean(found.variability_index > chi2.isf(q, 9))
        assert above == pytest.approx(q, abs=4 * np.sqrt(q / n) + 0.02)
    assert np.mean(found.variability_index > 21.67) < 0.04


def test_slice_fluxes_and_errors_are_honest(constant):
    sky, _, found = constant
    pull = found.flux_cm2_s - sky.flux_cm2_s[:, None]
    error = np.where(pull < 0, found.unc_high_cm2_s, -found.unc_low_cm2_s)
    inside = np.abs(pull) < np.where(np.isnan(error), np.inf, error)
    assert inside.mean() == pytest.approx(0.68, abs=0.03)
    assert found.flux_cm2_s.mean() == pytest.approx(sky.flux_cm2_s.mean(), rel=0.02)
    assert found.npred == pytest.approx(found.flux_cm2_s * EXPOSURE_CM2_S / SLICES, rel=0.02)
    assert (found.sqrt_ts > 3).all()


def test_slices_add_up_to_the_whole(constant):
    _, measured, found = constant
    ratio = found.flux_cm2_s.mean(axis=1) / measured.flux_cm2_s
    assert np.median(ratio) == pytest.approx(1, abs=0.01)
    assert np.abs(ratio - 1).max() < 0.05


def test_a_flare_is_found_where_it_was():
    """A fourth of the sources five times as bright in one year; faint ones have limits in others."""
    n, rng = 60, np.random.default_rng(3)
    year = rng.integers(SLICES, size=n)
    curves = np.full((n, SLICES), 0.4)
    curves[np.arange(n), year] = 6.4
    sky = field(np.full(n, 60.0), curves, 80)
    _, found = curves_of(sky, 81)
    assert (found.variability_index > 21.67).mean() > 0.97
    assert (found.flux_cm2_s.argmax(axis=1) == year).mean() > 0.97
    peak = found.flux_cm2_s[np.arange(n), year] / sky.flux_cm2_s
    assert peak.mean() == pytest.approx(6.4, rel=0.05)
    limits = np.isnan(found.unc_low_cm2_s)
    assert (found.sqrt_ts[limits] ** 2 < 1).all()
    assert 0.01 < limits.mean() < 0.3
    assert (np.isfinite(found.unc_high_cm2_s)).all()
    quiet = np.arange(SLICES) != year[:, None]
    top = (found.flux_cm2_s + 2 * found.unc_high_cm2_s) / sky.flux_cm2_s[:, None]
    assert np.mean(top[quiet] > 0.4) > 0.9


def test_a_flaring_neighbour_does_not_make_a_source_variable():
    n = 40
    k = np.arange(n)
    glon = np.concatenate([k * 9.0, k * 9.0])
    glat = np.concatenate([np.full(n, 30.0), np.full(n, 30.35)])
    photons = np.concatenate([np.full(n, 900.0), np.full(n, 90.0)])
    flare = np.full((n, SLICES), 0.5)
    flare[:, 4] = 5.5
    curves = np.concatenate([flare, np.ones((n, SLICES))])
    sky = make_sky(glon, glat, photons / EXPOSURE_CM2_S, np.full(2 * n, 2.3), 90, curves=curves)
    _, found = curves_of(sky, 91)
    assert (found.variability_index[:n] > 100).all()
    assert np.median(found.variability_index[n:]) < 12
    assert (found.variability_index[n:] > 21.67).mean() < 0.15


def test_there_is_no_light_curve_without_slices(constant):
    sky, _, _ = constant
    flat = make_sky(np.array([10.0]), np.array([40.0]), np.array([1e-10]), np.array([2.3]), 95)
    assert curves_of(flat, 96)[1] is None
    assert len(curves_of(sky, 71, np.empty(0, int))[1]) == 0


def test_a_slice_without_exposure_has_no_flux(constant):
    sky, _, _ = constant
    values = sky.exposure.values_cm2_s.copy()
    values[:, 2] = 0
    dark = type(sky.exposure)(sky.survey, 0, values)
    rows = np.arange(5)
    around = Surroundings.of(as_detections(sky, 71), rows, sky.cube, dark, sky.response)
    seen = light_curves(around, measure(around, dark), sky.cube, dark)
    assert np.isnan(seen.flux_cm2_s[:, 2]).all()
    assert np.isnan(seen.unc_high_cm2_s[:, 2]).all()
    assert np.isfinite(np.delete(seen.flux_cm2_s, 2, axis=1)).all()
    assert np.isfinite(seen.variability_index).all()


def test_sorting_by_ratio_keeps_the_likelihood(constant):
    """Against the sum over all pixels, minimised by scipy."""
    sky, _, _ = constant
    detections = as_detections(sky, 71)
    tile = Surroundings.of(detections, np.array([8]), sky.cube, sky.exposure, sky.response).tiles[0]
    near = tile.sky.near
    signal = tile.sky.spread_photons(np.full((1, 3), 30.0), tile.sky.psf())
    rest = tile.sky.background
    counts = np.random.default_rng(1).poisson(near.counts[:, None] * np.array([0.3, 2.0]))
    sorted_ = SliceLikelihood.of(near, counts, signal, rest[:, None], np.array([[60.0, 300.0]]))
    best = sorted_.best()[0]
    for t, gain in enumerate((60.0, 300.0)):

        def minus(a, t=t, gain=gain):
            return a * gain - np.sum(counts[:, t] * np.log1p(a * signal / rest))

        exact = minimize_scalar(minus, bounds=(0, 50), method="bounded", options={"xatol": 1e-7})
        assert best[t] == pytest.approx(exact.x, rel=1e-3)
        assert sorted_(best[None])[0, t] == pytest.approx(-exact.fun, abs=0.1)  # 400 photons
