"""What a run consists of: the batches of every stage, all written down before the first is begun."""

from collections.abc import Sequence

from sky.tiles import N_TILES


class PlanError(ValueError):
    """Work that cannot be planned."""


def tile_batches(tiles: Sequence[int] | None, size: int) -> list[tuple[int, ...]]:
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


def plan(tiles: Sequence[int] | None, size: int) -> dict[str, list[tuple[int, ...]]]:
    """Batches of every stage; the last stage looks at the whole catalogue at once."""
    batches = tile_batches(tiles, size)
    return {"detect": batches, "characterise": batches, "associate": [()]}
