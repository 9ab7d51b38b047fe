"""TOPCAT's command line cross-matches a release with 4FGL-DR2, and gets what the database gets."""

import csv
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, text

from catalog.formats.fits import write_fits
from catalog.freezing import freeze
from catalog.references import load_reference
from catalog.release import release_record, release_table
from catalog.store import (
    read_detections,
    read_measurements,
    write_associations,
    write_detections,
    write_measurements,
)
from tests.catalog.small_run import new_run, some_detections, some_measurements
from workers.associating import associate_run, read_references

RADIUS_DEG = 0.3
FGL = "catalogs/gll_psc_v27.fit.gz"

pytestmark = pytest.mark.skipif(
    shutil.which("stilts") is None, reason="stilts is not installed (Debian: apt install stilts)"
)


def release_near(conn: Connection, reference: Path, target: Path) -> None:
    """A release whose sources lie up to half a degree from every tenth source of a catalogue."""
    rng = np.random.default_rng(20261121)
    load_reference(conn, reference)
    query = "SELECT glon_deg, glat_deg FROM reference_source WHERE abs(glat_deg) < 80 ORDER BY id"
    near = np.array(conn.execute(text(query)).all())[::10]
    run = new_run(conn)
    found = some_detections(rng, [0, 1, 2], len(near))
    found["glon_deg"] = (near[:, 0] + rng.uniform(-0.3, 0.3, len(near))) % 360
    found["glat_deg"] = near[:, 1] + rng.uniform(-0.3, 0.3, len(near))
    write_detections(conn, run, [0, 1, 2], found)
    rows = read_detections(conn, run)
    write_measurements(conn, rows["id"], some_measurements(rng, rows["glon_deg"], rows["glat_deg"]))
    sha256 = conn.scalars(text("SELECT sha256 FROM reference_catalog")).all()
    write_associations(conn, run, *associate_run(read_measurements(conn, run), read_references(conn, sha256)))
    conn.execute(text("UPDATE run SET status = 'done', finished_at = now()"))
    freeze(conn, "v1", run)
    write_fits(conn, release_record(conn, "v1"), release_table(conn, "v1"), target)


def stilts_pairs(ours: Path, reference: Path, find: str, folder: Path) -> list[tuple[str, str]]:
    """Pairs of names that `stilts tskymatch2` finds."""
    out = folder / f"{find}.csv"
    places = [f"{axis}{k}={name}" for k in (1, 2) for axis, name in (("ra", "RAJ2000"), ("dec", "DEJ2000"))]
    command = ["stilts", "tskymatch2", f"in1={ours}#1", f"in2={reference}#1", *places]
    command += [f"error={3600 * RADIUS_DEG}", "join=1and2", f"find={find}", f"out={out}", "ofmt=csv"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    with out.open() as lines:
        rows = list(csv.DictReader(lines))
    return sorted((row["Source_Name_1"].strip(), row["Source_Name_2"].strip()) for row in rows)


def test_it_gets_what_the_database_gets(engine: Engine, lat_data: Path, tmp_path: Path) -> None:
    ours, reference = tmp_path / "asid-v1.fits", lat_data / FGL
    with engine.begin() as conn:
        release_near(conn, reference, ours)
    with engine.connect() as conn:
        matched = conn.execute(
            text("SELECT source_name, matched ->> 'name' FROM match('4FGL-DR2', :radius)"),
            {"radius": RADIUS_DEG},
        ).all()
        one_to_one = conn.execute(
            text("SELECT source_name, ref_name FROM associations WHERE matched_03")
        ).all()
    everything = stilts_pairs(ours, reference, "all", tmp_path)
    assert everything == sorted(tuple(row) for row in matched)
    best = stilts_pairs(ours, reference, "best", tmp_path)
    assert best == sorted(tuple(row) for row in one_to_one)
    assert 200 < len(best) < len(everything)
