"""Which sources of two releases are the same: by their places, one to one, whatever they are called.

Two sources may be the same if they lie within `MATCH_SIGMA` of each other by both position errors, or so near that
counts of the finest pixels cannot part them, and never beyond `MATCH_RADIUS_DEG`. Of the pairs that may be, the
nearest is the same source first, then the nearest of those still free. What is left over tells of splits and
mergers: a new source near an old one that goes on, an old source near a new one that was another.

Two releases share most of their photons, so their errors are not independent and the number of sigma is too small,
never too large.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri_exp

from catalog.matching import best_pairs_first, pairs_within
from catalog.positions import Positions, offsets_deg

MATCH_SIGMA = 5.0
MATCH_RADIUS_DEG = 0.5
NEAR_DEG = 0.06  # a pixel of HEALPix order 10


@dataclass(frozen=True)
class Relations:
    """Pairs of an earlier and a later source that may be the same, nearest first.

    Attributes
    ----------
    before, now : ndarray of int, shape (n_pairs,)
        Indices of the sources.
    sep_deg, sep_sigma : ndarray of float, shape (n_pairs,)
        Separation, and the same in units of its error: Gaussian sigma of the same probability.
    same : ndarray of bool, shape (n_pairs,)
        The pair is one source; true once for each source at most.
    """

    before: NDArray[np.int64]
    now: NDArray[np.int64]
    sep_deg: NDArray[np.float64]
    sep_sigma: NDArray[np.float64]
    same: NDArray[np.bool_]


def relate(before: Positions, now: Positions) -> Relations:
    """Relations between the sources of an earlier and a later release."""
    i, j, sep_deg = pairs_within(before.vectors, now.vectors, MATCH_RADIUS_DEG)
    sigma = separation_sigma(before.take(i), now.take(j))
    kept = (sigma <= MATCH_SIGMA) | (sep_deg <= NEAR_DEG)
    i, j = i[kept], j[kept]
    return Relations(i, j, sep_deg[kept], sigma[kept], best_pairs_first(i, j))


def places(sources: pd.DataFrame, columns: Sequence[str]) -> Positions:
    """Places of sources by their columns: right ascension, declination, and the 95 % ellipse (angle last)."""
    ra, dec, major, minor, posang = (sources[name].to_numpy(float) for name in columns)
    return Positions.from_ellipses(ra, dec, major, minor, posang, containment=0.95)


def separation_sigma(first: Positions, second: Positions) -> NDArray[np.float64]:
    """How many sigma apart the members of pairs are, by both their errors; one to one, shape (n,).

    The squared separation in units of the summed covariances follows chi2 of two degrees of freedom if both are
    one source; its probability is given as that of a two-sided Gaussian deviation.
    """
    offset = offsets_deg(first, second)
    covariance = first.covariance_deg2 + second.covariance_deg2
    chi2 = np.einsum("na,na->n", offset, np.linalg.solve(covariance, offset[..., None])[..., 0])
    log_probability = -chi2 / 2
    return np.maximum(-ndtri_exp(log_probability + log_ndtr(0.0)), 0.0)
