"""`asidcat reference` as its users type it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from astroquery.vizier import VizierClass
from sqlalchemy import Engine

from workers.cli import main
from workers.references import ReferenceNotFound, named_references


@pytest.fixture
def asidcat(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database_url: str, tmp_path: Path
):
    """Run a command on a new database: its exit status, and what it printed where."""
    monkeypatch.setenv("ASIDCAT_DATABASE_URL", database_url)
    monkeypatch.setenv("ASIDCAT_HOME", str(tmp_path / "home"))

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["asidcat", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out.strip(), printed.err.strip()

    return run


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mine.fits"
    Table({"RA": [1.0, 2.0], "DEC": [0.0, 9.0], "Name": ["a", "b"], "kT": np.ones(2)}).write(path)
    return path


def test_added_once_and_listed(asidcat, table: Path) -> None:
    first = asidcat("reference", "add", "clusters", "--file", table, "--citation", "Me 2024")
    assert first == (0, "1", "") == asidcat("reference", "add", "clusters", "--file", table)
    status, out, _ = asidcat("reference", "list", "--json")
    (found,) = json.loads(out)
    assert status == 0 and len(found["sha256"]) == 64
    assert [found[key] for key in ("name", "version", "sources", "citation")] == [
        "clusters",
        "mine.fits",
        2,
        "Me 2024",
    ]
    header, row = asidcat("reference", "list")[1].splitlines()
    assert header.split()[:3] == ["name", "version", "sources"]
    assert row.split()[:3] == ["clusters", "mine.fits", "2"] and row.endswith(found["sha256"])


def test_faults_are_one_line_and_change_nothing(
    asidcat, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = "http://127.0.0.1:1/viz-bin/votable"
    monkeypatch.setattr(VizierClass, "_server_to_url", lambda _self, **_: closed)
    Table({"x": [1.0]}).write(tmp_path / "nowhere.fits")
    faults = {
        ("mine", "--file", tmp_path / "none.fits"): "no such file",
        ("mine", "--file", tmp_path / "nowhere.fits"): "no positions",
        ("my own", "--file", table): "'my own' is no name of a catalogue",
        ("mine", "--vizier", "IX/72", "--timeout", 2): "VizieR (vizier.cds.unistra.fr) does not answer",
    }
    for arguments, fault in faults.items():
        status, out, err = asidcat("reference", "add", *arguments)
        assert (status, out) == (1, "") and fault in err and len(err.splitlines()) == 1, err
    assert asidcat("reference", "list", "--json")[1] == "[]"


def test_wrong_usage(asidcat, engine: Engine) -> None:  # noqa: ARG001
    assert asidcat("reference", "add", "mine")[0] == 2
    assert asidcat("reference", "add", "mine", "--file", "x", "--vizier", "y")[0] == 2


def test_catalogues_of_a_run_by_name(asidcat, table: Path, engine: Engine) -> None:
    assert asidcat("reference", "add", "mine", "--file", table)[0] == 0
    (listed,) = json.loads(asidcat("reference", "list", "--json")[1])
    assert named_references(engine, ["mine", "mine"]) == [listed["sha256"]]
    with pytest.raises(ReferenceNotFound, match=r"^there is no reference catalogue other \(known: mine\)"):
        named_references(engine, ["mine", "other"])
