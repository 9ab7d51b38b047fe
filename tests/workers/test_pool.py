"""How a run's worker processes end."""

import signal
import time
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, text

from catalog import ledger
from tests.catalog.small_run import new_observation
from workers import pool as pools
from workers.identity import is_dead, worker_name
from workers.pool import WorkerPool
from workers.session import open_session
from workers.settings import Settings

LEASE = text(
    "UPDATE work_item SET status = 'leased', worker = :name, attempts = 1, lease_until = now() + '1 hour'"
)


@pytest.mark.parametrize("busy", [False, True])
def test_a_worker_in_the_middle_of_another_runs_item_may_end_it(
    busy: bool, database_url: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "STOP_S", 60.0)
    with engine.begin() as conn:
        run = ledger.create_run(
            conn, new_observation(conn), detector="matched-filter", seed=1, settings={}, software={}
        )
        ledger.plan_stage(conn, run, "detect", [(0,)])
        conn.execute(LEASE, {"name": worker_name()})  # nothing of the pool's
    settings = Settings(home=tmp_path, database_url=database_url, workers=1, log_level="INFO")
    with open_session(settings, broker=True) as session, WorkerPool(session.settings) as pool:
        while " ready." not in (tmp_path / "workers.log").read_text():
            time.sleep(0.1)
        assert pool._process is not None
        (child,) = psutil.Process(pool._process.pid).children()
        name = f"{worker_name().split(':')[0]}:{child.pid}:{child.create_time():.2f}"
        if busy:
            with engine.begin() as conn:
                conn.execute(LEASE, {"name": name})
    assert pool._process.returncode == (0 if busy else -signal.SIGKILL)
    while not is_dead(name):
        time.sleep(0.1)
