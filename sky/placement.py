"""Counts of any file to galactic HEALPix maps: photons are moved whole, never interpolated.

Galactic HEALPix counts as fine as the survey's are taken or summed exactly. From any other pixels (equatorial
HEALPix, WCS images) each photon is given a random place inside its pixel, by the hash of `sky.photons`, and
is counted where that place lies: the total is exact and counts stay Poisson, at the cost of one more blur
of the size of the file's pixel.
"""

from collections.abc import Callable, Iterator
from itertools import product

import healpy as hp
import numpy as np
from numpy.typing import NDArray

from sky.counts import HealpixCounts
from sky.frames import galactic_to_icrs_matrix, icrs_to_galactic
from sky.photons import RANK_BITS, photon_vectors, splitmix64, stream_key
from sky.readers.files import InputError
from sky.readers.healpix import HealpixTable
from sky.readers.wcs import WcsCube

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
CHUNK_PHOTONS = 4_000_000
PLACE_TRIES = 32
# offsets from a pixel's centre, nearest first, up to the next pixels
_NEAREST = sorted(product(np.linspace(-1, 1, 9), repeat=2), key=lambda d: (np.hypot(*d), d))


def whole_counts(table: HealpixTable | WcsCube, values: NDArray[np.generic]) -> NDArray[np.int32]:
    """Counts as integers.

    Raises
    ------
    InputError
        If a value is not finite, negative, or not a whole number.
    """
    counts = np.asarray(values, dtype=np.float64)
    for wrong, fault in (
        (~np.isfinite(counts), "counts are not finite"),
        (counts < 0, "counts are negative"),
        (counts != np.floor(counts), "counts are not whole numbers"),
        (counts >= 1 << RANK_BITS, "counts are impossibly large"),
    ):
        if wrong.any():
            raise InputError(table.path, f"{fault} in {wrong.sum()} pixels (such as {counts[wrong][0]:g})")
    return counts.astype(np.int32)


def _chunks(counts: NDArray[np.int32]) -> Iterator[slice]:
    """Runs of pixels with about `CHUNK_PHOTONS` photons each."""
    done = np.cumsum(counts, dtype=np.int64)
    if done.size:
        borders = np.searchsorted(done, np.arange(CHUNK_PHOTONS, done[-1], CHUNK_PHOTONS))
        yield from map(slice, [0, *borders.tolist()], [*borders.tolist(), len(counts)])


def _binned(order: int, counts: NDArray[np.int32], pixels_of: Callable[[slice], Ints]) -> HealpixCounts:
    """Count the photons of chunks of file pixels in galactic pixels."""
    parts = [np.unique(pixels_of(chunk), return_counts=True) for chunk in _chunks(counts)]
    if not parts:
        return HealpixCounts.from_pixels(order, [])
    return HealpixCounts.from_pixels(
        order, np.concatenate([p for p, _ in parts]), np.concatenate([n for _, n in parts])
    )


def place_healpix(table: HealpixTable, channel: int, frame: str, order: int, key: np.uint64) -> HealpixCounts:
    """Counts of one channel of a HEALPix file (no coarser than `order`) as a galactic map.

    Raises
    ------
    InputError
        If the values are no counts.
    """
    ipix, values = table.filled(channel)
    counts = whole_counts(table, values)
    if frame == "galactic":
        return HealpixCounts.from_pixels(table.order, ipix, counts).degrade(order)
    to_icrs = galactic_to_icrs_matrix()

    def pixels_of(chunk: slice) -> Ints:
        icrs = np.stack(photon_vectors(table.order, ipix[chunk], counts[chunk], key))
        return np.asarray(hp.vec2pix(1 << order, *(to_icrs.T @ icrs), nest=True), dtype=np.int64)

    return _binned(order, counts, pixels_of)


def place_wcs(cube: WcsCube, channel: int, order: int, key: np.uint64) -> HealpixCounts:
    """Counts of one image as a galactic map; places are uniform in the image's pixel coordinates.

    Raises
    ------
    InputError
        If the values are no counts, or there are counts where the projection has no sky.
    """
    image = cube.values[channel]
    if np.isnan(image).any():  # how some programs fill the corners of an oval map
        image = np.where(np.isnan(image) & ~cube.on_sky(), 0, image)
    flat = np.flatnonzero(image)
    counts = whole_counts(cube, image.ravel()[flat])
    _, nx = image.shape

    def pixels_of(chunk: slice) -> Ints:
        photon_pixel = np.repeat(flat[chunk], counts[chunk])
        first = np.repeat(np.cumsum(counts[chunk]) - counts[chunk], counts[chunk])
        rank = np.arange(photon_pixel.size) - first
        lon, lat = np.full(photon_pixel.size, np.nan), np.full(photon_pixel.size, np.nan)
        # a pixel on the border of an oval map is partly off the sky: try other places in it
        for attempt in range(PLACE_TRIES):
            todo = np.flatnonzero(np.isnan(lon))
            if not todo.size:
                break
            counter = (photon_pixel[todo].astype(np.uint64) << np.uint64(RANK_BITS)) + rank[todo].astype(
                np.uint64
            )
            bits = splitmix64(counter, splitmix64(np.array([attempt], np.uint64), key)[0])
            dx = (bits >> np.uint64(32)).astype(np.float64) / 2**32 - 0.5
            dy = (bits & np.uint64(0xFFFFFFFF)).astype(np.float64) / 2**32 - 0.5
            lon[todo], lat[todo] = cube.sky(photon_pixel[todo] % nx + dx, photon_pixel[todo] // nx + dy)
        # one with only a sliver of sky: the sky nearest to its centre
        for dx, dy in _NEAREST:
            todo = np.flatnonzero(np.isnan(lon))
            if not todo.size:
                break
            lon[todo], lat[todo] = cube.sky(photon_pixel[todo] % nx + dx, photon_pixel[todo] // nx + dy)
        if np.isnan(lon).any():
            raise InputError(cube.path, f"{np.isnan(lon).sum()} counts outside the sky of the projection")
        if cube.frame != "galactic":
            lon, lat = icrs_to_galactic(lon, lat)
        return np.asarray(hp.ang2pix(1 << order, lon, lat, nest=True, lonlat=True), dtype=np.int64)

    return _binned(order, counts, pixels_of)


def channel_key(seed: int, plane: int, time_slice: int, ordinal: int) -> np.uint64:
    """Key of the places of one input channel: `ordinal` counts the channels that make up one map."""
    return stream_key(seed, plane, (time_slice << 16) + ordinal)
