"""Poisson likelihood of many sources at once, each on a background whose level is free.

In every plane the pixels round a source are expected to hold, per sr,

    photons * P(x) + level * B(x) + N(x),

with B the shape of the background, N the neighbours. The likelihood is concave in photons and level, so Newton's
method finds them; the level, one a source and plane, is profiled out of everything asked here.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.likelihood.neighbourhood import Neighbourhoods
from models.likelihood.optics import PointSpread

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL_STEPS = 5
FLUX_STEPS = 30
LEAST_LEVEL = 0.02


@dataclass(frozen=True, eq=False)
class LocalSky:
    """Pixels round sources with what is expected of background and neighbours.

    Attributes
    ----------
    near : Neighbourhoods
    background, neighbours : array [n_pairs]
        Per sr.
    spread : PointSpread
    profile : array of int [n]
        Profiles of the sources, by their number in `PointSpread`.
    background_total : array [n, n_planes]
        Photons of the background inside each neighbourhood.
    """

    near: Neighbourhoods
    background: Floats
    neighbours: Floats
    spread: PointSpread
    profile: Ints
    background_total: Floats

    def select(self, rows: NDArray[np.bool_]) -> "LocalSky":
        """Some of the sources."""
        pairs = rows[self.near.owner]
        return LocalSky(
            self.near.subset(rows, pairs, self.near.radius_deg),
            self.background[pairs],
            self.neighbours[pairs],
            self.spread,
            self.profile[rows],
            self.background_total[rows],
        )

    def psf(self, east_deg: Floats | None = None, north_deg: Floats | None = None) -> Floats:
        """Photons per sr of a source of one photon, at its position or offsets [n] from it."""
        near = self.near
        sep_deg = near.separation_deg(east_deg, north_deg)
        return self.spread.density(near.plane, sep_deg, self.profile[near.owner])

    @cached_property
    def contained(self) -> Floats:
        """Share of a source's photons inside its neighbourhood, [n, n_planes]."""
        radius = self.near.radius_deg
        return self.spread.containment(np.arange(len(radius)), radius, self.profile[:, None])

    def levels(self, signal: Floats, start: Floats) -> Floats:
        """Best levels of the background [n, n_planes] under a signal per sr [n_pairs]."""
        near, level = self.near, start
        for _ in range(LEVEL_STEPS):
            ratio = self.background / self.expected(signal, level)
            slope = near.plane_total(near.counts * ratio) - self.background_total
            bend = near.plane_total(near.counts * ratio**2)
            level = np.clip(level + slope / np.maximum(bend, 1e-12), level / 3, level * 3 + 0.1)
            level = np.maximum(level, LEAST_LEVEL)
        return level

    def expected(self, signal: Floats, level: Floats) -> Floats:
        """Expected photons per sr [n_pairs]."""
        return signal + self.near.per_pixel(level) * self.background + self.neighbours

    def plane_likelihood(self, photons: Floats, signal: Floats, level: Floats) -> Floats:
        """Log-likelihood of each plane, [n, n_planes], for `photons` [n, n_planes] that make `signal`."""
        near = self.near
        gain = near.plane_total(near.counts * np.log(self.expected(signal, level)))
        return gain - photons * self.contained - level * self.background_total

    def spread_photons(self, photons: Floats, psf: Floats) -> Floats:
        """Signal per sr [n_pairs] of photons [n, n_planes]."""
        return self.near.per_pixel(photons) * psf
