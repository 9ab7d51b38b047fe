"""The figures of the tables: plain functions of arrays."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from sky.frames import galactic_to_icrs, position_angle_deg, separation_deg

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

SIGMA_BINS = ((3.0, 4.0), (4.0, 5.0), (5.0, 7.0), (7.0, 10.0), (10.0, 20.0), (20.0, np.inf))
FEWEST = 8


def sigma_bins(sigma: Array, fewest: int = FEWEST) -> Iterator[tuple[str, Mask]]:
    """Rows of each bin of significance, those of fewer than `fewest` left out."""
    for low, high in SIGMA_BINS:
        mine = (sigma >= low) & (sigma < high)
        if mine.sum() >= fewest:
            yield (f"{low:g}-{high:g}" if np.isfinite(high) else f"> {low:g}"), mine


def spread(values: Array) -> float:
    """Half the interval from the 16th to the 84th percentile."""
    low, high = np.nanpercentile(values, [15.87, 84.13])
    return float(high - low) / 2


def flux_figures(flux: Array, error: Array, truth: Array) -> dict[str, float]:
    """How a flux compares with the true one: relative scatter, bias, pull, and the errors quoted."""
    known = np.isfinite(flux) & np.isfinite(error) & (error > 0)
    ratio, pull = flux[known] / truth[known], (flux[known] - truth[known]) / error[known]
    return {
        "n": int(known.sum()),
        "bias": float(np.median(ratio)) - 1,
        "scatter": spread(ratio),
        "quoted": float(np.median(error[known] / flux[known])),
        "pull_mean": float(np.median(pull)),
        "pull_width": spread(pull),
    }


def position_figures(
    glon: Array,
    glat: Array,
    ellipses: dict[str, tuple[Array, Array]],
    posang: Array,
    truth: tuple[Array, Array],
) -> dict[str, float]:
    """Median radii (geometric mean of the axes) and coverage of the ellipses, by level such as `68`."""
    here, there = galactic_to_icrs(glon, glat), galactic_to_icrs(*truth)
    separation = separation_deg(*here, *there)
    turn = np.radians(position_angle_deg(*here, *there) - posang)
    along, across = separation * np.cos(turn), separation * np.sin(turn)
    out = {"n": int(np.isfinite(separation).sum()), "median_separation": float(np.nanmedian(separation))}
    for level, (major, minor) in ellipses.items():
        known = np.isfinite(major) & np.isfinite(minor)
        inside = ((along / major) ** 2 + (across / minor) ** 2 <= 1)[known]
        out[f"r{level}"] = float(np.median(np.sqrt(major * minor)[known]))
        out[f"within_{level}"] = float(inside.mean())
    return out


def auc(score: Array, positive: Mask) -> float:
    """Area under the ROC curve, by ranks (Mann and Whitney 1947)."""
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return np.nan
    return float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * m))


def calibration_error(probability: Array, event: Mask, bins: int = 10) -> float:
    """Expected calibration error: mean gap of probability and frequency, in bins of equal numbers."""
    order = np.argsort(probability, kind="stable")
    parts = np.array_split(order, bins)
    gaps = [abs(probability[p].mean() - event[p].mean()) * len(p) for p in parts if len(p)]
    return float(np.sum(gaps) / len(probability))


def reliability(probability: Array, event: Mask, bins: int = 10) -> list[list[float]]:
    """Mean probability, frequency and number in equal bins of probability that hold anything."""
    where = np.clip((probability * bins).astype(int), 0, bins - 1)
    parts = [np.flatnonzero(where == k) for k in range(bins)]
    return [[float(probability[p].mean()), float(event[p].mean()), len(p)] for p in parts if len(p)]


def confusion(predicted: Ints, truth: Ints, classes: int) -> Ints:
    """Numbers by true class (rows) and predicted class (columns)."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (truth, predicted), 1)
    return table


def balanced_accuracy(table: Ints) -> float:
    """Mean over the classes that occur of the share told rightly."""
    number = table.sum(axis=1)
    return float(np.mean(np.diag(table)[number > 0] / number[number > 0]))


def class_calibration_error(probability: Array, truth: Ints) -> float:
    """Expected calibration error of the probability of the most probable class."""
    best = probability.argmax(axis=1)
    return calibration_error(probability.max(axis=1), best == truth)
