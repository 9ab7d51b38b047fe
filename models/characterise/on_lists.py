"""Probabilities of what is on a detector's list: what the networks say, and what the detector said, together.

The networks learn from peaks of the likelihood above a low threshold. A detector's list holds other fakes and other
sources: the easy fakes are gone, and it brings a judgement of its own. On validation skies searched by the detector,
a logistic function of all these judgements is fitted; no judgement may count against itself.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

Floats = NDArray[np.float64]

# What enters, in this order: log odds of the network for real or fake, of the class network (blind, without years:
# every survey has it), of the detector, and the logarithm of the detector's test statistic.
JUDGEMENTS = ("real", "class", "detector", "log_ts")
# A detector's certainty ends here: beyond, its probability is a matter of rounding.
LARGEST_LOGIT = 12.0
LEAST_TS = 1.0
PENALTY = 1e-3


@dataclass(frozen=True, eq=False)
class Listed:
    """What a detector said of the detections that are to be characterised.

    Attributes
    ----------
    detector : str
        One of `models.detectors.DETECTORS`.
    det_prob, ts : array [n]
    """

    detector: str
    det_prob: Floats
    ts: Floats

    def select(self, rows: NDArray[np.generic]) -> "Listed":
        """Some of the detections."""
        return Listed(self.detector, self.det_prob[rows], self.ts[rows])


def judgements(real_logit: Floats, class_logits: Floats, listed: Listed) -> Floats:
    """The numbers of `JUDGEMENTS`, [n, 4].

    Parameters
    ----------
    real_logit : array [n]
    class_logits : array [n, classes]
        The last class is the fake.
    listed : Listed
    """
    p = np.clip(listed.det_prob, expit(-LARGEST_LOGIT), expit(LARGEST_LOGIT))
    return np.stack(
        [
            real_logit,
            logsumexp(class_logits[:, :-1], axis=1) - class_logits[:, -1],
            np.log(p) - np.log1p(-p),
            np.log(np.maximum(listed.ts, LEAST_TS)),
        ],
        axis=1,
    )


def fit_line(said: Floats, real: NDArray[np.bool_]) -> dict[str, float]:
    """Intercept, and slopes of 0 or more, that make `said` [n, 4] a calibrated logit (as Platt 1999).

    Judgements of the same counts are much alike; a weak penalty on the slopes in units of each judgement's spread
    keeps their sum where the data are indifferent.
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
    line = {name: float(v) for name, v in zip(JUDGEMENTS, slopes, strict=True)}
    return {"intercept": float(best[0] - slopes @ middle)} | line


def probability(said: Floats, line: dict[str, Any]) -> Floats:
    """Probability of being a source, [n], from `judgements`."""
    return expit(line["intercept"] + said @ np.array([line[name] for name in JUDGEMENTS]))


def given_real(class_probability: Floats, prob_real: Floats) -> Floats:
    """Class probabilities [n, classes] that agree with `prob_real`: the last is 1 less it, the others share it.

    Where the classes say fake beyond rounding, the others share evenly.
    """
    some = class_probability[:, :-1]
    total = some.sum(axis=1, keepdims=True)
    share = np.where(total > 0, some / np.where(total > 0, total, 1.0), 1.0 / some.shape[1])
    return np.column_stack([share * prob_real[:, None], 1.0 - prob_real])
