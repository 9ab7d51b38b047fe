"""A database of the first schema, with a release in it, brought to the newest: nothing of the release changes."""

from typing import Any

import numpy as np
import pytest
from alembic import command
from psycopg.types.json import Jsonb
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from catalog.columns import catalogue_columns
from catalog.engine import alembic_config, make_engine, require_schema, upgrade
from catalog.release import release_record, release_table
from sky.survey import get_survey
from tests.catalog import characterisation_rows
from tests.catalog.test_constraints import GOOD

BESIDE = ("version", "detection_id", "run_id", "survey")
OF_DETECTION = [t for t, row in characterisation_rows.GOOD.items() if "detection_id" in row]
PROVENANCE = {
    "run": {"id": 1, "detector": "matched-filter", "seed": 1},
    "observation": {"name": "a", "survey": "lat-10gev", "content_sha256": "a" * 64},
    "software": {"asidcat": "0.1.0"},
    "schema_revision": "0001",
    "flags": {},
}


def add(conn: Connection, table: str, **changes: Any) -> None:
    """Insert the good row, as far as the table has its columns already."""
    query = text("SELECT column_name FROM information_schema.columns WHERE table_name = :table")
    present = set(conn.scalars(query, {"table": table}))
    row = {name: value for name, value in (GOOD[table] | changes).items() if name in present}
    names = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join(f":{name}" for name in row)
    values = {name: Jsonb(v) if isinstance(v, dict) else v for name, v in row.items()}
    conn.execute(text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), values)


@pytest.fixture
def upgraded(empty_database_url: str) -> tuple[Engine, dict[str, Any]]:
    """A release of revision 0001 (three bands, one source) after all later revisions; its row as it was."""
    command.upgrade(alembic_config(empty_database_url), "0001")
    engine = make_engine(empty_database_url, pooled=False)
    with engine.begin() as conn:
        add(conn, "observation", survey="lat-10gev")
        add(conn, "run", status="done", finished_at="2026-01-01T00:00:00Z")
        add(conn, "run")
        add(conn, "detection")
        add(conn, "detection", run_id=2)
        add(conn, "measurement")
        for band in range(3):
            add(conn, "band_flux", band=band)
        add(conn, "release", run_id=1, provenance=PROVENANCE)
        add(conn, "release_source", detection_id=1)
        before = conn.execute(text("SELECT * FROM catalogue")).one()._asdict()
    upgrade(empty_database_url)
    require_schema(engine)
    return engine, before


def test_what_was_released_is_what_it_was(upgraded: tuple[Engine, dict[str, Any]]) -> None:
    engine, before = upgraded
    with engine.connect() as conn:
        after = conn.execute(text("SELECT * FROM catalogue")).one()._asdict()
        table = release_table(conn, "v1")
        record = release_record(conn, "v1")
    assert {name: after[name] for name in before} == before
    # Its files have the columns they had, and none that came later.
    assert [c.sql_name for c in record.columns] == [name for name in before if name not in BESIDE]
    assert table.colnames == [c.name for c in record.columns]
    assert record.empty_columns == ()
    later = {c.sql_name for c in catalogue_columns(get_survey("lat-10gev"))} - set(before)
    assert {"prob_real", "prob_fake", "flux_network", "ts_ext"} <= later
    assert all(after[name] is None for name in ("prob_real", "prob_fake", "flux_network", "ts_ext"))


def test_earlier_releases_are_public_and_their_sources_get_identities(
    upgraded: tuple[Engine, dict[str, Any]],
) -> None:
    with upgraded[0].connect() as conn:
        row = conn.execute(text("SELECT * FROM release JOIN release_source USING (version)")).one()
        assert (row.status, row.published_at, row.predecessor) == ("public", row.released_at, None)
        assert row.source_id > 0
        with pytest.raises(IntegrityError, match="never changed, only published: UPDATE refused"):
            conn.execute(text("UPDATE release SET n_sources = 0"))


def test_observations_learn_their_energies(upgraded: tuple[Engine, dict[str, Any]]) -> None:
    with upgraded[0].connect() as conn:
        assert conn.scalar(text("SELECT flux_range_gev FROM observation")) == [10.0, 1000.0]
        bands = conn.execute(text("SELECT band, emin_gev, emax_gev FROM energy_band ORDER BY band")).all()
        sed = conn.scalar(text("SELECT nufnu_band FROM catalogue"))
    survey = get_survey("lat-10gev")
    assert [tuple(b) for b in bands] == [(k, b.emin_gev, b.emax_gev) for k, b in enumerate(survey.bands)]
    # Index 2: E^2 dN/dE is the same at all energies, F / (1 / E1 - 1 / E2).
    expected = [1e-10 / (1 / b.emin_gev - 1 / b.emax_gev) * 1.602176634e-3 for b in survey.bands]
    np.testing.assert_allclose(sed, expected, rtol=1e-9)


@pytest.mark.parametrize("table", OF_DETECTION)
def test_new_rows_fit_the_open_run_and_not_the_released_one(
    upgraded: tuple[Engine, dict[str, Any]], table: str
) -> None:
    with upgraded[0].connect() as conn:
        add(conn, table, detection_id=2)
        with pytest.raises(IntegrityError, match=f"release v1 holds this row of {table}: INSERT refused"):
            add(conn, table, detection_id=1)


def test_models_and_layouts_never_change(upgraded: tuple[Engine, dict[str, Any]]) -> None:
    sha256 = characterisation_rows.SHA
    with upgraded[0].begin() as conn:
        add(conn, "model_card")
        add(conn, "run_model", run_id=2)
        add(conn, "time_slice")
    faults = {
        "run_model": f"INSERT INTO run_model VALUES (1, '{sha256}')",
        "model_card": "UPDATE model_card SET name = 'other'",
        "time_slice": "UPDATE time_slice SET tstop_met_s = 9",
        "energy_band": "UPDATE energy_band SET emax_gev = 9999",
    }
    for table, statement in faults.items():
        with upgraded[0].connect() as conn, pytest.raises(IntegrityError, match=f"{table}.*refused"):
            conn.execute(text(statement))
