"""A VizieR of one's own: real HTTP on this machine with stored answers, for the real astroquery."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from astroquery.vizier import VizierClass

ANSWER = Path(__file__).parent / "data" / "vizier_4fgl.vot"
UNKNOWN = """<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
 <INFO name="-out.max" value="unlimited"/>
</VOTABLE>"""


def use_server(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Send astroquery there: it knows VizieR's own servers alone, and speaks only https."""
    monkeypatch.setattr(
        VizierClass,
        "_server_to_url",
        lambda _self, return_type="votable": f"http://{address}/viz-bin/{return_type}",
    )


class VizierServer(ThreadingHTTPServer):
    """Answers each request by the catalogue it asks for; `requests` holds the bodies in their order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[list[str]] = []
        self.answers: dict[str, tuple[int, bytes]] = {"J/ApJS/247/33": (200, ANSWER.read_bytes())}
        self.released = threading.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: VizierServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode().splitlines()
        self.server.requests.append(body)
        source = next(line.removeprefix("-source=") for line in body if line.startswith("-source="))
        if source == "silent":
            self.server.released.wait(30)
            return
        status, content = self.server.answers.get(source, (200, UNKNOWN.encode()))
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing on standard error."""
