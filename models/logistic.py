"""A probability from several judgements: a logistic function, in which none may count against itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Floats = NDArray[np.float64]

# A certainty ends here: beyond, a probability is a matter of rounding.
LARGEST_LOGIT = 12.0
LEAST_TS = 1.0
PENALTY = 1e-3


def log_odds(probability: Floats) -> Floats:
    """ln(p / (1 - p)), between -`LARGEST_LOGIT` and `LARGEST_LOGIT`."""
    p = np.clip(probability, expit(-LARGEST_LOGIT), expit(LARGEST_LOGIT))
    return np.log(p) - np.log1p(-p)


def log_ts(ts: Floats) -> Floats:
    """Logarithm of test statistics, of `LEAST_TS` for those below."""
    return np.log(np.maximum(ts, LEAST_TS))


def fit_line(said: Floats, real: NDArray[np.bool_], names: Sequence[str]) -> dict[str, float]:
    """Intercept, and slopes of 0 or more, that make judgements a calibrated logit (as Platt 1999).

    Judgements of the same counts are much alike; a weak penalty on the slopes in units of each judgement's spread
    keeps their sum where the data are indifferent.

    Parameters
    ----------
    said : array [n, k]
    real : array of bool [n]
    names : sequence of str
        Of the k judgements.
    """
    spread = said.std(axis=0) + 1e-9
    middle = said.mean(axis=0)
    scaled = (said - middle) / spread

    def loss(p: Floats) -> tuple[float, Floats]:
        z = p[0] + scaled @ p[1:]
        gap = expit(z) - real
        value = np.mean(np.logaddexp(0.0, z) - real * z) + PENALTY * np.sum(p[1:] ** 2)
        slope = np.concatenate([[gap.mean()], scaled.T @ gap / len(gap) + 2 * PENALTY * p[1:]])
        return float(value), slope

    start = np.append(0.0, np.full(said.shape[1], 0.5))
    bounds = [(None, None)] + [(0.0, None)] * said.shape[1]
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    slopes = best[1:] / spread
    line = {name: float(v) for name, v in zip(names, slopes, strict=True)}
    return {"intercept": float(best[0] - slopes @ middle)} | line


def probability(said: Floats, line: Mapping[str, Any], names: Sequence[str]) -> Floats:
    """Probability [n] by a line of `fit_line`, from judgements [n, k]."""
    return expit(line["intercept"] + said @ np.array([line[name] for name in names]))
