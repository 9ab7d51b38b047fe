"""A sceptic's checks: what the detectors find where nothing, or nothing known, is.

Run ``python -m benchmarks.sceptic [--survey lat-10gev] [--step 8]``. Skies without sources (interstellar
emission B1 and B2, and nothing but isotropic photons); the real sky turned by 30 degrees; the real sky with
Poisson background in place of every published source's neighbourhood.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import healpy as hp
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from benchmarks.localisation.skies import Case, Truths, real_case, sky_seed
from benchmarks.machine import RESULTS, describe
from benchmarks.skies import exposure_maps
from models import evaluate as ev
from models.detectors import DETECTORS, default_threshold, make_detector
from models.likelihood import Detections
from sky.counts import CountsCube, HealpixCounts
from sky.exposure import ExposureMaps
from sky.frames import lon_lat, unit_vectors
from sky.photons import photon_vectors, stream_key
from sky.response import load_response
from sky.simulate import synthetic_sky
from sky.survey import Survey, get_survey
from sky.tiles import N_TILES, TileGrid

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

EMPTY_SKY = 100  # its number in the test split
TURN = Rotation.from_euler("x", 30, degrees=True)
# A neighbourhood reaches this far from a published source; its new background is the mean of what lies around.
NEIGHBOURHOOD_DEG = 0.5
AROUND_DEG = 1.5
MEAN_ORDER = 8
SEED = 1


def empty_sky(survey: Survey, emission: str) -> tuple[CountsCube, ExposureMaps]:
    """Interstellar and isotropic photons of a sky of the test split, no source; `isotropic`: those alone."""
    sky = synthetic_sky(survey, sky_seed(EMPTY_SKY), "B1" if emission == "isotropic" else emission)
    names = ("isotropic",) if emission == "isotropic" else ("diffuse", "isotropic")
    maps = {}
    for plane, (band, event_type) in enumerate(survey.planes):
        counts = sum(sky.draw_component(plane, 0, name) for name in names)
        maps[band, event_type, 0] = HealpixCounts.from_dense(survey.bands[band].order, counts)
    return CountsCube(survey, maps), exposure_maps(sky)


def turned(cube: CountsCube, exposure: ExposureMaps) -> tuple[CountsCube, ExposureMaps]:
    """The sky turned by `TURN`: every photon, whole, from a place in its pixel, and the exposure with it."""
    survey, maps = cube.survey, {}
    for plane, (band, event_type) in enumerate(survey.planes):
        order = survey.bands[band].order
        ipix, values = cube.plane(plane).sparse()
        vectors = np.stack(photon_vectors(order, ipix, values, stream_key(SEED, plane, 0)))
        moved = TURN.as_matrix() @ vectors
        maps[band, event_type, 0] = HealpixCounts.from_pixels(
            order, hp.vec2pix(1 << order, *moved, nest=True)
        )
    nside = 1 << exposure.order
    centres = np.stack(hp.pix2vec(nside, np.arange(hp.nside2npix(nside)), nest=True), axis=-1)
    glon, glat = lon_lat(centres @ TURN.as_matrix())
    planes = [exposure.at(p, glon, glat) for p in range(len(survey.planes))]
    return CountsCube(survey, maps), ExposureMaps(survey, exposure.order, np.array(planes)[:, None])


def blanked(cube: CountsCube, known: Array, rng: np.random.Generator) -> CountsCube:
    """Poisson counts of the surrounding mean instead of what lies within `NEIGHBOURHOOD_DEG` of places [n, 3].

    The mean is a Gaussian one of `AROUND_DEG` over the pixels that are no source's.
    """
    survey, maps = cube.survey, {}
    nside = 1 << MEAN_ORDER
    for plane, (band, event_type) in enumerate(survey.planes):
        order = survey.bands[band].order
        counts = cube.dense(plane).astype(np.int64)
        near = np.zeros(len(counts), bool)
        for vector in known:
            near[hp.query_disc(1 << order, vector, np.radians(NEIGHBOURHOOD_DEG), nest=True)] = True
        levels = 4 ** (order - MEAN_ORDER)
        free = np.where(near, 0, 1).reshape(-1, levels).sum(axis=1).astype(float)
        kept = np.where(near, 0, counts).reshape(-1, levels).sum(axis=1).astype(float)
        wide = [_smooth(values, nside) for values in (kept, free)]
        mean = np.clip(wide[0], 0, None) / np.maximum(wide[1], 1e-6)
        counts[near] = rng.poisson(np.repeat(mean, levels)[near])
        maps[band, event_type, 0] = HealpixCounts.from_dense(order, counts)
    return CountsCube(survey, maps)


def _smooth(nested: Array, nside: int) -> Array:
    ring = hp.smoothing(hp.reorder(nested, n2r=True), sigma=np.radians(AROUND_DEG), lmax=3 * nside // 2)
    return np.asarray(hp.reorder(ring, r2n=True), float)


def detected(
    detector: str, cube: CountsCube, exposure: ExposureMaps, irfs: str, tiles: Sequence[int]
) -> Detections:
    """The catalogue a run would make of some tiles."""
    grid, response = TileGrid(cube.survey), load_response(irfs)
    found = make_detector(detector)(cube, exposure, response, grid, tiles, SEED)
    return found.select(found.det_prob >= default_threshold(cube.survey.name, detector))


def counted(found: Detections, chosen: Bools | None = None) -> dict[str, int]:
    """Detections in all, the surer ones, and those near the plane."""
    which = np.ones(len(found), bool) if chosen is None else chosen
    return {
        "detections": int(which.sum()),
        "above_0.5": int((which & (found.det_prob >= 0.5)).sum()),
        "above_0.9": int((which & (found.det_prob >= 0.9)).sum()),
        "within_5_deg_of_plane": int((which & (np.abs(found.glat_deg) < 5)).sum()),
    }


def known_share(found: Detections, truths: Truths, turn: Rotation | None = None) -> dict[str, float]:
    """How many detections have a published counterpart, where the sky was turned or not."""
    places = unit_vectors(found.glon_deg, found.glat_deg)
    glon, glat = lon_lat(places if turn is None else turn.inv().apply(places))
    real = ev.match(truths.places, truths.flux_cm2_s, ev.Positions(glon, glat)).real
    return {"with_counterpart": int(real.sum()), "share": float(real.mean()) if len(real) else np.nan}


def measure(survey: Survey, tiles: Sequence[int], report: Callable[[str], None]) -> list[dict[str, Any]]:
    """All checks of a survey."""
    skies: list[tuple[str, CountsCube, ExposureMaps, str, Callable[[Detections], dict[str, Any]]]] = []
    for emission in ("isotropic", "B1", "B2"):
        skies.append((f"no sources, {emission}", *empty_sky(survey, emission), survey.irfs, counted))
    if survey.name == "lat-10gev":
        real: Case = real_case(range(N_TILES))
        known = unit_vectors(real.truths.places.glon_deg, real.truths.places.glat_deg)
        blank = blanked(real.cube, known, np.random.default_rng(SEED))

        def near_known(found: Detections) -> dict[str, Any]:
            places = unit_vectors(found.glon_deg, found.glat_deg)
            near = (places @ known.T).max(axis=1) > np.cos(np.radians(NEIGHBOURHOOD_DEG))
            return counted(found, near) | {"elsewhere": int((~near).sum())}

        skies += [
            ("real", real.cube, real.exposure, real.irfs, lambda f: counted(f) | known_share(f, real.truths)),
            (
                "real, turned by 30 degrees",
                *turned(real.cube, real.exposure),
                real.irfs,
                lambda f: counted(f) | known_share(f, real.truths, TURN),
            ),
            ("real, neighbourhoods of known sources replaced", blank, real.exposure, real.irfs, near_known),
        ]
    rows = []
    for name, cube, exposure, irfs, figures in skies:
        for detector in DETECTORS:
            found = figures(detected(detector, cube, exposure, irfs, tiles))
            rows.append({"sky": name, "detector": detector} | found)
            report(json.dumps(rows[-1]))
    return rows


def main() -> None:
    """Measure and write `results/sceptic-SURVEY.json` and `.md`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sceptic", description=__doc__)
    parser.add_argument("--survey", default="lat-10gev")
    parser.add_argument("--step", type=int, default=8, help="every how manyeth tile is searched")
    arguments = parser.parse_args()
    tiles = range(0, N_TILES, arguments.step)
    rows = measure(get_survey(arguments.survey), tiles, lambda line: print(line, flush=True))
    result = {"survey": arguments.survey, "tiles": len(tiles), "measured_on": describe(), "rows": rows}
    path: Path = RESULTS / f"sceptic-{arguments.survey}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    path.with_suffix(".md").write_text(as_markdown(result))


def as_markdown(result: dict[str, Any]) -> str:
    """A table for people."""
    machine = result["measured_on"]
    lines = [
        f"# A sceptic's checks, {result['survey']}, {result['tiles']} of 768 tiles",
        "",
        f"`python -m benchmarks.sceptic --survey {result['survey']}`: {machine['processor']}, commit "
        f"{machine['commit']}. Detections from a run's default Det_Prob on.",
        "",
        "| sky | detector | detections | Det_Prob above 0.5 | above 0.9 | within 5 degrees of the plane | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        more = ""
        if "share" in row:
            more = f"{row['with_counterpart']} with a counterpart ({row['share']:.3f})"
        if "elsewhere" in row:
            more = f"counted near the replaced places; {row['elsewhere']} elsewhere"
        cells = [
            row["sky"],
            row["detector"],
            row["detections"],
            row["above_0.5"],
            row["above_0.9"],
            row["within_5_deg_of_plane"],
            more,
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
