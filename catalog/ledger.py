"""The ledger: what has to be done in a run, who does it now, and what is done.

All of a run's work items are planned before the first is begun. A worker leases an item, does it, and in one
transaction calls `finish` first, which locks the item and proves that the lease is still its own, and then
writes the rows:

    with engine.begin() as conn:
        finish(conn, item, seconds)
        write_detections(conn, item.run_id, item.tiles, detections)
        advance(conn, item.run_id)

A worker whose lease was taken over gets `LeaseLost` and its transaction leaves nothing. The broker's messages
are hints that items are due: losing or doubling them changes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, insert, null, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_skip

from catalog.tables import STAGES, Run, WorkItem

ERROR_LENGTH = 2000


class LeaseLost(RuntimeError):
    """The item was given to another worker, or finished by it; this worker's result is not wanted."""


class RunNotFound(ValueError):
    """There is no run of that id."""


@dataclass(frozen=True)
class LeasedItem:
    """A work item in a worker's hands; `attempts` is the fencing token."""

    id: int
    run_id: int
    stage: str
    batch: int
    tiles: tuple[int, ...]
    attempts: int
    worker: str


@dataclass(frozen=True)
class StageProgress:
    """How far one stage is; seconds is the sum of its items' working times."""

    stage: str
    done: int
    failed: int
    total: int
    seconds: float


@dataclass(frozen=True)
class RunState:
    """A run's place in its stages."""

    id: int
    status: str
    stage: str | None
    error: str | None


def create_run(
    conn: Connection,
    observation_id: int,
    *,
    detector: str,
    seed: int,
    settings: Mapping[str, Any],
    software: Mapping[str, Any],
) -> int:
    """Write down a new run, planned and not begun.

    Parameters
    ----------
    settings : mapping
        All that changes the result, for the provenance; never a password.
    software : mapping
        Versions of the program and of the packages it used.

    Returns
    -------
    int
        The run's id.
    """
    values = {"detector": detector, "seed": seed, "settings": dict(settings), "software": dict(software)}
    row = insert(Run).values(observation_id=observation_id, status="planned", **values)
    return conn.execute(row.returning(Run.id)).scalar_one()


def plan_stage(conn: Connection, run_id: int, stage: str, batches: Iterable[Sequence[int]]) -> int:
    """Plan the items of a stage, one a batch of tiles; batches already planned stay.

    A stage that works on the whole sky at once has the one batch ``[()]``.
    """
    rows = [
        {"run_id": run_id, "stage": stage, "batch": i, "tiles": [int(t) for t in tiles]}
        for i, tiles in enumerate(batches)
    ]
    if rows:
        conn.execute(
            insert_or_skip(WorkItem).on_conflict_do_nothing(index_elements=["run_id", "stage", "batch"]), rows
        )
    return len(rows)


def due_items(conn: Connection, run_id: int) -> list[int]:
    """Items of the run's present stage that a worker may take now: due, or with a lease that has run out."""
    query = (
        select(WorkItem.id)
        .join(Run, Run.id == WorkItem.run_id)
        .where(WorkItem.run_id == run_id, Run.status == "running", WorkItem.stage == Run.stage, _FREE)
        .order_by(WorkItem.batch)
    )
    return list(conn.scalars(query))


def lease(conn: Connection, item_id: int, worker: str, lease_s: float) -> LeasedItem | None:
    """Take an item, if it is free and its stage is the run's present one; None otherwise, without waiting.

    Commit before starting to work, so that others see the lease.
    """
    free = (
        select(WorkItem.id)
        .join(Run, Run.id == WorkItem.run_id)
        .where(WorkItem.id == item_id, Run.status == "running", WorkItem.stage == Run.stage, _FREE)
        .with_for_update(skip_locked=True, of=WorkItem)
    )
    taken = (
        update(WorkItem)
        .where(WorkItem.id.in_(free))
        .values(
            status="leased",
            attempts=WorkItem.attempts + 1,
            worker=worker,
            lease_until=func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, lease_s),
        )
        .returning(
            WorkItem.id, WorkItem.run_id, WorkItem.stage, WorkItem.batch, WorkItem.tiles, WorkItem.attempts
        )
    )
    row = conn.execute(taken).one_or_none()
    if row is None:
        return None
    return LeasedItem(row.id, row.run_id, row.stage, row.batch, tuple(row.tiles), row.attempts, worker)


def finish(conn: Connection, item: LeasedItem, seconds: float) -> None:
    """Mark a leased item done. Call it first in the transaction that writes the item's rows.

    Raises
    ------
    LeaseLost
        If the lease is no longer this worker's; roll back.
    """
    done = update(WorkItem).where(*_held(item)).values(status="done", lease_until=None, seconds=seconds)
    if conn.execute(done).rowcount != 1:
        raise LeaseLost(f"work item {item.id} is no longer held by {item.worker} (attempt {item.attempts})")


def fail(conn: Connection, item: LeasedItem, error: str, max_attempts: int) -> bool:
    """Give an item back after an error: due again, or failed for good after the last attempt.

    Returns
    -------
    bool
        True if the item failed for good. A lost lease is ignored: another worker has the item.
    """
    last = item.attempts >= max_attempts
    given_back = (
        update(WorkItem)
        .where(*_held(item))
        .values(
            status="failed" if last else "due",
            lease_until=None,
            error=(error.strip() or "unknown error")[:ERROR_LENGTH] if last else None,
        )
    )
    return conn.execute(given_back).rowcount == 1 and last


def expire_leases(conn: Connection, run_id: int, max_attempts: int) -> int:
    """Make items due whose lease has run out; those out of attempts (a worker died each time) failed.

    Returns
    -------
    int
        Number of leases that had run out.
    """
    return _release(
        conn, max_attempts, WorkItem.run_id == run_id, WorkItem.lease_until < func.clock_timestamp()
    )


def release_leases_of_dead(conn: Connection, worker: str, max_attempts: int) -> int:
    """Free at once what a worker held that is known to be dead."""
    return _release(conn, max_attempts, WorkItem.worker == worker)


def release_all_leases(conn: Connection, run_id: int, max_attempts: int) -> int:
    """Free all leases of a run none of whose workers is alive, as on resuming after a crash."""
    return _release(conn, max_attempts, WorkItem.run_id == run_id)


def advance(conn: Connection, run_id: int) -> RunState:
    """Begin a run, pass it to its next stage, end it, or fail it; safe to call at any time, by anyone.

    Raises
    ------
    RunNotFound
    """
    state = _lock_run(conn, run_id)
    if state.status in ("done", "failed"):
        return state
    # A query after the lock: it sees what those committed who held the lock before.
    counts = {p.stage: p for p in progress(conn, run_id)}
    if any(p.failed for p in counts.values()):
        error = conn.scalar(
            select(WorkItem.error)
            .where(WorkItem.run_id == run_id, WorkItem.status == "failed")
            .order_by(WorkItem.id)
            .limit(1)
        )
        return _set_run(conn, run_id, status="failed", error=error)
    open_stages = [stage for stage, p in counts.items() if p.done < p.total]
    if not open_stages:
        return _set_run(conn, run_id, status="done", stage=None, finished_at=func.clock_timestamp())
    if state.status == "running" and state.stage == open_stages[0]:
        return state
    return _set_run(conn, run_id, status="running", stage=open_stages[0])


def reopen(conn: Connection, run_id: int) -> RunState:
    """Give the failed items of a run, and all items not done, their attempts back, and let it go on.

    Raises
    ------
    RunNotFound
    """
    state = _lock_run(conn, run_id)
    if state.status != "failed":
        return state
    again = update(WorkItem).where(WorkItem.run_id == run_id, WorkItem.status != "done")
    conn.execute(again.values(status="due", attempts=0, error=None, lease_until=None))
    _set_run(conn, run_id, status="planned", stage=None, error=None)
    return advance(conn, run_id)


def run_state(conn: Connection, run_id: int) -> RunState:
    """A run's status, stage and error.

    Raises
    ------
    RunNotFound
    """
    row = conn.execute(select(Run.id, Run.status, Run.stage, Run.error).where(Run.id == run_id)).one_or_none()
    if row is None:
        raise RunNotFound(f"there is no run {run_id}")
    return RunState(*row)


def progress(conn: Connection, run_id: int) -> list[StageProgress]:
    """Items done and planned of each stage, in the order of the stages."""
    query = select(
        WorkItem.stage,
        func.count().filter(WorkItem.status == "done"),
        func.count().filter(WorkItem.status == "failed"),
        func.count(),
        func.sum(WorkItem.seconds),
    ).where(WorkItem.run_id == run_id)
    rows = {
        stage: StageProgress(stage, done, failed, total, seconds or 0.0)
        for stage, done, failed, total, seconds in conn.execute(query.group_by(WorkItem.stage))
    }
    return [rows[stage] for stage in STAGES if stage in rows]


_FREE = (WorkItem.status == "due") | (
    (WorkItem.status == "leased") & (WorkItem.lease_until < func.clock_timestamp())
)


def _held(item: LeasedItem) -> tuple[ColumnElement[bool], ...]:
    return (
        WorkItem.id == item.id,
        WorkItem.status == "leased",
        WorkItem.worker == item.worker,
        WorkItem.attempts == item.attempts,
    )


def _release(conn: Connection, max_attempts: int, *which: ColumnElement[bool]) -> int:
    spent = WorkItem.attempts >= max_attempts
    lost = func.format("worker %s was lost at attempt %s", WorkItem.worker, WorkItem.attempts)
    freed = (
        update(WorkItem)
        .where(WorkItem.status == "leased", *which)
        .values(
            status=case((spent, "failed"), else_="due"),
            error=case((spent, lost), else_=null()),
            lease_until=None,
        )
    )
    return conn.execute(freed).rowcount


def _lock_run(conn: Connection, run_id: int) -> RunState:
    # FOR NO KEY UPDATE: those who write rows of the run hold FOR KEY SHARE on it until they commit, and two of them
    # who passed it on at the same time would wait for each other.
    query = select(Run.id, Run.status, Run.stage, Run.error).where(Run.id == run_id)
    row = conn.execute(query.with_for_update(key_share=True)).one_or_none()
    if row is None:
        raise RunNotFound(f"there is no run {run_id}")
    return RunState(*row)


def _set_run(conn: Connection, run_id: int, **values: Any) -> RunState:
    conn.execute(update(Run).where(Run.id == run_id).values(**values))
    return run_state(conn, run_id)
