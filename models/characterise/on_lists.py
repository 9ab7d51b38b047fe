"""Probabilities of what is on a detector's list: what the networks say, and what the detector said, together.

The networks learn from peaks of the likelihood above a low threshold. A detector's list holds other fakes and other
sources: the easy fakes are gone, and it brings a judgement of its own. On validation skies searched by the detector,
a logistic function of all these judgements is fitted; no judgement may count against itself.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from models import logistic

Floats = NDArray[np.float64]

# What enters, in this order: log odds of the network for real or fake, of the class network (blind, without years:
# every survey has it), of the detector, and the logarithm of the detector's test statistic.
JUDGEMENTS = ("real", "class", "detector", "log_ts")


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
    return np.stack(
        [
            real_logit,
            logsumexp(class_logits[:, :-1], axis=1) - class_logits[:, -1],
            logistic.log_odds(listed.det_prob),
            logistic.log_ts(listed.ts),
        ],
        axis=1,
    )


def fit_line(said: Floats, real: NDArray[np.bool_]) -> dict[str, float]:
    """Intercept and slopes that make `judgements` a calibrated logit; see `models.logistic`."""
    return logistic.fit_line(said, real, JUDGEMENTS)


def probability(said: Floats, line: dict[str, Any]) -> Floats:
    """Probability of being a source, [n], from `judgements`."""
    return logistic.probability(said, line, JUDGEMENTS)


def given_real(class_probability: Floats, prob_real: Floats) -> Floats:
    """Class probabilities [n, classes] that agree with `prob_real`: the last is 1 less it, the others share it.

    Where the classes say fake beyond rounding, the others share evenly.
    """
    some = class_probability[:, :-1]
    total = some.sum(axis=1, keepdims=True)
    share = np.where(total > 0, some / np.where(total > 0, total, 1.0), 1.0 / some.shape[1])
    return np.column_stack([share * prob_real[:, None], 1.0 - prob_real])
