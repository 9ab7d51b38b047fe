"""The schema: what the migrations make is what the tables say, and other schemas are refused."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from catalog.columns import catalogue_columns, view_select_list
from catalog.engine import (
    DatabaseUnreachable,
    DatabaseUrlError,
    SchemaError,
    alembic_config,
    database_errors,
    head_revision,
    make_engine,
    require_schema,
    upgrade,
)
from catalog.tables import Base
from sky.survey import get_survey

ROOT = Path(__file__).parents[2]


def definitions(engine: Engine, kinds: str) -> set[tuple[str, str, str]]:
    query = text(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND contype = ANY(:kinds)"
        " AND conrelid IS DISTINCT FROM to_regclass('alembic_version')"
    )
    with engine.connect() as conn:
        return {tuple(row) for row in conn.execute(query, {"kinds": list(kinds)})}


def test_migrations_make_what_the_tables_say(engine: Engine, empty_database_url: str) -> None:
    other = make_engine(empty_database_url, pooled=False)
    Base.metadata.create_all(other)
    assert definitions(engine, "cufp") == definitions(other, "cufp")
    with engine.connect() as conn:
        assert (
            compare_metadata(MigrationContext.configure(conn, opts={"compare_type": True}), Base.metadata)
            == []
        )


def test_alembic_check_is_clean_and_there_is_one_head(database_url: str) -> None:
    config = alembic_config(database_url)
    command.check(config)
    assert len(ScriptDirectory.from_config(config).get_heads()) == 1


def test_upgrade_from_empty_at_once_and_again(empty_database_url: str) -> None:
    program = f"from catalog.engine import upgrade; upgrade({empty_database_url!r})"
    racers = [subprocess.Popen([sys.executable, "-c", program], cwd=ROOT) for _ in range(2)]
    assert [racer.wait(60) for racer in racers] == [0, 0]
    upgrade(empty_database_url)
    require_schema(make_engine(empty_database_url))


def test_other_schemas_are_refused_with_what_to_do(empty_database_url: str) -> None:
    engine = make_engine(empty_database_url, pooled=False)
    with pytest.raises(SchemaError, match="does not exist: run `asidcat db upgrade`"):
        require_schema(engine)
    upgrade(empty_database_url)
    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for act in (lambda: require_schema(engine), lambda: upgrade(empty_database_url)):
        with pytest.raises(
            SchemaError, match=f"9999.* is newer than this program .{head_revision()}"
        ) as caught:
            act()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql://u:geheim@127.0.0.1:1/x", "postgresql://u@127.0.0.1:1/x?password=geheim"]
)
def test_an_unreachable_database_is_one_line_without_the_password(url: str) -> None:
    for act in (lambda: require_schema(make_engine(url)), lambda: upgrade(url)):
        with pytest.raises(DatabaseUnreachable) as caught:
            act()
        message = str(caught.value)
        assert "127.0.0.1:1/x" in message and "geheim" not in message and "\n" not in message


@pytest.mark.parametrize("url", ["sqlite://", "nonsense", "postgresql://u:geheim@host:notaport/x"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(DatabaseUrlError) as caught:
        make_engine(url)
    assert "geheim" not in str(caught.value)


def test_a_connection_that_breaks_is_unreachable_too(engine: Engine) -> None:
    with (
        pytest.raises(DatabaseUnreachable, match="terminating connection"),
        database_errors(engine.url),
        engine.connect() as conn,
    ):
        conn.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def test_the_view_has_the_declared_columns(engine: Engine) -> None:
    query = text(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_name = 'catalogue' ORDER BY ordinal_position"
    )
    with engine.connect() as conn:
        names = list(conn.scalars(query))
    for survey in ("lat-10gev", "lat-6band"):
        assert names[4:] == [c.sql_name for c in catalogue_columns(get_survey(survey), n_slices=10)]


def test_the_view_is_made_from_the_declared_expressions() -> None:
    assert view_select_list() in (ROOT / "migrations/versions/0008_catalogue.sql").read_text()
