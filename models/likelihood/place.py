"""Where a source is, by the photons of its own brightness.

An anchor is found by a rule that takes every source for a faint one, so that tiles agree on it. Once a tile owns a
detection nobody else has to agree, and its place is the maximum of the likelihood itself,

    L(x) = sum_photons n ln(1 + s P(|x - x_photon|) / b),

with the source's own photons s in each plane and all else, b, known: for a bright source the core of the PSF and
the hard bands count for more than the anchor's rule lets them.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.likelihood.anchor import mean_shift
from models.likelihood.neighbourhood import Neighbourhoods
from models.likelihood.optics import SQUARES_DEG2, PointSpread, TablePlaces

Floats = NDArray[np.float64]


@lru_cache(maxsize=8)
def steepness(spread: PointSpread) -> PointSpread:
    """-(1/r) dP/dr of point sources, tabulated like the PSF."""
    slope = 2 * np.gradient(spread.density_per_sr[:1], SQUARES_DEG2, axis=-1)
    return PointSpread(np.maximum(-slope, 0), spread.contained)


def likeliest_places(
    near: Neighbourhoods,
    null: Floats,
    photons: Floats,
    spread: PointSpread,
    reach_deg: Floats,
    stray_deg: float,
) -> tuple[Floats, Floats]:
    """Climb from places to the maxima of their likelihoods; one that climbs away stays where it is.

    Parameters
    ----------
    near : Neighbourhoods
    null : array [n_pairs]
        Expected photons per sr of all else.
    photons : array [n, n_planes]
        Of each source.
    spread : PointSpread
    reach_deg : array [n_planes]
        Pixels farther than this from the first place are left out.
    stray_deg : float
        A step farther than this leads to another source.

    Returns
    -------
    east_deg, north_deg : array [n]
        Steps to the new places.
    """
    slope = steepness(spread)
    radius = np.minimum(near.radius_deg, reach_deg)
    pairs = near.pairs_of(np.ones(near.n, bool), radius)
    ratio = near.per_pixel(photons)[pairs] / null[pairs]
    near = near.subset(np.ones(near.n, bool), pairs, radius)

    def weights(squared_deg: Floats, row: Floats, counts: Floats, ratio: Floats) -> Floats:
        places = TablePlaces.of(row, squared_deg)
        return counts * ratio * slope.density_at(places) / (1 + ratio * spread.density_at(places))

    east, north = mean_shift(near, weights, spread.row(near.plane), near.counts, ratio)
    stays = np.hypot(east, north) > stray_deg
    return np.where(stays, 0.0, east), np.where(stays, 0.0, north)
