"""The program as its users run it: a command line in its own process, on a small synthetic sky."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection
from sqlalchemy import Engine, NullPool, create_engine
from synthetic import write_observation

from workers.local import LocalServices

TILES = "0-19"
EMBEDDED = not os.environ.get("ASIDCAT_TEST_DATABASE_URL")


class Asidcat:
    """The command line with its own home, database, broker and queue."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ASIDCAT_")}
        own = {"HOME": str(home), "WORKERS": "2", "BATCH_TILES": "1", **settings}
        own["DATA"] = os.environ.get("ASIDCAT_DATA", "")
        self.environment = {**clean, **{f"ASIDCAT_{name}": value for name, value in own.items()}}
        self._running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: object, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start a command in a session of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli", *map(str, arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def __call__(self, *arguments: object, status: int = 0) -> str:
        """Run a command to its end; returns what it printed, or its error line if `status` is not 0."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=240)
        assert process.returncode == status, err
        return (out if status == 0 else err).strip()

    def end(self) -> None:
        for process in self._running:
            if process.poll() is not None:
                continue
            process.kill()
            process.communicate()


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
