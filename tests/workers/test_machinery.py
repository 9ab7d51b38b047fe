"""The small parts: batches, hints, who lives, which broker."""

import re
import subprocess
import sys
import uuid
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sky.tiles import N_TILES
from workers.app import TASK, BrokerUnreachable, make_app, require_broker, send_hints
from workers.hints import FIRST_S, LONGEST_S, QuietWatch
from workers.identity import is_dead, worker_name
from workers.plan import PlanError, plan, tile_batches
from workers.settings import Settings


@given(st.sets(st.integers(0, N_TILES - 1), min_size=1), st.integers(1, 50))
def test_batches_hold_every_tile_once(tiles: set[int], size: int) -> None:
    batches = tile_batches(sorted(tiles), size)
    assert [tile for batch in batches for tile in batch] == sorted(tiles)
    assert all(1 <= len(batch) <= size for batch in batches)


@given(st.lists(st.integers(0, 10**9), min_size=N_TILES, max_size=N_TILES), st.integers(1, 50))
def test_a_plan_begins_with_the_longest_work_and_leaves_no_tile_out(photons: list[int], size: int) -> None:
    counts = np.array(photons, dtype=np.int64)
    batches = plan(tile_batches(None, size), counts)
    for stage in ("detect", "characterise"):
        sums = [counts[list(batch)].sum() for batch in batches[stage]]
        assert sums == sorted(sums, reverse=True)
        assert sorted(tile for batch in batches[stage] for tile in batch) == list(range(N_TILES))
        assert max(len(batch) for batch in batches[stage]) <= size
    assert batches["associate"] == [()]


def test_the_whole_sky() -> None:
    batches = plan(tile_batches(None, 16), np.ones(N_TILES, np.int64))
    assert len(batches["detect"]) == len(batches["characterise"]) == 48


@pytest.mark.parametrize("tiles", [[], [-1], [0, N_TILES]])
def test_tiles_that_do_not_exist(tiles: list[int]) -> None:
    with pytest.raises(PlanError, match="numbered 0 to 767"):
        tile_batches(tiles, 16)


def test_hints_are_sent_again_less_and_less_often() -> None:
    now = [0.0]
    watch = QuietWatch(lambda: now[0])
    times = []
    while now[0] < 400:
        if watch.is_quiet("same"):
            times.append(now[0])
        now[0] += 0.25
    waits = [b - a for a, b in pairwise(times)]
    assert times[0] == FIRST_S
    assert waits[:4] == [4.0, 8.0, 16.0, 32.0]
    assert set(waits[4:]) == {LONGEST_S}
    assert not watch.is_quiet("changed")
    now[0] += FIRST_S
    assert watch.is_quiet("changed")


def test_hints_wait_long_while_somebody_works() -> None:
    now = [0.0]
    watch = QuietWatch(lambda: now[0])
    assert not watch.is_quiet("working", busy=True)
    now[0] = LONGEST_S - 1
    assert not watch.is_quiet("working", busy=True)
    now[0] = LONGEST_S
    assert watch.is_quiet("working", busy=True)


def test_the_living_and_the_dead() -> None:
    assert not is_dead(worker_name())
    ask = "from workers.identity import worker_name; print(worker_name())"
    name = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert is_dead(name)
    host, pid, started = worker_name().rsplit(":", 2)
    assert is_dead(f"{host}:{pid}:{float(started) - 100}")  # the id of an ended process, used again
    assert not is_dead(f"elsewhere:{pid}:{started}")


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("redis://:secret@127.0.0.1:1/0", "Error 111 connecting to 127.0.0.1:1"),
        ("amqp://someone:secret@127.0.0.1:1//", "Connection refused"),
        ("redis+socket:///nowhere/s", "No such file or directory"),
        ("nonsense://x", "no such kind of broker"),
    ],
)
def test_unreachable_broker(url: str, fault: str) -> None:
    with pytest.raises(
        BrokerUnreachable, match=rf"^cannot use the broker {re.escape(url.split(':')[0])}:.*{fault}"
    ) as caught:
        require_broker(make_app(Settings(broker_url=url)))
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def sent_and_received(url: str) -> list[int]:
    queue = f"asidcat-{uuid.uuid4().hex[:12]}"
    app = make_app(Settings(broker_url=url, queue=queue))
    require_broker(app)
    send_hints(app, [3, 5])
    with app.connection_for_read() as connection:
        bound = app.conf.task_queues[0](connection.default_channel)
        messages = [bound.get(no_ack=True) for _ in range(2)]
        assert all(message.headers["task"] == TASK for message in messages)
        bound.delete()
    return sorted(message.payload[0][0] for message in messages)


def test_hints_carry_ids(broker_url: str) -> None:
    assert sent_and_received(broker_url) == [3, 5]


def test_hints_through_a_folder(tmp_path: Path) -> None:
    """The transport of a machine without any broker program."""
    assert sent_and_received(f"filesystem://{tmp_path}/a%20folder/broker") == [3, 5]


def test_a_run_checks_its_detector_without_torch() -> None:
    """Loading it costs seconds, which the run's first files could be read in."""
    ask = "import sys, workers.runner; from models.detectors import require_detector as require; "
    ask += "print(require('unet', 'lat-6band'), 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["centre-direction", "False"]


def test_the_worker_parent_is_free_of_torch() -> None:
    """What a fork does not survive must not be loaded before it."""
    ask = "import sys, workers.celery_worker, workers.app, workers.tasks; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
