"""The one task: take a work item, do it, write what it gave and what is done, in one transaction."""

import logging
import time
from collections.abc import Callable, Iterable

from catalog import ledger
from catalog.engine import make_engine
from workers.identity import worker_name
from workers.settings import Settings
from workers.stages import STAGES

logger = logging.getLogger(__name__)


def work_on(settings: Settings, item_id: int, send_hints: Callable[[Iterable[int]], None]) -> None:
    """Do a work item, if it is due; safe to call at any time, any number of times, from any process.

    Parameters
    ----------
    settings : Settings
    item_id : int
    send_hints : callable
        Tells workers of items that have become due; called after the commit.
    """
    assert settings.database_url is not None
    engine = make_engine(settings.database_url, pooled=False)
    with engine.begin() as conn:
        item = ledger.lease(conn, item_id, worker_name(), settings.lease_s)
    if item is None:
        return
    started = time.monotonic()
    try:
        write = STAGES[item.stage](engine, settings.home, item)
        with engine.begin() as conn:
            ledger.finish(conn, item, time.monotonic() - started)
            write(conn)
            state = ledger.advance(conn, item.run_id)
            due = ledger.due_items(conn, item.run_id) if state.stage != item.stage else []
    except ledger.LeaseLost as lost:
        logger.warning("%s; its result is dropped", lost)
        return
    except Exception as error:
        # Whatever it was, the ledger has to know: it counts the tries and keeps the last reason.
        logger.exception("work item %d (%s, batch %d) failed", item.id, item.stage, item.batch)
        with engine.begin() as conn:
            reason = f"{item.stage}, batch {item.batch}: {type(error).__name__}: {error}"
            ledger.fail(conn, item, reason.splitlines()[0], settings.max_attempts)
            ledger.advance(conn, item.run_id)
            due = [item.id]
    send_hints(due)
