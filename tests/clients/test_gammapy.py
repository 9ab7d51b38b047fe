"""gammapy reads the catalogue as a 4FGL catalogue: every source's text, model, flux points and light curve."""

import warnings

import numpy as np
import pytest

from tests.clients.conftest import N_SLICES, Released

catalog = pytest.importorskip("gammapy.catalog", reason="needs the extra 'clients'")
u = pytest.importorskip("astropy.units")


@pytest.fixture(params=["fits", "fgl"])
def sources(request: pytest.FixtureRequest, released: Released):
    """All sources, of both FITS files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return catalog.SourceCatalog4FGL(getattr(released, request.param))


def test_every_source_has_a_text(sources, released: Released) -> None:
    assert len(sources.table) == len(released.table) > 0
    for source, name in zip(sources, released.table["Source_Name"], strict=True):
        said = str(source)
        assert name.strip() in said and "PowerLaw" in said


def test_every_model_holds_the_flux(sources, released: Released) -> None:
    """gammapy's integral of the model is the likelihood fit's flux."""
    low, high = (edge * u.MeV for edge in released.flux_range_mev)
    for source, row in zip(sources, released.table, strict=True):
        model = source.sky_model()
        flux = model.spectral_model.integral(low, high).to_value("cm-2 s-1")
        assert flux == pytest.approx(row["Flux_Likelihood"], rel=1e-4)
        place = model.spatial_model.position.icrs
        assert place.ra.deg == pytest.approx(row["RAJ2000"], abs=1e-5)
        assert place.dec.deg == pytest.approx(row["DEJ2000"], abs=1e-5)


def test_extended_sources_are_discs(sources, released: Released) -> None:
    extended = released.table["Extended_Source_Name"] != ""
    assert [not source.is_pointlike for source in sources] == extended.tolist()
    for k in np.flatnonzero(extended):
        model = sources[int(k)].spatial_model()
        assert "DiskSpatialModel" in model.tag
        assert model.r_0.value == pytest.approx(released.table["Ext_Radius"][k], rel=1e-6)


def test_every_flux_point_is_that_of_its_band(sources, released: Released) -> None:
    for source, row in zip(sources, released.table, strict=True):
        points = source.flux_points_table
        np.testing.assert_allclose(points["flux"].quantity.to_value("cm-2 s-1"), row["Flux_Band"], rtol=1e-6)
        np.testing.assert_array_equal(points["is_ul"], np.isnan(row["Unc_Flux_Band"][:, 0]))
        assert len(source.flux_points.to_table(sed_type="dnde")) == len(row["Flux_Band"])
        # The energy flux of the band's own power law, in the middle of the band.
        index = float(row["PL_Index"])
        low, high = (points[edge].quantity.to_value("MeV") for edge in ("e_min", "e_max"))
        shape = (1 - index) / (high ** (1 - index) - low ** (1 - index)) * np.sqrt(low * high) ** (2 - index)
        expected = (row["Flux_Band"] * shape * u.Unit("MeV cm-2 s-1")).to_value("erg cm-2 s-1")
        np.testing.assert_allclose(points["e2dnde"].quantity.to_value("erg cm-2 s-1"), expected, rtol=1e-4)


def test_light_curves_where_there_are_time_slices(sources, released: Released) -> None:
    if "Flux_History" not in released.table.colnames:
        with pytest.raises(ValueError, match="not available"):
            sources[0].lightcurve()
        return
    table = released.table
    for k in range(0, len(table), len(table) // 10):
        source, row = sources[k], table[k]
        curve = source.lightcurve().to_table(format="lightcurve", sed_type="flux")
        assert len(curve) == len(row["Flux_History"]) <= N_SLICES
        measured = np.isfinite(row["Flux_History"])
        np.testing.assert_allclose(
            np.ravel(curve["flux"])[measured], row["Flux_History"][measured], rtol=1e-6
        )
