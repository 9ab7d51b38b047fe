"""The counts of a region as a mixture of point sources and background.

Expectation maximisation (Dempster, Laird and Rubin 1977) shares each pixel's photons out among the sources and
the background by their expected counts there; the shares are the next estimates. Fluxes stay positive, crowded
sources are fitted together, and every step raises the likelihood.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from models.likelihood.neighbourhood import Neighbourhoods, SkyPixels
from models.likelihood.optics import EXTENTS_DEG, PointSpread, TablePlaces

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EXTENT_TS = 9.0
EXTENT_TS_A_PHOTON = 0.1  # the PSF of a spectrum unlike the survey's index differs by less
EXTENT_PHOTONS = 15.0


@dataclass(frozen=True, eq=False)
class Mixture:
    """Sources at fixed places on a background.

    Attributes
    ----------
    near : Neighbourhoods
        Pixels that each source reaches.
    cell : array of int [n_pairs]
        Those pixels numbered through all planes.
    spread : PointSpread
    extent : array of int [n]
        Widths of the sources, by their number in `EXTENTS_DEG`.
    n_cells : int
        Pixels of all planes.
    """

    near: Neighbourhoods
    cell: Ints
    spread: PointSpread
    extent: Ints
    n_cells: int

    @classmethod
    def of(cls, near: Neighbourhoods, pixels: SkyPixels, spread: PointSpread, extent: Ints) -> "Mixture":
        """Mixture of sources at the neighbourhoods' positions."""
        size = sum(len(c) for c in pixels.counts)
        return cls(near, near.pixel + pixels.first[near.plane], spread, extent, size)

    @cached_property
    def psf(self) -> Floats:
        """Photons per sr of a source of one photon at its pixels, [n_pairs]."""
        near = self.near
        row = self.spread.row(near.plane, near.per_pixel(self.extent))
        return self.spread.density_of(row, near.squared_deg())

    @cached_property
    def reach(self) -> Floats:
        """Share of the photons inside the neighbourhood's radius, [n, n_planes]."""
        radius = self.near.radius_deg
        return self.spread.containment(np.arange(len(radius)), radius, self.extent[:, None])

    def contribution(self, photons: Floats) -> Floats:
        """Expected density of each (source, pixel) pair for source photons [n, n_planes]."""
        return self.near.per_pixel(photons) * self.psf

    def density(self, photons: Floats) -> Floats:
        """Expected photons per sr of all sources together in every cell."""
        each = self.contribution(photons)
        return cast(Floats, np.bincount(self.cell, weights=each, minlength=self.n_cells))

    def total(self, photons: Floats, background: Floats) -> Floats:
        """Expected photons per sr, sources and background [n_cells], at every pair's pixel."""
        return (background + self.density(photons))[self.cell]

    def widened(self, photons: Floats, background: Floats) -> "Mixture":
        """The same sources, each as wide as its photons ask for, or a point where they do not.

        A width is taken where it raises the likelihood of the source, its photons refitted and all others kept,
        by enough above that of a point; fainter sources than `EXTENT_PHOTONS` stay points.
        """
        near = self.near
        rows = photons.sum(axis=1) >= EXTENT_PHOTONS
        pairs = rows[near.owner]
        own = near.subset(rows, pairs, near.radius_deg)
        null = (self.total(photons, background) - self.contribution(photons))[pairs]
        places = TablePlaces.of(self.spread.row(own.plane), own.squared_deg())
        likelihood = []
        for width in range(len(EXTENTS_DEG)):
            needed = null / self.spread.density_at(places, width)  # photons, to be as bright as all else
            reach = self.spread.containment(np.arange(len(near.radius_deg)), near.radius_deg, width)
            amount = photons[rows]
            for _ in range(8):
                total = own.per_pixel(amount)
                total += needed
                amount = amount * own.plane_total(np.divide(own.counts, total, out=total)) / reach
            gain = own.total(own.counts * np.log1p(own.per_pixel(amount) / needed))
            likelihood.append(gain - (amount * reach).sum(axis=1))
        table = np.array(likelihood)
        best = table.argmax(axis=0)
        extent = np.zeros(near.n, dtype=np.int64)
        enough = EXTENT_TS + EXTENT_TS_A_PHOTON * photons[rows].sum(axis=1)
        extent[rows] = np.where(2 * (table.max(axis=0) - table[0]) > enough, best, 0)
        return replace(self, extent=extent)
