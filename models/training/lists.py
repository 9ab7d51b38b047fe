"""Lists of the survey's own detector, to train with: training skies searched as a run would search them.

The networks for real or fake and for classes meet such lists, and nothing else, in a run. One file a sky, beside
the stream's pool: searching goes on where it was interrupted, and gives the same lists again.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.characterise.inputs import join, make_inputs
from models.cutouts import FAKE, Cutouts, CutoutTruth, cut_tile
from models.detectors import NETWORK_DETECTORS, default_detector, make_detector
from models.evaluate import Positions, match
from models.likelihood import Detections
from models.shipped import shipped_weights
from models.training.drawn_sky import (
    Truths,
    block_tiles,
    drawn_cubes,
    exposure_maps,
    inside_blocks,
    truths_of,
)
from models.training.pool import Pool, Report, load_cutouts, save_cutouts, usable
from models.training.seeds import sky_rng
from models.training.state import TrainingError
from models.training_sky import B1_SHARE
from sky.readers.files import file_sha256
from sky.response import load_response
from sky.simulate import SyntheticSky, synthetic_sky
from sky.survey import Survey
from sky.tiles import TileGrid

# The streams of cut-outs count from 0: skies that are searched are none of theirs.
STREAM = 1000
# Of the photons' places in their pixels.
PLACES_SEED = 1
# Nearer to a border of what is searched, a source on its other side could be taken for a fake on this one.
BORDER_DEG = 0.5


@dataclass(frozen=True)
class ListConfig:
    """Which lists: all that the detector gives, with a `Det_Prob` of 0.1 or more.

    Attributes
    ----------
    seed : int
    split : str
        `train` or `validation`.
    skies : int
    every : int
        Every so many blocks of 16 tiles of each sky are searched, from another one on in every sky.
    """

    seed: int
    split: str
    skies: int
    every: int = 8


def draw_lists(
    survey: Survey,
    config: ListConfig,
    folder: Path,
    report: Report,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Search what the folder lacks, sky by sky.

    Raises
    ------
    TrainingError
        If it was told to stop before all was searched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    for number in range(config.skies):
        path = list_file(folder, survey, config, number)
        if path.exists():
            continue
        sky = list_sky(survey, sky_rng(config.seed, config.split, STREAM, number))
        tiles = block_tiles(config.every, number % config.every)
        save_cutouts(path, *searched(sky, tiles, stopped))
        minutes = (time.monotonic() - started) / 60
        report(f"lists ({config.split}): sky {number + 1} of {config.skies}, {minutes:.1f} min")


def load_lists(survey: Survey, config: ListConfig, folder: Path, cubes: bool = False) -> Pool:
    """Searched lists as inputs, with the truth of every detection."""
    inputs, truths = [], []
    for number in range(config.skies):
        cutouts, truth = load_cutouts(list_file(folder, survey, config, number))
        good = usable(cutouts)
        inputs.append(make_inputs(cutouts.select(good), survey, cubes))
        truths.append(truth.select(good))
    return Pool(join(inputs), CutoutTruth.join(truths))


def list_file(folder: Path, survey: Survey, config: ListConfig, number: int) -> Path:
    """Where the list of one sky lies: its name tells detectors apart, and their weights."""
    name = default_detector(survey.name)
    if name in NETWORK_DETECTORS:
        name += f"-{file_sha256(shipped_weights(survey.name, NETWORK_DETECTORS[name]))[:8]}"
    return folder / f"{config.split}-{name}-{config.seed}-{config.every}-{number:04d}.npz"


def list_sky(survey: Survey, rng: np.random.Generator) -> SyntheticSky:
    """A sky of the training's emission and flux laws, half of them with extended sources; never B2."""
    emission = "B1" if rng.uniform() < B1_SHARE else "random"
    population = str(rng.choice(["founding", "physical"]))
    extended, slices = bool(rng.uniform() < 0.5), max(1, survey.time_slices)
    seed = int(rng.integers(2**62))
    return synthetic_sky(survey, seed, emission, population, slices=slices, extended=extended)


def searched(
    sky: SyntheticSky, tiles: Sequence[int], stopped: Callable[[], bool] = lambda: False
) -> tuple[Cutouts, CutoutTruth]:
    """Cut-outs round all that the survey's default detector finds in some tiles, and what is true of each.

    Raises
    ------
    TrainingError
        If it was told to stop.
    """
    survey, grid = sky.survey, TileGrid(sky.survey)
    cube, yearly = drawn_cubes(sky)
    exposure, response = exposure_maps(sky), load_response(survey.irfs)
    detect = make_detector(default_detector(survey.name))
    found, cutouts = [], []
    for tile in tiles:
        if stopped():
            raise TrainingError("interrupted while searching skies; those that are searched are kept")
        own = detect(cube, exposure, response, grid, [tile], PLACES_SEED)
        own = own.points()  # of wide sources the networks say nothing
        own = own.select(inside_blocks(own.glon_deg, own.glat_deg, tiles, BORDER_DEG))
        if len(own):
            found.append(own)
            cutouts.append(cut_tile(yearly, exposure, grid, tile, PLACES_SEED, own.glon_deg, own.glat_deg))
    listed = Detections.concatenate(found)
    return Cutouts.join(cutouts), list_truth(listed, truths_of(sky, tiles), grid)


def list_truth(listed: Detections, truths: Truths, grid: TileGrid) -> CutoutTruth:
    """What is true of detections: matched one to one with the sources that can be seen."""
    places = Positions(listed.glon_deg, listed.glat_deg)
    of = match(truths.places(), truths.flux_cm2_s, places).of_detection
    real = torch.from_numpy(of >= 0)

    def true(values: NDArray[np.generic], fake: float) -> torch.Tensor:
        found = torch.as_tensor(values[of])
        found = found.float() if found.is_floating_point() else found
        return torch.where(real.reshape(-1, *[1] * (found.ndim - 1)), found, fake)

    return CutoutTruth(
        real=real,
        class_code=true(truths.class_code, FAKE),
        flux_cm2_s=true(truths.flux_cm2_s, 0.0),
        flux_band_cm2_s=true(truths.flux_band_cm2_s, 0.0),
        shift_px=torch.where(
            real[:, None], torch.from_numpy(_shifts_px(listed, truths, of, grid)), torch.nan
        ),
        limit_sigma=true(truths.limit_sigma, 0.0),
        extension_deg=true(truths.extension_deg, 0.0),
    )


def _shifts_px(
    listed: Detections, truths: Truths, of: NDArray[np.int64], grid: TileGrid
) -> NDArray[np.float32]:
    """Truths less detections, (x, y), pixels of the finest band; of fakes anything."""
    finest = grid.survey.finest_band
    shifts = np.empty((len(of), 2), np.float32)
    for tile in np.unique(listed.tile):
        own = np.flatnonzero(listed.tile == tile)
        here = grid.sky_to_pixel(int(tile), finest, listed.glon_deg[own], listed.glat_deg[own])
        there = grid.sky_to_pixel(int(tile), finest, truths.glon_deg[of[own]], truths.glat_deg[of[own]])
        shifts[own] = np.stack(there, 1) - np.stack(here, 1)
    return shifts
