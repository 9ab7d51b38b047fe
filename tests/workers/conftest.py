"""The program on a small synthetic sky, with servers of its own or those that the environment names."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection
from sqlalchemy import Engine, NullPool, create_engine

from tests.workers.program import EMBEDDED, Asidcat
from tests.workers.synthetic import write_observation
from workers.local import LocalServices


@pytest.fixture(scope="session")
def observation(tmp_path_factory: pytest.TempPathFactory, lat_data: Path) -> Path:  # noqa: ARG001
    """``observation.toml`` of the synthetic sky; a run of it needs the published catalogues."""
    return write_observation(tmp_path_factory.mktemp("synthetic"))


@pytest.fixture
def asidcat(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Asidcat]:
    """The command line on the servers that the tests are run against; embedded ones of its own by default."""
    queue = f"asidcat-{uuid.uuid4().hex[:12]}"
    servers = {"QUEUE": queue}
    if not EMBEDDED:
        servers["DATABASE_URL"] = request.getfixturevalue("database_url")
    broker = os.environ.get("ASIDCAT_TEST_BROKER_URL")
    if broker:
        servers["BROKER_URL"] = broker
    program = Asidcat(tmp_path / "a home", **servers)
    yield program
    program.end()
    if broker:
        with Connection(broker) as connection:
            for name in (queue, f"{queue}.gpu"):
                connection.default_channel.queue_delete(name)


@pytest.fixture
def ledger(asidcat: Asidcat) -> Iterator[Engine]:
    """Engine on the database of `asidcat`; keeps embedded services up."""
    local = LocalServices(asidcat.home, ["database"]) if EMBEDDED else None
    url = local.urls["database"] if local else asidcat.environment["ASIDCAT_DATABASE_URL"]
    engine = create_engine(url, poolclass=NullPool)
    yield engine
    if local:
        local.close()
