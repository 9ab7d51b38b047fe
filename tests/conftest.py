"""Fixtures for the whole suite: a real PostgreSQL, a real broker, the real LAT files.

Servers are the ones the program brings along, shared by all processes of one test run, unless
``ASIDCAT_TEST_DATABASE_URL`` (a database whose user may create others) and ``ASIDCAT_TEST_BROKER_URL``
(``redis://`` or ``amqp://``) name others.
"""

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from catalog.engine import make_engine, parse_url, upgrade
from workers.local import LocalServices

# Property tests find faults, not slow machines: no time limit on one example.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")

# A shell's background job ignores Ctrl-C, and so would the programs that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all xdist processes of this test run."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "services"


@pytest.fixture(scope="session")
def database_server(shared_home: Path) -> Iterator[Engine]:
    """Engine on a server where databases may be created."""
    given = os.environ.get("ASIDCAT_TEST_DATABASE_URL")
    local = None if given else LocalServices(shared_home, ["database"])
    url = given or local.urls["database"]
    engine = create_engine(parse_url(url), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    yield engine
    if local:
        local.close()


def _execute(server: Engine, statement: str) -> None:
    with server.connect() as connection:
        connection.execute(text(statement))


def _url(server: Engine, database: str) -> str:
    return make_url(server.url).set(database=database).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def template_database(database_server: Engine) -> Iterator[str]:
    """Name of a database at the newest revision."""
    name = f"asidcat_template_{uuid.uuid4().hex[:12]}"
    _execute(database_server, f"CREATE DATABASE {name}")
    upgrade(_url(database_server, name))
    yield name
    _execute(database_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database_url(database_server: Engine) -> Iterator[str]:
    """URL of a new database without a schema."""
    name = f"asidcat_empty_{uuid.uuid4().hex[:12]}"
    _execute(database_server, f"CREATE DATABASE {name}")
    yield _url(database_server, name)
    _execute(database_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(database_server: Engine, template_database: str) -> Iterator[str]:
    """URL of a new database with the schema and nothing in it."""
    name = f"asidcat_test_{uuid.uuid4().hex[:12]}"
    _execute(database_server, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    yield _url(database_server, name)
    _execute(database_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Engine on a new database."""
    made = make_engine(database_url, pooled=False)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def broker_url(shared_home: Path) -> Iterator[str]:
    """URL of a broker; tests take queues with names of their own."""
    given = os.environ.get("ASIDCAT_TEST_BROKER_URL")
    if given:
        yield given
        return
    with LocalServices(shared_home, ["broker"]) as local:
        yield local.urls["broker"]


@pytest.fixture(scope="session")
def lat_data() -> Path:
    """The folder with the public LAT files."""
    folder = os.environ.get("ASIDCAT_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the public LAT files: set ASIDCAT_DATA to their folder")
    return Path(folder)
