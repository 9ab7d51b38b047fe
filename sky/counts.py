"""Photon counts on the sphere: one HEALPix map, and the cube of all maps of an observation.

A map keeps only its non-empty pixels, sorted, where most are empty (at 100 GeV 99.8 % of them), and the plain
array where that is smaller. Both answer the same questions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sky.survey import Survey

Ints = NDArray[np.int64]
Counts = NDArray[np.int32]
Key = tuple[int, str, int]
"""Band index, event type, time slice (0-based)."""

# a sparse pixel costs an int64 index and an int32 value, a dense one the value alone
DENSE_OCCUPANCY = 1 / 3


def npix_of(order: int) -> int:
    """Number of HEALPix pixels of an order."""
    return 12 << (2 * order)


def _concatenated(first: Ints, last: Ints) -> Ints:
    """The numbers of all half-open ranges [first, last), one range after another."""
    lengths = np.maximum(last - first, 0)
    before = np.cumsum(lengths) - lengths
    return np.repeat(first - before, lengths) + np.arange(lengths.sum())


@dataclass(frozen=True, eq=False)
class HealpixCounts:
    """Photon counts of one all-sky map, galactic, NESTED.

    Attributes
    ----------
    order : int
        HEALPix order.
    ipix : ndarray of int64, shape (n,), or None
        The non-empty pixels, ascending; None where `values` is the whole map.
    values : ndarray of int32, shape (n,) or (12 * 4**order,)
    """

    order: int
    ipix: Ints | None
    values: Counts

    @classmethod
    def from_pixels(cls, order: int, ipix: ArrayLike, weights: ArrayLike | None = None) -> "HealpixCounts":
        """Sum photons, or counts `weights`, given by pixel number in any sequence.

        Raises
        ------
        ValueError
            If a pixel number is outside the map.
        """
        pixels = np.asarray(ipix, dtype=np.int64)
        if pixels.size and (pixels.min() < 0 or pixels.max() >= npix_of(order)):
            raise ValueError(f"pixel number outside a HEALPix map of order {order}")
        if pixels.size > DENSE_OCCUPANCY * npix_of(order):
            # double precision counts exactly, up to 2**53
            return cls(order, None, np.bincount(pixels, weights, npix_of(order)).astype(np.int32)).compact()
        unique, inverse = np.unique(pixels, return_inverse=True)
        summed = np.bincount(inverse, weights, unique.size).astype(np.int32)
        kept = summed != 0
        return cls(order, unique[kept], summed[kept]).compact()

    @classmethod
    def from_dense(cls, order: int, values: ArrayLike) -> "HealpixCounts":
        """From a whole NESTED map of whole numbers.

        Raises
        ------
        ValueError
            If the map has not the length of its order.
        """
        dense = np.asarray(values)
        if dense.shape != (npix_of(order),):
            raise ValueError(f"{dense.shape} is not the shape of a HEALPix map of order {order}")
        return cls(order, None, dense.astype(np.int32)).compact()

    def compact(self) -> "HealpixCounts":
        """The same map in the smaller of its two forms."""
        ipix, values = self.sparse()
        if ipix.size <= DENSE_OCCUPANCY * npix_of(self.order):
            return HealpixCounts(self.order, ipix, values)
        return HealpixCounts(self.order, None, self.dense())

    def within(self, ranges: ArrayLike) -> tuple[Ints, Counts]:
        """Non-empty pixels, ascending, and their counts in half-open pixel ranges.

        Parameters
        ----------
        ranges : array_like of int, shape (m, 2)
            Ascending and disjoint.
        """
        first, last = np.asarray(ranges, dtype=np.int64).reshape(-1, 2).T
        if self.ipix is None:
            ipix = _concatenated(first, last)
            values = self.values[ipix]
            kept = values != 0
            return ipix[kept], values[kept]
        rows = _concatenated(np.searchsorted(self.ipix, first), np.searchsorted(self.ipix, last))
        return self.ipix[rows], self.values[rows]

    def at(self, ipix: Ints) -> Counts:
        """Counts of pixels."""
        if self.ipix is None:
            return self.values[ipix]
        if not len(self.ipix):
            return np.zeros(ipix.shape, np.int32)
        row = np.minimum(np.searchsorted(self.ipix, ipix), len(self.ipix) - 1)
        return np.where(self.ipix[row] == ipix, self.values[row], 0)

    def sparse(self) -> tuple[Ints, Counts]:
        """All non-empty pixels, ascending, and their counts."""
        if self.ipix is not None:
            return self.ipix, self.values
        ipix = np.flatnonzero(self.values)
        return ipix, self.values[ipix]

    def dense(self) -> Counts:
        """The whole map, NESTED, shape (12 * 4**order,)."""
        if self.ipix is None:
            return self.values
        out = np.zeros(npix_of(self.order), dtype=np.int32)
        out[self.ipix] = self.values
        return out

    def total(self) -> int:
        """Number of photons."""
        return int(self.values.sum(dtype=np.int64))

    def __add__(self, other: "HealpixCounts") -> "HealpixCounts":
        """Sum of two maps of one order."""
        if self.order != other.order:
            raise ValueError(f"counts maps of order {self.order} and {other.order} cannot be added")
        (a, n_a), (b, n_b) = self.sparse(), other.sparse()
        return HealpixCounts.from_pixels(self.order, np.concatenate([a, b]), np.concatenate([n_a, n_b]))

    def degrade(self, order: int) -> "HealpixCounts":
        """The map at a coarser order, every photon in its parent pixel."""
        if order > self.order:
            raise ValueError(f"a counts map of order {self.order} cannot be refined to order {order}")
        if order == self.order:
            return self
        ipix, values = self.sparse()
        return HealpixCounts.from_pixels(order, ipix >> (2 * (self.order - order)), values)


@dataclass(frozen=True, eq=False)
class CountsCube:
    """All counts maps of an observation.

    Attributes
    ----------
    survey : Survey
    maps : mapping of (band index, event type, time slice) to HealpixCounts
        Complete: every plane of the survey, every slice.
    slices_met_s : tuple of (float, float)
        Start and stop of each time slice, mission elapsed time; empty where time is not resolved, and then
        the one slice is number 0.
    """

    survey: Survey
    maps: Mapping[Key, HealpixCounts]
    slices_met_s: tuple[tuple[float, float], ...] = field(default=())

    def __post_init__(self) -> None:
        if set(self.maps) != set(self.all_keys()):
            raise ValueError(f"counts maps do not make up survey '{self.survey.name}'")

    @property
    def n_slices(self) -> int:
        """Length of the slice axis: at least 1."""
        return max(1, len(self.slices_met_s))

    def all_keys(self) -> Iterator[Key]:
        """All keys, plane by plane, slices last."""
        for band, event_type in self.survey.planes:
            for time_slice in range(self.n_slices):
                yield band, event_type, time_slice

    def total(self) -> int:
        """Number of photons of all maps."""
        return int(self.plane_totals().sum())

    def plane_totals(self) -> Ints:
        """Photons of each plane, slices summed, shape (n_planes,)."""
        return self._totals.copy()

    @cached_property
    def _totals(self) -> Ints:
        # Counted once: every tile asks, and a sum reads all maps.
        return np.array(
            [sum(self.maps[b, t, s].total() for s in range(self.n_slices)) for b, t in self.survey.planes],
            dtype=np.int64,
        )

    def plane(self, plane: int) -> HealpixCounts:
        """One plane with its slices summed, which is done once."""
        band, event_type = self.survey.planes[plane]
        if self.n_slices == 1:
            return self.maps[band, event_type, 0]
        if plane not in self._summed:
            order = self.survey.bands[band].order
            whole = np.zeros(npix_of(order), dtype=np.int32)
            for s in range(self.n_slices):
                part = self.maps[band, event_type, s]
                if part.ipix is None:
                    whole += part.values
                else:
                    whole[part.ipix] += part.values  # each pixel once
            self._summed[plane] = HealpixCounts.from_dense(order, whole)
        return self._summed[plane]

    @cached_property
    def _summed(self) -> dict[int, HealpixCounts]:
        return {}

    def by_cell(self, order: int) -> Ints:
        """Photons of all planes and slices in each NESTED cell of an order no finer than any band's."""
        cells = np.zeros(npix_of(order), dtype=np.int64)
        for plane in range(len(self.survey.planes)):
            cells += self.plane(plane).degrade(order).dense()
        return cells

    def dense(self, plane: int) -> Counts:
        """Whole NESTED map of one plane, slices summed, shape (band.npix,)."""
        return self.plane(plane).dense()

    def select(self, plane: int, ranges: NDArray[np.int64]) -> tuple[Ints, Counts]:
        """Non-empty pixels of one plane, slices summed, in half-open pixel ranges, shape (m, 2)."""
        return self.plane(plane).within(ranges)
