"""Band fluxes against counts exactly as expected, for which the best flux and its error are known."""

import numpy as np
import pytest

from models.likelihood.band_fit import BandProfile, fit_bands
from models.likelihood.local_fit import LocalSky
from models.likelihood.neighbourhood import Neighbourhoods
from models.likelihood.optics import SEPARATIONS_DEG, PointSpread
from sky.survey import get_survey

RADIUS_DEG, PIXEL_DEG = 3.0, 0.1
SIGMA_DEG = np.array([1.2, 0.5, 0.2])  # of a Gaussian PSF, one a plane: the first fills the neighbourhood
BACKGROUND_SR = np.array([2e6, 2e5, 2e4])
EXPOSURE_CM2_S = 4e11


def gaussian_spread() -> PointSpread:
    sigma, sep = np.radians(SIGMA_DEG)[:, None], np.radians(SEPARATIONS_DEG)
    falling = np.exp(-0.5 * (sep / sigma) ** 2)
    return PointSpread((falling / (2 * np.pi * sigma**2))[None], (1 - falling)[None])


def expected_sky(photons: np.ndarray) -> LocalSky:
    """One source of `photons` [n_planes] on a flat background, every pixel with the counts expected of it."""
    at = np.arange(-RADIUS_DEG, RADIUS_DEG + PIXEL_DEG / 2, PIXEL_DEG)
    east, north = (a.ravel() for a in np.meshgrid(at, at))
    inside = np.hypot(east, north) <= RADIUS_DEG
    east, north, n = east[inside], north[inside], int(inside.sum())
    area, spread, plane = np.radians(PIXEL_DEG) ** 2, gaussian_spread(), np.repeat(np.arange(3), n)
    sep = np.tile(np.hypot(east, north), 3)
    counts = area * (photons[plane] * spread.density(plane, sep) + BACKGROUND_SR[plane])
    near = Neighbourhoods(
        n=1,
        owner=np.zeros(3 * n, int),
        plane=plane,
        counts=counts,
        east_deg=np.tile(east, 3),
        north_deg=np.tile(north, 3),
        radius_deg=np.full(3, RADIUS_DEG),
        pixel=np.arange(3 * n),
    )
    background = BACKGROUND_SR[plane]
    total = (BACKGROUND_SR * n * area)[None]
    return LocalSky(near, background, np.zeros(3 * n), spread, np.zeros(1, int), total)


@pytest.mark.parametrize("photons", [100.0, 5e4, 5e5])
def test_the_best_flux_is_found_however_bright_and_blurred_a_source_is(photons: float) -> None:
    sky = expected_sky(np.full(3, photons))
    profile = BandProfile(sky, sky.psf(), np.full((1, 3), EXPOSURE_CM2_S), get_survey("lat-10gev"))
    bands = fit_bands(profile)
    # errors from the Fisher matrix of photons and level of the background
    near, psf, background = sky.near, sky.psf(), sky.background
    expected = near.counts / np.radians(PIXEL_DEG) ** 2
    for band in range(3):
        here = near.plane == band
        share = np.stack([psf[here], background[here]]) / expected[here]
        fisher = (near.counts[here] * share[:, None] * share[None]).sum(axis=-1)
        error = np.sqrt(np.linalg.inv(fisher)[0, 0])
        found = bands.flux_cm2_s[0, band] * EXPOSURE_CM2_S
        assert abs(found - photons) < 0.15 * error + 0.003 * photons  # the disc's edge is made of squares
        if bands.ts[0, band] > 25:
            for unc in (-bands.unc_low_cm2_s[0, band], bands.unc_high_cm2_s[0, band]):
                assert unc * EXPOSURE_CM2_S == pytest.approx(error, rel=0.1)
