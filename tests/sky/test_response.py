import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from sky.psf import SEPARATION_DEG, RadialPSF
from sky.response import IRF_NAMES, ResponseError, load_response

# Independent figures (xtsrcmaps' P8R3_SOURCE tables averaged over inclination): E (MeV), r39, r68, r95 (deg).
CONTAINMENT = [
    (421.697, "FRONT", (0.640, 1.209, 3.421)),
    (1333.521, "FRONT", (0.238, 0.440, 1.452)),
    (7498.94, "FRONT", (0.072, 0.127, 0.468)),
    (42169.7, "FRONT", (0.033, 0.068, 0.289)),
    (421697, "FRONT", (0.034, 0.086, 0.263)),
    (421.697, "BACK", (1.203, 2.257, 5.463)),
    (1333.521, "BACK", (0.449, 0.904, 2.635)),
    (7498.94, "BACK", (0.132, 0.271, 1.112)),
    (42169.7, "BACK", (0.068, 0.157, 0.667)),
    (421697, "BACK", (0.050, 0.108, 0.466)),
]


@pytest.mark.parametrize(("energy_mev", "event_type", "radii"), CONTAINMENT)
def test_containment_radii_of_pass8(energy_mev, event_type, radii):
    psf = load_response("P8R3_SOURCE_V3").psf(event_type, energy_mev / 1e3)
    assert psf.radius_deg([0.39, 0.68, 0.95]) == pytest.approx(radii, rel=0.012, abs=6e-4)


def test_areas_and_acceptances_of_pass8():
    response = load_response("P8R3_SOURCE_V3")
    assert response.effective_area_cm2("FRONT", 10.0, 1.0) / 1e4 == pytest.approx(0.507, rel=0.01)
    assert response.effective_area_cm2("BACK", 10.0, 1.0) / 1e4 == pytest.approx(0.413, rel=0.01)
    assert response.effective_area_cm2("FRONT", 10.0, 0.1) == 0.0
    energy = np.array([0.3, 0.5, 1.0, 2.0])
    assert response.acceptance_cm2_sr("BOTH", energy) / 1e4 == pytest.approx(
        [1.52, 1.89, 2.30, 2.50], rel=0.03
    )


def test_ultracleanveto_keeps_the_measured_share_of_source():
    energy = np.array([0.29, 0.93, 2.9, 9.3, 27.0, 87.0])
    for event_type, share in (
        ("FRONT", [0.62, 0.70, 0.74, 0.74, 0.74, 0.73]),
        ("BACK", [0.63, 0.75, 0.83, 0.83, 0.83, 0.80]),
    ):
        veto = load_response("P8R3_ULTRACLEANVETO_V3").acceptance_cm2_sr(event_type, energy)
        assert veto / load_response("P8R3_SOURCE_V3").acceptance_cm2_sr(event_type, energy) == pytest.approx(
            share, abs=0.015
        )


@pytest.mark.parametrize("irfs", IRF_NAMES)
@pytest.mark.parametrize("event_type", ["FRONT", "BACK"])
def test_psf_and_area_are_those_of_the_caldb_files(lat_data, irfs, event_type):
    with fits.open(lat_data / f"irfs/psf/psf_{irfs}_FB.fits") as file:
        king = file[f"RPSF_{event_type}"].data[0]
        c0, c1, exponent = file[f"PSF_SCALING_PARAMS_{event_type}"].data["PSFSCALE"][0]
    with fits.open(lat_data / f"irfs/ea/aeff_{irfs}_FB.fits") as file:
        area = file[f"EFFECTIVE AREA_{event_type}"].data[0]
    energy_mev = np.sqrt(king["ENERG_LO"] * king["ENERG_HI"])
    sep = np.radians(np.geomspace(1e-4, 30.0, 20000))
    area_energy = np.sqrt(area["ENERG_LO"] * area["ENERG_HI"])
    for j in (8, 11, 15, 19):
        x = sep / np.hypot(c0 * (energy_mev[j] / 100.0) ** exponent, c1)
        at = int(np.argmin(np.abs(np.log(area_energy / energy_mev[j]))))
        weight = area["EFFAREA"][:, at].reshape(8, 4).sum(axis=1)
        profile = np.zeros_like(sep)
        for k in range(8):
            ntail, score, stail, gcore, gtail = (
                king[c][k, j] for c in ("NTAIL", "SCORE", "STAIL", "GCORE", "GTAIL")
            )
            core = 1.0 / (1.0 + ntail * (stail / score) ** 2)
            for part, s, g in ((core, score, gcore), (1 - core, stail, gtail)):
                profile += (
                    weight[k] * part / (2 * np.pi * s**2) * (1 - 1 / g) * (1 + x**2 / (2 * g * s**2)) ** -g
                )
        inside = np.cumsum(profile * 2 * np.pi * np.sin(sep) * np.gradient(sep))
        expected = np.degrees(np.interp([0.39, 0.68, 0.95], inside / inside[-1], sep))
        psf = load_response(irfs).psf(event_type, energy_mev[j] / 1e3)
        assert psf.radius_deg([0.39, 0.68, 0.95]) == pytest.approx(expected, rel=0.015)
        mean_area = np.sum(area["EFFAREA"][:, at] * 1e4 * 2 * np.pi * 0.025)
        acceptance = load_response(irfs).acceptance_cm2_sr(event_type, area_energy[at] / 1e3)
        assert acceptance == pytest.approx(mean_area, rel=1e-4)


def test_band_psf_is_the_photon_weighted_mixture():
    response = load_response("P8R2_SOURCE_V6")
    energy = np.geomspace(10.0, 30.0, 401)
    inside = np.zeros(3)
    total = 0.0
    radii = np.array([0.05, 0.15, 0.6])
    for event_type in ("FRONT", "BACK"):
        weight = energy * energy**-2.3 * response.acceptance_cm2_sr(event_type, energy)
        total += weight.sum()
        inside += sum(
            w * response.psf(event_type, e).containment(radii) for e, w in zip(energy, weight, strict=True)
        )
    assert response.band_psf("BOTH", 10, 30, 2.3).containment(radii) == pytest.approx(
        inside / total, rel=2e-3
    )


@given(st.sampled_from(IRF_NAMES), st.sampled_from(["FRONT", "BACK", "BOTH"]), st.floats(0.05, 1500))
def test_psf_integrates_to_one_and_falls_outwards(irfs, event_type, energy_gev):
    psf = load_response(irfs).psf(event_type, energy_gev)
    assert psf.containment(180.0) == pytest.approx(1.0, abs=1e-12)
    assert np.all(np.diff(psf.density_per_sr) <= 0)
    assert np.all(np.diff(psf.radius_deg(np.linspace(0.01, 0.99, 50))) > 0)


def test_smearing_a_gaussian_adds_the_variances():
    sep = np.radians(SEPARATION_DEG)
    gaussian = RadialPSF.normalised(np.exp(-0.5 * (sep / np.radians(0.1)) ** 2))
    assert gaussian.radius_deg(0.68) == pytest.approx(0.1 * np.sqrt(-2 * np.log(0.32)), rel=1e-3)
    wider = gaussian.smeared(0.05)
    assert wider.radius_deg([0.39, 0.95]) == pytest.approx(
        gaussian.radius_deg([0.39, 0.95]) * np.hypot(1, 0.5), rel=1e-3
    )


@pytest.mark.parametrize("width", [0.05, 0.3, 1.0])
@pytest.mark.parametrize(("emin_gev", "emax_gev"), [(0.3, 0.5), (7.0, 20.0)])
def test_blurred_profiles_are_those_of_displaced_photons(width, emin_gev, emax_gev):
    """Discs and Gaussians far below and far above the PSF's core, against photons drawn one by one."""
    psf = load_response("P8R3_SOURCE_V3").band_psf("FRONT", emin_gev, emax_gev, 2.2)
    n, fractions = 400_000, np.array([0.2, 0.5, 0.8, 0.95])
    rng = np.random.default_rng(2)
    sep, angle = psf.radius_deg(rng.random(n)), rng.random(n) * 2 * np.pi
    r, turn = width * np.sqrt(rng.random(n)), rng.random(n) * 2 * np.pi
    x, y = sep * np.cos(angle), sep * np.sin(angle)
    disc = np.hypot(x + r * np.cos(turn), y + r * np.sin(turn))
    gaussian = np.hypot(x + width * rng.normal(size=n), y + width * rng.normal(size=n))
    assert psf.over_disc(width).radius_deg(fractions) == pytest.approx(
        np.quantile(disc, fractions), rel=0.006
    )
    assert psf.smeared(width).radius_deg(fractions) == pytest.approx(
        np.quantile(gaussian, fractions), rel=0.006
    )


def test_pixel_kernel_holds_the_photons_of_its_square():
    psf = load_response("P8R3_SOURCE_V3").band_psf("FRONT", 7, 20, 2.2)
    kernel = psf.pixel_kernel(0.078, 32)
    rng = np.random.default_rng(1)
    sep, angle = psf.radius_deg(rng.uniform(size=400_000)), rng.uniform(0, 2 * np.pi, 400_000)
    edges = (np.arange(66) - 32.5) * 0.078
    drawn, _, _ = np.histogram2d(sep * np.sin(angle), sep * np.cos(angle), bins=(edges, edges))
    assert kernel.sum() == pytest.approx(drawn.sum() / 400_000, abs=1e-3)
    assert kernel[30:35, 30:35] == pytest.approx(drawn[30:35, 30:35] / 400_000, abs=2.5e-3)
    assert kernel == pytest.approx(kernel.T, rel=1e-9)


def test_window_is_that_of_a_gaussian_beam():
    sigma = np.radians(0.5)
    gaussian = RadialPSF.normalised(np.exp(-0.5 * (np.radians(SEPARATION_DEG) / sigma) ** 2))
    ell = np.arange(301)
    assert gaussian.window(300) == pytest.approx(np.exp(-0.5 * ell * (ell + 1) * sigma**2), abs=1e-3)


def test_unknown_response_or_event_type_is_one_clear_line():
    with pytest.raises(ResponseError, match=r"unknown instrument response 'P9R1'.*P8R3_SOURCE_V3"):
        load_response("P9R1")
    with pytest.raises(ResponseError, match="unknown event type 'PSF3'"):
        load_response("P8R3_SOURCE_V3").psf("PSF3", 1.0)
