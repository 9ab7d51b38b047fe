"""The steps of expectation maximisation for sources at fixed places: two sparse products a step.

Neither places nor widths change between them. With P the photons per sr of a source of one photon
[n_sources * n_planes, n_cells], n the counts, b the background and f the sources' photons,

    f <- f (P (n / (b + P^T f)) / reach)^stretch.

With a stretch between 1 and 2 the logarithm moves so many times as far, to the same end in fewer steps
(Salakhutdinov and Roweis 2003, ICML 20, 664).
"""

from dataclasses import dataclass, replace
from typing import Self, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from models.likelihood.mixture import Mixture
from models.likelihood.neighbourhood import Neighbourhoods

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEAST_PHOTONS = 1e-6  # a source at zero would never come back


@dataclass(frozen=True, eq=False)
class Sharing:
    """Photons of a tile shared out between its sources and the background.

    Attributes
    ----------
    mixture : Mixture
    counts : array [n_cells]
    psf : array [n_pairs]
        The mixture's.
    spread_of : csr_array [n * n_planes, n_cells]
        Photons per sr of a source of one photon.
    lit_by : csc_array [n_cells, n * n_planes]
        The same, turned round.
    """

    mixture: Mixture
    counts: Floats
    psf: Floats
    spread_of: csr_array
    lit_by: csc_array

    @classmethod
    def of(cls, mixture: Mixture, counts: Floats, psf: Floats | None = None) -> Self:
        """Sources of a mixture and the counts of its cells; its `psf`, where that is known already."""
        near, psf = mixture.near, mixture.psf if psf is None else psf
        size = near.n * len(near.radius_deg)
        first = np.zeros(size + 1, dtype=np.int32)
        np.cumsum(np.bincount(near.key, minlength=size), out=first[1:])
        # Pairs stand by source and plane: rows of a sparse matrix as they are.
        entries = psf, mixture.cell.astype(np.int32), first
        shape = size, mixture.n_cells
        return cls(
            mixture, counts, psf, csr_array(entries, shape=shape), csc_array(entries, shape=shape[::-1])
        )

    def moved(self, rows: Mask, east_deg: Floats, north_deg: Floats) -> Self:
        """Some of the sources moved by small offsets [n], which keep the pixels that they have."""
        mixture, psf = self.mixture, self.psf.copy()
        near = mixture.near.shifted(east_deg, north_deg)
        pairs = rows[near.owner]
        east, north = near.east_deg[pairs], near.north_deg[pairs]
        row = mixture.spread.row(near.plane[pairs], mixture.extent[near.owner[pairs]])
        psf[pairs] = mixture.spread.density_of(row, east * east + north * north)
        return type(self).of(replace(mixture, near=near), self.counts, psf)

    def density(self, photons: Floats) -> Floats:
        """Expected photons per sr of all sources of photons [n, n_planes] in every cell."""
        return cast(Floats, self.lit_by @ photons.ravel())

    def settled(self, photons: Floats, background: Floats, steps: int, stretch: float = 1.0) -> Floats:
        """Photons of the sources [n, n_planes], some steps on, on a background per sr [n_cells]."""
        reach = self.mixture.reach
        for _ in range(steps):
            ratio = self.counts / (background + self.density(photons))
            growth = (self.spread_of @ ratio).reshape(photons.shape) / reach
            photons = np.maximum(photons * (growth**stretch if stretch != 1 else growth), LEAST_PHOTONS)
        return photons

    def weights(self, pairs: Mask, photons: Floats, background: Floats) -> Floats:
        """Counts of some pairs of the mixture times the share of them that is not other sources'."""
        near, cell = self.mixture.near, self.mixture.cell[pairs]
        density = self.density(photons)
        others = np.maximum(density[cell] - self._own(near, pairs, photons), 0)
        return near.counts[pairs] * (1 - others / (background + density)[cell])

    def without(self, pairs: Mask, photons: Floats, background: Floats) -> Floats:
        """Expected photons per sr at some pairs, all but those of the pair's own source."""
        cell = self.mixture.cell[pairs]
        total = (background + self.density(photons))[cell]
        return total - self._own(self.mixture.near, pairs, photons)

    def _own(self, near: Neighbourhoods, pairs: Mask, photons: Floats) -> Floats:
        return photons.ravel()[near.key[pairs]] * self.psf[pairs]
