"""Tables of VizieR through the real astroquery, from a server on this machine."""

import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from catalog.vizier import VizierError, fetch_table
from tests.catalog.vizier_server import ANSWER, VizierServer, use_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[VizierServer]:
    made = VizierServer()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    use_server(monkeypatch, made.address)
    yield made
    made.close()


def test_all_rows_and_columns_are_asked_for_and_come(server: VizierServer) -> None:
    found = fetch_table("J/ApJS/247/33")
    assert {"-source=J/ApJS/247/33", "-out.max=unlimited", "-out.all"} <= set(server.requests[0])
    assert found.name == "J/ApJS/247/33/4fgl"
    assert found.description == "Fermi LAT fourth source catalog (4FGL) (Abdollahi+, 2020)"
    assert list(found.table["4FGL"][[0, -1]]) == ["J0000.3-7355", "J2253.9+1609"]
    assert len(found.table) == 7 and np.ma.is_masked(found.table["amaj"][2])


def test_what_vizier_holds_now_is_fetched_not_what_it_held_once(server: VizierServer) -> None:
    fetch_table("J/ApJS/247/33")
    server.answers["J/ApJS/247/33"] = (200, ANSWER.read_bytes().replace(b"J2253.9+1609", b"J9999.9+9999"))
    assert fetch_table("J/ApJS/247/33").table["4FGL"][-1] == "J9999.9+9999"


def answers() -> dict[str, tuple[int, bytes, str]]:
    """Status and content of an answer, and what has to be said of it."""
    good = ANSWER.read_bytes()
    inside = good[good.index(b" <RESOURCE") : good.index(b"</VOTABLE>")]
    error = b'<INFO name="Error" value="out of order"/>'
    other = inside.replace(b"247/33/4fgl", b"247/33/other")
    return {
        "an-error-page": (
            200,
            b"<html><body>Down for maintenance</body></html>",
            "something else than a table",
        ),
        "half-a-table": (200, good[: len(good) // 2], "something else than a table"),
        "broken": (503, b"", "answers 503"),
        "refused": (
            200,
            good.replace(b" <RESOURCE", error + b" <RESOURCE"),
            "refuses 'refused': out of order",
        ),
        "several": (200, good.replace(inside, inside + other), "247/33/4fgl, J/ApJS/247/33/other"),
        "elsewhere": (
            200,
            good.replace(b"J2000", b"B1950").replace(b"GLON", b"a").replace(b"GLAT", b"b"),
            "no table of positions",
        ),
    }


@pytest.mark.parametrize("name", answers())
def test_bad_answers_give_one_line(server: VizierServer, name: str) -> None:
    status, content, fault = answers()[name]
    server.answers[name] = status, content
    with pytest.raises(VizierError, match=fault) as caught:
        fetch_table(name)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_an_unknown_table_is_named(server: VizierServer) -> None:  # noqa: ARG001
    with pytest.raises(VizierError, match="has no table of positions 'IX/999'"):
        fetch_table("IX/999")


def test_a_silent_server_is_not_waited_for(server: VizierServer) -> None:  # noqa: ARG001
    with pytest.raises(VizierError, match=r"does not answer \(ReadTimeout\)"):
        fetch_table("silent", timeout_s=0.5)


def test_no_server_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        use_server(monkeypatch, f"127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(VizierError, match=r"does not answer \(ConnectionError\)"):
            fetch_table("IX/72", timeout_s=5)


@pytest.mark.remote_data
def test_vizier_itself_has_the_catalogues_we_say_it_has() -> None:
    for name, rows in (("J/ApJS/232/18", 1556), ("J/ApJS/247/33/4fgl", 5065), ("IX/72", 7195)):
        assert len(fetch_table(name).table) == pytest.approx(rows, abs=1)
