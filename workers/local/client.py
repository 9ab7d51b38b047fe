"""The program's side: attach to the supervisor of a home, or start it."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

import workers
from workers.local import protocol
from workers.local.binaries import redis_server
from workers.local.errors import LocalServiceError

if TYPE_CHECKING:  # the supervisor imports this package and has no use for pydantic
    from workers.settings import Settings

ATTACH_S = 300.0


class LocalServices:
    """A claim on the embedded services of a home; they run at least as long as it is open.

    Parameters
    ----------
    home : Path
        Made if it does not exist.
    need : collection of str
        Of ``"database"`` and ``"broker"``.

    Raises
    ------
    LocalServiceError
        If a service cannot be started; one line.
    """

    def __init__(self, home: Path, need: Collection[str] = protocol.SERVICES) -> None:
        self.home = home
        self._supervisor: subprocess.Popen[bytes] | None = None
        try:
            home.mkdir(parents=True, exist_ok=True)
            protocol.lock_path(home).open("a").close()
        except OSError as error:
            raise LocalServiceError(f"{home}: cannot use this data folder: {error.strerror}") from error
        self._connection = socket.socket(socket.AF_UNIX)
        try:
            self.urls = self._attach(sorted(need))
        except BaseException:  # an interruption too: services that are still starting must not be left behind
            self.close()
            raise

    def _attach(self, need: list[str]) -> dict[str, str]:
        deadline = time.monotonic() + ATTACH_S
        while time.monotonic() < deadline:
            self._connection = protocol.connect(self.home) or self._start_supervisor()
            with contextlib.suppress(BrokenPipeError):
                protocol.send(self._connection, {"need": need})
            answer = protocol.receive(self._connection)
            if answer is None:
                # A supervisor on its way out, or one that found another: try again.
                self._connection.close()
                time.sleep(0.05)
                continue
            if "error" in answer:
                raise LocalServiceError(answer["error"])
            return answer
        raise LocalServiceError(
            f"{self.home}: the embedded services did not answer (see supervisor.log there)"
        )

    def _start_supervisor(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "workers.local.supervisor", str(self.home), str(theirs.fileno())],
                cwd=Path(workers.__file__).resolve().parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return ours

    def alive(self) -> bool:
        """Whether the supervisor still stands by its word."""
        self._connection.setblocking(False)
        try:
            return self._connection.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Give up the claim; waits until the services are down if this was the last one."""
        with self._connection, contextlib.suppress(OSError):
            self._connection.setblocking(True)
            self._connection.shutdown(socket.SHUT_WR)
            while self._connection.recv(4096):
                pass
        if self._supervisor is not None:
            # Ours to reap, if it ends now; while others use it, it goes on without us.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._supervisor.wait(0.2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def services(settings: "Settings", *, broker: bool = True) -> "Iterator[Settings]":
    """Settings with every URL filled in: the ones given, else those of the embedded services.

    Parameters
    ----------
    settings : Settings
    broker : bool
        False if only the database is needed.

    Yields
    ------
    Settings
        With `database_url` and, if asked for, `broker_url`.

    Raises
    ------
    LocalServiceError
        If an embedded service cannot be started.
    """
    urls: dict[str, str | None] = {"database": settings.database_url}
    if broker:
        without_redis = None if redis_server() else f"filesystem://{quote(str(settings.home / 'broker'))}"
        urls["broker"] = settings.broker_url or without_redis
    need = [name for name, url in urls.items() if url is None]
    with LocalServices(settings.home, need) if need else contextlib.nullcontext() as local:
        found = {**urls, **(local.urls if local else {})}
        yield settings.model_copy(update={f"{name}_url": url for name, url in found.items()})
