"""Positions of sources from the likelihood's surface, with error ellipses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.likelihood.local_fit import LocalSky
from models.likelihood.position_surface import ANGLES, SIGMA_RANGE_DEG, Paraboloid, Surface
from sky.frames import galactic_north_angle_deg

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# 2 delta ln L that holds 68 and 95 % of a two-dimensional Gaussian; the radii's ratio is 4FGL's 1.6215.
DROP_68, DROP_95 = -2 * np.log(0.32), -2 * np.log(0.05)
ROUNDS = 6
RESTING = 0.05  # errors a round
# Ellipses are right for known neighbours, background and spectrum. Where these are fitted, 68 and 95 % of the sources of
# searched validation skies lie within so many times the ellipse (`scripts.calibrate_on_lists`). Above 10 GeV it is
# 4FGL's factor; on six bands, where sources crowd below a few GeV, the tails are wider.
ELLIPSE_FACTORS = {"lat-10gev": {68: 1.06, 95: 1.06}, "lat-6band": {68: 1.16, 95: 1.48}}
# The LAT's own: 4FGL-DR2's ERPOSABS, of the 95 % radius (Abdollahi et al. 2020, ApJS 247, 33).
FLOOR_95_DEG = 0.0068
FIRST_SIGMA_DEG = 0.03
RADII = np.array([0.8, 1.6, 2.4, 3.2])


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
    whole = Surface.of(sky, photons, level)
    n = sky.near.n
    found = Paraboloid(
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
        steps = [np.einsum("nij,j,nj->ni", axes, [np.cos(a), np.sin(a)], radius * errors) for a in ANGLES]
        return np.mean([whole(east + step[:, 0], north + step[:, 1]) for step in steps], axis=0) - centre

    roots = np.sqrt(np.maximum(np.stack([mean_drop(r) for r in RADII], axis=1), 0))
    roots = np.maximum.accumulate(np.concatenate([np.zeros((n, 1)), roots], axis=1), axis=1)
    r68, r95 = (_crossing(roots, np.sqrt(drop))[:, None] * errors for drop in (DROP_68, DROP_95))
    angle = np.degrees(np.arctan2(axes[:, 0, 0], axes[:, 1, 0]))
    return Localisation(east, north, r68, r95, angle, found.misfit)


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
