"""Detection by a network goes to the GPU's queue; everything goes on where nobody listens there."""

import os
import time
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, text

from models.detectors import gpu_here
from tests.workers.program import Asidcat
from workers.app import make_app
from workers.pool import WorkerPool
from workers.routing import gpu_queue, queues_of
from workers.session import open_session
from workers.settings import Settings

NETWORK = ("--tiles", "0-3", "--detector", "unet", "--localiser", "log")
WORKERS = text(
    "SELECT DISTINCT stage, split_part(worker, ':', 2)::int FROM work_item WHERE run_id = :run ORDER BY stage"
)


def workers_of(ledger: Engine, run_id: str) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    with ledger.connect() as conn:
        for stage, pid in conn.execute(WORKERS, {"run": int(run_id)}):
            found.setdefault(stage, set()).add(pid)
    return found


def test_only_detection_by_networks_has_a_queue_of_its_own() -> None:
    there = Settings(gpu="queue", queue="q")
    assert queues_of(there, "unet") == {"detect": "q.gpu"}
    assert queues_of(there, "matched-filter") == {}
    assert queues_of(Settings(gpu="off"), "unet") == {}
    queues = make_app(Settings(broker_url="memory://", queue="q")).conf.task_queues
    assert [queue.name for queue in queues] == ["q", gpu_queue(Settings(queue="q"))]


def test_network_detection_goes_to_the_worker_that_listens(
    asidcat: Asidcat, ledger: Engine, observation: Path
) -> None:
    own = {
        name: asidcat.environment[f"ASIDCAT_{name.upper()}"]
        for name in ("home", "queue", "data", "database_url", "broker_url")
        if f"ASIDCAT_{name.upper()}" in asidcat.environment
    }
    settings = Settings(**own, workers=1, gpu="queue", log_level="INFO")  # type: ignore[arg-type]
    asidcat.environment |= {"ASIDCAT_GPU": "queue", "ASIDCAT_WORKERS": "1"}
    log = asidcat.home / "workers.log"
    with open_session(settings, broker=True) as session, WorkerPool(session.settings, gpu=True):
        while " ready." not in (log.read_text() if log.exists() else ""):
            time.sleep(0.1)
        run_id = asidcat("run", observation, *NETWORK).splitlines()[-1]
        children = {child.pid for child in psutil.Process(os.getpid()).children(recursive=True)}
        found = workers_of(ledger, run_id)
        assert found["detect"] <= children
        assert not found["characterise"] & children
    with ledger.connect() as conn:
        (chosen,) = conn.scalars(text("SELECT settings->>'localiser' FROM run"))
    assert chosen == "log"


def test_nobody_listens_and_the_run_goes_on(asidcat: Asidcat, ledger: Engine, observation: Path) -> None:
    asidcat.environment |= {"ASIDCAT_GPU": "queue", "ASIDCAT_WORKERS": "1"}
    run_id = asidcat("run", observation, *NETWORK).splitlines()[-1]
    found = workers_of(ledger, run_id)
    assert found["detect"] == found["characterise"]


@pytest.mark.skipif(gpu_here(), reason="about a machine without a GPU")
def test_a_gpu_worker_needs_a_gpu(asidcat: Asidcat) -> None:
    line = asidcat("worker", "--gpu", status=1)
    assert line == "asidcat: torch finds no GPU on this machine: start the worker without --gpu"
