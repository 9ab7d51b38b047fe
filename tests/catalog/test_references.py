"""The published catalogues in the database, against facts of their papers and headers."""

from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from catalog.references import load_reference
from sky.readers.files import InputError


@pytest.fixture(scope="module")
def references(lat_data: Path, database_server: Engine, template_database: str):
    """A database with four catalogues, loaded once for this module."""
    from catalog.engine import make_engine

    name = f"{template_database}_references"
    with database_server.connect() as server:
        server.execute(text(f"CREATE DATABASE {name} TEMPLATE {template_database}"))
    engine = make_engine(database_server.url.set(database=name), pooled=False)
    files = ("gll_psc_v27.fit.gz", "gll_psc_v19.fit.gz", "gll_psc_v16.fit.gz", "gll_psch_v13.fit.gz")
    with engine.begin() as conn:
        for file in files:
            load_reference(conn, lat_data / "catalogs" / file)
    with engine.connect() as conn:
        yield conn
    with database_server.connect() as server:
        server.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def one(conn: Connection, query: str, **values: object):
    return conn.execute(text(query), values).one()


def test_names_versions_and_rows(references: Connection) -> None:
    rows = references.execute(
        text(
            "SELECT c.name, version, count(*), count(*) FILTER (WHERE extended) FROM reference_catalog c"
            " JOIN reference_source s ON s.catalog_id = c.id GROUP BY 1, 2 ORDER BY 1"
        )
    )
    assert [tuple(r) for r in rows] == [
        ("3FGL", "v16", 3034, 25),
        ("3FHL", "v13", 1556, 48),
        ("4FGL", "v19", 5066, 75),
        ("4FGL-DR2", "v27", 5788, 75),
    ]


def test_loading_again_changes_nothing(references: Connection, lat_data: Path) -> None:
    before = one(references, "SELECT count(*), max(id) FROM reference_source")
    path = lat_data / "catalogs" / "gll_psch_v13.fit.gz"
    assert load_reference(references, path) == load_reference(references, path)
    assert one(references, "SELECT count(*), max(id) FROM reference_source") == before


def test_positions_agree_with_the_files_own_galactic_ones(references: Connection, lat_data: Path) -> None:
    data = fits.getdata(lat_data / "catalogs" / "gll_psc_v27.fit.gz", 1)
    rows = references.execute(
        text(
            "SELECT s.name, glon_deg, glat_deg, x, y, z FROM reference_source s"
            " JOIN reference_catalog c ON c.id = catalog_id WHERE c.name = '4FGL-DR2' ORDER BY s.id"
        )
    ).all()
    assert [r.name for r in rows] == [str(n).strip() for n in data["Source_Name"]]
    ours = SkyCoord([r.glon_deg for r in rows], [r.glat_deg for r in rows], unit="deg", frame="galactic")
    theirs = SkyCoord(data["GLON"].astype(float), data["GLAT"].astype(float), unit="deg", frame="galactic")
    assert ours.separation(theirs).deg.max() < 1e-4
    icrs = SkyCoord(data["RAJ2000"].astype(float), data["DEJ2000"].astype(float), unit="deg")
    np.testing.assert_allclose(
        np.array([(r.x, r.y, r.z) for r in rows]).T, icrs.cartesian.xyz.value, atol=1e-13
    )


def test_traps_of_4fgl_dr2(references: Connection) -> None:
    query = "FROM reference_source s JOIN reference_catalog c ON c.id = catalog_id WHERE c.name = '4FGL-DR2'"
    assert one(references, f"SELECT s.name {query} AND signif_avg IS NULL").name == "4FGL J0534.5+2201i"
    assert one(references, f"SELECT count(*) {query} AND conf_95_semimajor_deg IS NULL")[0] == 76
    assert one(references, f"SELECT count(*) {query} AND source_class = ''")[0] == 1667
    assert one(references, f"SELECT count(*) {query} AND s.flags = 0")[0] == 4263
    assert one(references, f"SELECT count(*) {query} AND source_class = 'PSR'")[0] > 100
    assert one(references, f"SELECT count(*) {query} AND s.extra ->> 'DataRelease' = '2'")[0] == 723
    vela = one(references, f"SELECT s.* {query} AND s.name = '4FGL J0835.3-4510'")
    assert vela.flux_range_gev == [1.0, 100.0]
    assert (vela.source_class, vela.association) == ("PSR", "PSR J0835-4510")
    assert len(vela.extra["Flux_Band"]) == 7 and np.shape(vela.extra["Unc_Flux_Band"]) == (7, 2)
    assert vela.extra["SpectrumType"] == "PLSuperExpCutoff"


def test_fluxes_and_errors_of_3fhl(references: Connection, lat_data: Path) -> None:
    data = fits.getdata(lat_data / "catalogs" / "gll_psch_v13.fit.gz", 1)
    in_3fhl = "FROM reference_source s JOIN reference_catalog c ON c.id = catalog_id WHERE c.name = '3FHL'"
    rows = references.execute(text(f"SELECT s.* {in_3fhl} ORDER BY s.id")).all()
    np.testing.assert_array_equal(np.float32([r.flux_cm2_s for r in rows]), data["Flux"])
    assert all(r.flux_range_gev == [10.0, 1000.0] and r.conf_95_posang_deg is None for r in rows)
    assert min(r.signif_avg for r in rows) == pytest.approx(4.054025, rel=1e-6)


def test_a_loaded_catalogue_never_changes(references: Connection) -> None:
    for statement in ("UPDATE reference_source SET flags = 1", "UPDATE reference_catalog SET name = 'x'"):
        savepoint = references.begin_nested()
        with pytest.raises(IntegrityError, match="never changed"):
            references.execute(text(statement))
        savepoint.rollback()


def test_other_files_are_refused_in_one_line(engine: Engine, tmp_path: Path) -> None:
    fits.BinTableHDU.from_columns([fits.Column("A", "J", array=[1])]).writeto(tmp_path / "other.fits")
    table = fits.BinTableHDU.from_columns([fits.Column("A", "J", array=[1])], name="LAT_Point_Source_Catalog")
    table.header["CDS-NAME"] = "9FGL"
    table.writeto(tmp_path / "unknown.fits")
    (tmp_path / "text.fits").write_text("hello")
    faults = {
        "other.fits": "no table",
        "unknown.fits": "unknown catalogue '9FGL'",
        "text.fits": "not a FITS file",
        "none": "no such file",
    }
    for name, fault in faults.items():
        with engine.connect() as conn, pytest.raises(InputError, match=fault) as caught:
            load_reference(conn, tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
