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
    pid = pid_here(name)
    if pid is None:
        return False
    try:
        process = psutil.Process(pid)
        other = abs(process.create_time() - float(name.rsplit(":", 1)[1])) > CLOCK_S
        return other or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def pid_here(name: str) -> int | None:
    """Id of the process `name`; None if it is of another machine."""
    host, pid, _ = name.rsplit(":", 2)
    return int(pid) if host == socket.gethostname() else None


def holders(conn: Connection, run_id: int | None = None) -> list[str]:
    """Workers that hold leases, of one run or of any."""
    query = select(WorkItem.worker).where(WorkItem.status == "leased").distinct()
    found = conn.scalars(query if run_id is None else query.where(WorkItem.run_id == run_id))
    return [name for name in found if name is not None]


def dead_holders(conn: Connection, run_id: int) -> list[str]:
    """Workers of this machine that hold leases of a run and have ended."""
    return [name for name in holders(conn, run_id) if is_dead(name)]
