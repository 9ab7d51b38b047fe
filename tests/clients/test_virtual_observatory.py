"""Virtual Observatory software finds its way by UCDs, units and frames alone."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table

from tests.clients.conftest import Released


def test_pyvo_finds_the_columns_by_their_ucds(released: Released) -> None:
    pytest.importorskip("pyvo", reason="needs the extra 'clients'")
    from astropy.io.votable import parse
    from pyvo.dal import DALResults

    results = DALResults(parse(released.votable))
    assert len(results) == len(released.table)
    for ucd, name in (
        ("meta.id", "Source_Name"),
        ("pos.eq.ra", "RAJ2000"),
        ("pos.eq.dec", "DEJ2000"),
        ("pos.galactic.lat", "GLAT"),
        ("meta.code.qual", "Flags"),
    ):
        assert results.fieldname_with_ucd(ucd) == name
    np.testing.assert_array_equal(results["RAJ2000"], released.table["RAJ2000"])


def test_units_and_frames_agree(released: Released) -> None:
    """astropy turns the equatorial columns of the file into its galactic ones."""
    table = QTable.read(released.fits, hdu="LAT_Point_Source_Catalog")
    place = SkyCoord(table["RAJ2000"], table["DEJ2000"], frame="icrs").galactic
    np.testing.assert_allclose(place.b.deg, table["GLAT"].to_value("deg"), atol=1e-9)
    np.testing.assert_allclose((place.l.deg - table["GLON"].to_value("deg") + 180) % 360, 180, atol=1e-9)
    assert table["Flux_Band"].unit.is_equivalent("cm-2 s-1")
    assert table["nuFnu_Band"].unit.is_equivalent("W m-2")


def test_every_form_is_the_same_table(released: Released) -> None:
    """FITS, VOTable and Parquet, by three readers."""
    pandas = pytest.importorskip("pandas")
    vot = Table.read(released.votable)
    parquet = pandas.read_parquet(released.folder / f"asid-{released.version}.parquet")
    ours = released.table
    for name in ("RAJ2000", "Signif_Avg", "Prob_Real", "Flags", "Flux_Network"):
        plain = np.asarray(ours[name])
        np.testing.assert_array_equal(np.ma.filled(vot[name].astype(float), np.nan), plain)
        np.testing.assert_array_equal(parquet[name], plain)
    bands = np.stack(parquet["Flux_Band"])
    np.testing.assert_array_equal(bands, ours["Flux_Band"])


def test_hats_reads_the_partitioned_catalogue(released: Released) -> None:
    hats = pytest.importorskip("hats", reason="needs the extra 'clients'")
    found = hats.read_hats(released.folder / f"asid-{released.version}-hats")
    assert found.catalog_info.total_rows == len(released.table)
    assert (found.catalog_info.ra_column, found.catalog_info.dec_column) == ("RAJ2000", "DEJ2000")
