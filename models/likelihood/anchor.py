"""Where a source is, by a rule that no tile enters.

A detection belongs to the tile whose cell holds it, so two tiles that see the same photons must agree on the
place to far less than the distance between sources. The place is the maximum of

    T(x) = sum_photons w ln(1 + q P(|x - x_photon|)),

the likelihood of a faint source on the mean background of the whole sky: no estimate made inside a tile enters but
the weight w, the share of a photon that is not a neighbour's. The maximum is found by the mean-shift iteration
(Cheng 1995, IEEE TPAMI 17, 790), which climbs from any start without a step length.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.likelihood.neighbourhood import Neighbourhoods, moved
from models.likelihood.optics import SQUARES_DEG2, PointSpread

Floats = NDArray[np.float64]
Weights = Callable[..., Floats]

STEPS = 200
CLOSE_ENOUGH_DEG = 1e-5
STRAY_DEG = 0.35  # a peak that climbs farther than this has gone to another source


@lru_cache(maxsize=8)
def pull(spread: PointSpread, ratio: tuple[float, ...]) -> PointSpread:
    """Weights of the mean shift, -(1/r) d/dr ln(1 + q P(r)), tabulated like a PSF."""
    log = np.log1p(np.array(ratio)[:, None] * spread.density_per_sr[:1])
    weight = -2 * np.gradient(log, SQUARES_DEG2, axis=-1)
    return PointSpread(np.maximum(weight, 0), spread.contained)


def mean_shift(near: Neighbourhoods, weights: Weights, *columns: Floats) -> tuple[Floats, Floats]:
    """Climb from positions to where the mean of their pixels, weighted by the separation, stays.

    Parameters
    ----------
    near : Neighbourhoods
    weights : callable
        (squares of the separations of some positions' pixels, their part of each column) -> [n_pairs].
    columns : arrays [n_pairs]

    Returns
    -------
    east_deg, north_deg : array [n]
        How far each position moved.
    """
    east, north = np.zeros(near.n), np.zeros(near.n)
    active = np.arange(near.n)
    for _ in range(STEPS):
        w = weights(near.squared_deg(east[active], north[active]), *columns)
        norm = np.maximum(near.total(w), 1e-300)
        new_east, new_north = near.total(w * near.east_deg) / norm, near.total(w * near.north_deg) / norm
        moving = np.hypot(new_east - east[active], new_north - north[active]) >= CLOSE_ENOUGH_DEG
        east[active], north[active] = new_east, new_north
        if not moving.any():
            break
        if 2 * moving.sum() < len(active):  # the few that climb on do so without the others' photons
            pairs = near.pairs_of(moving)
            near, active = near.subset(moving, pairs, near.radius_deg), active[moving]
            columns = tuple(column[pairs] for column in columns)
    return east, north


def anchors(
    vectors: Floats, near: Neighbourhoods, weights: Floats, spread: PointSpread, ratio: Floats
) -> tuple[Floats, Floats]:
    """Climb from rough positions to the maxima of T.

    Parameters
    ----------
    vectors : array [n, 3]
        Rough positions: those of `near`.
    near : Neighbourhoods
    weights : array [n_pairs]
        Counts times the share that is not the neighbours'.
    spread : PointSpread
    ratio : array [n_planes]
        q, in sr.

    Returns
    -------
    vectors : array [n, 3]
    shift_deg : array [n]
        How far each position moved.
    """
    table = pull(spread, tuple(ratio.tolist()))

    def pulled(squared_deg: Floats, row: Floats, weights: Floats) -> Floats:
        return weights * table.density_of(row, squared_deg)

    east, north = mean_shift(near, pulled, table.row(near.plane), weights)
    return moved(vectors, east, north), np.hypot(east, north)


def distinct(vectors: Floats, order: NDArray[np.int64], separation_deg: float) -> NDArray[np.bool_]:
    """Positions that keep a distance from all those kept before them in `order`."""
    keep = np.ones(len(vectors), bool)
    if not len(vectors):
        return keep
    tree = cKDTree(vectors)
    for i in order:
        if keep[i]:
            for j in tree.query_ball_point(vectors[i], 2 * np.sin(np.radians(separation_deg) / 2)):
                keep[j] &= j == i
    return keep


def distinct_from(vectors: Floats, others: Floats, separation_deg: float) -> NDArray[np.bool_]:
    """Positions that keep a distance from all `others`."""
    if not len(others) or not len(vectors):
        return np.ones(len(vectors), bool)
    chord, _ = cKDTree(others).query(vectors)
    return np.asarray(chord > 2 * np.sin(np.radians(separation_deg) / 2))
