"""Two checkouts of the program search the same tiles in turn: what it costs, and whether they find the same.

Run ``python -m benchmarks.detection SKY --other CHECKOUT [--detector unet] [--tiles 64]``; SKY is the folder of a
stored sky (``cubes/...`` of a home). Each tile goes to one and then to the other, so that whatever else the machine
does slows both. It prints processor time a tile and how far rows, places and probabilities are apart.
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe
from models import evaluate as ev
from models.likelihood import Detections
from sky.tiles import N_TILES

# A row of one list is that of the other if it is no farther away.
SAME_DEG = 0.02
SEED = 1


def answer(folder: Path, detector: str) -> None:
    """Search the tiles named on standard input, one a line; time and columns go to standard output, pickled."""
    import torch

    from models.detectors import make_detector
    from sky.response import load_response
    from sky.storage import load_sky
    from sky.tiles import TileGrid

    torch.set_num_threads(1)
    sky = load_sky(folder)
    find, grid, response = make_detector(detector), TileGrid(sky.cube.survey), load_response(sky.irfs)
    for line in sys.stdin:
        started = time.process_time()
        found = find(sky.cube, sky.exposure, response, grid, [int(line)], SEED)
        pickle.dump((time.process_time() - started, vars(found)), sys.stdout.buffer, protocol=5)
        sys.stdout.buffer.flush()


class Searcher:
    """A process that searches with the program of a checkout."""

    def __init__(self, checkout: Path, folder: Path, detector: str) -> None:
        # The other checkout may be older than this module: it is run as a file, with the other's modules.
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(folder), "--detector", detector, "--answer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
        )

    def search(self, tile: int) -> tuple[float, Detections]:
        """Processor seconds, and what was found."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{tile}\n".encode())
        self._process.stdin.flush()
        seconds, columns = pickle.load(self._process.stdout)
        # a program older than the search for wide sources knows none
        return seconds, Detections(**{"disc_deg": np.zeros(len(columns["tile"]))} | columns)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def differences(ours: Detections, theirs: Detections) -> dict[str, NDArray[np.float64] | int]:
    """Rows of either list alone, and for those of both the gaps of places, probabilities and test statistics."""
    here, there = (ev.Positions(f.glon_deg, f.glat_deg) for f in (ours, theirs))
    pairs = ev.match(here, ours.det_prob, there, SAME_DEG)
    a = np.flatnonzero(pairs.found)
    b = pairs.of_truth[a]
    return {
        "alone": len(ours) + len(theirs) - 2 * len(a),
        "place_deg": pairs.separation_deg[a],
        "det_prob": np.abs(ours.det_prob[a] - theirs.det_prob[b]),
        "ts": np.abs(ours.ts[a] / np.maximum(theirs.ts[b], 1e-30) - 1),
    }


def compare(folder: Path, detector: str, checkouts: list[Path], tiles: NDArray[np.int64]) -> dict[str, Any]:
    """Costs and differences over some tiles; the first of the checkouts is ours."""
    searchers = [Searcher(checkout, folder, detector) for checkout in checkouts]
    seconds, gaps = [], []
    for k, tile in enumerate([tiles[0], *tiles]):
        both = [searcher.search(int(tile)) for searcher in searchers]
        if k:  # the first makes kernels, tables and weights
            seconds.append([s for s, _ in both])
            gaps.append(differences(both[0][1], both[1][1]))
    for searcher in searchers:
        searcher.close()
    mean = 1e3 * np.mean(seconds, axis=0)
    out: dict[str, Any] = {"tiles": len(tiles), "cpu_ms_a_tile": mean.round(1).tolist()}
    out |= {
        "rows_of_both": sum(np.size(g["ts"]) for g in gaps),
        "rows_of_one": sum(int(g["alone"]) for g in gaps),
    }
    for name in ("place_deg", "det_prob", "ts"):
        all_of_them = np.concatenate([np.atleast_1d(g[name]) for g in gaps])
        out[name] = {str(q): float(f"{np.percentile(all_of_them, q):.2g}") for q in (50, 90, 100)}
    return out


def main() -> None:
    """Print the comparison as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("sky", type=Path)
    parser.add_argument("--other", type=Path, default=Path())
    parser.add_argument("--detector", default="unet")
    parser.add_argument("--tiles", type=int, default=64)
    parser.add_argument("--answer", action="store_true", help="be one of the two searchers")
    arguments = parser.parse_args()
    if arguments.answer:
        answer(arguments.sky, arguments.detector)
        return
    tiles = np.random.default_rng(5).choice(N_TILES, arguments.tiles, replace=False)
    checkouts = [Path(__file__).resolve().parent.parent, arguments.other.resolve()]
    found = compare(arguments.sky.resolve(), arguments.detector, checkouts, tiles)
    print(json.dumps(found | {"measured_on": describe()}, indent=1))


if __name__ == "__main__":
    main()
