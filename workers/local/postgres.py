"""The embedded PostgreSQL: made once per home, reached by a Unix socket only."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psutil

from workers.local import child
from workers.local.binaries import postgres_bin
from workers.local.errors import LocalServiceError
from workers.local.server import EmbeddedServer

DATABASE = "asidcat"
PORT = 5432  # names the socket; no port is opened
START_S = 120.0
# SIGINT is PostgreSQL's "fast" shutdown (sessions ended, checkpoint written), SIGQUIT the "immediate" one.
_STOP = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0))
# PGPORT, PGDATA, LD_LIBRARY_PATH and the like of the user's shell are not for this server.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
_SERVER_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "300",
    "jit": "off",  # costs more than it saves on queries this short
    "max_parallel_workers_per_gather": "0",
    "log_destination": "stderr",
    "logging_collector": "off",
}


class EmbeddedPostgres(EmbeddedServer):
    """One PostgreSQL server on the data folder ``<home>/postgres``.

    Parameters
    ----------
    home : Path
    socket_folder : Path
        Private folder with a short path.
    """

    stop_signals = _STOP

    def __init__(self, home: Path, socket_folder: Path) -> None:
        super().__init__(home / "postgres.log", socket_folder / "pg")
        self.data = home / "postgres"

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the program's database."""
        host = quote(str(self.folder), safe="")
        return f"postgresql+psycopg://{DATABASE}@:{PORT}/{DATABASE}?host={host}"

    def start(self) -> None:
        """Make the data folder if there is none, start the server, wait until it takes connections.

        Raises
        ------
        LocalServiceError
            With the server's own last line.
        """
        programs, major = postgres_bin()
        uid = child.unprivileged_user(self.data)
        if not self.data.exists():
            self._initialise(programs, uid)
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != str(major):
            raise LocalServiceError(
                f"{self.data} holds a PostgreSQL {version} database, this program brings PostgreSQL {major}: "
                "set another ASIDCAT_HOME, or ASIDCAT_DATABASE_URL to a server of that version"
            )
        end_leftover(self.data)
        self.folder.mkdir(mode=0o700)
        if uid is not None:
            os.chown(self.folder, uid, -1)
        settings = {**_SERVER_SETTINGS, "unix_socket_directories": f'"{self.folder}"'}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command: list[str | Path] = [programs / "postgres", "-D", self.data, "-p", str(PORT), *options]
        deadline = time.monotonic() + START_S
        while True:
            self._process = child.start(
                command, log=self.log, uid=uid, death_signal=signal.SIGINT, environment=_ENVIRONMENT
            )
            if self._wait_ready(self._process, deadline):
                return
            said = child.last_line(self.log)
            self.stop()
            # Sessions of a killed server may still be on their way out.
            if "shared memory" not in self.log.read_text(errors="replace") or time.monotonic() > deadline:
                raise LocalServiceError(f"the embedded PostgreSQL did not start: {said} (see {self.log})")
            time.sleep(0.2)

    def _initialise(self, programs: Path, uid: int | None) -> None:
        """Make the data folder beside its place and move it there whole: a kill leaves no half-made one."""
        fresh = self.data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if uid is not None:
            os.chown(fresh, uid, -1)
        options = ["-U", DATABASE, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        steps: list[tuple[list[str | Path], str]] = [
            ([programs / "initdb", "-D", fresh, *options], ""),
            ([programs / "postgres", "--single", "-D", fresh, "postgres"], f"CREATE DATABASE {DATABASE};\n"),
        ]
        for command, typed in steps:
            process = child.start(
                command, log=self.log, uid=uid, environment=_ENVIRONMENT, stdin=subprocess.PIPE
            )
            process.communicate(typed.encode())
            if process.returncode != 0:
                what = Path(command[0]).name
                raise LocalServiceError(
                    f"{what} failed in {fresh}: {child.last_line(self.log)} (see {self.log})"
                )
        fresh.rename(self.data)

    def _wait_ready(self, process: subprocess.Popen[bytes], deadline: float) -> bool:
        """True as soon as the server says in its pid file that it is ready; False if it ended."""
        pid_file = self.data / "postmaster.pid"
        while process.poll() is None and time.monotonic() < deadline:
            lines = pid_file.read_text().splitlines() if pid_file.exists() else []
            if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return True
            time.sleep(0.02)
        return False


def end_leftover(data: Path) -> None:
    """End a server that an earlier, killed supervisor left on this data folder, and its stale pid file.

    Only the holder of the home's lock may call this.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        pid_file.unlink(missing_ok=True)
        return
    try:
        process = psutil.Process(pid)
        ours = str(data) in process.cmdline() and process.pid != os.getpid()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        ours = False
    if ours:
        for number, seconds in (*_STOP, (signal.SIGKILL, 10.0)):
            try:
                process.send_signal(number)
                process.wait(seconds)
            except psutil.TimeoutExpired:
                continue
            except psutil.NoSuchProcess:
                pass
            break
    pid_file.unlink(missing_ok=True)
