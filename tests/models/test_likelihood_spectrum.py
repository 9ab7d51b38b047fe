"""Fluxes, spectra and places against counts exactly as expected, for which the best values and errors are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from models.likelihood import Detections, Surroundings, light_curves, measure
from models.likelihood.band_fit import BandProfile, fit_bands
from models.likelihood.evidence import POPULATIONS
from models.likelihood.local_fit import LocalSky
from models.likelihood.localise import DROP_95, localise
from models.likelihood.neighbourhood import Neighbourhoods
from models.likelihood.optics import SEPARATIONS_DEG, PointSpread
from models.likelihood.spectral_shares import Shares
from models.likelihood.spectrum import fit_spectrum
from sky.spectra import LogParabola, PLSuperExpCutoff
from sky.survey import get_survey
from sky.tiles import owner
from tests.models.known_sky import make_sky

RADIUS_DEG, PIXEL_DEG = 3.0, 0.1
SIGMA_DEG = np.array([1.2, 0.5, 0.2])  # of a Gaussian PSF, one a plane: the first fills the neighbourhood
BACKGROUND_SR = np.array([2e6, 2e5, 2e4])
EXPOSURE_CM2_S = 4e11


def gaussian_spread(sigma_deg: np.ndarray) -> PointSpread:
    sigma, sep = np.radians(sigma_deg)[:, None], np.radians(SEPARATIONS_DEG)
    falling = np.exp(-0.5 * (sep / sigma) ** 2)
    return PointSpread((falling / (2 * np.pi * sigma**2))[None], (1 - falling)[None])


def expected_sky(
    photons: np.ndarray, background_sr: np.ndarray = BACKGROUND_SR, sigma_deg: np.ndarray = SIGMA_DEG
) -> LocalSky:
    """One source of `photons` [n_planes] on a flat background, every pixel with the counts expected of it."""
    at = np.arange(-RADIUS_DEG, RADIUS_DEG + PIXEL_DEG / 2, PIXEL_DEG)
    east, north = (a.ravel() for a in np.meshgrid(at, at))
    inside = np.hypot(east, north) <= RADIUS_DEG
    east, north, n = east[inside], north[inside], int(inside.sum())
    area, spread, plane = np.radians(PIXEL_DEG) ** 2, gaussian_spread(sigma_deg), np.repeat(np.arange(3), n)
    sep = np.tile(np.hypot(east, north), 3)
    counts = area * (photons[plane] * spread.density(plane, sep) + background_sr[plane])
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
    background = background_sr[plane]
    total = (background_sr * n * area)[None]
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


def test_a_background_known_to_some_percent_leaves_an_error_of_that_share() -> None:
    sky = expected_sky(np.full(3, 5e3))
    exposure, survey = np.full((1, 3), EXPOSURE_CM2_S), get_survey("lat-10gev")
    exact = fit_bands(BandProfile(sky, sky.psf(), exposure, survey))
    weighted = replace(sky, background_error=0.03)
    honest = fit_bands(BandProfile(weighted, weighted.psf(), exposure, survey))
    # photons of the background under the PSF: 4 pi sigma^2 for a Gaussian
    under = BACKGROUND_SR * 4 * np.pi * np.radians(SIGMA_DEG) ** 2
    assert honest.flux_cm2_s == pytest.approx(exact.flux_cm2_s, rel=0.01)
    growth = honest.unc_high_cm2_s[0] / exact.unc_high_cm2_s[0]
    assert growth == pytest.approx(np.sqrt(1 + 0.03**2 * under), rel=0.05)
    assert growth[0] > 3


def test_the_ellipse_is_that_of_the_fisher_matrix_however_wide_the_psf() -> None:
    """The neighbourhood cuts the PSF off: photons that leave it must count too."""
    photons = np.array([3e4, 0.0, 0.0])
    sky = expected_sky(photons)
    level = np.ones((1, 3))
    place = localise(sky, photons[None], level)
    # mu P'^2 / (mu P + B) for one axis, over the disc that holds 95 % of the photons
    sigma = np.radians(SIGMA_DEG[0])
    r = np.linspace(0, sigma * np.sqrt(-2 * np.log(0.05)), 20001)
    density = photons[0] / (2 * np.pi * sigma**2) * np.exp(-0.5 * (r / sigma) ** 2)
    fisher = np.trapezoid(np.pi * r * (density * r / sigma**2) ** 2 / (density + BACKGROUND_SR[0]), r)
    error_deg = np.degrees(1 / np.sqrt(fisher))
    assert 0.01 < error_deg < 0.1
    assert place.r95_deg[0] == pytest.approx(np.sqrt(DROP_95) * error_deg, rel=0.02)
    assert np.hypot(place.east_deg, place.north_deg)[0] < 0.05 * error_deg


@pytest.mark.parametrize("start", [0.2, 1.0, 5.0])
def test_a_spectrum_is_found_where_hardly_a_photon_is_the_backgrounds(start: float) -> None:
    """A level with no bend of its own must not run off and stop the fit where it began."""
    survey, flux = get_survey("lat-10gev"), 7e-10
    share, _ = Shares(survey)(np.array([2.3]), np.zeros(1))
    sky = expected_sky(flux * share[0] * EXPOSURE_CM2_S, np.array([3e4, 3e3, 1.0]), np.full(3, 0.1))
    # the brightest pixel of the faintest plane alone: all its photons are the source's
    last, counts = sky.near.plane == 2, sky.near.counts
    brightest = last & (counts == counts[last].max())
    alone = np.where(brightest, share[0, 2] * flux * EXPOSURE_CM2_S, 0.0)
    lonely = np.where(last, alone, counts)
    sky = replace(sky, near=replace(sky.near, counts=lonely))
    prior = POPULATIONS["lat-10gev"].spectra
    found = fit_spectrum(
        sky, sky.psf(), np.full((1, 3), EXPOSURE_CM2_S), survey, np.array([start * flux]), prior
    )
    assert found.flux_cm2_s[0] == pytest.approx(flux, rel=0.05)
    assert found.index[0] == pytest.approx(2.3, abs=2 * found.unc_index[0])


@given(index=st.floats(1.0, 3.5), curvature=st.floats(-0.3, 1.0))
def test_shares_of_curved_spectra_are_integrals_and_tilts_their_derivatives(
    index: float, curvature: float
) -> None:
    survey = get_survey("lat-6band")
    shares = Shares(survey)
    share, tilt = shares(np.array([index]), np.array([curvature]))
    one = np.ones(1)
    spectrum = LogParabola(one, shares.pivot_gev * one, index * one, curvature * one)
    headline = spectrum.photon_flux(*survey.flux_range_gev)
    bands = spectrum.photon_flux([b.emin_gev for b in survey.bands], [b.emax_gev for b in survey.bands])
    expected = (bands / headline)[0, [band for band, _ in survey.planes]]
    assert share[0] == pytest.approx(expected, rel=2e-3)
    step = 1e-4
    for k, (di, dc) in enumerate(((step, 0), (0, step)), start=1):
        (high, _), (low, _) = (
            shares(np.array([index + s * di]), np.array([curvature + s * dc])) for s in (1, -1)
        )
        assert tilt[0, :, k] == pytest.approx(np.log(high / low)[0] / (2 * step), rel=1e-3, abs=1e-6)


# Photons per sr and plane of a six-band sky at high latitude.
SIX_BANDS_SR = np.array([5e5, 4e5, 2e5, 1.2e5, 2e4, 6e3])


@pytest.fixture(scope="module")
def pulsars():
    """Twelve bright pulsars, far apart, known to a third in flux: photons from 0.3 GeV on."""
    n = 12
    glon, glat = np.arange(n) * 30.0, np.where(np.arange(n) % 2, 40.0, -40.0)
    one = np.ones(n)
    spectrum = PLSuperExpCutoff(3e-9 * one, one, 1.4 * one, 0.007 * one, 2 / 3 * one)
    survey = get_survey("lat-6band")
    truth = spectrum.photon_flux(*survey.flux_range_gev)[:, 0]
    sky = make_sky(
        glon,
        glat,
        truth,
        2.2 * one,
        5,
        SIX_BANDS_SR,
        curves=np.ones((n, 2)),
        survey_name="lat-6band",
        spectrum=spectrum,
    )
    rough = truth * np.exp(np.random.default_rng(6).normal(0, 0.3, n))
    found = Detections(
        tile=owner(glon, glat),
        glon_deg=glon,
        glat_deg=glat,
        ts=1e3 * one,
        det_prob=one,
        flux_cm2_s=rough,
        background_sr=np.repeat(SIX_BANDS_SR[None], n, 0).repeat(2, 1),
        disc_deg=np.zeros(n),
    )
    around = Surroundings.of(found, np.arange(n), sky.cube, sky.exposure, sky.response)
    measured = measure(around, sky.exposure)
    return survey, spectrum, truth, measured, light_curves(around, measured, sky.cube, sky.exposure)


def test_curved_spectra_keep_their_flux(pulsars) -> None:
    _, _, truth, measured, _ = pulsars
    assert measured.flux_cm2_s.mean() / truth[0] == pytest.approx(1, abs=0.03)
    pull = (measured.flux_cm2_s - truth) / measured.unc_flux_cm2_s
    assert np.abs(pull).max() < 4


def test_slices_of_a_curved_spectrum_add_up_to_its_flux(pulsars) -> None:
    _, _, _, measured, curves = pulsars
    ratio = curves.flux_cm2_s.mean(axis=1) / measured.flux_cm2_s
    assert ratio == pytest.approx(1, abs=0.03)


def test_a_bright_source_keeps_its_photons_where_the_psf_is_as_wide_as_the_background(pulsars) -> None:
    survey, spectrum, _, measured, _ = pulsars
    bands = spectrum.photon_flux([b.emin_gev for b in survey.bands], [b.emax_gev for b in survey.bands])
    ratio = measured.band_flux.mean(axis=0) / bands[0]
    assert ratio[:5] == pytest.approx(1, abs=0.06)


def test_what_is_believed_of_curvatures_is_what_4fgl_dr2_found(lat_data: Path) -> None:
    table = Table.read(lat_data / "catalogs" / "gll_psc_v27.fit.gz", hdu="LAT_Point_Source_Catalog")
    bright = table[table["Signif_Avg"] > 20]
    mean, width = POPULATIONS["lat-6band"].spectra.curvature
    assert mean == pytest.approx(np.mean(bright["LP_beta"]), abs=0.01)
    assert width == pytest.approx(np.std(bright["LP_beta"]), abs=0.015)
