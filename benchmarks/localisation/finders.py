"""Every way of finding sources as one function of (sky, tiles), with what it costs."""

import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.localisation.skies import Case
from models import evaluate as ev
from models.likelihood import Detections
from models.localise.names import LOCALISERS
from sky.response import load_response
from sky.tiles import TileGrid

Array = NDArray[np.float64]
Find = Callable[[Case, Sequence[int]], tuple[ev.Positions, Array]]

NETWORK, COUNTS_NETWORK = "unet", "unet-counts"
BEST_LOCALISER = "centre-direction"
SEED = 1
LEAST_DET_PROB = 0.1


class BenchmarkError(ValueError):
    """A benchmark that cannot run, or a finder that ended without an answer."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a finder found on one sky, and at what cost.

    Attributes
    ----------
    glon_deg, glat_deg, score : array [N]
    tile : array of int [N]
    seconds, cpu_seconds, memory_gb : float
        Memory is the process's peak, the sky itself included.
    """

    glon_deg: Array
    glat_deg: Array
    score: Array
    tile: NDArray[np.int64]
    seconds: float
    cpu_seconds: float
    memory_gb: float

    def on(self, tiles: Sequence[int]) -> tuple[ev.Positions, Array]:
        """Places and scores of some of the tiles."""
        mine = np.isin(self.tile, tiles)
        return ev.Positions(self.glon_deg[mine], self.glat_deg[mine]), self.score[mine]


def our_finders(weights: Path, counts_weights: Path | None) -> dict[str, Find]:
    """The program's own: likelihood filter, the network with each localiser, and the one that sees counts alone."""
    out: dict[str, Find] = {"matched-filter": _filter}
    out |= {f"{NETWORK}, {name}": partial(_network, weights, name) for name in LOCALISERS}
    if counts_weights is not None:
        out[f"{COUNTS_NETWORK}, {BEST_LOCALISER}"] = partial(_network, counts_weights, BEST_LOCALISER)
    return out


def peer_finders() -> dict[str, Find]:
    """Likelihoods given a diffuse model, true or wrong, and other programs'.

    Raises
    ------
    BenchmarkError
        If the extra `peers` is not installed.
    """
    if find_spec("gammapy") is None or find_spec("photutils") is None:
        raise BenchmarkError("gammapy and photutils are not installed: pip install 'asidcat[peers]'")
    from benchmarks.localisation.peers import dao_star_finder, gammapy_ts_maps

    out: dict[str, Find] = {"photutils DAOStarFinder": dao_star_finder}
    for which in ("true", "wrong"):
        out[f"likelihood, iterated, {which} diffuse model"] = partial(_modelled, which)
        out[f"gammapy TSMapEstimator, {which} diffuse model"] = partial(gammapy_ts_maps, which=which)
    return out


def measured(find: Find, case: Case, tiles: Sequence[int]) -> Answer:
    """Run a finder in a process of its own, so that its memory is its own.

    Raises
    ------
    BenchmarkError
        If it ended without an answer; its traceback stands on standard error.
    """
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)
    process = fork.Process(target=_measure, args=(find, case, tiles, theirs))
    process.start()
    theirs.close()
    try:
        answer: Answer = ours.recv()
    except EOFError:
        raise BenchmarkError(f"a finder ended without an answer on sky '{case.name}'") from None
    finally:
        process.join()
    return answer


def _measure(find: Find, case: Case, tiles: Sequence[int], answer: Connection) -> None:
    find(case, tiles[:1])  # kernels, weights and tables are made once a process, not once a sky
    started, cpu = time.perf_counter(), time.process_time()
    places, score = find(case, tiles)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    owner = TileGrid(case.cube.survey).owner(places.glon_deg, places.glat_deg)
    answer.send(Answer(places.glon_deg, places.glat_deg, score, owner, seconds, cpu, memory))


def _filter(case: Case, tiles: Sequence[int]) -> tuple[ev.Positions, Array]:
    from models.likelihood.detect import DetectionConfig, detect_tile
    from models.likelihood.evidence import POPULATIONS

    # The same filter as the program's, but for the threshold: the curve needs what lies below.
    config = DetectionConfig(POPULATIONS[case.cube.survey.name], min_det_prob=LEAST_DET_PROB)
    response, grid = load_response(case.irfs), TileGrid(case.cube.survey)
    found = [detect_tile(case.cube, case.exposure, response, grid, t, SEED, config) for t in tiles]
    return _columns(Detections.concatenate(found))


def _network(weights: Path, localiser: str, case: Case, tiles: Sequence[int]) -> tuple[ev.Positions, Array]:
    from models.network_detect import NetworkDetection, detect_tiles

    config = NetworkDetection(weights, localiser, LEAST_DET_PROB)
    response, grid = load_response(case.irfs), TileGrid(case.cube.survey)
    return _columns(detect_tiles(case.cube, case.exposure, response, grid, tiles, SEED, config))


def _modelled(which: str, case: Case, tiles: Sequence[int]) -> tuple[ev.Positions, Array]:
    from benchmarks.localisation.modelled import search_with_model

    return _columns(search_with_model(case, which, tiles))


def _columns(found: Detections) -> tuple[ev.Positions, Array]:
    return ev.Positions(found.glon_deg, found.glat_deg), found.det_prob
