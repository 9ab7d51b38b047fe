"""What the embedded servers share: one child process with a socket in a private folder."""

import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from workers.local import child


class EmbeddedServer(ABC):
    """One server process.

    Parameters
    ----------
    log : Path
        Receives what the server prints.
    folder : Path
        Private folder of its socket, with a short path; gone when the server is stopped.
    """

    # Signals that end the server, each with the seconds it is given.
    stop_signals: Sequence[tuple[signal.Signals, float]]

    def __init__(self, log: Path, folder: Path) -> None:
        self.log = log
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find the server."""

    @abstractmethod
    def start(self) -> None:
        """Start the server and wait until it answers."""

    def running(self) -> bool:
        """Whether the server process is alive."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End the server cleanly."""
        if self._process is not None:
            child.stop(self._process, self.stop_signals)
        shutil.rmtree(self.folder, ignore_errors=True)
