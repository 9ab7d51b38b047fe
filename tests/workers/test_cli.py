"""The command line: what users type, what they get, and what they are told when it cannot be done."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from astropy.io import fits
from sqlalchemy import Engine, text

from catalog.engine import head_revision
from tests.workers.program import EMBEDDED, Asidcat

TILES = "0-3"


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_from_sky_to_release(asidcat: Asidcat, ledger: Engine, observation: Path, tmp_path: Path) -> None:  # noqa: ARG001
    run_id = asidcat("run", observation, "--tiles", TILES).splitlines()[-1]
    (run,) = json.loads(asidcat("status", "--json"))
    assert (run["run"], run["observation"], run["status"]) == (int(run_id), "synthetic", "done")
    assert run["detections"] > 0
    stages = json.loads(asidcat("status", run_id, "--json"))
    assert [(stage["stage"], stage["done"]) for stage in stages] == [
        ("detect", 4),
        ("characterise", 4),
        ("associate", 1),
    ]

    printed = asidcat("release", "test-1", "--run", run_id, "-o", tmp_path / "first").splitlines()
    assert [Path(line).name for line in printed] == ["asid-test-1.fits", "report.html"]
    assert all(Path(line).is_file() for line in printed)
    rows = fits.getdata(printed[0], "LAT_Point_Source_Catalog")
    probable = json.loads(
        asidcat("sql", "SELECT count(*) AS n FROM detection WHERE det_prob >= 0.5", "--json")
    )
    assert 0 < len(rows) == probable[0]["n"] <= run["detections"]
    said = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=tmp_path / "first",
        capture_output=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr

    asidcat("release", "test-1", "--run", run_id, "-o", tmp_path / "second")
    assert bytes_of(tmp_path / "first") == bytes_of(tmp_path / "second")
    refused = asidcat("release", "test-1", "--run", run_id, "-o", tmp_path / "first", status=1)
    assert refused == f"asidcat: {tmp_path / 'first'}: exists already and is not an empty folder"
    asidcat("report", "test-1", "-o", tmp_path / "third")
    report = (tmp_path / "third" / "report.html").read_bytes()
    assert report == (tmp_path / "first" / "report.html").read_bytes()

    brightest = max(rows, key=lambda row: row["Signif_Avg"])
    near = json.loads(asidcat("cone", brightest["GLON"], brightest["GLAT"], 0.01, "--json"))
    assert [source["source_name"] for source in near] == [brightest["Source_Name"]]
    counted = json.loads(asidcat("sql", "SELECT count(*) AS n FROM catalogue_latest", "--json"))
    assert counted == [{"n": len(rows)}]
    again = asidcat("run", "--resume", run_id)
    assert again.splitlines()[-1] == run_id


def test_an_unfinished_run_is_not_released(asidcat: Asidcat, tmp_path: Path) -> None:
    asidcat("db", "upgrade")
    assert (
        asidcat("release", "v", "--run", 9, "-o", tmp_path / "out", status=1) == "asidcat: there is no run 9"
    )
    assert not (tmp_path / "out").exists()
    assert asidcat("run", "--resume", 9, status=1) == "asidcat: there is no run 9"
    assert asidcat("status", 9, status=1) == "asidcat: there is no run 9"
    assert asidcat("publish", "v9", status=1) == "asidcat: there is no release v9"
    assert asidcat("diff", "v8", "v9", status=1) == "asidcat: there is no release v8"


def truncate_photons(path: Path) -> str:
    photons = path.with_name("photons.fits")
    photons.write_bytes(photons.read_bytes()[:100_000])
    return "photons.fits"


def remove_exposure(path: Path) -> str:
    path.with_name("exposure.fits").unlink()
    return "exposure.fits"


def no_exposure(path: Path) -> str:
    with fits.open(path.with_name("exposure.fits"), mode="update") as hdus:
        hdus[1].data["ENERGY1"][:] = hdus[1].data["ENERGY2"][:] = 0
    return "exposure.fits"


def unknown_survey(path: Path) -> str:
    path.write_text(path.read_text().replace("lat-10gev", "lat-11gev"))
    return "unknown survey 'lat-11gev'"


def not_toml(path: Path) -> str:
    path.write_text("[observation\n")
    return "observation.toml: not a TOML file"


FAULTS = [truncate_photons, remove_exposure, no_exposure, unknown_survey, not_toml]


def test_bad_input_leaves_the_database_as_it_was(
    asidcat: Asidcat, ledger: Engine, observation: Path, tmp_path: Path
) -> None:
    asidcat("db", "upgrade")
    for spoil in FAULTS:
        bad = tmp_path / spoil.__name__ / "observation.toml"
        shutil.copytree(observation.parent, bad.parent)
        expected = spoil(bad)
        line = asidcat("run", bad, status=1).splitlines()[-1]
        assert line.startswith("asidcat: ")
        assert expected in line
        with ledger.connect() as conn:
            for table in ("observation", "input_file", "run", "work_item"):
                assert conn.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0
        assert not list(asidcat.home.glob("cubes/*"))


def test_wrong_usage(asidcat: Asidcat) -> None:
    for arguments in (
        ["run"],
        ["release", "v"],
        ["nothing"],
        ["run", "a.toml", "--resume", "1"],
        ["cone", "1", "2"],
    ):
        assert "Usage: asidcat" in asidcat(*arguments, status=2)
    assert not asidcat.home.exists()


def test_unknown_detector_and_tiles(asidcat: Asidcat, observation: Path) -> None:
    line = asidcat("run", observation, "--detector", "eye", status=1)
    assert line == "asidcat: unknown detector 'eye'; known: matched-filter, unet, unet-counts"
    line = asidcat("run", observation, "--localiser", "disk", status=1)
    assert line == "asidcat: detector 'matched-filter' takes no localiser; only unet and unet-counts do"
    line = asidcat("run", observation, "--detector", "unet", "--localiser", "eye", status=1)
    assert line.startswith("asidcat: unknown localiser 'eye'; known: centre-direction, ")
    assert not asidcat.home.exists()  # no service was started for it
    assert asidcat("run", observation, "--tiles", "760-770", status=1).startswith(
        "asidcat: tiles are numbered"
    )
    assert "not a list of tiles" in asidcat("run", observation, "--tiles", "a-b", status=2)


def test_unreachable_services(asidcat: Asidcat, observation: Path) -> None:
    for name, value, fault in (
        (
            "DATABASE_URL",
            "postgresql://someone:secret@127.0.0.1:1/x",
            "cannot use the database postgresql://someone:***@127.0.0.1:1/x: ",
        ),
        ("DATABASE_URL", "mysql://x/y", "the database must be PostgreSQL, not mysql"),
        ("BROKER_URL", "redis://:secret@127.0.0.1:1/0", "cannot use the broker redis://:**@127.0.0.1:1/0: "),
        ("BROKER_URL", "amqp://u:secret@127.0.0.1:1//", "cannot use the broker amqp://u:**@127.0.0.1:1//: "),
    ):
        asidcat.environment[f"ASIDCAT_{name}"] = value
        line = asidcat("run", observation, status=1)
        assert line.startswith(f"asidcat: {fault}")
        assert "\n" not in line
        assert "secret" not in line
        del asidcat.environment[f"ASIDCAT_{name}"]


def test_schema_of_another_program(
    asidcat: Asidcat, empty_database_url: str, database_url: str, engine: Engine
) -> None:
    asidcat.environment["ASIDCAT_DATABASE_URL"] = empty_database_url
    assert asidcat("status", status=1).endswith("does not exist: run `asidcat db upgrade`")
    assert f"is at {head_revision()}" in asidcat("db", "upgrade")
    assert asidcat("status", "--json") == "[]"
    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    asidcat.environment["ASIDCAT_DATABASE_URL"] = database_url
    for command in (["status"], ["db", "upgrade"]):
        assert "(9999) is newer than this program" in asidcat(*command, status=1)


def test_bad_settings(asidcat: Asidcat, tmp_path: Path) -> None:
    (tmp_path / "asidcat.toml").write_text("wokers = 2\n")
    asidcat.environment["ASIDCAT_CONFIG"] = str(tmp_path / "asidcat.toml")
    assert asidcat("status", status=1) == f"asidcat: {tmp_path}/asidcat.toml: unknown setting 'wokers'"


@pytest.mark.skipif(not EMBEDDED, reason="about the embedded services")
def test_home_that_cannot_be_used(asidcat: Asidcat, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    asidcat.environment["ASIDCAT_HOME"] = str(tmp_path / "file" / "home")
    assert (
        asidcat("status", status=1)
        == f"asidcat: {tmp_path}/file/home: cannot use this data folder: Not a directory"
    )


def test_version_and_help_need_no_services(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "workers.cli", "--help"],
        env={"ASIDCAT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Ingest, detect" in said.stdout
    assert not (tmp_path / "home").exists()
