"""What has become of each observation of the watched folder, known by the checksum of its files.

One look at the folder at a time, whoever looks from wherever: a lock of the database, which ends with its holder.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, Engine, Update, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from catalog.engine import database_errors
from catalog.locks import lock_table
from catalog.tables import WatchedObservation

PATIENCE_S = 3


@contextmanager
def only_look(engine: Engine) -> Iterator[bool]:
    """Whether this is the only look at the folder; if it is, it stays so until the block ends."""
    with (
        database_errors(engine.url),
        engine.connect() as conn,
    ):  # the lock ends with the transaction, however that ends
        conn.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        # Long enough for the server's own vacuum to make way.
        conn.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE_S}s'"))
        try:
            lock_table(conn, "watched_observation")
            mine = True
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            mine = False
        yield mine


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
