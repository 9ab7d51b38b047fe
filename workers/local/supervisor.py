"""The one process of a home that owns its embedded services.

It runs in a session of its own, so that a signal to the program's process group does not reach it; it
serves as long as a client's connection is open and then stops everything. Started by `workers.local.client`
as ``python -m workers.local.supervisor HOME FD``, FD being a connected socket, its first client.
"""

import contextlib
import fcntl
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import psutil

from workers.local import protocol
from workers.local.errors import LocalServiceError
from workers.local.postgres import EmbeddedPostgres, end_leftover
from workers.local.redis import EmbeddedRedis
from workers.local.server import EmbeddedServer

WATCH_S = 0.5
# A socket's path has 107 bytes (103 on macOS); the longest name here is "pg/.s.PGSQL.5432.lock".
_FOLDER_BYTES = 75


class Stopped(Exception):
    """A signal asked the supervisor to end."""


def private_folder() -> Path:
    """A new folder that only this user may enter, with a path short enough for Unix sockets."""
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if len(os.fsencode(parent)) + len("/asidcat-12345678") <= _FOLDER_BYTES:
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix="asidcat-", dir=parent))
    raise LocalServiceError(
        "no writable temporary folder with a path short enough for Unix sockets: set TMPDIR"
    )


def recover(home: Path) -> None:
    """End and remove what a killed supervisor of this home left behind. The caller holds the lock."""
    address = protocol.read_address(home)
    end_leftover(home / "postgres")
    if address is None:
        return
    for process in psutil.process_iter(["cmdline"]):
        if any(part.startswith(f"{address.folder}/redis/") for part in process.info["cmdline"] or ()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                process.wait(10)
    shutil.rmtree(address.folder, ignore_errors=True)
    protocol.remove_address(home)


class Supervisor:
    """Serves clients until the last one has gone.

    Parameters
    ----------
    home : Path
    first : socket
        Connection of the client that started this process.
    """

    def __init__(self, home: Path, first: socket.socket) -> None:
        self.home = home
        self.folder = private_folder()
        self.services: dict[str, EmbeddedServer] = {
            "database": EmbeddedPostgres(home, self.folder),
            "broker": EmbeddedRedis(home, self.folder),
        }
        self.started: set[str] = set()
        self.clients = {first}
        self.last: socket.socket | None = None  # kept open to the very end: its client waits for that
        self.listener = socket.socket(socket.AF_UNIX)

    def serve(self) -> None:
        """Answer clients; return when none is left or a service has died."""
        address = protocol.Address(os.getpid(), str(self.folder))
        self.listener.bind(address.socket)
        self.listener.listen(128)
        protocol.write_address(self.home, address)
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            for client in self.clients:
                selector.register(client, selectors.EVENT_READ)
            while self.clients and self._services_alive():
                for key, _ in selector.select(WATCH_S):
                    if key.fileobj is self.listener:
                        client, _ = self.listener.accept()
                        self.clients.add(client)
                        selector.register(client, selectors.EVENT_READ)
                        continue
                    client = key.fileobj  # type: ignore[assignment]
                    if not self._answer(client):
                        selector.unregister(client)
                        self.clients.discard(client)
                        if not self.clients:
                            self.last = client
                        else:
                            client.close()

    def _services_alive(self) -> bool:
        return all(self.services[name].running() for name in self.started)

    def _answer(self, client: socket.socket) -> bool:
        """Serve one request; False if the client has gone."""
        request = protocol.receive(client)
        if request is None:
            return False
        answer: dict[str, object] = {}
        try:
            for name in request["need"]:
                if name not in self.started:
                    self.services[name].start()
                    self.started.add(name)
                answer[name] = self.services[name].url
        except (LocalServiceError, OSError) as error:
            answer = {"error": str(error)}
        with contextlib.suppress(ConnectionError):
            protocol.send(client, answer)
        return True

    def close(self) -> None:
        """Refuse new clients first, then stop the services and remove the sockets."""
        protocol.remove_address(self.home)
        self.listener.close()
        for service in self.services.values():
            service.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[bool]:
    """Hold the home's lock; yields False if another supervisor serves this home already."""
    with protocol.lock_path(home).open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # The holder serves, or is on its way out and will let go.
                living = protocol.connect(home)
                if living is not None:
                    living.close()
                    yield False
                    return
                time.sleep(0.05)
                continue
            yield True
            return


def _raise_stopped(_signal: int, _frame: FrameType | None) -> None:
    raise Stopped


def main(home: Path, first: socket.socket) -> None:
    """Be the supervisor of `home`, unless there is one."""
    with only_one(home) as alone:
        if not alone:
            return
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _raise_stopped)
        with (home / "supervisor.log").open("w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        supervisor = None
        try:
            recover(home)
            supervisor = Supervisor(home, first)
            supervisor.serve()
        except LocalServiceError as error:
            protocol.send(first, {"error": str(error)})
        except Stopped:
            pass
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            if supervisor is not None:
                supervisor.close()
            # At once: the last client's connection, the lock and the process end together.
            os._exit(0)


if __name__ == "__main__":
    os.chdir("/")
    main(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))
