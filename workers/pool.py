"""The worker processes a run brings along on its own machine."""

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path
from typing import Self

import psutil

import workers
from catalog.engine import database_errors, make_engine
from workers.ahead import Expected
from workers.identity import holders, pid_here
from workers.local.child import last_line
from workers.settings import Settings

MAX_RESTARTS = 5
STOP_S = 5.0
# One thread a process: the processes share the cores already.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class WorkersLost(ConnectionError):
    """The run's workers end again and again; one line."""


class WorkerPool:
    """One Celery worker with `settings.workers` processes; none if that is 0.

    Parameters
    ----------
    settings : Settings
        With both URLs filled in.
    expected : Expected or None
        What they will be asked for, to be made ready for it.
    gpu : bool
        Instead, one process that listens to the GPU's queue.
    """

    def __init__(self, settings: Settings, expected: Expected | None = None, *, gpu: bool = False) -> None:
        self._settings = settings
        self._arguments = ["--gpu"] if gpu else []
        if expected is not None:
            self._arguments += ["--ahead", *astuple(expected)]
        self._log = settings.home / "workers.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._restarts = 0

    def __enter__(self) -> Self:
        self._settings.home.mkdir(parents=True, exist_ok=True)
        self._start()
        return self

    def _start(self) -> None:
        if self._settings.workers == 0:
            return
        # All settings go with it, so the settings file (a path relative to here) must not.
        inherited = {name: value for name, value in os.environ.items() if name != "ASIDCAT_CONFIG"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workers.celery_worker", *self._arguments],
                cwd=Path(workers.__file__).resolve().parent.parent,
                env={**_ONE_THREAD, **inherited, **self._settings.environment()},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def keep_running(self) -> None:
        """Start the worker again if it has ended.

        Raises
        ------
        WorkersLost
            If that happens again and again.
        """
        if self._process is None or self._process.poll() is None:
            return
        self._kill()
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            raise WorkersLost(f"the workers end again and again: {last_line(self._log)} (see {self._log})")
        self._start()

    def _kill(self) -> None:
        """End the worker and all its processes now: the ledger knows what they had in hand."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._process is not None and kind is None and self._busy(self._process):
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        self._kill()

    def _busy(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the worker has an item of another run in hand, which shares its queue.

        One that has nothing to do takes seconds to end by itself.
        """
        assert self._settings.database_url is not None
        if process.poll() is not None:
            return False
        engine = make_engine(self._settings.database_url, pooled=False)
        with database_errors(engine.url), engine.connect() as conn:
            holding = {pid_here(name) for name in holders(conn)}
        return any(child.pid in holding for child in psutil.Process(process.pid).children(recursive=True))
