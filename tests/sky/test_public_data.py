"""Public data: from a folder, from the cache, downloaded once; never with another content."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from sky.data import DataError, PublicFile, data_path, fetch, public_files

CONTENT = b"a public file\n" * 100


@pytest.fixture
def server(tmp_path) -> Iterator[tuple[str, list[str]]]:
    """A web server on this machine with one file, and what was asked of it."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "f.dat").write_bytes(CONTENT)
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code="-", size="-"):  # noqa: ARG002
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=tmp_path / "www")
    ) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}", asked
        web.shutdown()
        thread.join()


def public(url: str, content: bytes = CONTENT) -> PublicFile:
    return PublicFile("sub/f.dat", len(content), hashlib.sha256(content).hexdigest(), url)


def test_registry():
    files = public_files()
    assert {"catalogs/gll_psc_v27.fit.gz", "exposure/lat_8yr_exposure_nside32.fits.gz"} <= files.keys()
    for file in files.values():
        assert len(file.sha256) == 64 and file.bytes > 0
        assert file.url.startswith("https://raw.githubusercontent.com/") and file.url.count("/") >= 6


def test_downloaded_once(server, tmp_path):
    url, asked = server
    for _ in range(2):
        path = fetch(public(f"{url}/f.dat"), None, tmp_path / "cache")
        assert path == tmp_path / "cache" / "sub" / "f.dat" and path.read_bytes() == CONTENT
    assert len(asked) == 1


def test_folder_comes_first(server, tmp_path):
    url, asked = server
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "sub" / "f.dat").write_bytes(CONTENT)
    assert fetch(public(f"{url}/f.dat"), tmp_path / "data", tmp_path / "cache").parent.parent.name == "data"
    assert not asked and not (tmp_path / "cache").exists()


def test_another_content_stops(server, tmp_path):
    url, _ = server
    with pytest.raises(DataError, match="has not the expected sha256"):
        fetch(public(f"{url}/f.dat", b"other"), None, tmp_path / "cache")
    assert not (tmp_path / "cache" / "sub" / "f.dat").exists()
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "sub" / "f.dat").write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=r"f\.dat: sha256 is .* not the expected") as caught:
        fetch(public(f"{url}/f.dat"), tmp_path / "data", tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_not_to_be_had(server, tmp_path):
    url, _ = server
    for address in (f"{url}/none.dat", "http://127.0.0.1:9/f.dat"):
        with pytest.raises(DataError, match="cannot be downloaded") as caught:
            fetch(public(address), None, tmp_path / "cache")
        assert "\n" not in str(caught.value)


def test_unknown_name_and_missing_folder(monkeypatch, tmp_path):
    with pytest.raises(DataError, match="not a public file"):
        data_path("catalogs/none.fits")
    monkeypatch.setenv("ASIDCAT_DATA", str(tmp_path / "none"))
    with pytest.raises(DataError, match="no such folder"):
        data_path("catalogs/gll_psc_v27.fit.gz")
