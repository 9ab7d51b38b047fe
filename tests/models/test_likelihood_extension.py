"""Discs fitted to simulated discs and points."""

import numpy as np
import pytest
from scipy.stats import chi2

from models.likelihood import extensions, measure
from models.likelihood.extension import WIDTH_ERROR, width_error
from models.likelihood.optics import healpix_point_spread
from models.likelihood.surroundings import Surroundings
from tests.models.known_sky import EXPOSURE_CM2_S, make_sky
from tests.models.test_likelihood_fit import as_detections


def places(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions far apart at high latitude."""
    k = np.arange(n)
    return (k % 60) * 6.0 + 1, 25 + 9.0 * (k // 60)


def fitted(radius_deg, photons, seed, disc=True, index=2.3):
    glon, glat = places(len(radius_deg))
    flux = np.full(len(glon), photons / EXPOSURE_CM2_S)
    sky = make_sky(
        glon, glat, flux, np.full(len(glon), index), seed, disc_deg=np.asarray(radius_deg) if disc else None
    )
    rows = np.arange(len(glon))
    around = Surroundings.of(as_detections(sky, seed + 1), rows, sky.cube, sky.exposure, sky.response)
    measured = measure(around, sky.exposure)
    return around, measured, extensions(around, measured, sky.exposure), sky


@pytest.fixture(scope="module")
def points():
    return fitted(np.zeros(300), 120, 50, disc=False)


@pytest.mark.parametrize(("radius", "photons"), [(0.2, 150), (0.35, 250)])
def test_discs_are_recovered_within_their_errors(radius, photons):
    _, _, found, _ = fitted(np.full(40, radius), photons, 60)
    assert (found.ts_ext > 16).mean() > 0.9
    pull = (found.ext_radius_deg - radius) / found.unc_ext_radius_deg
    assert np.mean(found.ext_radius_deg) == pytest.approx(radius, rel=0.05)
    assert abs(np.median(pull)) < 0.7
    assert np.diff(np.percentile(pull, [16, 84]))[0] / 2 == pytest.approx(1, abs=0.4)


def test_a_disc_as_wide_as_the_background_is_followed_is_nearly_recovered():
    _, _, found, _ = fitted(np.full(30, 0.6), 400, 61)
    assert (found.ts_ext > 16).mean() > 0.9
    assert np.median(found.ext_radius_deg) == pytest.approx(0.6, rel=0.07)


def test_the_statistic_of_points_is_half_a_chi_squared(points):
    """Half the points at 0; beyond 1, 2.7 and 4 no more than half of chi squared with 1 degree of freedom."""
    _, _, found, _ = points
    n = len(found)
    assert np.mean(found.ts_ext < 0.02) == pytest.approx(0.5, abs=0.15)
    for ts in (1.0, 2.7, 4.0):
        share = chi2.sf(ts, 1) / 2
        assert np.mean(found.ts_ext > ts) == pytest.approx(share, abs=3 * np.sqrt(share / n) + 0.01)
    assert (found.ts_ext < 16).all()


def test_points_have_small_radii_with_errors(points):
    _, _, found, _ = points
    assert np.isfinite(found.unc_ext_radius_deg).all()
    assert (found.unc_ext_radius_deg > 0).all()
    assert np.percentile(found.ext_radius_deg, 95) < 0.07  # a PSF holds 39 % of its photons within 0.07 deg


def test_results_come_in_the_sequence_asked_for(points):
    around, _, found, sky = points
    rows = np.array([250, 3, 77])
    other = Surroundings.of(around.detections, rows, sky.cube, sky.exposure, sky.response)
    again = extensions(other, measure(other, sky.exposure), sky.exposure)
    assert again.ts_ext == pytest.approx(found.ts_ext[rows], abs=1e-6)
    assert len(extensions(*_nothing(around, sky), sky.exposure)) == 0


def _nothing(around, sky):
    none = Surroundings.of(around.detections, np.empty(0, int), sky.cube, sky.exposure, sky.response)
    return none, measure(none, sky.exposure)


def test_bright_points_are_not_called_extended_and_bright_discs_still_are():
    """The PSF of the model is wrong by per cents, pixels included: it must not pass for an extension."""
    for seed, index in ((70, 2.0), (71, 3.1)):
        _, _, found, _ = fitted(np.zeros(24), 10_000, seed, disc=False, index=index)
        assert (found.ts_ext < 12).all()
        assert np.median(found.ts_ext) < 1.5
    _, _, found, _ = fitted(np.full(6, 0.15), 10_000, 72)
    assert (found.ts_ext > 50).all()
    assert found.ext_radius_deg == pytest.approx(0.15, rel=0.1)


def test_errors_of_the_width_come_from_spectra_and_from_pixels(points):
    around = points[0]
    error = width_error(healpix_point_spread(around.survey, around.response), around.survey)
    # The PSF narrows with energy and the pixels do not.
    assert (np.diff(error) > 0).all()
    assert WIDTH_ERROR < error[0] < error[-1] < 0.1
