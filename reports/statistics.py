"""Small statistics of the report: fractions with binomial errors, chance coincidences, robust spreads."""

from dataclasses import dataclass

import healpy as hp
import numpy as np
import pandas as pd
from astropy.stats import binom_conf_interval
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

SIGMA_1 = 0.6827
TRUE_PAIR_DEG = 0.1  # one-to-one pairs this close are nearly all true, those beyond mostly chance
DISPLACEMENTS_DEG = (-5.0, -4.0, -3.0, 3.0, 4.0, 5.0)


@dataclass(frozen=True)
class Fraction:
    """`k` of `n`, with the Wilson score interval at 68.27 % (Wilson 1927, JASA 22, 209)."""

    k: int
    n: int

    @property
    def value(self) -> float:
        """k / n; NaN for n = 0."""
        return self.k / self.n if self.n else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end; NaN for n = 0."""
        low, high = wilson_interval([self.k], [self.n])
        return float(low[0]), float(high[0])

    @classmethod
    def of(cls, mask: ArrayLike) -> "Fraction":
        """How many of a boolean array are true."""
        array = np.asarray(mask, dtype=bool)
        return cls(int(array.sum()), array.size)


def wilson_interval(k: ArrayLike, n: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson score interval (68.27 %) of k successes in n trials, elementwise; NaN where n = 0."""
    k, n = np.asarray(k), np.asarray(n)
    some = n > 0
    low, high = np.full(n.shape, np.nan), np.full(n.shape, np.nan)
    if some.any():
        low[some], high[some] = binom_conf_interval(k[some], n[some], SIGMA_1, interval="wilson")
    return low, high


def binned_fraction(value: ArrayLike, success: ArrayLike, edges: ArrayLike) -> pd.DataFrame:
    """Fraction of successes in bins of a quantity.

    Parameters
    ----------
    value : array, shape (n,)
        NaN belongs to no bin.
    success : bool array, shape (n,)
    edges : array, shape (m + 1,)
        Ascending; a bin holds ``low <= value < high``, the last one its upper edge as well.

    Returns
    -------
    DataFrame, m rows
        low, high, n, k, fraction, fraction_low, fraction_high (Wilson, 68.27 %; NaN in empty bins).
    """
    edges = np.asarray(edges, dtype=float)
    value, success = np.asarray(value, dtype=float), np.asarray(success, dtype=bool)
    n, k = np.histogram(value, edges)[0], np.histogram(value[success], edges)[0]
    low, high = wilson_interval(k, n)
    fraction = np.divide(k, n, out=np.full(n.shape, np.nan), where=n > 0)
    return pd.DataFrame(
        {"low": edges[:-1], "high": edges[1:], "n": n, "k": k}
        | {"fraction": fraction, "fraction_low": low, "fraction_high": high}
    )


def nearest_separation(
    glon_deg: ArrayLike, glat_deg: ArrayLike, to_glon_deg: ArrayLike, to_glat_deg: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Separation (deg) to, and index of, the nearest of the second points; inf and -1 if there is none."""
    points = hp.ang2vec(np.atleast_1d(glon_deg), np.atleast_1d(glat_deg), lonlat=True)
    if np.size(to_glon_deg) == 0:
        return np.full(len(points), np.inf), np.full(len(points), -1)
    tree = cKDTree(hp.ang2vec(np.atleast_1d(to_glon_deg), np.atleast_1d(to_glat_deg), lonlat=True))
    chord, index = tree.query(points)
    return np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1))), index


def displaced_separation(references: pd.DataFrame, sources: pd.DataFrame) -> NDArray[np.float64]:
    """Separation from displaced reference positions to the nearest source: what chance alone gives.

    The positions are moved along their parallel by a few degrees, so that the crowding with latitude stays
    and the true counterparts are left behind.

    Returns
    -------
    array, shape (len(DISPLACEMENTS_DEG), len(references))
        Degrees; inf where there are no sources.
    """
    glon, glat = references["glon_deg"].to_numpy(), references["glat_deg"].to_numpy()
    # At the poles a parallel is shorter than the displacement: half a turn is as far as one can go on it.
    step = np.minimum(1 / np.maximum(np.cos(np.radians(glat)), 1e-9), 180 / max(map(abs, DISPLACEMENTS_DEG)))
    return np.stack(
        [
            nearest_separation(glon + d * step, glat, sources["glon_deg"], sources["glat_deg"])[0]
            for d in DISPLACEMENTS_DEG
        ]
    )


def median_and_spread(values: ArrayLike) -> tuple[float, float]:
    """Median, and half the distance from the 16th to the 84th percentile; NaN for no values."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if known.size == 0:
        return float("nan"), float("nan")
    low, median, high = np.percentile(known, [15.865, 50, 84.135])
    return float(median), float((high - low) / 2)
