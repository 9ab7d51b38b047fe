"""The embedded services: they start anywhere, are shared, and leave nothing behind however a program ends."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import psutil
import psycopg
import pytest
import redis
from sqlalchemy import make_url

from workers.local import LocalServiceError, LocalServices, child, protocol

HOLDER = Path(__file__).with_name("holder.py")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do this")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


class Program:
    """A running holder.py."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, HOLDER, home],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def answer(self) -> dict[str, str]:
        return json.loads(self.process.stdout.readline())

    def leave(self) -> None:
        self.process.stdin.close()
        self.process.wait(240)


@pytest.fixture
def program() -> Iterator[Callable[[Path], Program]]:
    started = []

    def start(home: Path) -> Program:
        started.append(Program(home))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def processes_of(home: Path, folder: str | None) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if process.pid != os.getpid() and (str(home) in line or (folder and folder in line)):
            found.append(line)
    return found


def locked(home: Path) -> bool:
    with protocol.lock_path(home).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def assert_down(home: Path, folder: str) -> None:
    """No socket folder, no address: at once, for whoever closed the services has waited for it."""
    assert not Path(folder).exists()
    assert protocol.read_address(home) is None


def assert_nothing_left(home: Path, folder: str) -> None:
    """No process, no socket folder, no lock."""
    deadline = time.monotonic() + 120
    while (left := processes_of(home, folder) or locked(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left
    assert_down(home, folder)


def query(url: str, statement: str) -> object:
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string()) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def assert_both_answer(urls: dict[str, str]) -> None:
    assert str(query(urls["database"], "SHOW server_version")).startswith("18")
    with redis.Redis(unix_socket_path=urls["broker"].removeprefix("redis+socket://")) as client:
        assert client.ping()


def test_deep_folder_with_spaces_that_only_its_owner_may_enter(tmp_path: Path) -> None:
    locked = tmp_path / "only mine"
    locked.mkdir(mode=0o700)
    home = locked / ("deep " * 20).strip() / ("x" * 120)
    with LocalServices(home) as local:
        folder = protocol.read_address(home).folder
        assert_both_answer(local.urls)
        assert local.alive()
    assert_down(home, folder)
    assert_nothing_left(home, folder)


def run_as(uid: int, home: Path) -> tuple[int, dict[str, str]]:
    log = home.with_name("log")
    clean = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}
    holder = child.start([sys.executable, HOLDER, home], log=log, uid=uid, environment=clean)
    return holder.wait(200), json.loads(log.read_text())


@as_root
def test_as_a_plain_user(tmp_path: Path) -> None:
    nobody = child.unprivileged_user(tmp_path / "none")
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, nobody, -1)
    status, answer = run_as(nobody, home)
    assert status == 0
    assert "started" in answer
    assert (home / "postgres").stat().st_uid == (home / "supervisor.lock").stat().st_uid == nobody


@as_root
def test_a_plain_user_cannot_take_anothers_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with LocalServices(home):
        pass
    nobody = child.unprivileged_user(tmp_path / "none")
    status, answer = run_as(nobody, home)
    assert status == 1
    assert answer["error"] == f"{home}: cannot use this data folder: Permission denied"


def test_programs_of_one_home_share_one_server(home: Path, program: Callable[[Path], Program]) -> None:
    many = [program(home) for _ in range(4)]
    answers = [one.answer() for one in many]
    assert all(answer == answers[0] for answer in answers)
    folder = protocol.read_address(home).folder
    for one in many[:3]:
        one.leave()
    assert_both_answer(answers[0])
    many[3].leave()
    assert_nothing_left(home, folder)


def test_two_homes_at_once(tmp_path: Path) -> None:
    with LocalServices(tmp_path / "a") as a, LocalServices(tmp_path / "b") as b:
        query(a.urls["database"], "CREATE TABLE only_in_a ()")
        assert query(a.urls["database"], "SELECT to_regclass('only_in_a') IS NOT NULL") is True
        assert query(b.urls["database"], "SELECT to_regclass('only_in_a') IS NOT NULL") is False


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C, until it ends: a signal that comes between its last line and its reading does not wake the reading."""
    for _ in range(120):
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
            return
    raise AssertionError("the interrupted program goes on")


def test_services_outlive_an_interrupt_and_end_with_a_killed_group(
    home: Path, program: Callable[[Path], Program]
) -> None:
    one, other = program(home), program(home)
    urls = one.answer()
    other.answer()
    folder = protocol.read_address(home).folder
    interrupt(one.process)
    assert_both_answer(urls)
    os.killpg(other.process.pid, signal.SIGKILL)
    assert_nothing_left(home, folder)


def test_killed_while_starting(home: Path, program: Callable[[Path], Program]) -> None:
    one = program(home)
    while protocol.read_address(home) is None:
        time.sleep(0.002)
    folder = protocol.read_address(home).folder
    one.process.kill()
    assert_nothing_left(home, folder)
    with LocalServices(home) as local:
        assert_both_answer(local.urls)


def test_killed_supervisor_is_recovered_from(home: Path) -> None:
    first = LocalServices(home)
    query(first.urls["database"], "CREATE TABLE kept AS SELECT 7 AS n")
    address = protocol.read_address(home)
    os.kill(address.pid, signal.SIGKILL)
    while first.alive():
        time.sleep(0.01)
    first.close()
    with LocalServices(home) as second:
        assert query(second.urls["database"], "SELECT n FROM kept") == 7
        assert not Path(address.folder).exists()
        folder = protocol.read_address(home).folder
        assert_both_answer(second.urls)
    assert_down(home, folder)
    assert_nothing_left(home, folder)


def test_killed_server_ends_the_supervisor_and_loses_nothing(home: Path) -> None:
    with LocalServices(home) as first:
        query(first.urls["database"], "CREATE TABLE kept AS SELECT 7 AS n")
        folder = protocol.read_address(home).folder
        postmaster = int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, signal.SIGKILL)
        deadline = time.monotonic() + 120
        while first.alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not first.alive()
    assert_nothing_left(home, folder)
    with LocalServices(home) as second:
        assert query(second.urls["database"], "SELECT n FROM kept") == 7


def test_data_of_another_postgres(home: Path) -> None:
    with LocalServices(home, ["database"]):
        pass
    (home / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(
        LocalServiceError, match=r"/postgres holds a PostgreSQL 16 database.* brings PostgreSQL 18"
    ):
        LocalServices(home, ["database"])


def test_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalServiceError, match="cannot use this data folder"):
        LocalServices(tmp_path / "file" / "home")


def test_only_what_is_needed_is_started(home: Path) -> None:
    with LocalServices(home, ["broker"]) as local:
        assert set(local.urls) == {"broker"}
        assert not (home / "postgres").exists()


def test_socket_folder_is_private(home: Path) -> None:
    with LocalServices(home) as local:
        folder = Path(protocol.read_address(home).folder)
        assert folder.stat().st_mode & 0o777 == 0o700
        host = unquote(make_url(local.urls["database"]).query["host"])
        assert len(os.fsencode(f"{host}/.s.PGSQL.5432.lock")) < 104
