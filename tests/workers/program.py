"""The program as its users run it: a command line in its own process."""

import os
import subprocess
import sys
from pathlib import Path

TILES = "0-19"
EMBEDDED = not os.environ.get("ASIDCAT_TEST_DATABASE_URL")


class Asidcat:
    """The command line with its own home, database, broker and queue."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ASIDCAT_")}
        own = {"HOME": str(home), "WORKERS": "2", "BATCH_TILES": "1", **settings}
        own["DATA"] = os.environ.get("ASIDCAT_DATA", "")
        self.environment = {**clean, **{f"ASIDCAT_{name}": value for name, value in own.items()}}
        self._running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: object, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start a command in a session of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli", *map(str, arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def __call__(self, *arguments: object, status: int = 0) -> str:
        """Run a command to its end; returns what it printed, or its error line if `status` is not 0."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=240)
        assert process.returncode == status, err
        return (out if status == 0 else err).strip()

    def end(self) -> None:
        for process in self._running:
            if process.poll() is not None:
                continue
            process.kill()
            process.communicate()
