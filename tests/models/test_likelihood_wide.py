"""Wide sources: told from the emission by their spectrum, found, and measured."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from models.likelihood import Flags, Surroundings, measure, measure_wide
from models.likelihood.background import BackgroundScales
from models.likelihood.regions import INDICES, RADII_DEG, fit_errors, fit_regions, seen_bands, weights, yields
from models.likelihood.rest import Rest
from models.likelihood.tile_model import TileSky
from models.likelihood.wide_search import PROBABILITY, searchable, wide_detections
from sky.frames import separation_deg, unit_vectors
from sky.survey import get_survey
from sky.tiles import TileGrid, owner
from tests.models.known_sky import EXPOSURE_CM2_S, band_flux, make_sky

SURVEY = get_survey("lat-6band")
PLACE, RADIUS_DEG = (40.0, 8.0), 1.3


# Counts per sr of an emission of index 2.6, as at middle latitudes.
EMISSION_SR = 1e5 * np.array([b.emin_gev**-1.6 - b.emax_gev**-1.6 for b in SURVEY.bands])


def tile_of(index=1.7, photons=2500.0, seed=5):
    """The tile of a disc of some photons above 1 GeV (none: an emission alone), and its counts as detected."""
    flux = np.array([photons / EXPOSURE_CM2_S])
    sky = make_sky(
        np.array([PLACE[0]]),
        np.array([PLACE[1]]),
        flux,
        np.array([index]),
        seed,
        background_sr=EMISSION_SR,
        disc_deg=np.array([RADIUS_DEG]),
        survey_name="lat-6band",
    )
    tile = int(owner(*PLACE))
    cut = TileSky.of(sky.cube, sky.exposure, sky.response, TileGrid(SURVEY), tile)
    floor = cut.first_background(BackgroundScales())
    images = cut.image(cut.counts)
    return sky, cut, wide_detections(cut, sky.exposure, sky.response, images, floor)


@pytest.fixture(scope="module")
def hard():
    return tile_of()


def test_a_hard_disc_is_found_where_it_is(hard):
    sky, _, found = hard
    assert len(found) == 1
    assert separation_deg(found.glon_deg[0], found.glat_deg[0], *PLACE) < 0.25
    assert 1.0 <= found.disc_deg[0] <= 1.6 and found.ts[0] > 50
    assert found.flux_cm2_s[0] == pytest.approx(sky.flux_cm2_s[0], rel=0.35)
    expected = expit(PROBABILITY["intercept"] + PROBABILITY["slope"] * np.log(found.ts[0]))
    assert found.det_prob[0] == pytest.approx(expected)


def test_a_cloud_is_none_however_bright():
    """What has the emission's own spectrum is the emission's, though it outshines any source."""
    _, cut, found = tile_of(index=2.6, photons=5000)
    rest = Rest.of(cut, SURVEY, cut.image(cut.counts))
    assert len(found) == 0 and rest.counts.sum() > 1e4


def test_an_even_sky_holds_none():
    assert len(tile_of(photons=1e-3, seed=6)[2]) == 0


def test_a_measured_disc_has_its_flux_index_and_place_within_errors(hard):
    sky, _, found = hard
    rows = np.arange(1)
    around = Surroundings.of(found, rows, sky.cube, sky.exposure, sky.response)
    as_point = measure(around, sky.exposure)
    measured, extended = measure_wide(found, rows, as_point, sky.cube, sky.exposure, sky.response)
    off = separation_deg(measured.glon_deg[0], measured.glat_deg[0], *PLACE)
    assert off < 1.5 * measured.conf_95_semimajor_deg[0] and measured.conf_95_semimajor_deg[0] < 0.4
    assert abs(measured.flux_cm2_s[0] - sky.flux_cm2_s[0]) < 3 * measured.unc_flux_cm2_s[0]
    assert 0.02 < measured.unc_flux_cm2_s[0] / measured.flux_cm2_s[0] < 0.5
    assert abs(measured.index[0] - 1.7) < 3 * measured.unc_index[0] + 0.1
    assert measured.flags[0] & Flags.WIDE and measured.flags[0] & Flags.EXTENDED
    assert extended.ext_radius_deg[0] == found.disc_deg[0] and extended.ts_ext[0] > 25
    assert np.isnan(measured.curvature).all() and measured.signif_avg[0] > as_point.signif_avg[0]
    assert np.isnan(measured.band_unc_low[0, :2]).all() and not measured.band_sqrt_ts[0, :2].any()
    hardest = measured.band_flux[0, -2:]
    truth = [band_flux(SURVEY, sky.flux_cm2_s, sky.index, band)[0] for band in (4, 5)]
    assert hardest == pytest.approx(truth, rel=0.4)


def region(ratio, flux, of):
    """Expected counts of disc and ring: an emission of index 2.6 and a source, and what unit flux gives."""
    exposures = np.full((1, len(SURVEY.planes)), EXPOSURE_CM2_S)
    made = [yields(SURVEY, exposures, np.full_like(exposures, share)) for share in (0.8, 0.1)]
    made = [m[..., seen_bands(SURVEY)] for m in made]
    back = 1e5 * np.array([1.0, 0.4, 0.06, 0.02])
    disc, ring = (flux * m[:, of] for m in made)
    return disc + ratio * back, ring + back, made


@settings(deadline=None, max_examples=25)
@given(st.floats(0.05, 1.0), st.integers(0, 4), st.floats(0.05, 1.0))
def test_what_was_put_into_regions_comes_out_of_them(ratio, of, size):
    flux = size * 4e3 / EXPOSURE_CM2_S
    disc, ring, made = region(ratio, flux, of)
    weight = weights(disc, np.zeros_like(disc))
    fit = fit_regions(disc, ring, *made, weight)
    unc_flux, unc_index = fit_errors(fit, *made, weight)
    assert abs(fit.index[0] - INDICES[of]) < max(0.1, unc_index[0])
    assert abs(fit.flux_cm2_s[0] - flux) < max(0.1 * flux, unc_flux[0])


@settings(deadline=None, max_examples=25)
@given(st.floats(0.05, 1.0))
def test_regions_of_one_spectrum_need_no_source(ratio):
    disc, ring, made = region(ratio, 0.0, 0)
    assert fit_regions(disc, ring, *made, np.ones_like(disc)).ts[0] < 0.5


def test_regions_are_discs_and_rings(hard):
    _, cut, _ = hard
    size = cut.smoother.npix
    rest = Rest(cut, SURVEY, np.ones((6, size, size)), np.zeros((6, size, size)))
    middle = np.array([cut.grid.pixel_to_sky(cut.tile, cut.band, [size / 2], [size / 2])])[..., 0]
    disc, ring, _ = rest.regions(unit_vectors(*middle.T), np.array(RADII_DEG))
    pixel_deg = cut.smoother.pixel_deg
    for k, radius in enumerate(RADII_DEG):
        assert disc[0, k, 0] == pytest.approx(np.pi * (radius / pixel_deg) ** 2, rel=0.03)
        outer, inner = radius + 2.0, radius + 0.5
        assert ring[0, k, 0] == pytest.approx(np.pi * (outer**2 - inner**2) / pixel_deg**2, rel=0.03)


def test_surveys_without_soft_photons_are_not_searched():
    assert searchable(SURVEY) and not searchable(get_survey("lat-10gev"))
