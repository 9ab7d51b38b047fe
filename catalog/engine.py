"""Connections to PostgreSQL, and whether its schema is the one this program was written for."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Engine, NullPool, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

OLDEST_SERVER = (14, 0)
CONNECT_TIMEOUT_S = 10


class DatabaseUrlError(ValueError):
    """A database address that is not one of PostgreSQL."""


class DatabaseUnreachable(ConnectionError):
    """No connection, or one that broke."""


class SchemaError(ValueError):
    """The database's schema is not the one this program works with."""


def parse_url(url: str | URL) -> URL:
    """Check a database address and name its driver (psycopg 3).

    Raises
    ------
    DatabaseUrlError
        Without the address in its message: it may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise DatabaseUrlError("the database URL is not like postgresql://user@host:port/name") from None
    if parsed.get_backend_name() != "postgresql":
        raise DatabaseUrlError(f"the database must be PostgreSQL, not {parsed.get_backend_name()}")
    return parsed.set(drivername="postgresql+psycopg")


def describe_url(url: str | URL) -> str:
    """The address for people: neither password nor query, which may hold one."""
    return parse_url(url).set(password=None, query={}, drivername="postgresql").render_as_string()


def make_engine(url: str | URL, *, pooled: bool = True) -> Engine:
    """Engine on a PostgreSQL database; connects at first use.

    Parameters
    ----------
    url : str or URL
        ``postgresql://…``; the driver is always psycopg 3.
    pooled : bool
        False for worker processes: many of them, each with a pool, exhaust the server's connections.
    """
    parsed = parse_url(url)
    arguments: dict[str, Any] = {"application_name": "asidcat", "connect_timeout": CONNECT_TIMEOUT_S}
    if "options" not in parsed.query:
        # Compiling plans costs more than all queries here; dates are written and read in UTC.
        arguments["options"] = "-c jit=off -c timezone=UTC"
    arguments = {key: value for key, value in arguments.items() if key not in parsed.query}
    if pooled:
        return create_engine(parsed, connect_args=arguments, pool_pre_ping=True, pool_use_lifo=True)
    return create_engine(parsed, connect_args=arguments, poolclass=NullPool)


@contextmanager
def database_errors(url: str | URL) -> Iterator[None]:
    """Turn a refused or broken connection inside the block into `DatabaseUnreachable`, one line long."""
    try:
        yield
    except (DBAPIError, psycopg.OperationalError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(cause, psycopg.OperationalError):
            raise
        lines = str(cause).strip().splitlines()
        reason = lines[0] if lines else type(cause).__name__
        raise DatabaseUnreachable(f"cannot use the database {describe_url(url)}: {reason}") from error


def alembic_config(url: str | URL) -> Config:
    """Alembic's configuration for the migrations of this installation."""
    config = Config()
    config.set_main_option("script_location", str(resources.files("migrations")).replace("%", "%%"))
    config.attributes["url"] = parse_url(url)
    return config


def upgrade(url: str | URL, revision: str = "head") -> None:
    """Bring a database's schema to a revision; one process at a time, others wait.

    Raises
    ------
    DatabaseUnreachable
    SchemaError
        If the server is too old, or the schema newer than this program.
    """
    engine = make_engine(url, pooled=False)
    with database_errors(url), engine.connect() as connection:
        version = connection.dialect.server_version_info or (0,)
        if version < OLDEST_SERVER:
            raise SchemaError(f"PostgreSQL {version[0]} is too old; {OLDEST_SERVER[0]} or later is needed")
        found = schema_revision(connection)
        _refuse_newer(found, url)
    if revision == "head" and found == head_revision():
        return  # nothing to wait for
    with database_errors(url):
        command.upgrade(alembic_config(url), revision)


def schema_revision(connection: Any) -> str | None:
    """The revision a database is at; None if it has no schema."""
    return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str:
    """The revision this program works with."""
    head = _scripts().get_current_head()
    assert head is not None
    return head


def require_schema(engine: Engine) -> None:
    """Check that the database can be reached and has exactly this program's schema.

    Raises
    ------
    DatabaseUnreachable
    SchemaError
        One line that says what to do.
    """
    with database_errors(engine.url), engine.connect() as connection:
        found = schema_revision(connection)
    _refuse_newer(found, engine.url)
    if found != head_revision():
        state = f"is older ({found}) than the program ({head_revision()})" if found else "does not exist"
        raise SchemaError(f"the schema of {describe_url(engine.url)} {state}: run `asidcat db upgrade`")


def _refuse_newer(found: str | None, url: str | URL) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if found is not None and found not in known:
        raise SchemaError(
            f"the schema of {describe_url(url)} ({found}) is newer than this program ({head_revision()}): "
            "install a newer asidcat"
        )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(resources.files("migrations")))
