"""Detections of a sky with everything that is said of them, matched with what is there."""

import pickle
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.characterisation.skies import BORDER_DEG, CALIBRATING, Case, make_case
from models.cutouts import Cutouts, cut_tile
from models.detectors import default_detector, default_threshold, make_detector
from models.evaluate import Positions, match
from models.likelihood import (
    Detections,
    Extensions,
    Measurements,
    Surroundings,
    extensions,
    measure,
    measure_discs,
)
from models.training.drawn_sky import Truths, block_tiles, inside_blocks
from sky.response import load_response
from sky.survey import Survey
from sky.tiles import TileGrid

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

SEED = 1


@dataclass(frozen=True, eq=False)
class Sample:
    """Characterised detections of a sky; rows are those well inside the searched blocks.

    Attributes
    ----------
    name : str
    detections : Detections
    measured : Measurements
        By likelihood.
    extension : Extensions
    cutouts : Cutouts
    aperture_cm2_s, unc_aperture_cm2_s : array [n]
        NaN on skies that calibrate.
    truth : array of int [n]
        Into `truths`; -1 for fakes, and on the real sky.
    truths : Truths or None
    seconds : dict of str to float
        What the steps took.
    """

    name: str
    detections: Detections
    measured: Measurements
    extension: Extensions
    cutouts: Cutouts
    aperture_cm2_s: Array
    unc_aperture_cm2_s: Array
    truth: Ints
    truths: Truths | None
    seconds: dict[str, float]

    @property
    def real(self) -> NDArray[np.bool_]:
        """Which detections are sources."""
        return self.truth >= 0


def cached_sample(survey: Survey, name: str, step: int, folder: Path | None) -> Sample:
    """A sample, kept in a folder between calls where one is given."""
    words = name.replace(":", "-").replace("/", "-")
    path = None if folder is None else folder / f"{survey.name}-{words}-{step}.pickle"
    if path is not None and path.exists():
        return pickle.loads(path.read_bytes())  # written by this very program
    sample = make_sample(survey, name, step)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(sample))
    return sample


def make_sample(survey: Survey, name: str, step: int) -> Sample:
    """Search every `step`-th block of a sky as a run would, and measure what is found."""
    tiles = block_tiles(step)
    seconds: dict[str, float] = {}
    case = make_case(survey, name, tiles)
    response, grid = load_response(case.irfs), TileGrid(survey)
    started = time.process_time()
    detector = default_detector(survey.name)
    found = make_detector(detector)(case.cube, case.exposure, response, grid, tiles, SEED)
    found = found.points()  # of wide sources the networks say nothing
    found = found.select(found.det_prob >= default_threshold(survey.name, detector))
    seconds["detect"] = time.process_time() - started
    rows = np.flatnonzero(inside_blocks(found.glon_deg, found.glat_deg, tiles, BORDER_DEG))
    rows = rows[np.argsort(found.tile[rows], kind="stable")]
    started = time.process_time()
    around = Surroundings.of(found, rows, case.cube, case.exposure, response)
    measured = measure(around, case.exposure)
    seconds["likelihood"] = time.process_time() - started
    started = time.process_time()
    extension = extensions(around, measured, case.exposure)
    _, measured = measure_discs(around, measured, extension, case.exposure)
    seconds["extension"] = time.process_time() - started
    kept = found.select(rows)
    started = time.process_time()
    cutouts = _cut(case, grid, kept)
    seconds["cut-outs"] = time.process_time() - started
    flux, error = np.full((2, len(kept)), np.nan)
    if not name.startswith(CALIBRATING):
        started = time.process_time()
        flux, error = _apertures(case, grid, kept)
        seconds["aperture"] = time.process_time() - started
    truth = np.full(len(found.tile), -1)
    if case.truths is not None:
        places = Positions(found.glon_deg, found.glat_deg)
        truth = match(case.truths.places(), case.truths.flux_cm2_s, places).of_detection
    return Sample(name, kept, measured, extension, cutouts, flux, error, truth[rows], case.truths, seconds)


def _apertures(case: Case, grid: TileGrid, detections: Detections) -> tuple[Array, Array]:
    """Aperture fluxes of detections that are sorted by tile, and their errors."""
    # The extra `peers`, which who calibrates does not need.
    from benchmarks.characterisation.aperture import aperture_fluxes

    parts = [
        aperture_fluxes(
            case.cube, case.exposure, load_response(case.irfs), grid, int(t), SEED, *_places(detections, t)
        )
        for t in np.unique(detections.tile)
    ]
    flux, error = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return flux, error


def _places(detections: Detections, tile: int) -> tuple[Array, Array]:
    mine = detections.tile == tile
    return detections.glon_deg[mine], detections.glat_deg[mine]


def _cut(case: Case, grid: TileGrid, detections: Detections) -> Cutouts:
    """Cut-outs of detections that are sorted by tile."""
    return Cutouts.join(
        [
            cut_tile(case.yearly, case.exposure, grid, int(t), SEED, *_places(detections, t))
            for t in np.unique(detections.tile)
        ]
    )
