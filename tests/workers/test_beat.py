"""Scheduled releases: a watched folder, looked at on a schedule, whatever dies in between."""

import json
import os
import shutil
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.workers.program import Asidcat
from tests.workers.synthetic import write_observation
from workers.beat import LOOK, make_beat, parse_schedule
from workers.settings import Settings, SettingsError

CAP_DEG = 82.0
WAIT_S = 200.0


@pytest.fixture
def folder(asidcat: Asidcat, tmp_path: Path) -> Path:
    folder = tmp_path / "incoming"
    folder.mkdir()
    asidcat.environment["ASIDCAT_BEAT_FOLDER"] = str(folder)
    asidcat.environment["ASIDCAT_BATCH_TILES"] = "4"
    return folder


def rows(ledger: Engine, query: str) -> list[tuple]:
    with ledger.connect() as conn:
        return [tuple(row) for row in conn.execute(text(query))]


def wait_for(ledger: Engine, query: str) -> None:
    """Wait until a count is not zero."""
    end = time.monotonic() + WAIT_S
    while rows(ledger, query)[0][0] == 0:
        assert time.monotonic() < end, query
        time.sleep(0.2)


def test_a_new_observation_becomes_a_draft_by_the_beat_and_only_once(
    asidcat: Asidcat,
    ledger: Engine,
    folder: Path,
    lat_data: Path,  # noqa: ARG001
) -> None:
    asidcat("db", "upgrade")
    asidcat.environment["ASIDCAT_BEAT_SCHEDULE"] = "* * * * *"
    write_observation(folder / "cap", north_of_deg=CAP_DEG, name="cap")
    write_observation(folder / "later", north_of_deg=CAP_DEG, name="later")
    beat = asidcat.start("beat")
    wait_for(ledger, "SELECT count(*) FROM watched_observation WHERE run_id IS NOT NULL")
    assert asidcat("beat", "--once") == f"{folder}: another look is under way"
    beat.send_signal(signal.SIGTERM)
    log = beat.communicate(timeout=200)[1]
    assert beat.returncode == 0
    told = [line.split(" ", 2)[-1] for line in log.splitlines()]
    assert f"INFO {folder / 'cap' / 'observation.toml'}: run 1, draft release cap-run1" in told, log
    assert "INFO reading cap" in told and "Warning" not in log, log
    # It ended after the observation in hand.
    assert rows(ledger, "SELECT version, status FROM release") == [("cap-run1", "draft")]
    assert rows(ledger, "SELECT status FROM watched_observation") == [("released",)]
    shutil.rmtree(folder / "later")
    assert rows(ledger, "SELECT count(*) FROM catalogue_latest") == [(0,)]
    release = asidcat.home / "releases" / "cap-run1"
    assert (release / "asid-cap-run1.fits").is_file() and (release / "SHA256SUMS").is_file()
    (folder / "cap").rename(folder / "moved")  # the same content in another place
    assert asidcat("beat", "--once") == ""
    assert rows(ledger, "SELECT count(*) FROM run") == [(1,)]
    checks = json.loads(asidcat("publish", "cap-run1", "--json"))
    assert checks == []
    assert asidcat("publish", "cap-run1").startswith("cap-run1 is public; it follows no release")
    assert rows(ledger, "SELECT count(*) > 0 FROM catalogue_latest") == [(True,)]


def test_a_look_that_is_killed_is_gone_on_with(
    asidcat: Asidcat,
    ledger: Engine,
    folder: Path,
    lat_data: Path,  # noqa: ARG001
) -> None:
    asidcat("db", "upgrade")
    path = write_observation(folder / "cap", north_of_deg=CAP_DEG, name="cap")
    look = asidcat.start("beat", "--once")
    wait_for(ledger, "SELECT count(*) FROM work_item WHERE status = 'done'")
    os.killpg(look.pid, signal.SIGKILL)
    look.communicate()
    (asidcat.home / "releases").mkdir()
    (asidcat.home / "releases" / ".cap-run1.x.partial").mkdir()
    assert asidcat("beat", "--once") == f"{path}: run 1, draft release cap-run1"
    assert rows(ledger, "SELECT id, status FROM run") == [(1, "done")]
    assert [p.name for p in (asidcat.home / "releases").iterdir()] == ["cap-run1"]


def test_a_broken_observation_is_reported_once_until_it_changes(
    asidcat: Asidcat, ledger: Engine, folder: Path
) -> None:
    asidcat("db", "upgrade")
    path = write_observation(folder / "bad", north_of_deg=CAP_DEG)
    photons = path.with_name("photons.fits")
    whole = photons.read_bytes()
    photons.write_bytes(whole[: len(whole) // 2])
    once = asidcat("beat", "--once")
    assert str(photons) in once and once.endswith("; not tried again until it changes") and "\n" not in once
    assert asidcat("beat", "--once") == ""
    photons.unlink()
    assert "photons.fits" in asidcat("beat", "--once")
    (folder / "a folder of that name" / "observation.toml").mkdir(parents=True)
    path.write_text("[observation\n")
    once = asidcat("beat", "--once")
    assert once.startswith(f"{path}: not a TOML file") and "\n" not in once
    assert rows(ledger, "SELECT status FROM watched_observation") == [("broken",)] * 3
    assert rows(ledger, "SELECT count(*) FROM run") == [(0,)]


def test_no_folder_to_watch_is_one_line(asidcat: Asidcat, tmp_path: Path) -> None:
    assert asidcat("beat", status=1).startswith("asidcat: no folder to watch: set beat_folder")
    asidcat.environment["ASIDCAT_BEAT_FOLDER"] = str(tmp_path / "nowhere")
    assert asidcat("beat", status=1) == f"asidcat: {tmp_path / 'nowhere'}: no such folder to watch"


def test_the_schedule_is_a_crontab_in_utc(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, broker_url="memory://", beat_schedule="30 6 * * 1")
    entry = make_beat(settings).conf.beat_schedule["look"]
    assert entry["task"] == LOOK and 0 < entry["options"]["expires"] < 60
    schedule = entry["schedule"]
    schedule.nowfun = lambda: datetime(2026, 11, 23, 6, 29, tzinfo=UTC)  # a Monday
    assert not schedule.is_due(datetime(2026, 11, 23, 6, 0, tzinfo=UTC)).is_due
    schedule.nowfun = lambda: datetime(2026, 11, 23, 6, 31, tzinfo=UTC)
    assert schedule.is_due(datetime(2026, 11, 23, 6, 0, tzinfo=UTC)).is_due
    for wrong in ("", "6 o'clock", "0 25 * * *", "* * * *"):
        with pytest.raises(SettingsError, match="is not like '0 6"):
            parse_schedule(wrong)
