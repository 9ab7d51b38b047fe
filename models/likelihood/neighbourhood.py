"""The counts around many positions at once, as flat arrays.

The pixels of a neighbourhood lie next to each other, plane by plane; a statistic of all positions is then a sum
over segments of flat arrays, without a loop over positions.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self, TypeVar, cast

import healpy as hp
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from sky.counts import CountsCube
from sky.frames import lon_lat
from sky.tiles import COVER_ORDER, cell_ranges, owner

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Number = TypeVar("Number", np.float64, np.int64)


@dataclass(frozen=True, eq=False)
class SkyPixels:
    """Non-empty HEALPix pixels of a part of the sky, plane by plane.

    Attributes
    ----------
    ipix : list of array of int [n]
        Their NESTED numbers, one array a plane.
    vectors : list of array [n, 3]
        Galactic unit vectors of the pixels' centres.
    counts : list of array [n]
    trees : list of cKDTree
    """

    ipix: list[Ints]
    vectors: list[Floats]
    counts: list[Floats]
    trees: list[cKDTree]

    @property
    def first(self) -> Ints:
        """Number of each plane's first pixel where those of all planes are numbered through, [n_planes]."""
        return np.concatenate([[0], np.cumsum([len(c) for c in self.counts])[:-1]])

    @cached_property
    def columns(self) -> tuple[Floats, Floats]:
        """Counts [n_cells] and unit vectors [3, n_cells] of all planes' pixels, numbered through."""
        return np.concatenate(self.counts), np.concatenate(self.vectors).T.copy()


def sky_pixels(cube: CountsCube, ranges: Ints) -> SkyPixels:
    """Non-empty pixels within half-open NESTED ranges of `COVER_ORDER`, shape (m, 2); slices summed."""
    numbers, vectors, counts, trees = [], [], [], []
    for plane, (band, _) in enumerate(cube.survey.planes):
        order = cube.survey.bands[band].order
        ipix, values = cube.select(plane, ranges << np.int64(2 * (order - COVER_ORDER)))
        centres = np.stack(hp.pix2vec(1 << order, ipix, nest=True), axis=-1)
        numbers.append(ipix)
        vectors.append(centres)
        counts.append(values.astype(float))
        trees.append(cKDTree(centres, balanced_tree=False, compact_nodes=False))  # made fast, asked once
    return SkyPixels(numbers, vectors, counts, trees)


def cover(vectors: Floats, radius_deg: float) -> Ints:
    """Half-open NESTED ranges of `COVER_ORDER` that hold discs round positions, shape (m, 2)."""
    discs = [
        hp.query_disc(1 << COVER_ORDER, v, np.radians(radius_deg), inclusive=True, nest=True) for v in vectors
    ]
    cells = np.unique(np.concatenate([*discs, np.empty(0, np.int64)])).astype(np.int64)
    return cell_ranges(cells)


def tangent_axes(vectors: Floats) -> tuple[Floats, Floats]:
    """Unit vectors to galactic east and north at positions, each [n, 3]."""
    glon = np.arctan2(vectors[:, 1], vectors[:, 0])
    east = np.stack([-np.sin(glon), np.cos(glon), np.zeros_like(glon)], axis=-1)
    return east, np.cross(vectors, east)


def moved(vectors: Floats, east_deg: Floats, north_deg: Floats) -> Floats:
    """Positions after small steps along galactic east and north, [n, 3]."""
    east, north = tangent_axes(vectors)
    out = vectors + np.radians(east_deg)[:, None] * east + np.radians(north_deg)[:, None] * north
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def places_round(vector: Floats, step_deg: float) -> tuple[Floats, Floats, Floats, Floats]:
    """A grid of 5 by 5 places round one [1, 3]: its steps [5], offsets to east and north [25], the places [25, 3]."""
    steps = np.asarray(np.arange(-2, 3) * step_deg, dtype=np.float64)
    east, north = (grid.ravel() for grid in np.meshgrid(steps, steps))
    return steps, east, north, moved(np.repeat(vector, east.size, axis=0), east, north)


def offsets_deg(vectors: Floats, others: Floats) -> tuple[Floats, Floats]:
    """Offsets of places [n, 3] from nearby positions [n, 3] along galactic east and north."""
    east, north = tangent_axes(vectors)
    return np.degrees(np.sum(others * east, axis=1)), np.degrees(np.sum(others * north, axis=1))


def near_cell(tile: int, vectors: Floats, margin_deg: float) -> NDArray[np.bool_]:
    """Positions [n, 3] in a tile's cell or within a margin of it."""
    inside = owner(*lon_lat(vectors)) == tile
    for angle in np.arange(8) * np.pi / 4:
        step = np.full(len(vectors), margin_deg)
        inside |= owner(*lon_lat(moved(vectors, step * np.cos(angle), step * np.sin(angle)))) == tile
    return inside


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """Pixels around positions; all arrays [n_pairs] unless said otherwise, by position and then by plane.

    Attributes
    ----------
    n : int
        Number of positions.
    owner : array of int
        Position each pixel belongs to.
    plane : array of int
    counts : array
    east_deg, north_deg : array
        Offsets from the position in its tangent plane.
    radius_deg : array [n_planes]
        Radius of the neighbourhood in each plane.
    pixel : array of int
        Number of the pixel in its plane's `SkyPixels`.
    """

    n: int
    owner: Ints
    plane: Ints
    counts: Floats
    east_deg: Floats
    north_deg: Floats
    radius_deg: Floats
    pixel: Ints

    @cached_property
    def key(self) -> Ints:
        """Position and plane of each pixel as one number."""
        return self.owner * len(self.radius_deg) + self.plane

    @cached_property
    def _owners(self) -> "_Segments":
        return _Segments.of(self.owner)

    @cached_property
    def _keys(self) -> "_Segments":
        return _Segments.of(self.key)

    def pairs_of(self, rows: NDArray[np.bool_], within_deg: ArrayLike = np.inf) -> NDArray[np.bool_]:
        """Pixels of some positions, no farther than a separation [n_planes]."""
        limit = np.square(np.broadcast_to(within_deg, self.radius_deg.shape))
        return rows[self.owner] & (self.squared_deg() <= limit[self.plane])

    def subset(self, rows: NDArray[np.bool_], pairs: NDArray[np.bool_], radius_deg: Floats) -> Self:
        """Some positions, renumbered, with some of their pixels."""
        number = np.cumsum(rows) - 1
        kept = np.flatnonzero(pairs)  # numbers take from arrays much faster than a mask does
        return type(self)(
            n=int(rows.sum()),
            owner=number.take(self.owner.take(kept)),
            plane=self.plane.take(kept),
            counts=self.counts.take(kept),
            east_deg=self.east_deg.take(kept),
            north_deg=self.north_deg.take(kept),
            radius_deg=radius_deg,
            pixel=self.pixel.take(kept),
        )

    def shifted(self, east_deg: Floats, north_deg: Floats) -> Self:
        """The same pixels seen from positions moved by small offsets [n]."""
        east = self.east_deg - self.per_pixel(east_deg)
        return replace(self, east_deg=east, north_deg=self.north_deg - self.per_pixel(north_deg))

    def total(self, values: Floats) -> Floats:
        """Sum of per-pixel values for each position, [n]."""
        return self._owners.total(values, self.n)

    def plane_total(self, values: Floats) -> Floats:
        """Sum of per-pixel values for each position and plane, [n, n_planes]."""
        planes = len(self.radius_deg)
        return self._keys.total(values, self.n * planes).reshape(self.n, planes)

    def per_pixel(self, values: NDArray[Number]) -> NDArray[Number]:
        """Values of positions [n], or of positions and planes [n, n_planes], at each of their pixels."""
        segments = self._owners if values.ndim == 1 else self._keys
        return np.repeat(values.ravel()[segments.number], segments.length)

    def squared_deg(self, east_deg: Floats | None = None, north_deg: Floats | None = None) -> Floats:
        """Square of every pixel's distance from its position, moved by offsets [n] where given."""
        if east_deg is None or north_deg is None:
            return self.east_deg * self.east_deg + self.north_deg * self.north_deg
        east, north = self.per_pixel(east_deg), self.per_pixel(north_deg)
        for off, at in ((east, self.east_deg), (north, self.north_deg)):
            np.subtract(at, off, out=off)
            off *= off
        east += north
        return east

    def separation_deg(self, east_deg: Floats | None = None, north_deg: Floats | None = None) -> Floats:
        """Distance of every pixel from its position, moved by offsets [n] where given."""
        squared = self.squared_deg(east_deg, north_deg)
        return cast(Floats, np.sqrt(squared, out=squared))


@dataclass(frozen=True, eq=False)
class _Segments:
    """Runs of equal numbers in an ascending array."""

    number: Ints
    start: Ints
    length: Ints

    @classmethod
    def of(cls, numbers: Ints) -> "_Segments":
        start = np.flatnonzero(np.diff(numbers, prepend=-1))
        return cls(numbers[start], start, np.diff(start, append=len(numbers)))

    def total(self, values: Floats, size: int) -> Floats:
        """Sums of values over each run, at its number; 0 where there is none."""
        out = np.zeros(size)
        if len(self.start):
            out[self.number] = np.add.reduceat(values, self.start)
        return out


def gather(pixels: SkyPixels, vectors: Floats, radius_deg: Floats) -> Neighbourhoods:
    """Non-empty pixels within `radius_deg` [n_planes] of positions `vectors` [n, 3]."""
    pairs = [_pairs(pixels.trees[p], vectors, float(radius)) for p, radius in enumerate(radius_deg)]
    plane = np.repeat(np.arange(len(pairs)), [len(numbers) for _, numbers in pairs])
    owner, pixel = (np.concatenate(column) for column in zip(*pairs, strict=True))
    # Planes stand in sequence already. Numbers of 16 bits are sorted by their digits, ten times as fast.
    order = np.argsort(owner.astype(np.uint16 if len(vectors) < 1 << 16 else np.int64), kind="stable")
    owner, plane, pixel = owner.take(order), plane.take(order), pixel.take(order)
    cell = pixels.first.take(plane) + pixel
    counts, places = (column.take(cell, axis=-1) for column in pixels.columns)
    east, north = (_along(places, axis, owner) for axis in tangent_axes(vectors))
    return Neighbourhoods(
        len(vectors), owner, plane, counts, east, north, np.asarray(radius_deg, float), pixel
    )


def _pairs(tree: cKDTree, vectors: Floats, radius_deg: float) -> tuple[Ints, Ints]:
    """Numbers of positions and of the pixels of a tree within a radius of them, one entry a pair."""
    if not len(vectors) or not tree.n:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    chord = 2 * np.sin(np.radians(radius_deg) / 2)
    found = cKDTree(vectors).sparse_distance_matrix(tree, chord, output_type="ndarray")
    return found["i"], found["j"]


def _along(places: Floats, axes: Floats, owner: Ints) -> Floats:
    """Degrees from positions along one of their axes [n, 3] to places [3, n_pairs]."""
    x, y, z = (place * axis.take(owner) for place, axis in zip(places, axes.T, strict=True))
    return cast(Floats, np.degrees(x + y + z))
