"""Cone search, cross-match and `match` in SQL on a million sources: `python -m benchmarks.sky_queries [DATABASE_URL]`.

Needs a server where a database may be created (else ASIDCAT_DATABASE_URL); makes one and drops it. All
results are compared with brute force; a difference ends the benchmark with an error.
"""

import json
import os
import sys
import time
import uuid

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sqlalchemy import Connection, Engine, create_engine, text

from benchmarks.machine import RESULTS, describe
from catalog.engine import parse_url, upgrade
from catalog.freezing import freeze
from catalog.ledger import create_run
from catalog.store import (
    position_columns,
    read_detections,
    register_observation,
    write_detections,
    write_measurements,
)
from sky.frames import unit_vectors

N_MANY, N_FEW, SEED = 1_000_000, 6_000, 20261120
CONE_RADII_DEG = (0.1, 1.0, 5.0)
CONES = 200
MATCH_RADIUS_DEG = 0.3
MATCHES = 5
ANGLES = "degrees(atan2(y, x)) AS ra, degrees(atan2(z, sqrt(x * x + y * y))) AS dec"

Positions = tuple[NDArray[np.float64], NDArray[np.float64]]


def random_sky(rng: np.random.Generator, n: int) -> Positions:
    """Galactic longitudes and latitudes, uniform on the sphere, degrees."""
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


def fill(conn: Connection, table: str, sky: Positions) -> None:
    """A table with an index on the cell."""
    columns = position_columns(*sky)
    values = [columns[name].tolist() for name in ("x", "y", "z", "hpx29")]
    conn.execute(text(f"CREATE TABLE {table} (id bigint, x float8, y float8, z float8, hpx29 bigint)"))
    driver = conn.connection.driver_connection
    assert driver is not None
    with driver.cursor().copy(f"COPY {table} FROM STDIN BINARY") as copy:
        copy.set_types(["int8", "float8", "float8", "float8", "int8"])
        for i, row in enumerate(zip(*values, strict=True)):
            copy.write_row((i, *row))
    conn.execute(text(f"CREATE INDEX ON {table} (hpx29)"))
    conn.execute(text(f"ANALYZE {table}"))


def chord(radius_deg: float) -> float:
    """Chord of an angle."""
    return float(2 * np.sin(np.radians(radius_deg) / 2))


def time_cones(conn: Connection, tree: cKDTree, centres: Positions) -> dict[str, dict[str, float]]:
    """Median and 95 % quantile of one search, milliseconds, for each radius."""
    query = text("SELECT id FROM cone_search('many', :l, :b, :r)")
    vectors = unit_vectors(*centres)
    result = {}
    for radius in CONE_RADII_DEG:
        seconds, found = [], 0
        for glon, glat, vector in zip(*centres, vectors, strict=True):
            start = time.perf_counter()
            ids = conn.scalars(query, {"l": float(glon), "b": float(glat), "r": radius}).all()
            seconds.append(time.perf_counter() - start)
            if sorted(ids) != sorted(tree.query_ball_point(vector, chord(radius))):
                raise SystemExit(f"cone at {glon}, {glat}, radius {radius}: differs from brute force")
            found += len(ids)
        median, high = np.quantile(seconds, [0.5, 0.95]) * 1e3
        result[f"{radius:g} deg"] = {
            "median_ms": round(float(median), 2),
            "q95_ms": round(float(high), 2),
            "mean_rows": round(found / len(vectors), 1),
        }
    return result


def time_match(conn: Connection, tree: cKDTree, few: Positions) -> dict[str, float]:
    """Cross-match of the small table with the large one, seconds."""
    query = text("SELECT count(*) FROM crossmatch('few', 'many', :r)")
    expected = int(
        tree.query_ball_point(unit_vectors(*few), chord(MATCH_RADIUS_DEG), return_length=True).sum()
    )
    seconds = []
    for _ in range(MATCHES):
        start = time.perf_counter()
        pairs = conn.execute(query, {"r": MATCH_RADIUS_DEG}).scalar_one()
        seconds.append(time.perf_counter() - start)
        if pairs != expected:
            raise SystemExit(f"cross-match: {pairs} pairs, {expected} by brute force")
    return {
        "best_s": round(min(seconds), 3),
        "median_s": round(float(np.median(seconds)), 3),
        "pairs": expected,
    }


def release(conn: Connection, sky: Positions) -> None:
    """A public release of sources at these places: all the tables that `match` reads."""
    observation = register_observation(
        conn,
        name="benchmark",
        survey="lat-10gev",
        irfs="P8R3_SOURCE_V3",
        content_sha256="0" * 64,
        total_counts=0,
        manifest={},
    )
    run = create_run(conn, observation, detector="matched-filter", seed=1, settings={}, software={})
    glon, glat = sky
    n = len(glon)
    ones = np.ones(n)
    found = {"tile": np.zeros(n, int), "glon_deg": glon, "glat_deg": glat, "background_sr": np.ones((n, 3))}
    found |= dict.fromkeys(("ts", "det_prob", "flux_cm2_s"), ones) | {"disc_deg": np.zeros(n)}
    write_detections(conn, run, [0], found)
    per_band = {f"band_{name}": np.ones((n, 3)) for name in ("flux", "unc_high", "sqrt_ts", "npred")}
    axes = [f"conf_{level}_semi{axis}_deg" for level in (68, 95) for axis in ("major", "minor")]
    plain = dict.fromkeys((*axes, "signif_avg", "flux_cm2_s", "unc_flux_cm2_s", "index", "npred"), ones)
    measured = {"glon_deg": glon, "glat_deg": glat, **per_band, "band_unc_low": -np.ones((n, 3)), **plain}
    measured |= {"conf_posang_deg": 0 * ones, "unc_index": np.nan * ones, "flags": np.zeros(n, int)}
    write_measurements(conn, read_detections(conn, run)["id"], measured)
    conn.execute(text("UPDATE run SET status = 'done', finished_at = now()"))
    freeze(conn, "benchmark", run)
    conn.execute(text("ANALYZE"))


def time_release_match(conn: Connection, table: str, expected: int) -> dict[str, float]:
    """The release against a table, seconds; the rows come as JSON."""
    query = text("SELECT count(*) FROM match(:t, :r)")
    seconds = []
    for _ in range(MATCHES):
        start = time.perf_counter()
        pairs = conn.execute(query, {"t": table, "r": MATCH_RADIUS_DEG}).scalar_one()
        seconds.append(time.perf_counter() - start)
        if pairs != expected:
            raise SystemExit(f"match with {table}: {pairs} pairs, {expected} by brute force")
    return {"best_s": round(min(seconds), 3), "median_s": round(float(np.median(seconds)), 3)}


def measure(engine: Engine) -> dict[str, object]:
    """All figures on one server."""
    rng = np.random.default_rng(SEED)
    many, few, centres = random_sky(rng, N_MANY), random_sky(rng, N_FEW), random_sky(rng, CONES)
    # In the sky's frame the trees need not know: chords are the same in every frame.
    tree = cKDTree(unit_vectors(*many))
    with engine.connect() as conn:
        fill(conn, "many", many)
        fill(conn, "few", few)
        conn.execute(text(f"CREATE TABLE plain AS SELECT id, {ANGLES} FROM many"))
        release(conn, few)
        conn.commit()
        crossmatch = time_match(conn, tree, few)
        pairs = int(crossmatch["pairs"])
        return {
            "server": conn.scalar(text("SHOW server_version")),
            "rows": N_MANY,
            "cone": time_cones(conn, tree, centres),
            "crossmatch": {"few": N_FEW, "radius_deg": MATCH_RADIUS_DEG, **crossmatch},
            "match": {
                "sources": N_FEW,
                "indexed": time_release_match(conn, "many", pairs),
                "ra and dec alone": time_release_match(conn, "plain", pairs),
            },
            "load_average": round(os.getloadavg()[0], 2),
        }


def main() -> None:
    """Make a database, measure, drop it."""
    url = parse_url(sys.argv[1] if len(sys.argv) > 1 else os.environ["ASIDCAT_DATABASE_URL"])
    name = f"asidcat_benchmark_{uuid.uuid4().hex[:8]}"
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as conn:
        conn.execute(text(f"CREATE DATABASE {name}"))
    engine = create_engine(url.set(database=name))
    try:
        upgrade(engine.url)
        figures = describe() | measure(engine)
    finally:
        engine.dispose()
        with server.connect() as conn:
            conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    text_of = json.dumps(figures, indent=2)
    (RESULTS / "sky_queries.json").write_text(text_of + "\n")
    print(text_of)


if __name__ == "__main__":
    main()
