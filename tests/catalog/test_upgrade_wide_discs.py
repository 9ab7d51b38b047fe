"""Revision 0008 knows wide discs; what was released before stays as it was, and discs of a release do not change."""

from pathlib import Path

import numpy as np
import pytest
from alembic import command
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from catalog import store
from catalog.engine import alembic_config, make_engine, require_schema, upgrade
from catalog.freezing import freeze
from tests.catalog.small_run import (
    catalogue_rows,
    characterise_run,
    finished_run,
    new_run,
    some_detections,
    written,
)


def test_a_release_of_before_stays_as_it_was(empty_database_url: str, tmp_path: Path) -> None:
    command.upgrade(alembic_config(empty_database_url), "0007")
    engine = make_engine(empty_database_url, pooled=False)
    with engine.begin() as conn:
        run = finished_run(conn, survey="lat-6band", n_slices=4)
        characterise_run(conn, run, n_bands=6, n_slices=4, curved=True)
        freeze(conn, "v1", run)
        before, files = catalogue_rows(conn), written(conn, tmp_path / "before")
    upgrade(empty_database_url)
    require_schema(engine)
    with engine.begin() as conn:
        assert catalogue_rows(conn) == before
        assert written(conn, tmp_path / "after") == files
        assert not store.read_detections(conn, run)["disc_deg"].any()


def test_discs_go_with_their_detections_and_stay_with_their_release(engine: Engine) -> None:
    with engine.begin() as conn:
        run = new_run(conn)
        found = some_detections(np.random.default_rng(1), [1], 5)
        found["disc_deg"][:2] = 1.3
        for _ in range(2):  # a task may run twice
            store.write_detections(conn, run, [1], found)
            assert conn.scalar(text("SELECT count(*) FROM wide_disc")) == 2
        released = finished_run(conn, seed=2)
        freeze(conn, "v1", released)
    for statement in (
        f"INSERT INTO wide_disc SELECT id, 1.0 FROM detection WHERE run_id = {released} LIMIT 1",
        "TRUNCATE wide_disc",
    ):
        with engine.connect() as conn, pytest.raises(DBAPIError, match="release"):
            conn.execute(text(statement))
