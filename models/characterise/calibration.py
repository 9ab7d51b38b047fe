"""From scores to probabilities and from spreads to errors, learned on validation skies; plain arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Curve:
    """A number against another, linear between knots and constant outside."""

    x: Floats
    y: Floats

    def __call__(self, x: ArrayLike) -> Floats:
        """Interpolate."""
        return np.interp(np.asarray(x, float), self.x, self.y)

    def to_dict(self) -> dict[str, list[float]]:
        """As plain data."""
        return {"x": [round(float(v), 5) for v in self.x], "y": [round(float(v), 5) for v in self.y]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Curve":
        """From `to_dict`."""
        return cls(np.array(data["x"], float), np.array(data["y"], float))

    @classmethod
    def binned(cls, x: Floats, statistic: Any, bins: int = 12, least: int = 100) -> "Curve":
        """`statistic(rows)` in bins of equal number of `x`, at the bins' medians."""
        order = np.argsort(x, kind="stable")
        parts = np.array_split(order, max(1, min(bins, len(x) // least)))
        return cls(np.array([np.median(x[p]) for p in parts]), np.array([float(statistic(p)) for p in parts]))


def half_width(values: ArrayLike) -> float:
    """Half of the width of the middle 68.27 %: the standard deviation of a Gaussian's core."""
    low, high = np.percentile(np.asarray(values, float), [15.865, 84.135])
    return float(high - low) / 2.0


def mixture(mean: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    """Mean and covariance of an equal mixture of Gaussians without correlations.

    Parameters
    ----------
    mean, sigma : array [members, n, k]

    Returns
    -------
    mean : array [n, k]
    covariance : array [n, k, k]
        Mean of the members' variances plus the scatter of their means.
    """
    centre = mean.mean(axis=0)
    gap = mean - centre
    scatter = np.einsum("mni,mnj->nij", gap, gap) / len(mean)
    return centre, scatter + np.einsum("ni,ij->nij", (sigma**2).mean(axis=0), np.eye(mean.shape[2]))


def platt(logit: Floats, real: NDArray[np.bool_], weight: Floats | None = None) -> dict[str, float]:
    """Intercept and positive slope that make a logit a calibrated one (Platt 1999)."""
    w = np.ones(len(logit)) if weight is None else weight

    def cross_entropy(p: Floats) -> float:
        z = p[0] + np.exp(p[1]) * logit
        return float(np.average(np.logaddexp(0.0, z) - real * z, weights=w))

    intercept, log_slope = minimize(cross_entropy, np.zeros(2)).x
    return {"intercept": float(intercept), "slope": float(np.exp(log_slope))}


def vector_scaling(logits: Floats, code: Ints) -> dict[str, Any]:
    """Common slope and a bias for each class that make logits [n, classes] calibrated (Guo et al. 2017,
    arXiv 1706.04599).

    Weighted training balances the classes; the biases bring back how frequent each is.
    """
    n, k = logits.shape

    def cross_entropy(p: Floats) -> float:
        log_p = log_softmax(np.exp(p[0]) * logits + np.append(p[1:], 0.0), axis=1)
        return float(-log_p[np.arange(n), code].mean() + 1e-5 * np.sum(p[1:] ** 2))

    best = minimize(cross_entropy, np.zeros(k)).x
    return {"slope": float(np.exp(best[0])), "bias": [*map(float, best[1:]), 0.0]}


def scaled_probabilities(logits: Floats, scaling: dict[str, Any]) -> Floats:
    """Calibrated class probabilities [n, classes], sum 1."""
    return np.exp(log_softmax(scaling["slope"] * logits + np.array(scaling["bias"]), axis=1))


def roc_curve(score: ArrayLike, real: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Thresholds descending, with the false and true positive rates of all that reach them."""
    value, truth = np.asarray(score, float), np.asarray(real, bool)
    order = np.argsort(-value, kind="stable")
    value, truth = value[order], truth[order]
    last = np.append(np.flatnonzero(np.diff(value)), len(value) - 1)
    true, false = np.cumsum(truth)[last], np.cumsum(~truth)[last]
    return value[last], false / max(1, (~truth).sum()), true / max(1, truth.sum())


def area_under_roc(score: ArrayLike, real: ArrayLike) -> float:
    """Probability that a real one scores higher than a fake one; ties count half."""
    _, false, true = roc_curve(score, real)
    return float(np.trapezoid(np.append(0.0, true), np.append(0.0, false)))


def operating_threshold(score: ArrayLike, real: ArrayLike) -> float:
    """Threshold of the point of the ROC curve farthest above the diagonal (Youden 1950, Cancer 3, 32)."""
    threshold, false, true = roc_curve(score, real)
    return float(threshold[np.argmax(true - false)])


def expected_calibration_error(probability: ArrayLike, hit: ArrayLike, bins: int = 15) -> float:
    """Mean |share of hits - mean probability| over equal bins of probability, weighted by number."""
    p, h = np.asarray(probability, float), np.asarray(hit, float)
    where = np.clip((p * bins).astype(int), 0, bins - 1)
    number = np.bincount(where, minlength=bins)
    gap = np.bincount(where, h - p, bins)
    return float(np.abs(gap).sum() / number.sum())


def balanced_accuracy(guess: Ints, code: Ints, classes: Sequence[int]) -> float:
    """Mean over classes of the share that is recognised; classes without a member do not count."""
    shares = [np.mean(guess[code == c] == c) for c in classes if np.any(code == c)]
    return float(np.mean(shares)) if shares else float("nan")
