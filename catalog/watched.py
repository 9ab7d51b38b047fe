"""What has become of each observation of the watched folder, known by the checksum of its files.

One look at the folder at a time, whoever looks from wherever: a lock of the database, which ends with its holder.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, Update, select, text, update
from sqlalchemy.dialects.postgresql import insert

from catalog.engine import database_errors
from catalog.tables import WatchedObservation


@contextmanager
def only_look(engine: Engine) -> Iterator[bool]:
    """Whether this is the only look at the folder; if it is, it stays so until the block ends."""
    with (
        database_errors(engine.url),
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn,
    ):
        conn.detach()  # the lock ends with the connection, however that ends
        yield bool(conn.scalar(text("SELECT pg_try_advisory_lock(hashtext('asidcat watched folder'))")))


def take(conn: Connection, sha256: str, path: Path) -> tuple[str, int | None]:
    """Note an observation, if it is new.

    Returns
    -------
    status : str
        ``taken``, ``released`` or ``broken``.
    run_id : int or None
        Its run, if one has begun.
    """
    new = insert(WatchedObservation).values(sha256=sha256, path=str(path))
    conn.execute(new.on_conflict_do_nothing(index_elements=["sha256"]))
    query = select(WatchedObservation.status, WatchedObservation.run_id)
    found = conn.execute(query.where(WatchedObservation.sha256 == sha256)).one()
    return found.status, found.run_id


def run_begun(conn: Connection, sha256: str, run_id: int) -> None:
    """An observation's run is written down; to be called in the same transaction."""
    conn.execute(_row(sha256).values(run_id=run_id))


def released(conn: Connection, sha256: str, version: str) -> None:
    """An observation's run is released."""
    conn.execute(_row(sha256).values(status="released", version=version))


def broken(conn: Connection, sha256: str, error: str) -> None:
    """An observation cannot be used as it is."""
    conn.execute(_row(sha256).values(status="broken", error=error))


def _row(sha256: str) -> Update:
    return update(WatchedObservation).where(WatchedObservation.sha256 == sha256)
