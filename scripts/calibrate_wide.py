"""How probable wide sources are by their test statistic: run ``python -m scripts.calibrate_wide``.

Validation skies of six bands (seeds that no test and no training has; physical flux law, B1 and the random family, with
extended sources) are searched whole by the default detector. A disc is real if the centre of a source of half a degree or
more lies within half that source's radius of its own. It prints what was found, and the line for
`models.likelihood.wide_search.PROBABILITY`.
"""

import argparse
from multiprocessing import Pool

import numpy as np
from numpy.typing import NDArray

from models import logistic
from models.detectors import default_detector, make_detector
from models.training.drawn_sky import drawn_cubes, exposure_maps
from models.training.seeds import sky_rng
from sky.frames import separation_deg
from sky.response import load_response
from sky.simulate import SyntheticSky, synthetic_sky
from sky.survey import get_survey
from sky.tiles import N_TILES, TileGrid

Floats = NDArray[np.float64]

SURVEY, SEED, STREAM = "lat-6band", 9, 12
EMISSIONS = ("B1", "random")
TOGETHER = 16
LEAST_SIZE_DEG = 0.5


def searched(number: int) -> list[tuple[float, ...]]:
    """Discs on one sky: its number, TS, radius, place, and whether each is real."""
    survey = get_survey(SURVEY)
    seed = int(sky_rng(SEED, "validation", STREAM, number).integers(2**62))
    sky = synthetic_sky(survey, seed, EMISSIONS[number % len(EMISSIONS)], "physical", extended=True)
    cube, exposure = drawn_cubes(sky)[0], exposure_maps(sky)
    detect, response, rows = make_detector(default_detector(SURVEY)), load_response(survey.irfs), []
    for first in range(0, N_TILES, TOGETHER):
        tiles = range(first, first + TOGETHER)
        found = detect(cube, exposure, response, TileGrid(survey, together=tuple(tiles)), tiles, 1)
        found = found.select(found.disc_deg > 0)
        real = is_real(found.glon_deg, found.glat_deg, sky)
        columns = found.ts, found.disc_deg, found.glon_deg, found.glat_deg, real
        rows += [tuple(float(v) for v in row) for row in zip(*columns, strict=True)]
    return [(number, *row) for row in rows]


def is_real(glon_deg: Floats, glat_deg: Floats, sky: SyntheticSky) -> NDArray[np.bool_]:
    """Whether discs at these places are sources of the sky."""
    sources = sky.sources
    wide = np.flatnonzero(sources.size_deg >= LEAST_SIZE_DEG)
    there = sources.glon_deg[wide], sources.glat_deg[wide]
    apart = separation_deg(glon_deg[:, None], glat_deg[:, None], *there)
    return np.any(apart < 0.5 * sources.size_deg[wide], axis=1)


def main() -> None:
    """Search, print, fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skies", type=int, default=6)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    with Pool(args.processes) as pool:
        rows = [row for part in pool.imap_unordered(searched, range(args.skies)) for row in part]
    print("sky    TS  radius     l      b  real")
    for row in sorted(rows, key=lambda row: -row[1]):
        print("{:3.0f} {:6.1f} {:6.1f} {:6.1f} {:6.1f}  ".format(*row[:-1]) + ("yes" if row[-1] else "no"))
    table = np.array(rows)
    ts, true = table[:, 1], table[:, -1] > 0
    line = logistic.fit_line(logistic.log_ts(ts)[:, None], true, ("slope",))
    print({name: round(value, 2) for name, value in line.items()})
    for least in (25, 30, 35, 40, 50, 70):
        some = ts >= least
        print(f"TS {least} or more: {some.sum()} discs, {true[some].mean():.2f} real")


if __name__ == "__main__":
    main()
