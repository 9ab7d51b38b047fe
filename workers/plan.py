"""What a run consists of: the batches of every stage, all written down before the first is begun."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sky.tiles import N_TILES

Batches = list[tuple[int, ...]]


class PlanError(ValueError):
    """Work that cannot be planned."""


def tile_batches(tiles: Sequence[int] | None, size: int) -> Batches:
    """Tiles in batches of neighbours: NESTED cells in order share a part of the sky.

    Parameters
    ----------
    tiles : sequence of int or None
        None for the whole sky.
    size : int
        Tiles of a batch.

    Raises
    ------
    PlanError
        If a tile does not exist, or there is none.
    """
    wanted = sorted(set(range(N_TILES) if tiles is None else tiles))
    if not wanted or wanted[0] < 0 or wanted[-1] >= N_TILES:
        raise PlanError(f"tiles are numbered 0 to {N_TILES - 1}")
    return [tuple(wanted[i : i + size]) for i in range(0, len(wanted), size)]


def plan(batches: Batches, photons: NDArray[np.int64]) -> dict[str, Batches]:
    """Batches of every stage, the longest work first; the last stage looks at the whole catalogue at once.

    What is begun last decides how long the other workers wait at a stage's end, so it is the shortest (Graham 1969,
    SIAM J. Appl. Math. 17, 416): that with the fewest of the tiles' photons [N_TILES].
    """
    longest_first = sorted(batches, key=lambda batch: -int(photons[list(batch)].sum()))
    return {"detect": longest_first, "characterise": longest_first, "associate": [()]}
