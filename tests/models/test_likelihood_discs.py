"""Extended sources measured as discs, where they are harder than the background round them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.likelihood import Flags, extensions, light_curves, measure, measure_discs
from models.likelihood.discs import TS_EXTENDED
from models.likelihood.optics import band_fractions, power_law_index
from models.likelihood.surroundings import Surroundings
from sky.frames import separation_deg
from sky.survey import get_survey
from tests.models.known_sky import EXPOSURE_CM2_S, HIGH_LATITUDE_SR, make_sky
from tests.models.test_likelihood_fit import as_detections

SIDE = 12
HARD, SOFT = 1.5, 3.2  # the background's index is about 2.4
RADIUS_DEG, PHOTONS = 0.5, 500


def found(index: float, offset_deg: float = 0.0, slices: int = 1):
    """Discs of an index found `offset_deg` from their centres, measured both ways."""
    k = np.arange(SIDE)
    glon, glat = k * 25.0 + 3, np.where(k % 2, 30.0, 45.0)
    flux = np.full(SIDE, PHOTONS / EXPOSURE_CM2_S)
    sky = make_sky(
        glon,
        glat,
        flux,
        np.full(SIDE, index),
        80,
        disc_deg=np.full(SIDE, RADIUS_DEG),
        curves=np.ones((SIDE, slices)),
    )
    detected = as_detections(sky, 81)
    detected.glat_deg[:] += offset_deg
    around = Surroundings.of(detected, np.arange(SIDE), sky.cube, sky.exposure, sky.response)
    before = measure(around, sky.exposure)
    extended = extensions(around, before, sky.exposure)
    shaped, after = measure_discs(around, before, extended, sky.exposure)
    return sky, before, extended, shaped, after


@pytest.fixture(scope="module")
def hard():
    return found(HARD, offset_deg=0.25, slices=2)


def test_hard_discs_get_their_flux_and_their_centre(hard):
    sky, before, extended, _, after = hard
    assert (extended.ts_ext >= TS_EXTENDED).all()
    off = [separation_deg(m.glon_deg, m.glat_deg, sky.glon_deg, sky.glat_deg) for m in (before, after)]
    assert np.mean(off[1]) < 0.85 * np.mean(off[0])
    assert np.mean(off[1] < after.conf_95_semimajor_deg) > 0.9
    assert np.median(after.flux_cm2_s / sky.flux_cm2_s) == pytest.approx(1, abs=0.12)
    assert (after.signif_avg > before.signif_avg + 1).all()
    assert ((after.flags & Flags.EXTENDED) > 0).all() and ((after.flags & Flags.DISC) > 0).all()


def test_light_curves_of_discs_add_up_to_their_flux(hard):
    sky, _, _, shaped, after = hard
    curves = light_curves(shaped, after, sky.cube, sky.exposure)
    assert np.median(curves.flux_cm2_s.mean(axis=1) / after.flux_cm2_s) == pytest.approx(1, abs=0.05)


def test_soft_discs_stay_what_they_were_since_clouds_look_like_them():
    _, before, extended, shaped, after = found(SOFT)
    assert (extended.ts_ext >= TS_EXTENDED).all()
    assert after.flux_cm2_s == pytest.approx(before.flux_cm2_s, rel=0)
    assert after.flags.tolist() == before.flags.tolist()
    points = [tile.sky.psf() for tile in shaped.tiles]
    assert all(np.isfinite(p).all() for p in points)


def test_results_come_in_the_sequence_asked_for(hard):
    sky, _, _, shaped, after = hard
    rows = np.array([7, 2, 11])
    other = Surroundings.of(shaped.detections, rows, sky.cube, sky.exposure, sky.response)
    measured = measure(other, sky.exposure)
    _, again = measure_discs(other, measured, extensions(other, measured, sky.exposure), sky.exposure)
    assert again.flux_cm2_s == pytest.approx(after.flux_cm2_s[rows], rel=1e-6)
    none = Surroundings.of(shaped.detections, np.empty(0, int), sky.cube, sky.exposure, sky.response)
    empty = measure(none, sky.exposure)
    _, still = measure_discs(none, empty, extensions(none, empty, sky.exposure), sky.exposure)
    assert len(still) == 0


@settings(deadline=None)
@given(st.floats(1.2, 3.8), st.floats(1e-12, 1e12), st.lists(st.floats(0.1, 100), min_size=6, max_size=6))
def test_the_index_of_a_power_law_is_its_own_whatever_the_weights(index, norm, weights):
    survey = get_survey("lat-6band")
    bands = band_fractions(survey, index)[::2] * norm
    assert power_law_index(bands[None], np.array([weights]), survey)[0] == pytest.approx(index, abs=0.006)


def test_bands_without_photons_say_nothing_of_the_index():
    survey = get_survey("lat-10gev")
    planes = len(survey.planes) // len(survey.bands)
    bands = band_fractions(survey, 2.5)[::planes].copy()
    bands[-1] = 0
    assert power_law_index(bands[None], np.ones((1, len(bands))), survey)[0] == pytest.approx(2.5, abs=0.006)
    steep = power_law_index(HIGH_LATITUDE_SR[None], np.ones((1, 3)), survey)[0]
    assert 2.0 < steep < 3.0
