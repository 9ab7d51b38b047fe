"""A database of revision 0005 with a release in it learns the sources' identities; the release's files stay as they were."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from alembic import command
from astropy.io import fits
from astropy.io.votable import parse_single_table
from sqlalchemy import Connection, Engine, text

from catalog.engine import alembic_config, make_engine, require_schema, upgrade
from catalog.formats.fits import write_fits
from catalog.formats.folder import write_catalogue_files
from catalog.freezing import freeze
from catalog.release import release_record, release_table
from tests.catalog.small_run import characterise_run, finished_run
from tests.catalog.test_upgrade_from_first_schema import PROVENANCE, add


def released_row(conn: Connection) -> dict[str, Any]:
    return conn.execute(text("SELECT * FROM catalogue WHERE version = 'v1'")).one()._asdict()


def file_bytes(conn: Connection, path: Path) -> bytes:
    write_fits(conn, release_record(conn, "v1"), release_table(conn, "v1"), path)
    return path.read_bytes()


def test_a_release_of_before_keeps_its_columns_and_its_bytes(empty_database_url: str, tmp_path: Path) -> None:
    command.upgrade(alembic_config(empty_database_url), "0005")
    engine = make_engine(empty_database_url, pooled=False)
    with engine.begin() as conn:
        add(conn, "observation", survey="lat-10gev")
        add(conn, "run", status="done", finished_at="2026-01-01T00:00:00Z")
        add(conn, "detection")
        add(conn, "measurement")
        for band in range(3):
            add(conn, "band_flux", band=band)
        add(conn, "release", run_id=1, provenance=PROVENANCE | {"schema_revision": "0005"})
        add(conn, "release_source", detection_id=1)
        before, written = released_row(conn), file_bytes(conn, tmp_path / "a.fits")
        identity = conn.scalar(text("SELECT source_id FROM release_source"))
        conn.execute(text("UPDATE release SET status = 'public', published_at = now()"))
    upgrade(empty_database_url)
    require_schema(engine)
    with engine.connect() as conn:
        after = released_row(conn)
        assert after.pop("source_id") == identity > 0
        assert after == before
        assert conn.scalar(text("SELECT source_id FROM catalogue_latest")) == identity
        assert "Source_ID" not in release_table(conn, "v1").colnames
        (tmp_path / "a.fits").unlink()
        assert file_bytes(conn, tmp_path / "a.fits") == written


def test_every_form_of_a_new_release_says_who_a_source_is(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as conn:
        run = finished_run(conn)
        characterise_run(conn, run)
        freeze(conn, "v1", run)
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
