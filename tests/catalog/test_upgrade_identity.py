"""Revision 0006 tells the sources' identities; what was released before keeps its columns and the bytes of its files."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from alembic import command
from astropy.io import fits
from astropy.io.votable import parse_single_table
from sqlalchemy import Connection, Engine, text

from catalog.engine import alembic_config, make_engine, require_schema, upgrade
from catalog.formats.folder import write_catalogue_files
from catalog.freezing import freeze
from catalog.release import release_table
from tests.catalog.small_run import catalogue_rows, characterise_run, finished_run, written


def frozen(conn: Connection) -> None:
    run = finished_run(conn)
    characterise_run(conn, run)
    freeze(conn, "v1", run)


def test_a_release_of_before_keeps_its_columns_and_its_bytes(empty_database_url: str, tmp_path: Path) -> None:
    command.upgrade(alembic_config(empty_database_url), "0005")
    engine = make_engine(empty_database_url, pooled=False)
    with engine.begin() as conn:
        frozen(conn)
        before, files = catalogue_rows(conn), written(conn, tmp_path / "before")
        known = dict(conn.execute(text("SELECT source_name, source_id FROM release_source")).all())
    upgrade(empty_database_url)
    require_schema(engine)
    with engine.connect() as conn:
        after = catalogue_rows(conn)
        assert {row["source_name"]: row["source_id"] for row in after} == known
        # later revisions add columns of their own, see test_upgrade_spectra
        assert [{name: row[name] for name in old} for row, old in zip(after, before, strict=True)] == before
        latest = conn.execute(text("SELECT source_name, source_id FROM catalogue_latest")).all()
        assert dict(latest) == known
        assert "Source_ID" not in release_table(conn, "v1").colnames
        assert written(conn, tmp_path / "after") == files


def test_every_form_of_a_new_release_says_who_a_source_is(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as conn:
        frozen(conn)
        write_catalogue_files(conn, "v1", tmp_path)
        known = dict(conn.execute(text("SELECT source_name, source_id FROM release_source")).all())
    table = fits.getdata(tmp_path / "asid-v1.fits", "LAT_Point_Source_Catalog")
    assert table["Source_ID"].dtype == np.dtype(">i8")
    assert dict(zip(table["Source_Name"], table["Source_ID"], strict=True)) == known
    votable, parquet = (
        parse_single_table(tmp_path / "asid-v1.vot"),
        pq.read_table(tmp_path / "asid-v1.parquet"),
    )
    for other in (votable.to_table(), parquet):
        np.testing.assert_array_equal(other["Source_ID"], table["Source_ID"])
    assert "| `Source_ID` | K |" in (tmp_path / "columns.md").read_text()
