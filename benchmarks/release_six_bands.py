"""A whole release of `lat-6band` on a sky made of 4FGL-DR2's sources: `python -m benchmarks.release_six_bands`.

The documented commands, one after the other, in an empty home: simulate the sky (ten yearly slices), add its truth as
a reference, run, release. Wall and processor time of every step, memory, and how much of 4FGL-DR2 the release
recovers, by significance and latitude, as its report says. Results go to
`benchmarks/results/release-lat-6band.json` and `.md`; those of another sky (`--seed`) to files with its seed in
their names.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

from benchmarks.machine import RESULTS, describe
from benchmarks.release import Steps, machine_lines, table
from benchmarks.watch import Watch
from models import evaluate as ev
from models.detectors import default_detector, default_threshold
from models.likelihood import Flags
from sky.data import data_path
from sky.frames import icrs_to_galactic, separation_deg

SEED = 20261
SURVEY, VERSION = "lat-6band", "lat-6band-dr2-1"
# What is aimed at, and what the founding papers reach on real data (Panes et al. 2021, A&A 656, A62), %.
GOALS = {
    "above 20 σ": (98, 90),
    "10 to 20 σ, |b| > 20°": (97, 90),
    "10 to 20 σ, |b| ≤ 20°": (90, 77),
    "below 10 σ": (75, 48),
    "below 10 σ, associated": (80, 59),
}
# Probabilities of the detector's list, and of the release's sources.
THRESHOLDS = {"Det_Prob": (0.2, 0.3, 0.4, 0.5, 0.7, 0.9), "Prob_Real": (0.0, 0.4, 0.5, 0.6, 0.7, 0.9)}
TABLES = {"Det_Prob": "RawDetections", "Prob_Real": "LAT_Point_Source_Catalog"}
LEAST_SIZE_DEG = 0.2
GOAL_S = 180.0
HEAD = f"""# A whole release of `{SURVEY}`: a sky of 4FGL-DR2's sources, from cube to published folder

`asidcat simulate {SURVEY} --seed {{seed}} --years --population 4fgl-dr2 --extended`, `asidcat reference add truth`,
`asidcat run --reference truth`, `asidcat release {VERSION}`; 768 tiles, ten yearly slices, six bands, FRONT and BACK.

"""


def results(seed: int) -> Path:
    """Where the numbers of a sky lie."""
    return RESULTS / (f"release-{SURVEY}.json" if seed == SEED else f"release-{SURVEY}-{seed}.json")


def measure(folder: Path, seed: int) -> tuple[Steps, Steps, float]:
    """Make sky and release; steps before the clock runs, steps of run and release, peak of memory."""
    home, sky = folder / "home", folder / "sky"
    environment = {**os.environ, "ASIDCAT_HOME": str(home)}
    asidcat = [sys.executable, "-m", "workers.cli"]
    watch = Watch(home)
    watch.start()
    before, steps = Steps(watch), Steps(watch)
    simulate = ["simulate", SURVEY, "-o", str(sky), "--seed", str(seed)]
    simulate += ["--years", "--population", "4fgl-dr2", "--extended"]
    before.run([*asidcat, *simulate], environment, "simulate the sky")
    truth = ["reference", "add", "truth", "--file", str(sky / "truth.fits")]
    before.run([*asidcat, *truth], environment, "add the truth")
    run = ["run", str(sky / "observation.toml"), "--reference", "truth"]
    number = steps.run([*asidcat, *run], environment, "end of the run").split()[-1]
    release = ["release", VERSION, "--run", number, "-o", str(folder / "release")]
    steps.run([*asidcat, *release], environment, "release and report")
    watch.end()
    return before, steps, watch.peak_mib


def recovery(folder: Path) -> list[dict[str, object]]:
    """Recovered fraction of 4FGL-DR2 by class (one to one, 0.3 degrees), beside what is aimed at."""
    found = pd.read_csv(folder / "release" / "report-numbers" / "recovery-by-class-4fgl-dr2.csv")
    found = found[(found["matching"] == "iterative") & (found["radius_deg"] == 0.3)]
    rows = []
    for row in found.to_dict("records"):
        goal, founding = GOALS.get(str(row["selection"]), (None, None))
        rows.append(
            {
                "selection": row["selection"],
                "n": int(row["n"]),
                "recovered": int(row["recovered"]),
                "percent": round(100 * row["fraction"], 1),
                "goal_percent": goal,
                "founding_percent": founding,
            }
        )
    return rows


def by_threshold(folder: Path, by: str) -> list[dict[str, float]]:
    """What is there from several probabilities on: share of it that is in the truth, and of 4FGL-DR2 that is in it.

    One to one within 0.3 degrees, the brightest first. `by` is one of `THRESHOLDS`: the detector's list or the release.
    """
    sources = fits.getdata(folder / "release" / f"asid-{VERSION}.fits", TABLES[by])
    truth = Table.read(folder / "sky" / "truth.fits")
    known = fits.getdata(data_path("catalogs/gll_psc_v27.fit.gz"), "LAT_Point_Source_Catalog")
    faint = known["Signif_Avg"] < 10
    associated = faint & (known["ASSOC1"] != "")
    there, published = _positions(truth), _positions(known)
    rows = []
    for threshold in THRESHOLDS[by]:
        some = sources[sources[by] >= threshold]
        places = ev.Positions(some["GLON"].astype(float), some["GLAT"].astype(float))
        found = ev.match(*published, places).found
        rows.append(
            {
                "from": threshold,
                "rows": len(some),
                "real_percent": round(100 * float(ev.match(*there, places).real.mean()), 1),
                "all_percent": round(100 * float(found.mean()), 1),
                "faint_percent": round(100 * float(found[faint].mean()), 1),
                "faint_associated_percent": round(100 * float(found[associated].mean()), 1),
            }
        )
    return rows


def extended(folder: Path) -> list[dict[str, Any]]:
    """Released sources that seem extended: how many lie in an extended source of the sky, and how wrong fluxes are.

    The flux is compared with that of the extended source which is nearest in radii, in natural logarithms.
    """
    sources = fits.getdata(folder / "release" / f"asid-{VERSION}.fits", TABLES["Prob_Real"])
    truth = Table.read(folder / "sky" / "truth.fits")
    truth = truth[np.array(truth["Model_SemiMajor"]) >= LEAST_SIZE_DEG]
    radius, (there, flux) = np.array(truth["Model_SemiMajor"], float), _positions(truth)
    rows, flags, ts_ext = [], np.array(sources["Flags"]), np.array(sources["TS_Ext"])
    for name, which in {
        "`TS_Ext` 25 or more": ts_ext >= 25,
        "`DISC`": (flags & Flags.DISC) > 0,
        "`WIDE`": (flags & Flags.WIDE) > 0,
    }.items():
        some = sources[which]
        here = np.array(some["GLON"], float)[:, None], np.array(some["GLAT"], float)[:, None]
        radii = separation_deg(*here, there.glon_deg, there.glat_deg) / radius
        inside, nearest = radii.min(axis=1) < 1, radii.argmin(axis=1)
        wrong = np.abs(np.log(np.array(some["Flux1000"], float) / flux[nearest]))
        rows.append(
            {
                "selection": name,
                "n": len(some),
                "inside": int(inside.sum()),
                "centred": int((radii.min(axis=1) < 0.5).sum()),
                "median_flux_error": round(float(np.median(wrong[inside])), 2) if inside.any() else None,
            }
        )
    return rows


def _positions(table: Any) -> tuple[ev.Positions, NDArray[np.float64]]:
    """Places and fluxes of a table with the columns of 4FGL."""
    ra, dec, flux = (np.array(table[name], float) for name in ("RAJ2000", "DEJ2000", "Flux1000"))
    return ev.Positions(*icrs_to_galactic(ra, dec)), flux


def markdown(result: dict[str, Any]) -> str:
    """The results for people."""
    lines = ["| 4FGL-DR2 | sources | recovered | % | goal | founding papers |", "|---|---|---|---|---|---|"]
    for row in result["recovery"]:
        goal, founding = row["goal_percent"], row["founding_percent"]
        name = row["selection"].replace("|", "\\|")
        met = "" if goal is None else f"{goal} %, {'met' if row['percent'] >= goal else 'missed'}"
        known = "" if founding is None else f"{founding} %"
        lines.append(f"| {name} | {row['n']} | {row['recovered']} | {row['percent']} | {met} | {known} |")
    total, before = result["steps"][-1], result["before"][-1]
    times = (
        f"Run and release: {total['wall_s']:.0f} s of wall time, {total['cpu_s']:.0f} s of processor time, which is"
        f" {total['cpu_s'] / 2:.0f} s on two free cores at best; the goal is {GOAL_S:.0f} s. Making the sky is not"
        f" counted: {before['wall_s']:.0f} s, {before['cpu_s']:.0f} s of processor time."
    )
    return "\n".join(
        [
            HEAD.format(seed=result["seed"])
            + machine_lines(result["machine"], result["load_average_before"]),
            "",
            "Matched one to one within 0.3 degrees; the founding papers' figures are on real data.",
            "",
            *lines,
            "",
            f"The release has the detections of `Det_Prob` {result['threshold']} or more. The detector's list from other"
            " thresholds on: how much of it is there (in the sky's truth), and how much of 4FGL-DR2 it has, the brightest"
            " matched first:",
            "",
            *_listed(result, "Det_Prob"),
            "",
            "The same of the release's sources, by the probability that the catalogue gives them:",
            "",
            *_listed(result, "Prob_Real"),
            "",
            f"Sources that seem extended: how many lie in one of {LEAST_SIZE_DEG} degrees or more, in the inner half"
            " of its radius, and how wrong the flux is (median of the logarithm's error, where inside):",
            "",
            "| | rows | inside | centred | flux |",
            "|---|---|---|---|---|",
            *("| " + " | ".join(map(str, row.values())) + " |" for row in result["extended"]),
            "",
            times,
            "",
            table(result["steps"], result["peak_memory_mib"]),
        ]
    )


def _listed(result: dict[str, Any], by: str) -> list[str]:
    rows = [
        "| " + " | ".join(str(value) for value in row.values()) + " |" for row in result["by_threshold"][by]
    ]
    head = f"| `{by}` from | rows | there, % | all, % | below 10 σ, % | below 10 σ, associated, % |"
    return [head, "|---|---|---|---|---|---|", *rows]


def main(keep: Path | None, seed: int) -> None:
    """Measure once and write the results; sky, release and home stay in the folder `keep`, if there is one."""
    load, where = os.getloadavg()[0], describe()
    with tempfile.TemporaryDirectory(prefix="asidcat-benchmark-") as temporary:
        folder = Path(temporary) if keep is None else keep.absolute()
        before, steps, peak_mib = measure(folder, seed)
        rows, listed = recovery(folder), {by: by_threshold(folder, by) for by in THRESHOLDS}
        wide = extended(folder)
    result = {
        "machine": where,
        "load_average_before": round(load, 1),
        "seed": seed,
        "threshold": default_threshold(SURVEY, default_detector(SURVEY)),
        "before": before.rows(),
        "steps": steps.rows(),
        "peak_memory_mib": round(peak_mib, 1),
        "recovery": rows,
        "by_threshold": listed,
        "extended": wide,
    }
    RESULTS.mkdir(exist_ok=True)
    results(seed).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    write_again(seed)


def write_again(seed: int) -> None:
    """The results for people from the numbers that are there."""
    text = markdown(json.loads(results(seed).read_text()))
    results(seed).with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="empty folder for the sky, the release and their home")
    parser.add_argument(
        "--text", action="store_true", help="measure nothing, write the text of the last numbers"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of the sky")
    arguments = parser.parse_args()
    write_again(arguments.seed) if arguments.text else main(arguments.keep, arguments.seed)
