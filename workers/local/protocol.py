"""What the supervisor and its clients agree on: the files in the home, and one JSON line each way.

A client says which services it needs, ``{"need": ["database", "broker"]}``; the supervisor answers with
their URLs, ``{"database": "...", "broker": "..."}``, or ``{"error": "..."}``. From then on the open
connection *is* the client's claim on the services: the kernel closes it however the client ends.
"""

import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

SERVICES = ("database", "broker")


@dataclass(frozen=True)
class Address:
    """Where the supervisor of a home listens; ``<home>/supervisor.json``."""

    pid: int
    folder: str

    @property
    def socket(self) -> str:
        """Path of the supervisor's socket."""
        return str(Path(self.folder) / "s")


def lock_path(home: Path) -> Path:
    """The file whose lock makes a supervisor the only one of its home."""
    return home / "supervisor.lock"


def _address_path(home: Path) -> Path:
    return home / "supervisor.json"


def read_address(home: Path) -> Address | None:
    """The address the last supervisor wrote, or None."""
    try:
        return Address(**json.loads(_address_path(home).read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def write_address(home: Path, address: Address) -> None:
    """Publish the address, whole or not at all."""
    fresh = _address_path(home).with_suffix(".new")
    fresh.write_text(json.dumps(asdict(address)))
    fresh.replace(_address_path(home))


def remove_address(home: Path) -> None:
    """Take the address back."""
    _address_path(home).unlink(missing_ok=True)


def connect(home: Path) -> socket.socket | None:
    """A connection to the living supervisor of this home, or None."""
    address = read_address(home)
    if address is None:
        return None
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address.socket)
    except OSError:
        connection.close()
        return None
    return connection


def send(connection: socket.socket, message: dict[str, object]) -> None:
    """Send one message."""
    connection.sendall(json.dumps(message).encode() + b"\n")


def receive(connection: socket.socket) -> dict[str, str] | None:
    """Receive one message; None if the other side has gone."""
    line = b""
    while not line.endswith(b"\n"):
        try:
            part = connection.recv(4096)
        except ConnectionError:
            return None
        if not part:
            return None
        line += part
    message: dict[str, str] = json.loads(line)
    return message
