"""A catalogue of a million rows as files: `python -m benchmarks.export [--rows N] [--forms fits parquet hats vot]`.

Fills a database of its own with a made-up run (every table that the catalogue's columns come from), freezes it, and
times each file of the release, from the database on: wall time, processor time of this program and of the server. The
database is dropped at the end. Results: `benchmarks/results/export.json`.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil
from sqlalchemy import Connection, create_engine, text

from benchmarks.machine import RESULTS, describe
from catalog import ledger, store
from catalog.engine import make_engine, parse_url, upgrade
from catalog.formats.fits import write_fits
from catalog.formats.hats import write_hats
from catalog.formats.parquet import write_parquet
from catalog.formats.votable import write_votable
from catalog.freezing import freeze
from catalog.release import release_record, release_table
from catalog.tables import Detection, Measurement, ReferenceSource
from workers.session import open_session
from workers.settings import load_settings

T = TypeVar("T")
SEED, SHA = 20261121, "0123456789abcdef" * 4
REFERENCES = 6000
# What does not have to be random, made by the server: bands, classes, networks' words, extension, counterparts.
DERIVED = (
    "INSERT INTO band_flux SELECT id, b, flux_cm2_s / 3, CASE WHEN b < 2 THEN -0.1 * flux_cm2_s END,"
    " 0.1 * flux_cm2_s, 3, 10 FROM detection, generate_series(0, 2) b",
    "INSERT INTO class_probability SELECT id, v, 0.4, 0.3, 0.1, 0.1, 0.1"
    " FROM detection, unnest(ARRAY['full', 'blind']) v",
    "INSERT INTO network_measurement (detection_id, prob_real, flux_cm2_s, unc_flux_cm2_s, sys_flux, flags)"
    " SELECT id, det_prob, flux_cm2_s, 0.1 * flux_cm2_s, 0.02, 0 FROM detection",
    "INSERT INTO network_band_flux SELECT id, b, flux_cm2_s / 3, 0.1 * flux_cm2_s"
    " FROM detection, generate_series(0, 2) b",
    "INSERT INTO extension SELECT id, 0.2, 0.02, 30 FROM detection WHERE id % 100 = 0",
    "INSERT INTO association (detection_id, reference_source_id, sep_deg, prob, matched_03, matched_05)"
    " SELECT d.id, s.id, 0.05, 0.9, true, true FROM reference_source s"
    " JOIN (SELECT id, row_number() OVER (ORDER BY id) AS k FROM detection) d ON d.k = 100 * s.id",
)


def fill(conn: Connection, n: int) -> int:
    """A finished run of `n` sources everywhere on the sky; returns its id."""
    rng = np.random.default_rng(SEED)
    observation = store.register_observation(
        conn,
        name="a-million",
        survey="lat-10gev",
        irfs="P8R2_SOURCE_V6",
        content_sha256=SHA,
        total_counts=n,
        manifest={},
    )
    run = ledger.create_run(conn, observation, detector="matched-filter", seed=1, settings={}, software={})
    glon, glat = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    flux = 1e-11 * (1 - rng.random(n)) ** -0.7
    place = store.position_columns(glon, glat)
    store.copy_rows(
        conn,
        Detection,
        {
            "run_id": np.full(n, run),
            "tile": np.zeros(n, int),
            "ordinal": np.arange(n),
            "det_prob": rng.uniform(0, 1, n),
            "ts": rng.uniform(10, 1000, n),
            "flux_cm2_s": flux,
            "background_sr": [[1.0]] * n,
            **place,
        },
    )
    axes = rng.uniform(0.01, 0.05, n)
    ids = conn.scalars(text("SELECT id FROM detection ORDER BY id")).all()
    measured = {
        "detection_id": ids,
        "conf_68_semimajor_deg": axes,
        "conf_68_semiminor_deg": axes,
        "conf_95_semimajor_deg": 1.62 * axes,
        "conf_95_semiminor_deg": 1.62 * axes,
        "conf_posang_deg": rng.uniform(-89, 89, n),
        "signif_avg": rng.uniform(4, 100, n),
        "flux_cm2_s": flux,
        "unc_flux_cm2_s": 0.1 * flux,
        "index": rng.normal(2.2, 0.2, n),
        "unc_index": np.full(n, 0.2),
        "npred": rng.uniform(5, 500, n),
        "flags": np.zeros(n, int),
    }
    store.copy_rows(conn, Measurement, measured | place)
    conn.execute(
        text(
            "INSERT INTO reference_catalog (name, version, sha256, file_name, citation)"
            " VALUES ('4FGL-DR2', 'v27', repeat('a', 64), 'f', 'c')"
        )
    )
    sources = {
        "catalog_id": np.ones(REFERENCES, int),
        "name": [f"R{k}" for k in range(REFERENCES)],
        "source_class": [""] * REFERENCES,
        "association": [""] * REFERENCES,
        "extended": np.zeros(REFERENCES, bool),
        "flags": np.zeros(REFERENCES, int),
        "extra": [{}] * REFERENCES,
    }
    near = {name: values[:REFERENCES] for name, values in place.items()}
    store.copy_rows(conn, ReferenceSource, sources | near)
    for statement in DERIVED:
        conn.execute(text(statement))
    conn.execute(text("UPDATE run SET status = 'done', finished_at = now()"))
    return run


class Clock:
    """Wall and processor seconds of steps, the server's beside this program's."""

    def __init__(self, conn: Connection) -> None:
        self.server = psutil.Process(conn.scalar(text("SELECT pg_backend_pid()")))
        self.steps: dict[str, dict[str, float]] = {}

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter(), time.process_time(), sum(self.server.cpu_times()[:2])

    def time(self, name: str, act: Callable[[], T]) -> T:
        """Do something and note what it takes."""
        began = self._now()
        done = act()
        spent = (round(now - then, 1) for now, then in zip(self._now(), began, strict=True))
        self.steps[name] = dict(zip(("wall_s", "program_cpu_s", "server_cpu_s"), spent, strict=True))
        print(f"{name}: {self.steps[name]}", file=sys.stderr, flush=True)
        return done


def measure(url: str, n: int, forms: Sequence[str]) -> dict[str, object]:
    """Seconds of each step, and the size of each file."""
    engine = make_engine(url)
    sizes: dict[str, float] = {}
    with engine.begin() as conn:
        # The rows are right: checking each reference again would take most of the time.
        conn.execute(text("SET LOCAL session_replication_role = replica"))
        fill(conn, n)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE"))
    with engine.begin() as conn, tempfile.TemporaryDirectory(prefix="asidcat-benchmark-") as folder:
        clock = Clock(conn)
        clock.time("freeze", lambda: freeze(conn, "v1", 1))
        table = clock.time("read the catalogue", lambda: release_table(conn, "v1"))
        record = release_record(conn, "v1")
        writers: dict[str, Callable[[Path], None]] = {
            "fits": lambda path: write_fits(conn, record, table, path),
            "parquet": lambda path: write_parquet(record, table, path),
            "hats": lambda path: write_hats(record, table, path),
            "vot": lambda path: write_votable(record, table, path),
        }
        for suffix in forms:
            path = Path(folder) / f"asid-v1.{suffix}"
            clock.time(suffix, partial(writers[suffix], path))
            files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
            sizes[suffix] = round(sum(p.stat().st_size for p in files) / 2**20, 1)
    engine.dispose()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"rows": n, "steps": clock.steps, "MiB": sizes, "peak_memory_of_the_program_mib": round(peak)}


def main(n: int, forms: Sequence[str]) -> None:
    """Make a database, measure, drop it."""
    load = os.getloadavg()[0]
    name = f"asidcat_benchmark_{uuid.uuid4().hex[:8]}"
    with open_session(load_settings()) as session:
        url = parse_url(session.engine.url)
        server = create_engine(url, isolation_level="AUTOCOMMIT")
        with server.connect() as conn:
            conn.execute(text(f"CREATE DATABASE {name}"))
        own = url.set(database=name).render_as_string(hide_password=False)
        try:
            upgrade(own)
            found = measure(own, n, forms)
        finally:
            with server.connect() as conn:
                conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    figures = {"machine": describe(), "load_average_before": round(load, 1)} | found
    (RESULTS / "export.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--forms", nargs="+", default=["fits", "parquet", "hats", "vot"])
    arguments = parser.parse_args()
    main(arguments.rows, arguments.forms)
