"""Probabilities for detectors' lists: calibrated, monotone, and one with the classes'."""

import numpy as np
import pytest
from scipy.special import expit, logit

from models.characterise.calibration import area_under_roc, expected_calibration_error
from models.characterise.on_lists import (
    JUDGEMENTS,
    Listed,
    fit_line,
    given_real,
    judgements,
    probability,
)
from models.logistic import LARGEST_LOGIT


def drawn(seed: int, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Judgements of which the last misleads and the second repeats the first; truth after the first and third."""
    rng = np.random.default_rng(seed)
    network, detector = rng.normal(0, 1.5, n), rng.normal(2, 1, n)
    real = rng.uniform(size=n) < expit(network + 0.5 * detector - 1)
    misleading = rng.normal(np.where(real, 2.9, 3.1), 0.5)
    return np.stack([network, network + rng.normal(0, 0.1, n), detector, misleading], 1), real


def test_the_fit_is_calibrated_on_others_and_no_judgement_counts_against_itself() -> None:
    line = fit_line(*drawn(1))
    said, real = drawn(2)
    p = probability(said, line)
    assert expected_calibration_error(p, real) < 0.02
    assert area_under_roc(p, real) > area_under_roc(said[:, 0], real)
    assert min(line[name] for name in JUDGEMENTS) >= 0
    assert line["log_ts"] == 0
    # Two that say the same share what one alone would weigh.
    assert line["real"] + line["class"] == pytest.approx(1.0, abs=0.1)
    for k in range(len(JUDGEMENTS)):
        more = said.copy()
        more[:, k] += 1.0
        assert (probability(more, line) >= p).all()


def test_judgements_are_finite_at_certainty() -> None:
    listed = Listed("matched-filter", np.array([0.0, 0.5, 1.0]), np.array([0.0, np.e, 1e6]))
    classes = np.array([[0.0, 0, 0, 0, 0], [1000, 0, 0, 0, 0], [0, 0, 0, 0, 1000]])
    said = judgements(np.array([1.0, 2.0, 3.0]), classes, listed)
    assert np.isfinite(said).all()
    assert said[:, 0].tolist() == [1, 2, 3]
    assert said[:, 1] == pytest.approx([np.log(4), 1000, np.log(4) - 1000])
    assert said[:, 2] == pytest.approx([-LARGEST_LOGIT, logit(0.5), LARGEST_LOGIT], rel=1e-6)
    assert said[:, 3] == pytest.approx([0, 1, np.log(1e6)])
    assert listed.select(np.array([2])).det_prob.tolist() == [1.0]


def test_classes_agree_with_the_probability_of_being_real() -> None:
    told = np.array([[0.2, 0.1, 0.1, 0.1, 0.5], [0.0, 0.0, 0.0, 0.0, 1.0], [0.7, 0.3, 0.0, 0.0, 0.0]])
    real = np.array([0.9, 0.4, 0.01])
    out = given_real(told, real)
    assert out.sum(1) == pytest.approx(1.0)
    assert 1 - out[:, 4] == pytest.approx(real)
    assert out[0, :4] == pytest.approx(0.9 * np.array([0.4, 0.2, 0.2, 0.2]))
    assert out[1, :4] == pytest.approx(0.1)
