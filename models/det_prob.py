"""`Det_Prob` of what a network finds: its score, calibrated, and then the likelihood's word beside it.

A score says how a place looks to a network that was taught with point sources. The likelihood's test statistic, of the
photons fitted there, knows what the network does not: that nothing but a source makes so many, extended as it may be.
What neither knows well is how much a bright place deceives both: clouds of gas make peaks that are no sources, and dark
skies have none. All three together, as a logistic function fitted to searched validation skies
(`scripts.calibrate_det_prob`), know more than each alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models import logistic
from models.localise.by_name import score_logit
from models.shipped import NetworkError

Floats = NDArray[np.float64]

# What enters, in this order: log odds of the calibrated score, the logarithm of the test statistic, and `darkness`.
JUDGEMENTS = ("score", "log_ts", "darkness")


def of_score(score: Floats, card: dict[str, Any], localiser: str) -> Floats:
    """Probability that a detection is a source, as the model card says of its score.

    Raises
    ------
    NetworkError
        If the card says nothing of this localiser.
    """
    table = card.get("calibration", {}).get(localiser)
    if table is None:
        raise NetworkError(f"the model card gives no probabilities for localiser '{localiser}'")
    return expit(table["intercept"] + table["slope"] * score_logit(score))


def judgements(probability: Floats, ts: Floats, darkness: Floats) -> Floats:
    """The numbers of `JUDGEMENTS`, [n, 3], of probabilities by the score, test statistics and `darkness` [n]."""
    return np.stack([logistic.log_odds(probability), logistic.log_ts(ts), darkness], axis=1)


def darkness(background_sr: Floats, mean_sr: float) -> Floats:
    """How dark places are: ln of the whole sky's mean over the background there, all planes together, [n].

    Parameters
    ----------
    background_sr : array [n, n_planes]
        Counts per sr.
    mean_sr : float
        Of the whole sky.
    """
    return np.log(mean_sr) - np.log(background_sr.sum(axis=1))


def with_likelihood(
    probability: Floats, ts: Floats, dark: Floats, card: dict[str, Any], localiser: str
) -> Floats:
    """Probability by all judgements, [n]; by the score alone where the card has no such line."""
    entry = card.get("on_lists", {}).get(localiser)
    if entry is None:
        return probability
    return logistic.probability(judgements(probability, ts, dark), entry["line"], JUDGEMENTS)
