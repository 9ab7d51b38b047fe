"""Poisson likelihood of many sources at once, each on a background whose level is free.

In every plane the pixels round a source are expected to hold, per sr,

    photons * P(x) + level * B(x) + N(x),

with B the shape of the background, N the neighbours. The likelihood is concave in photons and level, so Newton's
method finds them; the level, one a source and plane, is profiled out of everything asked here.

The shape of the background is not known exactly: photons of a plane are weighted by 1 / (1 + error^2 N), N the
background under the PSF (4FGL; Abdollahi et al. 2020, ApJS 247, 33, appendix B).
"""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.likelihood.neighbourhood import Neighbourhoods
from models.likelihood.optics import PointSpread
from models.likelihood.rows import Rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL_STEPS = 5
LEAST_LEVEL = 0.02
LEVEL_MOVES = (0.7, 2.0)  # down and up in one step, of the level
# A fit has settled where one more step of Newton's would raise twice ln L by less.
SETTLED = 1e-3


@dataclass(frozen=True, eq=False)
class Slopes(Rows):
    """The weighted likelihood of each plane and its derivatives in the source's photons and the level, [n, n_planes].

    `photons_bend`, `mixed` and `level_bend` are minus the second derivatives.
    """

    value: Floats
    photons: Floats
    level: Floats
    photons_bend: Floats
    mixed: Floats
    level_bend: Floats

    def kept(self, where: NDArray[np.bool_], other: "Slopes") -> "Slopes":
        """These where `where` [n, n_planes], the others elsewhere."""
        return Slopes(*(np.where(where, getattr(self, f.name), getattr(other, f.name)) for f in fields(self)))

    def freed(self, level: Floats, damp: Floats | float = 1.0) -> "Freed":
        """Newton's step with the level free, its bends multiplied by `damp` [n, n_planes]."""
        pinned = (level <= LEAST_LEVEL) & (self.level < 0)  # a level at its end stays there
        mixed = np.where(pinned, 0.0, self.mixed)
        # Where hardly a photon is the background's, its level has no bend and would run off: no farther than this.
        farthest = np.where(self.level < 0, *LEVEL_MOVES) * level
        bend = np.maximum(self.level_bend * damp, np.abs(self.level) / farthest)
        follows = -mixed / bend
        return Freed(
            slope=self.photons + follows * self.level,
            bend=self.photons_bend * damp + follows * mixed,
            rest=np.where(pinned, 0.0, self.level / bend),
            follows=follows,
        )


class Freed(NamedTuple):
    """The likelihood's first and (minus the) second derivative in the photons of a plane, the level following.

    The level's own step is `rest + follows * (step of the photons)`. All arrays [n, n_planes].
    """

    slope: Floats
    bend: Floats
    rest: Floats
    follows: Floats


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
    background_error : float
        Relative error of the background's shape under the PSF.
    """

    near: Neighbourhoods
    background: Floats
    neighbours: Floats
    spread: PointSpread
    profile: Ints
    background_total: Floats
    background_error: float = 0.0

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
            self.background_error,
        )

    def psf(self, east_deg: Floats | None = None, north_deg: Floats | None = None) -> Floats:
        """Photons per sr of a source of one photon, at its position or offsets [n] from it."""
        squared = self.near.squared_deg(east_deg, north_deg)
        return self.spread.density_of(self.row, squared)

    @cached_property
    def row(self) -> Floats:
        """Where the tables of the sources' profiles begin, [n_pairs]."""
        return self.spread.row(self.near.plane, self.near.per_pixel(self.profile))

    @cached_property
    def contained(self) -> Floats:
        """Share of a source's photons inside its neighbourhood, [n, n_planes]."""
        radius = self.near.radius_deg
        return self.spread.containment(np.arange(len(radius)), radius, self.profile[:, None])

    @cached_property
    def weight(self) -> Floats:
        """What a photon counts for its source, [n, n_planes]."""
        area_sr = 2 * np.pi * (1 - np.cos(np.radians(self.near.radius_deg)))
        under = self.background_total * (self.spread.solid_angle_sr / area_sr)
        return 1 / (1 + self.background_error**2 * under)

    def slopes(self, photons: Floats, level: Floats, psf: Floats) -> Slopes:
        """The likelihood of `photons` and `level`, [n, n_planes] each, and its derivatives; `psf` [n_pairs]."""
        near, weight = self.near, self.weight
        expected = self.expected(near.per_pixel(photons) * psf, level)
        inverse = 1 / expected
        source, back = psf * inverse, self.background * inverse
        of_source, of_back = near.counts * source, near.counts * back
        gain = near.plane_total(near.counts * np.log(expected))
        return Slopes(
            value=weight * (gain - photons * self.contained - level * self.background_total),
            photons=weight * (near.plane_total(of_source) - self.contained),
            level=weight * (near.plane_total(of_back) - self.background_total),
            mixed=weight * near.plane_total(of_source * back),
            photons_bend=weight * near.plane_total(np.multiply(of_source, source, out=of_source)),
            level_bend=np.maximum(weight * near.plane_total(np.multiply(of_back, back, out=of_back)), 1e-9),
        )

    def levels(self, signal: Floats, start: Floats) -> Floats:
        """Best levels of the background [n, n_planes] under a signal per sr [n_pairs]."""
        near, level = self.near, start
        for _ in range(LEVEL_STEPS):
            ratio = self.background / self.expected(signal, level)
            slope = near.plane_total(near.counts * ratio) - self.background_total
            bend = near.plane_total(near.counts * ratio**2)
            # what has settled rests: no result depends on what else is fitted at the same time
            moves = (slope**2 > SETTLED * bend) & ((level > LEAST_LEVEL) | (slope > 0))
            if not moves.any():
                break
            step = np.clip(level + slope / np.maximum(bend, 1e-12), level / 3, level * 3 + 0.1)
            level = np.where(moves, np.maximum(step, LEAST_LEVEL), level)
        return level

    def expected(self, signal: Floats, level: Floats) -> Floats:
        """Expected photons per sr [n_pairs]."""
        out = self.near.per_pixel(level)
        out *= self.background
        out += self.neighbours
        out += signal
        return out

    def plane_likelihood(self, photons: Floats, signal: Floats, level: Floats) -> Floats:
        """Weighted log-likelihood of each plane, [n, n_planes], for `photons` [n, n_planes] that make `signal`."""
        near = self.near
        gain = near.plane_total(near.counts * np.log(self.expected(signal, level)))
        return self.weight * (gain - photons * self.contained - level * self.background_total)

    def spread_photons(self, photons: Floats, psf: Floats) -> Floats:
        """Signal per sr [n_pairs] of photons [n, n_planes]."""
        return self.near.per_pixel(photons) * psf
