"""The fit against simulated skies, whose fluxes and places are known."""

import astropy.units as u
import healpy as hp
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from scipy.stats import chi2, norm

from models.likelihood import Detections, Flags, Measurements, characterise
from models.likelihood.fit import significance
from models.likelihood.flags import flag_meanings
from models.likelihood.localise import equatorial_angle_deg, with_systematics
from models.likelihood.warnings import nearest_brighter
from sky.frames import separation_deg
from sky.tiles import owner
from tests.models.known_sky import EXPOSURE_CM2_S, HIGH_LATITUDE_SR, KnownSky, band_flux, make_sky


def as_detections(sky: KnownSky, seed: int) -> Detections:
    """What a detector might hand over: places off by 0.03 deg, fluxes by a third."""
    rng = np.random.default_rng(seed)
    n = len(sky.glon_deg)
    glat = sky.glat_deg + rng.normal(0, 0.03, n)
    glon = sky.glon_deg + rng.normal(0, 0.03, n) / np.cos(np.radians(glat))
    return Detections(
        tile=owner(glon, glat),
        glon_deg=glon,
        glat_deg=glat,
        ts=np.full(n, 25.0),
        det_prob=np.ones(n),
        flux_cm2_s=sky.flux_cm2_s * np.exp(rng.normal(0, 0.3, n)),
        background_sr=np.repeat(HIGH_LATITUDE_SR[None], n, axis=0),
        disc_deg=np.zeros(n),
    )


def measure(sky: KnownSky, detections: Detections, which) -> Measurements:
    return characterise(detections, which, sky.cube, sky.exposure, sky.response, sky.survey, 0)


@pytest.fixture(scope="module")
def fitted() -> tuple[KnownSky, Detections, Measurements]:
    """Sources of 10 to 300 photons, 5 deg apart, in a third of the sky."""
    rng = np.random.default_rng(20)
    glon, glat = hp.pix2ang(8, np.arange(768), lonlat=True)
    keep = np.flatnonzero((glon < 130) & (np.abs(glat) < 75))
    n = len(keep)
    glon, glat = glon[keep] + rng.uniform(-1, 1, n), glat[keep] + rng.uniform(-1, 1, n)
    photons = np.exp(rng.uniform(np.log(10), np.log(300), n))
    index = np.round(rng.uniform(1.8, 3.0, n), 1)
    sky = make_sky(glon, glat, photons / EXPOSURE_CM2_S, index, 21)
    detections = as_detections(sky, 22)
    return sky, detections, measure(sky, detections, np.arange(n))


def test_fluxes_are_unbiased_with_honest_errors(fitted):
    sky, _, m = fitted
    strong = m.signif_avg > 5
    assert strong.sum() > 150
    ratio = m.flux_cm2_s[strong].sum() / sky.flux_cm2_s[strong].sum()
    error = np.sqrt(np.sum(m.unc_flux_cm2_s[strong] ** 2)) / sky.flux_cm2_s[strong].sum()
    assert abs(ratio - 1) < 0.02 + 2 * error
    pull = ((m.flux_cm2_s - sky.flux_cm2_s) / m.unc_flux_cm2_s)[strong]
    assert abs(pull.mean()) < 0.3
    assert pull.std() == pytest.approx(1, abs=0.2)
    index_pull = ((m.index - sky.index) / m.unc_index)[strong]
    assert abs(index_pull.mean()) < 0.3
    assert index_pull.std() == pytest.approx(0.95, abs=0.2)


def test_band_fluxes_add_up_and_their_intervals_hold_68_percent(fitted):
    sky, _, m = fitted
    measured, limits = np.isfinite(m.band_unc_low), np.isnan(m.band_unc_low)
    truth = np.stack([band_flux(sky.survey, sky.flux_cm2_s, sky.index, b) for b in range(3)], axis=1)
    photons = truth.sum(axis=0) * EXPOSURE_CM2_S
    assert np.all(np.abs(m.band_flux.sum(axis=0) / truth.sum(axis=0) - 1) < 3 / np.sqrt(photons) + 0.02)
    error = np.where(m.band_flux > truth, -np.nan_to_num(m.band_unc_low), m.band_unc_high)
    inside = (np.abs(m.band_flux - truth) < error)[measured]
    assert np.mean(inside) == pytest.approx(0.683, abs=0.07)
    assert (m.band_unc_low[measured] < 0).all()
    assert (m.band_unc_high > 0).all()
    assert np.array_equal(limits, m.band_sqrt_ts < 1)
    hardest = limits[:, 2]
    assert hardest.sum() > 30
    assert np.mean((m.band_flux + 2 * m.band_unc_high > truth)[hardest, 2]) > 0.9
    assert m.band_npred == pytest.approx(m.band_flux * EXPOSURE_CM2_S)


def test_ellipses_hold_what_they_promise(fitted):
    sky, _, m = fitted
    apart = separation_deg(sky.glon_deg, sky.glat_deg, m.glon_deg, m.glat_deg)
    strong = m.signif_avg > 5
    for major, minor, share in (
        (m.conf_68_semimajor_deg, m.conf_68_semiminor_deg, 0.68),
        (m.conf_95_semimajor_deg, m.conf_95_semiminor_deg, 0.95),
    ):
        assert (major >= minor).all()
        inside = np.mean((apart < np.sqrt(major * minor))[strong])
        assert inside == pytest.approx(share, abs=3 * np.sqrt(share * (1 - share) / strong.sum()) + 0.02)
    assert np.median(apart) < 0.03


def test_position_errors_do_not_depend_on_the_start(fitted):
    sky, detections, m = fitted
    other = as_detections(sky, 99)
    rows = np.flatnonzero(
        (m.signif_avg > 8) & (owner(detections.glon_deg, detections.glat_deg) == other.tile)
    )[:40]
    again = measure(sky, other, rows)
    apart = separation_deg(m.glon_deg[rows], m.glat_deg[rows], again.glon_deg, again.glat_deg)
    assert np.median(apart / m.conf_68_semimajor_deg[rows]) < 0.1


def test_a_source_is_measured_alike_alone_and_in_company(fitted):
    sky, detections, m = fitted
    rows = np.array([17, 3, 40])
    alone = measure(sky, detections, rows)
    for name in ("glon_deg", "flux_cm2_s", "conf_95_semimajor_deg", "band_flux", "signif_avg"):
        assert getattr(alone, name) == pytest.approx(getattr(m, name)[rows], rel=1e-9)
    assert len(measure(sky, detections, np.empty(0, int))) == 0


def test_significance_is_that_of_four_degrees_of_freedom():
    ts = np.array([0.0, 5.0, 25.0, 100.0, 900.0])
    expected = norm.isf(chi2.sf(ts, 4) / 2)
    assert significance(ts) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert significance(np.array([25.0]))[0] == pytest.approx(4.06, abs=0.02)  # 4FGL's threshold: 4.1 sigma
    assert significance(np.array([1e6]))[0] == pytest.approx(1000, rel=0.01)


def test_ellipse_angles_are_equatorial():
    rng = np.random.default_rng(1)
    glon, glat, angle = rng.uniform(0, 360, 200), rng.uniform(-85, 85, 200), rng.uniform(-90, 90, 200)
    start = SkyCoord(glon, glat, unit="deg", frame="galactic")
    tip = start.directional_offset_by(angle * u.deg, 0.01 * u.deg).icrs
    expected = start.icrs.position_angle(tip).deg
    ours = equatorial_angle_deg(glon, glat, angle)
    assert ((ours > -90) & (ours <= 90)).all()
    assert np.abs(np.sin(np.radians(ours - expected))).max() < 1e-3


def test_neighbours_are_told_apart():
    """Two sources 0.4 deg apart, one ten times the other: neither flux takes from the other."""
    n = 60
    base = np.linspace(5, 300, n)
    glon = np.concatenate([base, base])
    glat = np.concatenate([np.full(n, 30.0), np.full(n, 30.4)])
    flux = np.concatenate([np.full(n, 300.0), np.full(n, 30.0)]) / EXPOSURE_CM2_S
    sky = make_sky(glon, glat, flux, np.full(2 * n, 2.3), 31)
    detections = as_detections(sky, 32)
    m = measure(sky, detections, np.arange(2 * n))
    faint = m.flux_cm2_s[n:] * EXPOSURE_CM2_S
    assert faint.mean() == pytest.approx(30, abs=3 * np.sqrt(35 / n) + 1)
    near = nearest_brighter(detections)
    assert np.median(near[n:]) == pytest.approx(0.4, abs=0.05)
    assert np.isinf(near[:n]).mean() > 0.3


def test_an_extended_source_is_flagged_and_keeps_its_flux():
    n, rng = 30, np.random.default_rng(41)
    centres = np.stack([np.linspace(10, 340, n), np.full(n, 20.0)])
    photons = 200
    glon = np.repeat(centres[0], photons) + rng.normal(0, 0.3, n * photons) / np.cos(np.radians(20))
    glat = np.repeat(centres[1], photons) + rng.normal(0, 0.3, n * photons)
    one = np.full(n * photons, 1 / EXPOSURE_CM2_S)
    drawn = make_sky(glon, glat, one, np.full(n * photons, 2.3), 42)
    sky = KnownSky(
        drawn.cube,
        drawn.exposure,
        drawn.response,
        drawn.survey,
        *centres,
        np.full(n, photons / EXPOSURE_CM2_S),
        np.full(n, 2.3),
    )
    m = measure(sky, as_detections(sky, 43), np.arange(n))
    assert np.mean((m.flags & int(Flags.EXTENDED)) > 0) > 0.9
    assert np.mean(m.flux_cm2_s / sky.flux_cm2_s) == pytest.approx(1, abs=0.12)


def test_points_are_not_called_extended(fitted):
    _, _, m = fitted
    assert np.mean((m.flags & int(Flags.EXTENDED)) > 0) < 0.02


def test_every_flag_has_a_meaning():
    assert set(flag_meanings()) == {int(f) for f in Flags}
    assert all(text.endswith(".") for text in flag_meanings().values())


def test_systematic_errors_of_places_above_10_gev_are_those_of_4fgl():
    """Factor 1.06, and 0.0068 deg on the 95 % radius in quadrature: ERPOSFAC and ERPOSABS of gll_psc_v27."""
    r95 = np.array([0.0, 0.01, 0.1])
    assert with_systematics(r95, 95, "lat-10gev") == pytest.approx(
        [0.0068, np.hypot(0.0106, 0.0068), 0.10622], rel=1e-4
    )
    # The same floor at the other level, as wide as a Gaussian says.
    assert with_systematics(np.zeros(1), 68, "lat-6band")[0] == pytest.approx(0.0068 / 1.6215, rel=1e-3)
