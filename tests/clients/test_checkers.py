"""The checkers of the formats find nothing to say."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import Released


def run(*command: str) -> str:
    """What a program says; fails with it if it fails."""
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout + said.stderr


WHERE = {
    "fitsverify": "python -m scripts.fitsverify FOLDER compiles it",
    "stilts": "Debian: apt install stilts",
}


def program(name: str) -> str:
    """Path of a program, or the test is skipped."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed ({WHERE[name]})")
    return path


@pytest.mark.parametrize("file", ["fits", "fgl"])
def test_fitsverify_has_no_error_and_no_warning(released: Released, file: str) -> None:
    said = run(program("fitsverify"), "-l", str(getattr(released, file)))
    assert "0 warning(s) and 0 error(s)" in said


@pytest.mark.parametrize("file", ["fits", "fgl"])
def test_fitscheck_finds_all_checksums_right(released: Released, file: str) -> None:
    script = "import sys; from astropy.io.fits.scripts.fitscheck import main; sys.exit(main(sys.argv[1:]))"
    said = run(sys.executable, "-c", script, "--compliance", "--verbose", str(getattr(released, file)))
    assert "OK" in said


def test_volint_finds_no_violation(released: Released) -> None:
    script = "from astropy.io.votable.volint import main; main()"
    assert "found no violations" in run(sys.executable, "-c", script, str(released.votable))


def test_votlint_finds_nothing(released: Released) -> None:
    said = run(program("stilts"), "votlint", f"votable={released.votable}")
    assert not [line for line in said.splitlines() if line.startswith(("ERROR", "WARNING"))]


def test_stilts_reads_every_form_alike(released: Released, tmp_path: Path) -> None:
    stilts = program("stilts")
    columns = "Source_Name RAJ2000 DEJ2000 Signif_Avg Prob_Real CLASS1"
    texts = []
    for form, path in (("fits", f"{released.fits}#1"), ("votable", released.votable)):
        out = tmp_path / f"{form}.csv"
        command = f"keepcols '{columns}'"
        run(stilts, "tpipe", f"ifmt={form}", f"in={path}", f"cmd={command}", f"out={out}", "ofmt=csv")
        texts.append(out.read_text())
    assert texts[0] == texts[1] and texts[0].count("\n") == len(released.table) + 1
