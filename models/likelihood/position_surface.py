"""The likelihood's surface over the place of sources, and the paraboloid that fits it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.likelihood.local_fit import LocalSky
from models.likelihood.neighbourhood import Neighbourhoods
from models.likelihood.optics import PointSpread
from models.likelihood.rows import Rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Pixels within the radius that holds this share of the photons know nearly all about a source's place.
KNOWING, LEAST_RADIUS_DEG = 0.95, 1.0
RIM_DEG = 0.02
LARGEST_STEP_DEG = 0.1
LARGEST_SHIFT_DEG = 0.3
SIGMA_RANGE_DEG = (0.002, 0.3)
# Points, in position errors, where the surface is sampled: centre, two rings.
ANGLES = np.arange(8) * np.pi / 4
RINGS = np.concatenate(
    [[[0.0, 0.0]], *(r * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1) for r in (1.0, 2.0))]
)
_DESIGN = np.stack(
    [
        np.ones(len(RINGS)),
        RINGS[:, 0],
        RINGS[:, 1],
        0.5 * RINGS[:, 0] ** 2,
        RINGS[:, 0] * RINGS[:, 1],
        0.5 * RINGS[:, 1] ** 2,
    ],
    axis=1,
)
_INVERSE = np.linalg.pinv(_DESIGN)


@dataclass(frozen=True, eq=False)
class Surface:
    """-2 ln L over offsets of sources, from the pixels that hold nearly all that is known of their places.

    Attributes
    ----------
    near : Neighbourhoods
    counts : array [n_pairs]
        Weighted.
    ratio : array [n_pairs]
        A source's photons over all else per sr.
    row : array [n_pairs]
        Where the tables of the sources' profiles begin (`PointSpread.row`).
    spread : PointSpread
    leaves : array [n]
        Photons that leave the neighbourhood, for an offset of a degree, to second order in it.
    """

    near: Neighbourhoods
    counts: Floats
    ratio: Floats
    row: Floats
    spread: PointSpread
    leaves: Floats

    @classmethod
    def of(cls, sky: LocalSky, photons: Floats, level: Floats) -> "Surface":
        """For photons of the sources and levels of the background, [n, n_planes] each, that stay as they are."""
        everywhere = np.ones(sky.near.n, dtype=bool)
        radius = np.minimum(np.maximum(sky.spread.radius_deg(KNOWING), LEAST_RADIUS_DEG), sky.near.radius_deg)
        pairs = sky.near.pairs_of(everywhere, radius)
        near = sky.near.subset(everywhere, pairs, radius)
        else_there = sky.expected(np.zeros(len(pairs)), level)[pairs]
        # by the divergence theorem, from the density's slope at the rim
        rim = np.stack([radius - RIM_DEG, radius + RIM_DEG], axis=-1)
        slope = np.diff(sky.spread.density(np.arange(len(radius))[:, None], rim, sky.profile[:, None, None]))[
            ..., 0
        ]
        slope /= np.radians(2 * RIM_DEG)
        leaves = -0.5 * np.pi * np.radians(radius) * slope * np.radians(1.0) ** 2
        return cls(
            near,
            near.counts * near.per_pixel(sky.weight),
            near.per_pixel(photons) / else_there,
            sky.row[pairs],
            sky.spread,
            np.sum(sky.weight * photons * leaves, axis=1),
        )

    def select(self, rows: NDArray[np.bool_]) -> "Surface":
        """Some of the sources."""
        if rows.all():
            return self
        pairs = rows[self.near.owner]
        near = self.near.subset(rows, pairs, self.near.radius_deg)
        return Surface(
            near, self.counts[pairs], self.ratio[pairs], self.row[pairs], self.spread, self.leaves[rows]
        )

    def __call__(self, east_deg: Floats, north_deg: Floats) -> Floats:
        """The surface at offsets [n], [n]."""
        near = self.near
        squared = near.squared_deg(east_deg, north_deg)
        lit = self.spread.density_of(self.row, squared)
        lit *= self.ratio
        np.log1p(lit, out=lit)
        lit *= self.counts
        gain = near.total(lit)
        return -2 * (gain + self.leaves * (east_deg**2 + north_deg**2))


@dataclass(frozen=True, eq=False)
class Paraboloid(Rows):
    """Where each source is thought to be, and the shape of the surface there.

    Attributes
    ----------
    place_deg : array [n, 2]
        Offsets to east and north.
    sigma_deg : array [n]
        Mean error, the scale of the rings.
    errors_deg : array [n, 2]
        Along the axes, the longer first.
    axes : array [n, 2, 2]
        In columns.
    misfit : array [n]
        Largest distance of the sampled surface from the paraboloid.
    """

    place_deg: Floats
    sigma_deg: Floats
    errors_deg: Floats
    axes: Floats
    misfit: Floats

    def moved(self, surface: Surface) -> "Paraboloid":
        """At the vertex of the paraboloid through the rings, or at the best place sampled if that is better."""
        (east, north), sigma = self.place_deg.T, self.sigma_deg
        values = np.stack([surface(east + u * sigma, north + v * sigma) for u, v in RINGS])
        fit = _INVERSE @ values
        curvature = np.empty((len(sigma), 2, 2))
        curvature[:, 0, 0], curvature[:, 1, 1] = fit[3], fit[5]
        curvature[:, 0, 1] = curvature[:, 1, 0] = fit[4]
        size, axes = np.linalg.eigh(curvature)
        size = np.maximum(size, 0.05)  # 2 delta ln L = size / 2 * offset^2 = 1 at one sigma: size = 2
        gradient = np.einsum("nij,ni->nj", axes, fit[1:3].T)
        move = -np.einsum("nij,nj->ni", axes, gradient / size)
        limit = np.minimum(2 * sigma, LARGEST_STEP_DEG) / sigma
        move *= np.minimum(1, limit / np.maximum(np.hypot(*move.T), 1e-12))[:, None]
        best = RINGS[values.argmin(axis=0)]
        better = surface(east + move[:, 0] * sigma, north + move[:, 1] * sigma) <= values.min(axis=0)
        place = self.place_deg + np.where(better[:, None], move, best) * sigma[:, None]
        place /= np.maximum(np.hypot(*place.T) / LARGEST_SHIFT_DEG, 1)[:, None]
        errors = np.sqrt(2 / size) * sigma[:, None]  # descending: eigh gives the flattest axis first
        mean = np.clip(np.sqrt(errors[:, 0] * errors[:, 1]), *SIGMA_RANGE_DEG)
        return Paraboloid(place, mean, errors, axes, np.abs(values - _DESIGN @ fit).max(axis=0))
