"""Killed at any moment and resumed, a run gives exactly the catalogue of a run that was left alone."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from tests.workers.program import EMBEDDED, TILES, Asidcat
from workers.local import LocalServices, protocol

Rows = dict[str, list[tuple]]
CATALOGUE = {
    "detection": "SELECT d.* FROM detection d WHERE run_id = :run",
    "measurement": "SELECT d.tile, d.ordinal, m.* FROM measurement m"
    " JOIN detection d ON d.id = m.detection_id"
    " WHERE run_id = :run",
    "band_flux": "SELECT d.tile, d.ordinal, f.* FROM band_flux f"
    " JOIN detection d ON d.id = f.detection_id WHERE run_id = :run",
    "association": "SELECT d.tile, d.ordinal, r.name, a.* FROM association a"
    " JOIN detection d ON d.id = a.detection_id JOIN reference_source r ON r.id = a.reference_source_id"
    " WHERE run_id = :run",
}
IDS = {"id", "run_id", "detection_id", "reference_source_id"}


def catalogue(engine: Engine, run_id: str) -> Rows:
    """All rows a run made, bit by bit, without the ids that depend on the order of the writes."""
    found = {}
    with engine.connect() as conn:
        for name, query in CATALOGUE.items():
            rows = [dict(row) for row in conn.execute(text(query), {"run": int(run_id)}).mappings()]
            found[name] = sorted(repr({k: v for k, v in row.items() if k not in IDS}) for row in rows)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, observation: Path) -> Rows:
    """Two programs at once, left alone, each with its own home and number of workers."""
    found = []
    base = tmp_path_factory.mktemp("undisturbed")
    programs = [Asidcat(base / "a"), Asidcat(base / "b", WORKERS="1")]
    running = [program.start("run", observation, "--tiles", TILES) for program in programs]
    for asidcat, process in zip(programs, running, strict=True):
        status, out, err = finished(process)
        assert status == 0, err
        with database(asidcat) as engine:
            found.append(catalogue(engine, out.splitlines()[-1]))
    assert found[0] == found[1]
    assert len(found[0]["detection"]) > 10
    return found[0]


@contextmanager
def database(asidcat: Asidcat) -> Iterator[Engine]:
    """The database of a program; an embedded one runs at least as long as this."""
    given = asidcat.environment.get("ASIDCAT_DATABASE_URL")
    with nullcontext() if given else LocalServices(asidcat.home, ["database"]) as local:
        engine = create_engine(given or local.urls["database"], poolclass=NullPool)
        yield engine


def in_hand(engine: Engine) -> list[tuple[int, int]]:
    """Work items being worked on: id and the worker's process id."""
    query = text("SELECT id, split_part(worker, ':', 2)::int FROM work_item WHERE status = 'leased'")
    try:
        with engine.connect() as conn:
            return [tuple(row) for row in conn.execute(query)]
    except DBAPIError:  # no schema yet
        return []


def done(engine: Engine) -> int:
    with engine.connect() as conn:
        return conn.execute(text("SELECT count(*) FROM work_item WHERE status = 'done'")).scalar_one()


def wait_for(
    condition: Callable[[], object], process: subprocess.Popen[str] | None, seconds: float = 120
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out.strip(), err.strip()


def of_home(home: Path) -> list[str]:
    """Processes that belong to a home: the program's, its workers', its services'."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(home) in line or (process.info["environ"] or {}).get("ASIDCAT_HOME") == str(home):
            found.append(line)
    return found


@pytest.mark.timeout(900)
def test_killed_again_and_again(asidcat: Asidcat, observation: Path, undisturbed: Rows) -> None:
    """Workers, the program and the services killed, one after the other: nothing is lost or doubled."""
    program = asidcat.start("run", observation, "--tiles", TILES)
    for kill_workers in (kill_worker_process, kill_worker):
        wait_until_busy(asidcat, program)
        kill_workers(asidcat)
    ways: list[Callable[[Asidcat, subprocess.Popen[str]], None]] = [interrupt, end, kill_program]
    if EMBEDDED:
        ways += [kill_supervisor, kill_database, kill_broker]
    for way in ways:
        wait_until_busy(asidcat, program)
        way(asidcat, program)
        wait_for(lambda: of_home(asidcat.home) == [], None, 20)
        program = asidcat.start("run", "--resume", 1)
    status, out, err = finished(program)
    assert (status, out.splitlines()[-1]) == (0, "1"), err
    with database(asidcat) as engine:
        assert catalogue(engine, "1") == undisturbed
        with engine.connect() as conn:
            assert conn.execute(text("SELECT max(attempts) FROM work_item")).scalar_one() > 1
    assert of_home(asidcat.home) == []


def on_a_busy_process(asidcat: Asidcat, act: Callable[[psutil.Process], None]) -> None:
    """Do something to a process with work in hand that still lives: one may end between look and deed."""
    with database(asidcat) as engine:
        while True:
            for _, pid in in_hand(engine):
                try:
                    return act(psutil.Process(pid))
                except psutil.NoSuchProcess:
                    continue
            time.sleep(0.02)


def kill_worker_process(asidcat: Asidcat) -> None:
    on_a_busy_process(asidcat, lambda process: process.kill())


def kill_worker(asidcat: Asidcat) -> None:
    def kill_parent(process: psutil.Process) -> None:
        parent = psutil.Process(process.ppid())
        if parent.pid == 1:  # its worker is gone already
            raise psutil.NoSuchProcess(process.pid)
        parent.kill()

    on_a_busy_process(asidcat, kill_parent)


def wait_until_busy(asidcat: Asidcat, program: subprocess.Popen[str]) -> None:
    """Wait until the program has done something and is doing something."""
    wait_for(lambda: (asidcat.home / "cubes").exists(), program)
    with database(asidcat) as engine:
        before = done(engine)
        wait_for(lambda: done(engine) > before and in_hand(engine), program)


def interrupt(_: Asidcat, program: subprocess.Popen[str], number: int = signal.SIGINT) -> None:
    program.send_signal(number)
    status, _, err = finished(program)
    assert status == 128 + number
    assert err.splitlines()[-1] == "asidcat: interrupted; go on with: asidcat run --resume 1"


def end(asidcat: Asidcat, program: subprocess.Popen[str]) -> None:
    interrupt(asidcat, program, signal.SIGTERM)


def kill_program(_: Asidcat, program: subprocess.Popen[str]) -> None:
    os.killpg(program.pid, signal.SIGKILL)
    finished(program)


def kill_supervisor(asidcat: Asidcat, program: subprocess.Popen[str]) -> None:
    os.kill(protocol.read_address(asidcat.home).pid, signal.SIGKILL)
    fails_in_one_line(program)


def kill_database(asidcat: Asidcat, program: subprocess.Popen[str]) -> None:
    os.kill(service(asidcat.home, "postgres"), signal.SIGKILL)
    fails_in_one_line(program)


def kill_broker(asidcat: Asidcat, program: subprocess.Popen[str]) -> None:
    os.kill(service(asidcat.home, "redis-server"), signal.SIGKILL)
    fails_in_one_line(program)


def service(home: Path, name: str) -> int:
    children = psutil.Process(protocol.read_address(home).pid).children()
    return next(child.pid for child in children if child.name() == name)


def fails_in_one_line(program: subprocess.Popen[str]) -> None:
    status, _, err = finished(program)
    assert status == 1
    last = err.splitlines()[-1]
    assert last.startswith("asidcat: ")
    assert last.endswith("; go on with: asidcat run --resume 1")
    assert "Traceback" not in err


@pytest.mark.skipif(not EMBEDDED, reason="interrupts the start of the embedded services")
def test_interrupted_before_there_is_a_run(asidcat: Asidcat, observation: Path) -> None:
    program = asidcat.start("run", observation, "--tiles", TILES)
    wait_for(lambda: protocol.read_address(asidcat.home), program)
    program.send_signal(signal.SIGINT)
    status, out, err = finished(program)
    assert (status, out) == (130, "")
    assert err.splitlines()[-1] == "asidcat: interrupted; nothing was written"
    assert of_home(asidcat.home) == []
