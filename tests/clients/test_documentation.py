"""The Python of docs/clients.md runs as it stands there."""

import importlib.util
import re
from pathlib import Path

import pytest

from tests.clients.conftest import Released

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
SNIPPETS = re.findall(r"^## (.+?)$|^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)
CLIENTS = ("gammapy", "fermipy", "pyvo")


def snippets() -> list:
    """Each snippet under the heading it stands below."""
    found, heading = [], ""
    for title, code in SNIPPETS:
        heading = title or heading
        if code:
            found.append(pytest.param(code, id=f"{heading.split()[0]}-{len(found)}"))
    return found


@pytest.mark.parametrize("code", snippets())
def test_snippets_run(released: Released, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for client in CLIENTS:
        if client in code and importlib.util.find_spec(client) is None:
            pytest.skip("needs the extra 'clients'")
    if "fermipy" in code and not (released.table["Extended_Source_Name"] != "").any():
        pytest.skip("fermipy cannot read a catalogue without extended sources")
    monkeypatch.chdir(released.folder)
    exec(compile(code.replace("VERSION", released.version), str(PAGE), "exec"), {})


def test_the_page_has_a_snippet_for_every_client() -> None:
    text = "".join(code for _, code in SNIPPETS)
    assert all(client in text for client in (*CLIENTS, "astropy", "pandas"))
