"""Processor time of cutting cut-outs out of a stored sky: by windows alone, and out of images of whole tiles.

Run ``python -m benchmarks.cutouts SKY [--tiles 48] [--detections 7]``; SKY is a folder with a stored sky (a run's
``cubes/…``). Detections are random places, so many a tile on average. Both ways are asked for every tile in turn, and
their counts must be the same to the last photon. Prints JSON.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import describe
from models.cutouts import SIZE_PX, cut_tile
from models.cutouts.crop import centre_pixels, cutout_width_deg, windows
from sky.storage import StoredSky, load_sky
from sky.tiles import N_TILES, TileGrid, owner


def of_images(sky: StoredSky, tile: int, glon_deg: np.ndarray, glat_deg: np.ndarray) -> torch.Tensor:
    """Counts of cut-outs [n, planes, SIZE_PX, SIZE_PX] out of images of the whole tile."""
    survey = sky.cube.survey
    grid = TileGrid(survey, cutout_width_deg(survey))
    sides = [grid.npix(b) for b in range(len(survey.bands))]
    x, y = grid.sky_to_pixel(tile, int(np.argmax(sides)), glon_deg, glat_deg)
    pixel, _ = centre_pixels(sides, x, y)
    only = torch.zeros(len(x), dtype=torch.long)
    images = (torch.from_numpy(image).sum(1).float() for image in grid.images(sky.cube, tile, 1))
    return torch.cat([windows(im[None], only, pixel[:, b], SIZE_PX) for b, im in enumerate(images)], 1)


def main() -> None:
    """Time both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sky", type=Path)
    parser.add_argument("--tiles", type=int, default=48)
    parser.add_argument("--detections", type=float, default=7.0, help="in a tile, on average")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sky, rng = load_sky(arguments.sky), np.random.default_rng(0)
    n = int(N_TILES * arguments.detections)
    lon, lat = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    tiles, seconds, cut = owner(lon, lat), {"windows": 0.0, "images": 0.0}, 0
    for tile in rng.permutation(np.unique(tiles))[: arguments.tiles]:
        place = lon[tiles == tile], lat[tiles == tile]
        started = time.process_time()
        one = cut_tile(sky.cube, sky.exposure, TileGrid(sky.cube.survey), int(tile), 1, *place).counts
        between = time.process_time()
        two = of_images(sky, int(tile), *place)
        seconds["images"] += time.process_time() - between
        seconds["windows"] += between - started
        if not torch.equal(one, two):
            raise SystemExit(f"tile {tile}: not the same counts")
        cut += len(one)
    made = {"survey": sky.cube.survey.name, "slices": sky.cube.n_slices, "photons": sky.cube.total()}
    per = {name: round(1000 * s / arguments.tiles, 1) for name, s in seconds.items()}
    many = {name: round(10_000 * s / cut, 1) for name, s in seconds.items()}
    print(json.dumps(made | {"ms_a_tile": per, "s_for_10000": many, "measured_on": describe()}, indent=1))


if __name__ == "__main__":
    main()
