"""How often an association is chance: `python -m benchmarks.association [RELEASE]`.

The sources of a release (the newest public one) are displaced along their galactic latitude, where nothing is their
counterpart, and associated with the priors of the true places. What is found there is chance. Beside it stands
what the probabilities themselves expect.
"""

import json
import sys
import time

import numpy as np
import pandas as pd
from sqlalchemy import Connection, text

from benchmarks.machine import RESULTS, describe
from catalog.association import evidence, near_rows, stratum_priors
from catalog.positions import Positions
from catalog.posterior import posterior
from catalog.reference_objects import ReferenceRows, reference_objects
from catalog.release import release_record
from catalog.store import read_measurements
from sky.frames import galactic_to_icrs
from workers.associating import ellipses, read_references, reference_rows, signif_strata
from workers.session import open_session
from workers.settings import load_settings

SHIFTS_DEG = (-6.0, -4.5, -3.0, 3.0, 4.5, 6.0)
"""On the sky, along the parallel of latitude."""
LEVELS = (0.5, 0.8, 0.95)


def displaced(rows: pd.DataFrame, shift_deg: float) -> Positions:
    """Positions moved along their galactic latitude; error ellipses stay as they are."""
    here = ellipses(rows, "conf_posang_deg")
    glat = rows["glat_deg"].to_numpy()
    glon = rows["glon_deg"].to_numpy() + shift_deg / np.maximum(np.cos(np.radians(glat)), 0.05)
    return Positions(*galactic_to_icrs(glon, glat), here.covariance_deg2)


def measure(rows: pd.DataFrame, catalogues: list[ReferenceRows]) -> dict[str, object]:
    """Counts at the true places and, on average, at the displaced ones."""
    stratum = signif_strata(rows["signif_avg"].to_numpy(), rows["glat_deg"].to_numpy())
    start = time.perf_counter()
    objects = reference_objects(catalogues)
    places = ellipses(rows, "conf_posang_deg")
    near = near_rows(places, catalogues)
    found, _, _ = evidence(places, objects, near)
    priors = stratum_priors(found, stratum)
    known = 1 - posterior(*found.terms, stratum, priors)[1]
    seconds = time.perf_counter() - start
    chance, matched = [], []
    for shift in SHIFTS_DEG:
        moved = displaced(rows, shift)
        near_moved = near_rows(moved, catalogues)
        terms = evidence(moved, objects, near_moved)[0].terms
        chance.append(1 - posterior(*terms, stratum, priors)[1])
        matched.append(len(np.unique(near_moved.detection[near_moved.sep_deg <= 0.3])))
    n, unknown = len(rows), float(np.sum(1 - known))
    levels = {}
    for level in LEVELS:
        accepted = known >= level
        rate = float(np.mean([np.mean(c >= level) for c in chance]))
        levels[f"P >= {level:g}"] = {
            "sources": int(accepted.sum()),
            "false_expected_by_probabilities": round(float(np.sum(1 - known[accepted])), 1),
            "chance_rate_displaced_percent": round(100 * rate, 2),
            "false_expected_by_displacement": round(rate * unknown, 1),
        }
    return {
        "sources": n,
        "expected_with_counterpart": round(float(known.sum()), 1),
        "within_0.3_deg": len(np.unique(near.detection[near.sep_deg <= 0.3])),
        "within_0.3_deg_displaced_percent": round(100 * float(np.mean(matched)) / n, 2),
        "levels": levels,
        "seconds": round(seconds, 2),
    }


def read(conn: Connection, version: str | None) -> tuple[str, pd.DataFrame, list[str], list[ReferenceRows]]:
    """Sources of a release and the catalogues its run was associated with."""
    record = release_record(conn, version or str(conn.scalar(text("SELECT newest_release()"))))
    rows = read_measurements(conn, record.run_id)
    settings = record.provenance["settings"]
    rows = rows[rows["det_prob"] >= settings.get("threshold", 0.0)].reset_index(drop=True)
    names = [f"{c['name']} {c['version']}" for c in record.provenance["references"]]
    return (
        record.version,
        rows,
        names,
        [reference_rows(r) for r in read_references(conn, settings["references"])],
    )


def main() -> None:
    """Measure and write."""
    with open_session(load_settings()) as session, session.engine.connect() as conn:
        version, rows, names, catalogues = read(conn, sys.argv[1] if len(sys.argv) > 1 else None)
    figures = describe() | {"release": version, "catalogues": names} | measure(rows, catalogues)
    words = json.dumps(figures, indent=2)
    (RESULTS / f"association-{version}.json").write_text(words + "\n")
    print(words)


if __name__ == "__main__":
    main()
