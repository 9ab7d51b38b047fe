"""Memory and processor time of all processes that serve one home: the program's own, its workers, its database."""

import threading
from pathlib import Path

import psutil

WATCH_S = 3.0  # a look costs a tenth of a second of processor time


def serving(home: Path) -> list[psutil.Process]:
    """Processes that name a home in their environment or on their command line, and those they started.

    PostgreSQL's processes tell neither: they are found by their parent.
    """
    found: dict[int, psutil.Process] = {}
    running = sorted(psutil.process_iter(["pid", "ppid", "create_time"]), key=lambda p: p.info["create_time"])
    for process in running:
        try:
            if process.info["ppid"] in found or _names(process, home):
                found[process.pid] = process
        except psutil.Error:
            continue  # it has ended, or is another user's
    return list(found.values())


def _names(process: psutil.Process, home: Path) -> bool:
    if any(str(home) in part for part in process.cmdline()):
        return True
    return process.environ().get("ASIDCAT_HOME") == str(home)


class Watch(threading.Thread):
    """The peak of the memory, and the processor time, of a home's processes while it runs.

    Attributes
    ----------
    peak_mib : float
        Shared pages counted once (PSS).
    """

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self.home = home
        self.peak_mib = 0.0
        self._cpu_s: dict[tuple[int, float], float] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def run(self) -> None:
        """Sample until `end` is called."""
        while not self._ended.wait(WATCH_S):
            self.sample()

    def sample(self) -> None:
        """Look once."""
        total = 0
        with self._lock:
            for process in serving(self.home):
                try:
                    total += process.memory_full_info().pss
                    times = process.cpu_times()
                    self._cpu_s[process.pid, process.create_time()] = times.user + times.system
                except psutil.Error:
                    continue
            self.peak_mib = max(self.peak_mib, total / 2**20)

    def cpu_s(self) -> float:
        """Processor seconds up to now; of a process that has ended, what it had at the last look."""
        self.sample()
        with self._lock:
            return sum(self._cpu_s.values())

    def end(self) -> None:
        """Stop sampling."""
        self._ended.set()
        self.join()
