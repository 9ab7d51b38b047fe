"""Background and matched filter against closed forms and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize_scalar

from models.likelihood.background import BackgroundScales, Smoother, estimate
from models.likelihood.matched_filter import matched_filter, peaks
from models.likelihood.optics import (
    EXTENTS_DEG,
    SEPARATIONS_DEG,
    band_fractions,
    blurred_point_spread,
    healpix_point_spread,
)
from sky.response import load_response
from sky.survey import get_survey
from sky.tiles import TileGrid

SURVEY = get_survey("lat-10gev")
RESPONSE = load_response(SURVEY.irfs)
FINE = Smoother(192, 15 / 192)


@given(st.sampled_from([0.25, 0.4, 0.8, 1.5, 3.0]), st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_smoothing_keeps_a_constant_up_to_the_edges(width, level):
    smooth = FINE.smooth(np.full((192, 192), level, np.float32), width)
    assert np.allclose(smooth, level, rtol=1e-4)


def test_smoothing_is_a_gaussian():
    rng = np.random.default_rng(1)
    image = rng.poisson(2.0, (192, 192)).astype(np.float32)
    ours = FINE.smooth(image, 0.8)
    reference = gaussian_filter(image.astype(float), 0.8 / FINE.pixel_deg, truncate=6)
    inside = slice(64, 128)
    assert np.allclose(ours[inside, inside], reference[inside, inside], rtol=0.02)


@pytest.mark.parametrize("mean", [0.02, 0.05, 0.1])
def test_a_flat_sky_gives_a_flat_background(mean):
    rng = np.random.default_rng(2)
    counts = rng.poisson(np.array([0.8, 0.17, 0.03])[:, None, None] * mean, (3, 192, 192)).astype(np.float32)
    background = estimate(FINE, counts, mean, BackgroundScales())
    total = background.sum(axis=0)
    assert total.mean() == pytest.approx(counts.sum(axis=0).mean(), rel=0.02)
    narrow = FINE.smooth(counts.sum(axis=0), BackgroundScales().widths_deg[-1])
    assert total.std() < 0.7 * narrow.std()


def test_structure_is_followed_where_photons_show_it():
    """A ridge as narrow as the Galactic plane's, far above the sky's mean, is seen; the widest kernel misses it."""
    rng = np.random.default_rng(3)
    y = (np.arange(192) - 95.5) * FINE.pixel_deg
    truth = np.repeat((0.3 + 4 * np.exp(-0.5 * (y / 0.5) ** 2))[:, None], 192, axis=1)
    counts = rng.poisson(truth)[None].astype(np.float32)
    scales = BackgroundScales()
    ours = estimate(FINE, counts, 0.1, scales)[0]
    wide = FINE.smooth(counts[0], scales.widths_deg[0])
    ridge = np.abs(y) < 0.3
    assert ours[ridge].mean() == pytest.approx(truth[ridge].mean(), rel=0.25)
    assert wide[ridge].mean() < 0.55 * truth[ridge].mean()


def test_look_up_tables_agree_with_the_response():
    spread = healpix_point_spread(SURVEY, RESPONSE)
    for plane, band in enumerate(SURVEY.bands):
        psf = RESPONSE.band_psf("BOTH", band.emin_gev, band.emax_gev, SURVEY.reference_index)
        side = np.degrees(np.sqrt(4 * np.pi / band.npix))
        for fraction in (0.68, 0.95):
            blurred = psf.smeared(side / np.sqrt(12)).radius_deg(fraction)
            assert spread.radius_deg(fraction)[plane] == pytest.approx(float(blurred), rel=2e-3)
        sep = np.geomspace(1e-3, 15, 4000)
        for extent in range(len(EXTENTS_DEG)):
            density = spread.density(plane, sep, extent)
            ring = 2 * np.pi * np.sin(np.radians(sep))
            integral = np.sum(0.5 * ((density * ring)[1:] + (density * ring)[:-1]) * np.diff(np.radians(sep)))
            assert integral == pytest.approx(
                float(spread.containment(plane, np.array(15.0), extent)), abs=3e-3
            )
            variance = np.interp(0.39, spread.contained[extent, plane], np.arange(2400))
            assert variance >= np.interp(0.39, spread.contained[0, plane], np.arange(2400))


def test_band_fractions_are_integrals():
    fractions = band_fractions(SURVEY, np.array([1.0, 2.3]))
    energy = np.geomspace(10, 2000, 400001)
    first, last = SURVEY.flux_range_gev
    for index, row in zip((1.0, 2.3), fractions, strict=True):
        density = energy**-index

        def integral(low, high, density=density):
            inside = (energy >= low * 0.999999) & (energy <= high * 1.000001)
            return np.trapezoid(density[inside], energy[inside])

        expected = [integral(b.emin_gev, b.emax_gev) / integral(first, last) for b in SURVEY.bands]
        assert row == pytest.approx(expected, rel=1e-4)


def brute_force(counts, background, share, x, y, pixel_deg):
    """TS at a pixel: the sum written out, the flux by a scalar minimiser."""
    spread = blurred_point_spread(SURVEY, RESPONSE, pixel_deg)
    rows, columns = np.indices(counts.shape[1:])
    sep = np.hypot(rows - y, columns - x) * pixel_deg
    near = sep < 2.0

    def minus_likelihood(log_photons):
        total = 0.0
        for plane in range(len(share)):
            psf = spread.density(plane, sep) * np.radians(pixel_deg) ** 2
            inside = spread.containment(plane, np.array(2.0))
            psf *= inside / psf[near].sum()
            signal = np.exp(log_photons) * share[plane] * psf[near]
            total += np.sum(counts[plane][near] * np.log1p(signal / background[plane][y, x]))
            total -= np.exp(log_photons) * share[plane] * inside
        return -total

    best = minimize_scalar(minus_likelihood, bounds=(np.log(1.0), np.log(5e4)), method="bounded")
    return -2 * best.fun, np.exp(best.x)


@pytest.mark.parametrize("density", [1, 400])
def test_the_filter_is_the_likelihood_ratio_written_out(density):
    """On few background photons, as above 10 GeV, and on so many that a source is faint beside them, as below 1."""
    rng = np.random.default_rng(4)
    grid = TileGrid(SURVEY)
    fine = matched_filter(SURVEY, RESPONSE, grid)
    level = np.array([0.1, 0.02, 0.004]) * density
    counts = rng.poisson(level[:, None, None], (3, 192, 192)).astype(np.float32)
    share = np.array([0.75, 0.18, 0.07])
    for x, y, photons in ((60, 90, 25), (100, 70, 40), (130, 120, 400)):
        for plane in range(3):
            for _ in range(rng.poisson(photons * share[plane] * np.sqrt(density))):
                dx, dy = rng.normal(0, 0.07 / fine.smoother.pixel_deg, 2)
                counts[plane, round(y + dy), round(x + dx)] += 1
    background = np.repeat(level[:, None, None], 192, axis=1).repeat(192, axis=2).astype(np.float32)
    ts, photons = fine.significance(counts, background, share, 9.0, np.ones((192, 192), bool))
    column, row, _, height = peaks(ts, photons, 25.0)
    assert len(height) >= 3
    for x, y in zip(np.rint(column[:3]).astype(int), np.rint(row[:3]).astype(int), strict=True):
        expected_ts, expected_photons = brute_force(counts, background, share, x, y, fine.smoother.pixel_deg)
        assert ts[y, x] == pytest.approx(expected_ts, rel=0.01)
        assert photons[y, x] == pytest.approx(expected_photons, rel=0.05)


def test_the_solid_angle_of_the_psf_is_that_of_its_square():
    """Two photons of a source are as close as two of a background in that solid angle: counted, not integrated."""
    rng, n = np.random.default_rng(6), 400_000
    spread = healpix_point_spread(SURVEY, RESPONSE)
    for plane in range(3):
        place = []
        for _ in range(2):
            sep = np.interp(rng.random(n), spread.contained[0, plane], SEPARATIONS_DEG)
            angle = rng.random(n) * 2 * np.pi
            place.append((sep * np.cos(angle), sep * np.sin(angle)))
        (x1, y1), (x2, y2) = place
        radius = 0.02
        share = np.mean(np.hypot(x1 - x2, y1 - y2) < radius)
        expected = np.pi * np.radians(radius) ** 2 / share
        assert spread.solid_angle_sr[plane] == pytest.approx(expected, rel=0.06)
