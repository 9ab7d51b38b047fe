from itertools import pairwise

import numpy as np
import pytest
from astropy.io import fits
from scipy.special import gamma

from sky.dispersion import band_fraction
from sky.mission import Mission
from sky.response import EVENT_TYPES, load_response
from sky.survey import get_survey

SOURCE = load_response("P8R3_SOURCE_V3")


def half_width(energy_gev: float) -> float:
    """Half the width of the densest 68 % of the photons of an energy, relative."""
    edges = energy_gev * np.linspace(0.01, 4.0, 401)
    share = [band_fraction(SOURCE, "FRONT", np.array([energy_gev]), a, b)[0] for a, b in pairwise(edges)]
    assert sum(share) == pytest.approx(1.0, abs=0.02)
    kept = np.searchsorted(np.cumsum(np.sort(share)[::-1]), 0.68 * sum(share))
    return kept * (edges[1] - edges[0]) / 2 / energy_gev


def test_resolution_is_the_published_one():
    """Fermi's page on energy dispersion: below 10 % from 1 to 100 GeV, about 20 % at 100, 28 % at 30 MeV."""
    assert half_width(0.03) == pytest.approx(0.28, rel=0.15)
    assert half_width(0.1) == pytest.approx(0.20, rel=0.15)
    for energy_gev in (1.0, 10.0, 100.0):
        assert 0.04 < half_width(energy_gev) < 0.10


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_fraction_is_the_integral_of_the_caldb_form(lat_data, event_type):
    with fits.open(lat_data / "irfs/edisp/edisp_P8R3_SOURCE_V3_FB.fits") as file:
        row = file[f"ENERGY DISPERSION_{event_type}"].data[0]
        scale = file[f"EDISP_SCALING_PARAMS_{event_type}"].data["EDISPSCALE"][0].astype(float)
    with fits.open(lat_data / "irfs/ea/aeff_P8R3_SOURCE_V3_FB.fits") as file:
        area = file[f"EFFECTIVE AREA_{event_type}"].data[0]
    energy = np.sqrt(row["ENERG_LO"] * row["ENERG_HI"]).astype(float)
    log_area = np.log(np.sqrt(area["ENERG_LO"] * area["ENERG_HI"]))
    for j in (9, 13):
        low, high = 0.9 * energy[j], 1.25 * energy[j]
        measured = np.linspace(low, high, 4001)
        total, weights = 0.0, 0.0
        for k in range(8):
            cos = 0.25 + 0.1 * k
            log_e = np.log10(energy[j])
            spread = scale @ [log_e**2, cos**2, log_e, cos, log_e * cos, 1]
            x = (measured / energy[j] - 1) / spread
            density = 0
            f = row["F"][k, j]
            for share, n, power in ((f, "1", "PINDEX1"), (1 - f, "2", "PINDEX2")):
                s, skew, p = row[f"S{n}"][k, j], row[f"K{n}"][k, j], row[power][k, j]
                b = row["BIAS" if n == "1" else "BIAS2"][k, j]
                norm = p / (s * gamma(1 / p)) * skew / (1 + skew**2)
                reach = np.where(x > b, skew / s, 1 / (skew * s))
                density = density + share * norm * np.exp(-((reach * np.abs(x - b)) ** p))
            weight = np.mean(
                [np.interp(np.log(energy[j]), log_area, area["EFFAREA"][i]) for i in range(4 * k, 4 * k + 4)]
            )
            total += weight * np.trapezoid(density / spread / energy[j], measured)
            weights += weight
        fraction = band_fraction(SOURCE, event_type, energy[j : j + 1] / 1e3, low / 1e3, high / 1e3)[0]
        assert fraction == pytest.approx(total / weights, abs=0.004)


def test_no_photon_is_lost_between_bands_and_the_spectrum_hardly_changes():
    true = np.geomspace(0.5, 300, 50)
    edges = [0.1, 0.3, 1.0, 7.0, 50.0, 2000.0]
    parts = [band_fraction(SOURCE, "BACK", true, a, b) for a, b in pairwise(edges)]
    assert np.sum(parts, axis=0) == pytest.approx(1.0, abs=2e-3)
    survey = get_survey("lat-6band")
    for band in survey.bands:
        plain, spread = (Mission(SOURCE, np.array([0.0, 1e8]), d) for d in (False, True))
        counts = []
        for mission in (plain, spread):
            energy, weight = mission.band_exposure("FRONT", band.emin_gev, band.emax_gev)
            counts.append(np.sum(weight * energy**-2.2))
        # Fermi's own estimate of what ignoring dispersion does: a few per cent above 300 MeV.
        assert counts[1] / counts[0] == pytest.approx(1.0, abs=0.06)
        assert counts[1] != counts[0]
