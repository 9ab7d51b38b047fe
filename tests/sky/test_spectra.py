import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from sky.spectra import LogParabola, PLSuperExpCutoff, PowerLaw


def test_published_fluxes_come_from_the_published_parameters(lat_data):
    rows = fits.getdata(lat_data / "catalogs/gll_psc_v27.fit.gz", 1)
    pivot = rows["Pivot_Energy"] / 1e3
    spectra = {
        "PowerLaw": PowerLaw(rows["PL_Flux_Density"] * 1e3, pivot, rows["PL_Index"]),
        "LogParabola": LogParabola(rows["LP_Flux_Density"] * 1e3, pivot, rows["LP_Index"], rows["LP_beta"]),
        "PLSuperExpCutoff": PLSuperExpCutoff(
            rows["PLEC_Flux_Density"] * 1e3,
            pivot,
            rows["PLEC_Index"],
            rows["PLEC_Expfactor"],
            rows["PLEC_Exp_Index"],
        ),
    }
    for name, spectrum in spectra.items():
        chosen = rows["SpectrumType"] == name
        assert chosen.sum() >= 230
        photons = spectrum.select(chosen).photon_flux(1.0, 100.0)[:, 0] / rows["Flux1000"][chosen]
        energy = spectrum.select(chosen).energy_flux(0.1, 100.0)[:, 0] / rows["Energy_Flux100"][chosen]
        assert photons == pytest.approx(1.0, abs=0.006)
        assert energy == pytest.approx(1.0, abs=0.006)
        assert np.median(photons) == pytest.approx(1.0, abs=5e-4)


@given(st.floats(1.1, 4.0), st.floats(0.1, 10.0), st.floats(1.5, 100.0))
def test_power_law_integrals_are_the_closed_form(index, emin, ratio):
    spectrum = PowerLaw(np.array([2e-9]), np.array([1.5]), np.array([index]))
    emax = emin * ratio
    closed = 2e-9 * 1.5**index * (emin ** (1 - index) - emax ** (1 - index)) / (index - 1)
    assert spectrum.photon_flux(emin, emax)[0, 0] == pytest.approx(closed, rel=1e-9)


def test_bands_add_up_and_shapes_are_sources_by_bands():
    spectrum = LogParabola(
        np.array([1e-9, 3e-9]), np.array([1.0, 2.0]), np.array([2.0, 2.5]), np.array([0.1, 0.0])
    )
    edges = np.array([0.3, 0.5, 1, 2, 7, 20, 1000])
    bands = spectrum.photon_flux(edges[:-1], edges[1:])
    assert bands.shape == (2, 6)
    assert bands.sum(axis=1) == pytest.approx(spectrum.photon_flux(0.3, 1000.0)[:, 0], rel=1e-6)
    assert spectrum.select([1]).photon_flux(edges[:-1], edges[1:]) == pytest.approx(bands[1:], rel=1e-12)


def test_local_index_of_the_curved_forms():
    parabola = LogParabola(np.array([1e-9]), np.array([1.0]), np.array([2.0]), np.array([0.1]))
    assert parabola.index_at([1.0, 10.0])[0] == pytest.approx([2.0, 2.0 + 0.2 * np.log(10)], abs=1e-6)
    cutoff = PLSuperExpCutoff(*(np.array([v]) for v in (1e-9, 1.0, 1.2, 0.01, 2 / 3)))
    expected = 1.2 + 0.01 * 2 / 3 * 2000 ** (2 / 3)
    assert cutoff.index_at([2.0])[0, 0] == pytest.approx(expected, abs=1e-5)
