"""Photons of a counts cube counted in cut-outs alone: the numbers that images of the whole tile would hold there.

Cut-outs cover a small part of a tile, above all in the fine bands: only the HEALPix cells near them are asked for
photons, and no image of the tile is made.
"""

from functools import cache

import healpy as hp
import numpy as np
from numpy.typing import NDArray

from models.cutouts.cutout import SIZE_PX
from sky.counts import CountsCube
from sky.photons import PLACE_ORDER, place_pixels, stream_key
from sky.tiles import TileGrid, tile_axes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Photons are asked for by cells of 0.46 degrees: finer ones are more ranges of pixels, coarser ones more photons.
CELL_ORDER = 7
# A degree of sky is less than this many of the plane, even at the corners of the widest tile (1.08).
LARGEST_STRETCH = 1.15

# Hashing the words of a key costs as much as placing hundreds of photons; every tile asks for the same ones.
_key = cache(stream_key)


def window_counts(cube: CountsCube, grid: TileGrid, tile: int, seed: int, band: int, pixel: Ints) -> Ints:
    """Counts of a band in windows, the same as in `TileGrid.images`; 0 outside the tile.

    Parameters
    ----------
    cube : CountsCube
    grid : TileGrid
    tile, seed, band : int
    pixel : array of int [n, 2]
        Centres of the windows, (column, row).

    Returns
    -------
    array [n, event types, slices, SIZE_PX, SIZE_PX]
    """
    window = _window_pixels(pixel, grid.npix(band))
    touched, number = _numbered(window, grid.npix(band) ** 2)
    stream, place = _photons(cube, seed, band, _near_windows(cube, grid, tile, band, pixel))
    found = number[_pixels_of(grid, tile, band, place)]
    types, slices = len(cube.survey.event_types), cube.n_slices
    counts = np.bincount(stream * (touched + 1) + found, minlength=types * slices * (touched + 1))
    counts = counts.reshape(types, slices, touched + 1)
    counts[..., touched] = 0
    return np.moveaxis(counts[..., number[window]], 2, 0)


def _window_pixels(pixel: Ints, side: int) -> Ints:
    """Flat numbers of the windows' pixels, [n, SIZE_PX, SIZE_PX]; side**2 for all outside the tile."""
    step = np.arange(SIZE_PX) - SIZE_PX // 2
    column, row = pixel[:, 0, None, None] + step, pixel[:, 1, None, None] + step[:, None]
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    return np.where(inside, row * side + column, side * side)


def _numbered(window: Ints, pixels: int) -> tuple[int, Ints]:
    """How many pixels of the tile lie in windows, and their numbers; all others share the next one."""
    touched = np.unique(window)
    touched = touched[touched < pixels]
    number = np.full(pixels + 1, len(touched))
    number[touched] = np.arange(len(touched))
    return len(touched), number


def _near_windows(cube: CountsCube, grid: TileGrid, tile: int, band: int, pixel: Ints) -> Ints:
    """Half-open ranges of the band's HEALPix pixels, [m, 2], that hold all photons of the windows."""
    order = cube.survey.bands[band].order
    coarse = min(CELL_ORDER, order)
    cover = grid.cover(tile, coarse)
    cells = np.concatenate([np.arange(first, last) for first, last in cover])
    column, row = _plane(grid, tile, band, *hp.pix2vec(1 << coarse, cells, nest=True))
    reach_deg = np.degrees(hp.max_pixrad(1 << coarse)) * LARGEST_STRETCH
    reach_px = SIZE_PX / 2 + reach_deg / grid.pixel_deg(band)
    off = [np.abs(at[:, None] - (centre + 0.5)) for at, centre in zip((column, row), pixel.T, strict=True)]
    cells = cells[((off[0] <= reach_px) & (off[1] <= reach_px)).any(1)]
    new = np.flatnonzero(np.diff(cells, prepend=-2) != 1)
    last = cells[np.append(new[1:], len(cells)) - 1] if len(cells) else cells
    return np.stack([cells[new], last + 1], axis=-1) << np.int64(2 * (order - coarse))


def _photons(cube: CountsCube, seed: int, band: int, ranges: Ints) -> tuple[Ints, Ints]:
    """Photons of a band in ranges of its pixels: number of (event type, slice), and order-29 cell."""
    survey, parts = cube.survey, []
    order = survey.bands[band].order
    for event_type in survey.event_types:
        plane = survey.planes.index((band, event_type))
        for s in range(cube.n_slices):
            found = cube.maps[band, event_type, s].within(ranges)
            parts.append(place_pixels(order, *found, _key(seed, plane, s)))
    return np.repeat(np.arange(len(parts)), [len(part) for part in parts]), np.concatenate(parts)


def _pixels_of(grid: TileGrid, tile: int, band: int, place: Ints) -> Ints:
    """Flat numbers of the tile's pixels that hold order-29 cells; side**2 for all outside the tile."""
    side = grid.npix(band)
    column, row = _plane(grid, tile, band, *hp.pix2vec(1 << PLACE_ORDER, place, nest=True))
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    flat = row.astype(np.int64) * side + column.astype(np.int64)
    return np.where(inside, flat, side * side)


def _plane(grid: TileGrid, tile: int, band: int, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats]:
    """Columns and rows of unit vectors, pixel edges at whole numbers: to the last bit those of `TileGrid.images`."""
    east, north, out = (a[0] * x + a[1] * y + a[2] * z for a in tile_axes()[tile])
    scale = np.degrees(1.0) / grid.pixel_deg(band) / out
    return grid.npix(band) / 2 - scale * east, grid.npix(band) / 2 + scale * north
