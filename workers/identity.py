"""Who a worker is, so that others on its machine can tell whether it still lives."""

import os
import socket
from functools import cache

import psutil
from sqlalchemy import Connection, select

from catalog.tables import WorkItem

CLOCK_S = 5.0  # a start time is known through the wall clock, which may be set in between


@cache
def _name_of(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{psutil.Process(pid).create_time():.2f}"


def worker_name() -> str:
    """Name of this process: host, process id and the time it started (ids are used again)."""
    return _name_of(os.getpid())


def is_dead(name: str) -> bool:
    """True if `name` is a process of this machine that has ended; False if it lives or is elsewhere."""
    host, pid, started = name.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        other = abs(process.create_time() - float(started)) > CLOCK_S
        return other or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def dead_holders(conn: Connection, run_id: int) -> list[str]:
    """Workers of this machine that hold leases of a run and have ended."""
    query = select(WorkItem.worker).where(WorkItem.run_id == run_id, WorkItem.status == "leased").distinct()
    return [name for name in conn.scalars(query) if name is not None and is_dead(name)]
