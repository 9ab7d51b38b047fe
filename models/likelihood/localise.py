"""Positions of sources from the likelihood's surface, with error ellipses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.likelihood.local_fit import LocalSky
from models.likelihood.neighbourhood import Neighbourhoods
from models.likelihood.optics import PointSpread
from sky.frames import galactic_north_angle_deg

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# 2 delta ln L that holds 68 and 95 % of a two-dimensional Gaussian; the radii's ratio is 4FGL's 1.6215.
DROP_68, DROP_95 = -2 * np.log(0.32), -2 * np.log(0.05)
ROUNDS = 6
RESTING = 0.05  # errors a round
# Pixels within the radius that holds this share of the photons know nearly all about a source's place.
KNOWING, LEAST_RADIUS_DEG = 0.95, 1.0
RIM_DEG = 0.02
LARGEST_STEP_DEG = 0.1
# Ellipses are right for known neighbours, background and spectrum. Where these are fitted, 68 and 95 % of the sources of
# searched validation skies lie within so many times the ellipse (`scripts.calibrate_on_lists`). Above 10 GeV it is
# 4FGL's factor; on six bands, where sources crowd below a few GeV, the tails are wider.
ELLIPSE_FACTORS = {"lat-10gev": {68: 1.06, 95: 1.06}, "lat-6band": {68: 1.16, 95: 1.48}}
# The LAT's own: 4FGL-DR2's ERPOSABS, of the 95 % radius (Abdollahi et al. 2020, ApJS 247, 33).
FLOOR_95_DEG = 0.0068
LARGEST_SHIFT_DEG = 0.3
FIRST_SIGMA_DEG = 0.03
SIGMA_RANGE_DEG = (0.002, 0.3)
RADII = np.array([0.8, 1.6, 2.4, 3.2])
# Points, in position errors, where the surface is sampled: centre, two rings.
_ANGLES = np.arange(8) * np.pi / 4
RINGS = np.concatenate(
    [[[0.0, 0.0]], *(r * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1) for r in (1.0, 2.0))]
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
class Localisation:
    """Offsets from the starting position and the error ellipses, arrays [n].

    Attributes
    ----------
    east_deg, north_deg : array
        Galactic.
    r68_deg, r95_deg : array [n, 2]
        Semi-axes, major first.
    angle_deg : array
        Of the major axis, from galactic north to galactic east.
    quality : array
        Largest misfit of the sampled surface to its paraboloid, in 2 delta ln L.
    """

    east_deg: Floats
    north_deg: Floats
    r68_deg: Floats
    r95_deg: Floats
    angle_deg: Floats
    quality: Floats


def with_systematics(radius_deg: Floats, level: int, survey: str) -> Floats:
    """Semi-axes of the 68 or 95 % ellipse, widened by what the likelihood's surface does not know."""
    drop = {68: DROP_68, 95: DROP_95}[level]
    return np.hypot(ELLIPSE_FACTORS[survey][level] * radius_deg, FLOOR_95_DEG * np.sqrt(drop / DROP_95))


def localise(sky: LocalSky, photons: Floats, level: Floats) -> Localisation:
    """Fit a paraboloid to -2 ln L sampled on two rings about each source, and move to its vertex.

    Parameters
    ----------
    sky : LocalSky
    photons : array [n, n_planes]
        Of the source, kept fixed.
    level : array [n, n_planes]
        Of the background, kept fixed.
    """
    whole = _Surface.of(sky, photons, level)
    n = sky.near.n
    found = _Paraboloid(
        np.zeros((n, 2)),
        np.full(n, FIRST_SIGMA_DEG),
        np.zeros((n, 2)),
        np.tile(np.eye(2), (n, 1, 1)),
        np.zeros(n),
    )
    moving = np.ones(n, dtype=bool)
    for _ in range(ROUNDS):
        # a source that has come to rest stays: no result depends on what else is fitted
        last, new = found.select(moving), found.select(moving).moved(whole.select(moving))
        found = found.replaced(moving, new)
        step = np.hypot(*(new.place_deg - last.place_deg).T)
        rests = (step < RESTING * new.sigma_deg) & (
            np.abs(new.sigma_deg - last.sigma_deg) < RESTING * new.sigma_deg
        )
        moving[moving] = ~rests
        if not moving.any():
            break
    east, north = found.place_deg.T
    errors = np.clip(found.errors_deg, SIGMA_RANGE_DEG[0] / 3, 3 * SIGMA_RANGE_DEG[1])
    axes = found.axes
    centre = whole(east, north)

    # faint sources have wider tails than their peak's curvature says: the radii are where the surface crosses
    # the drops, averaged over the ellipse's directions
    def mean_drop(radius: float) -> Floats:
        steps = [np.einsum("nij,j,nj->ni", axes, [np.cos(a), np.sin(a)], radius * errors) for a in _ANGLES]
        return np.mean([whole(east + step[:, 0], north + step[:, 1]) for step in steps], axis=0) - centre

    roots = np.sqrt(np.maximum(np.stack([mean_drop(r) for r in RADII], axis=1), 0))
    roots = np.maximum.accumulate(np.concatenate([np.zeros((n, 1)), roots], axis=1), axis=1)
    r68, r95 = (_crossing(roots, np.sqrt(drop))[:, None] * errors for drop in (DROP_68, DROP_95))
    angle = np.degrees(np.arctan2(axes[:, 0, 0], axes[:, 1, 0]))
    return Localisation(east, north, r68, r95, angle, found.misfit)


@dataclass(frozen=True, eq=False)
class _Surface:
    """-2 ln L over offsets of sources, from the pixels that hold nearly all that is known of their places.

    Attributes
    ----------
    near : Neighbourhoods
    counts : array [n_pairs]
        Weighted.
    ratio : array [n_pairs]
        A source's photons over all else per sr.
    profile : array of int [n]
    spread : PointSpread
    leaves : array [n]
        Photons that leave the neighbourhood, for an offset of a degree, to second order in it.
    """

    near: Neighbourhoods
    counts: Floats
    ratio: Floats
    profile: Ints
    spread: PointSpread
    leaves: Floats

    @classmethod
    def of(cls, sky: LocalSky, photons: Floats, level: Floats) -> "_Surface":
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
            sky.profile,
            sky.spread,
            np.sum(sky.weight * photons * leaves, axis=1),
        )

    def select(self, rows: NDArray[np.bool_]) -> "_Surface":
        """Some of the sources."""
        if rows.all():
            return self
        pairs = rows[self.near.owner]
        near = self.near.subset(rows, pairs, self.near.radius_deg)
        return _Surface(
            near, self.counts[pairs], self.ratio[pairs], self.profile[rows], self.spread, self.leaves[rows]
        )

    def __call__(self, east_deg: Floats, north_deg: Floats) -> Floats:
        """The surface at offsets [n], [n]."""
        near = self.near
        sep_deg = near.separation_deg(east_deg, north_deg)
        psf = self.spread.density(near.plane, sep_deg, self.profile[near.owner])
        gain = near.total(self.counts * np.log1p(self.ratio * psf))
        return -2 * (gain + self.leaves * (east_deg**2 + north_deg**2))


@dataclass(frozen=True, eq=False)
class _Paraboloid:
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

    def select(self, rows: NDArray[np.bool_]) -> "_Paraboloid":
        """Some of the sources."""
        return _Paraboloid(*(values[rows] for values in vars(self).values()))

    def replaced(self, rows: NDArray[np.bool_], new: "_Paraboloid") -> "_Paraboloid":
        """With other values in some rows."""
        out = {name: values.copy() for name, values in vars(self).items()}
        for name, values in out.items():
            values[rows] = getattr(new, name)
        return _Paraboloid(**out)

    def moved(self, surface: _Surface) -> "_Paraboloid":
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
        return _Paraboloid(place, mean, errors, axes, np.abs(values - _DESIGN @ fit).max(axis=0))


def _crossing(roots: Floats, level: float) -> Floats:
    """Radius in errors where the root of the drop, tabulated at 0 and `RADII`, reaches a level, [n]."""
    radius = np.concatenate([[0.0], RADII])
    k = np.clip((roots < level).sum(axis=1), 1, len(RADII))
    row = np.arange(len(roots))
    low, high = roots[row, k - 1], roots[row, k]
    slope = (radius[k] - radius[k - 1]) / np.maximum(high - low, 1e-3)
    return np.minimum(radius[k - 1] + (level - low) * slope, 2 * RADII[-1])


def equatorial_angle_deg(glon_deg: Floats, glat_deg: Floats, angle_deg: Floats) -> Floats:
    """Galactic position angles as equatorial ones, east of north, in (-90, 90]."""
    angle = (galactic_north_angle_deg(glon_deg, glat_deg) + angle_deg) % 180.0
    return np.where(angle > 90.0, angle - 180.0, angle)
