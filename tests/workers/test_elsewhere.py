"""Runs whose parts are elsewhere: workers of their own, another broker, another user."""

import os
import pty
import signal
import sys
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, text

from tests.workers.program import EMBEDDED, Asidcat
from workers.local import child

TILES = "0-3"
NO_BROKER = "about a machine without a broker program"


def test_workers_of_their_own(asidcat: Asidcat, ledger: Engine, observation: Path) -> None:
    """A run without workers is done by ``asidcat worker`` (here on the same machine), which then stops cleanly."""
    worker = asidcat.start("worker", "--concurrency", 1)
    asidcat.environment["ASIDCAT_WORKERS"] = "0"
    run_id = asidcat("run", observation, "--tiles", TILES).splitlines()[-1]
    with ledger.connect() as conn:
        query = text("SELECT DISTINCT split_part(worker, ':', 2)::int FROM work_item WHERE run_id = :run")
        (child_id,) = conn.execute(query, {"run": int(run_id)}).scalars()
    assert psutil.Process(child_id).ppid() == worker.pid
    worker.send_signal(signal.SIGTERM)
    _, err = worker.communicate(timeout=200)
    assert worker.returncode == 0, err
    assert not psutil.pid_exists(child_id)


@pytest.mark.skipif(os.geteuid() != 0 or not EMBEDDED, reason="only root can become another user")
def test_a_run_as_a_plain_user(tmp_path: Path, observation: Path) -> None:
    nobody = child.unprivileged_user(tmp_path / "none")
    own = tmp_path / "own"
    own.mkdir()
    os.chown(own, nobody, -1)
    environment = {
        "PATH": os.defpath,
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(own),
        "ASIDCAT_HOME": str(own / "home"),
        "ASIDCAT_DATA": os.environ["ASIDCAT_DATA"],
        "ASIDCAT_WORKERS": "1",
    }
    command = [sys.executable, "-m", "workers.cli", "run", observation, "--tiles", TILES]
    log = tmp_path / "log"
    program = child.start(command, log=log, uid=nobody, environment=environment)
    assert program.wait(240) == 0, log.read_text()
    assert log.read_text().splitlines()[-1] == "1"
    assert {path.stat().st_uid for path in own.rglob("*")} == {nobody}


@pytest.mark.skipif("ASIDCAT_TEST_BROKER_URL" in os.environ, reason=NO_BROKER)
def test_bars_on_a_terminal_and_messages_through_a_folder(asidcat: Asidcat, observation: Path) -> None:
    asidcat.environment["ASIDCAT_BROKER_URL"] = f"filesystem://{asidcat.home}/broker".replace(" ", "%20")
    ours, theirs = pty.openpty()
    asidcat.environment["TERM"] = "xterm"
    program = asidcat.start("run", observation, "--tiles", TILES, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other side has closed
            break
        if not part:
            break
        shown += part
    out, _ = program.communicate()
    os.close(ours)
    assert out.strip() == "1"
    text_shown = shown.decode()
    assert "\x1b[" in text_shown
    for stage in ("detect", "characterise", "associate"):
        assert stage in text_shown
    assert "4/4" in text_shown
