"""The ledger, with several connections at once and leases that run out."""

import threading

import numpy as np
import pytest
from sqlalchemy import Engine, text

from catalog import ledger
from catalog.store import write_detections
from tests.catalog.small_run import new_run, some_detections


@pytest.fixture
def run_id(engine: Engine) -> int:
    with engine.begin() as conn:
        run = new_run(conn)
        ledger.plan_stage(conn, run, "detect", [[0, 1], [2, 3]])
        ledger.plan_stage(conn, run, "characterise", [[0, 1, 2, 3]])
        ledger.plan_stage(conn, run, "associate", [()])
        ledger.advance(conn, run)
    return run


def due(engine: Engine, run_id: int) -> list[int]:
    with engine.begin() as conn:
        return ledger.due_items(conn, run_id)


def take(engine: Engine, item_id: int, worker: str = "w1", lease_s: float = 60.0) -> ledger.LeasedItem | None:
    with engine.begin() as conn:
        return ledger.lease(conn, item_id, worker, lease_s)


def run_out(engine: Engine, item_id: int) -> None:
    """Let the time of a lease pass, however slow this machine is."""
    with engine.begin() as conn:
        query = text("UPDATE work_item SET lease_until = clock_timestamp() - interval '1 s' WHERE id = :id")
        conn.execute(query, {"id": item_id})


def complete(engine: Engine, item: ledger.LeasedItem, seconds: float = 1.0) -> ledger.RunState:
    with engine.begin() as conn:
        ledger.finish(conn, item, seconds)
        return ledger.advance(conn, item.run_id)


def test_a_run_goes_through_its_stages_in_order(engine: Engine, run_id: int) -> None:
    seen = []
    while items := due(engine, run_id):
        for item_id in items:
            item = take(engine, item_id)
            assert item is not None
            seen.append((item.stage, item.tiles))
            state = complete(engine, item, 0.5)
    assert seen == [
        ("detect", (0, 1)),
        ("detect", (2, 3)),
        ("characterise", (0, 1, 2, 3)),
        ("associate", ()),
    ]
    assert (state.status, state.stage) == ("done", None)
    with engine.connect() as conn:
        progress = ledger.progress(conn, run_id)
    assert [(p.stage, p.done, p.total, p.seconds) for p in progress] == [
        ("detect", 2, 2, 1.0),
        ("characterise", 1, 1, 0.5),
        ("associate", 1, 1, 0.5),
    ]


def test_an_item_of_a_later_stage_cannot_be_leased(engine: Engine, run_id: int) -> None:
    query = text("SELECT id FROM work_item WHERE run_id = :run AND stage = 'characterise'")
    with engine.connect() as conn:
        later = conn.execute(query, {"run": run_id}).scalar_one()
    assert take(engine, later) is None


def test_planning_twice_changes_nothing(engine: Engine, run_id: int) -> None:
    item = take(engine, due(engine, run_id)[0])
    with engine.begin() as conn:
        ledger.plan_stage(conn, run_id, "detect", [[0, 1], [2, 3]])
        rows = conn.execute(text("SELECT status FROM work_item WHERE stage = 'detect' ORDER BY batch")).all()
    assert [r.status for r in rows] == ["leased", "due"]
    assert item is not None


def test_only_one_of_many_workers_gets_an_item(engine: Engine, run_id: int) -> None:
    item_id = due(engine, run_id)[0]
    start, got = threading.Barrier(6), []

    def worker(name: str) -> None:
        start.wait()
        got.append(take(engine, item_id, name))

    threads = [threading.Thread(target=worker, args=(f"w{i}",)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sum(item is not None for item in got) == 1


def test_a_lease_that_ran_out_is_taken_over_and_its_first_holder_shut_out(
    engine: Engine, run_id: int
) -> None:
    item_id = due(engine, run_id)[0]
    zombie = take(engine, item_id, "zombie")
    assert zombie is not None
    assert take(engine, item_id, "other") is None
    run_out(engine, item_id)
    assert item_id in due(engine, run_id)
    heir = take(engine, item_id, "zombie")  # even under the same name
    assert heir is not None and heir.attempts == 2
    with pytest.raises(ledger.LeaseLost):
        complete(engine, zombie)
    complete(engine, heir)
    with pytest.raises(ledger.LeaseLost):
        complete(engine, heir)


def test_what_a_shut_out_worker_wrote_is_rolled_back(engine: Engine, run_id: int) -> None:
    zombie = take(engine, due(engine, run_id)[0], "zombie")
    assert zombie is not None
    run_out(engine, zombie.id)
    assert take(engine, zombie.id, "heir") is not None
    with pytest.raises(ledger.LeaseLost), engine.begin() as conn:
        conn.execute(text("UPDATE run SET error = 'written by a zombie'"))
        ledger.finish(conn, zombie, 1.0)
    with engine.connect() as conn:
        assert ledger.run_state(conn, run_id).error is None


def test_errors_are_retried_then_fail_the_run(engine: Engine, run_id: int) -> None:
    item_id = due(engine, run_id)[0]
    for attempt in (1, 2, 3):
        item = take(engine, item_id)
        assert item is not None and item.attempts == attempt
        with engine.begin() as conn:
            assert ledger.fail(conn, item, f"broke at {attempt}", max_attempts=3) is (attempt == 3)
            state = ledger.advance(conn, run_id)
    assert (state.status, state.error) == ("failed", "broke at 3")
    assert due(engine, run_id) == []

    with engine.begin() as conn:
        assert ledger.reopen(conn, run_id).status == "running"
    while items := due(engine, run_id):
        for i in items:
            item = take(engine, i)
            assert item is not None
            state = complete(engine, item)
    assert state.status == "done"


def test_a_worker_that_dies_at_each_attempt_fails_the_item(engine: Engine, run_id: int) -> None:
    item_id = due(engine, run_id)[0]
    for attempt in (1, 2):
        assert take(engine, item_id) is not None
        run_out(engine, item_id)
        with engine.begin() as conn:
            assert ledger.expire_leases(conn, run_id, max_attempts=2) == 1
        assert (item_id in due(engine, run_id)) is (attempt == 1)
    with engine.begin() as conn:
        state = ledger.advance(conn, run_id)
    assert state.status == "failed"
    assert state.error == "worker w1 was lost at attempt 2"


def test_leases_of_the_dead_are_freed_at_once(engine: Engine, run_id: int) -> None:
    first, second = due(engine, run_id)
    dead = take(engine, first, "dead")
    alive = take(engine, second, "alive")
    assert dead is not None and alive is not None
    with engine.begin() as conn:
        assert ledger.release_leases_of_dead(conn, "dead", max_attempts=3) == 1
    assert due(engine, run_id) == [first]
    with pytest.raises(ledger.LeaseLost):
        complete(engine, dead)
    with engine.begin() as conn:
        assert ledger.release_all_leases(conn, run_id, max_attempts=3) == 1
    assert due(engine, run_id) == [first, second]


def test_two_last_items_finished_at_once_advance_the_run(engine: Engine, run_id: int) -> None:
    items = [take(engine, i, f"w{i}") for i in due(engine, run_id)]
    first, second = (engine.connect() for _ in items)
    for connection, item in zip((first, second), items, strict=True):
        assert item is not None
        ledger.finish(connection, item, 1.0)
    assert ledger.advance(first, run_id).stage == "detect"  # the other's is not committed yet

    results = []
    waiting = threading.Thread(target=lambda: results.append(ledger.advance(second, run_id)))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()  # on the lock of the run
    first.commit()
    waiting.join(10)
    second.commit()
    first.close()
    second.close()
    assert results[0].stage == "characterise"


def test_two_who_have_written_rows_do_not_wait_for_each_other(engine: Engine, run_id: int) -> None:
    """Writing locks the run against its release until the commit; passing the run on must not ask for more."""
    items = [take(engine, i, f"w{i}") for i in due(engine, run_id)]
    rng = np.random.default_rng(1)
    with engine.connect() as one, engine.connect() as other:
        for conn, item in zip((one, other), items, strict=True):
            conn.execute(text("SET lock_timeout = '10s'"))
            assert item is not None
            ledger.finish(conn, item, 1.0)
            write_detections(conn, run_id, list(item.tiles), some_detections(rng, list(item.tiles), 5))
        assert ledger.advance(one, run_id).stage == "detect"  # the other holds its rows still
        one.commit()
        assert ledger.advance(other, run_id).stage == "characterise"
        other.commit()


def test_an_unknown_run_is_named(engine: Engine) -> None:
    with engine.begin() as conn, pytest.raises(ledger.RunNotFound, match="no run 99"):
        ledger.advance(conn, 99)
