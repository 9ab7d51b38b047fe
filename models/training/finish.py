"""From a trained network to one that may be used: calibration, figures, systematic errors.

Calibrated on validation skies, half of them with B1; figures come from test skies with B1, shifts from the same
with B2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.characterise import calibration as cal
from models.characterise import flux, position
from models.characterise.calibration import Curve
from models.characterise.networks import Characteriser
from models.characterise.systematics import Table, table
from models.cutouts import CLASSES
from models.training import tasks
from models.training.pool import Pool
from sky.survey import get_survey

Floats = NDArray[np.float64]

SIGMA_BINS = ((3.0, 4.0), (4.0, 5.0), (5.0, 7.0), (7.0, 10.0), (10.0, 20.0), (20.0, np.inf))
BRIGHT_SIGMA = 10.0
AGN = (CLASSES.index("BLL"), CLASSES.index("FSRQ"))


@dataclass(frozen=True, eq=False)
class Pools:
    """Cut-outs that no network was trained on; `calibration` is of validation skies, the others of test skies."""

    calibration: Pool
    b1: Pool
    b2: Pool


def finish(network: Characteriser, train: Pool, pools: Pools) -> dict[str, Any]:
    """Entries of the model card: `calibration`, `figures`, `systematics` and what else the kind needs."""
    kind = network.config.kind
    if kind == "flux":
        return _flux(network, train, pools)
    if kind == "position":
        return _position(network, pools)
    return _real(network, pools) if kind == "real" else _classes(network, pools)


def by_sigma(pool: Pool, figures: Callable[[NDArray[np.int64]], dict[str, float]]) -> dict[str, Any]:
    """Figures of sources in bins of their limiting significance."""
    sigma, out = pool.truth.limit_sigma.numpy(), {}
    for low, high in SIGMA_BINS:
        rows = np.flatnonzero((sigma >= low) & (sigma < high))
        if len(rows) >= 30:
            label = f"{low:g}-{high:g}" if np.isfinite(high) else f">{low:g}"
            values = {name: round(float(v), 4) for name, v in figures(rows).items()}
            out[label] = {"sources": len(rows)} | values
    return out


def above(pool: Pool, sigma: float) -> NDArray[np.int64]:
    """Rows of sources of at least a significance."""
    return np.flatnonzero(pool.truth.limit_sigma.numpy() >= sigma)


def _sample(pool: Pool) -> tuple[Floats, Floats]:
    return pool.inputs.sqrt_ts.double().numpy(), np.degrees(
        np.arcsin(pool.inputs.place[:, 2].double().numpy())
    )


def _flux(network: Characteriser, train: Pool, pools: Pools) -> dict[str, Any]:
    n_bands = len(get_survey(network.config.survey).bands)
    # Fainter sources are detected when they fluctuate upwards: that bias no calibration can take from them
    # without giving it to the others.
    known = pools.calibration.select(tasks.sources(pools.calibration))
    known = known.select(known.truth.limit_sigma >= tasks.SCORE_SIGMA)
    calibration = flux.calibrate(tasks.said_fluxes(network, known), tasks.log_truth(known))
    gaps, errors, test = [], [], []
    for pool in (pools.b1, pools.b2):
        real = pool.select(tasks.sources(pool))
        said = tasks.said_fluxes(network, real).calibrated(calibration)
        gaps.append(said.value - tasks.log_truth(real))
        errors.append(said.error)
        test.append(real)

    def figures(rows: NDArray[np.int64], k: int = 0) -> dict[str, float]:
        gap, error = gaps[0][rows, k], errors[0][rows, k]
        relative = np.expm1(gap)
        pull = relative / np.exp(gap) / error
        return {
            "bias": np.mean(np.clip(relative, -1, 3)),
            "median": np.median(relative),
            "width": cal.half_width(relative),
            "stated": np.median(error),
            "pull_width": cal.half_width(pull),
            "pull_std": np.std(np.clip(pull, -6, 6)),
        }

    bright = above(test[0], tasks.SCORE_SIGMA)
    real = train.select(tasks.sources(train))

    def shift(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
        return abs(float(np.median(gaps[1][second, 0]) - np.median(gaps[0][first, 0])))

    return {
        "calibration": calibration,
        "trained_to": {
            "log_flux": float(real.truth.flux_cm2_s.log().max()),
            "sqrt_ts": float(real.inputs.sqrt_ts.max()),
        },
        "figures": {
            "by_sigma": by_sigma(test[0], figures),
            "above_5_sigma": {k: round(float(v), 4) for k, v in figures(bright).items()},
            "bands_above_5_sigma": [
                {name: round(float(v), 4) for name, v in figures(bright, 1 + k).items()}
                for k in range(n_bands)
            ],
        },
        "systematics": table(shift, _sample(test[0]), _sample(test[1])).to_dict(),
    }


def _position(network: Characteriser, pools: Pools) -> dict[str, Any]:
    known = pools.calibration.select(tasks.sources(pools.calibration))
    truth = known.truth.shift_px.double().numpy()
    calibration = position.calibrate(tasks.said_shifts(network, known), truth)
    curves = {level: Curve.from_dict(calibration[f"radius_{level}"]) for level in (68, 95)}
    survey = get_survey(network.config.survey)
    pixel_deg = 10.0 / max(survey.tile_pixels_per_10deg)
    off, inside, radius, test = [], [], [], []
    for pool in (pools.b1, pools.b2):
        real = pool.select(tasks.sources(pool))
        said = tasks.said_shifts(network, real)
        place = real.truth.shift_px.double().numpy()
        x, distance = np.log(said.sigma_px), said.distance(place)
        off.append(pixel_deg * np.hypot(*(said.shift_px - place).T))
        inside.append({level: distance <= curve(x) for level, curve in curves.items()})
        radius.append({level: pixel_deg * said.sigma_px * curve(x) for level, curve in curves.items()})
        test.append(real)

    def figures(rows: NDArray[np.int64]) -> dict[str, float]:
        return {
            "offset_68_deg": np.percentile(off[0][rows], 68),
            "offset_95_deg": np.percentile(off[0][rows], 95),
            "stated_r68_deg": np.median(radius[0][68][rows]),
            "stated_r95_deg": np.median(radius[0][95][rows]),
            "coverage_68": np.mean(inside[0][68][rows]),
            "coverage_95": np.mean(inside[0][95][rows]),
        }

    def shift(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
        # What has to be added in quadrature on an axis; medians, which false matches do not move.
        more = np.median(off[1][second]) ** 2 - np.median(off[0][first]) ** 2
        return float(np.sqrt(max(0.0, more) / (2 * np.log(2))))

    everyone = np.arange(len(test[0]))
    return {
        "calibration": calibration,
        "figures": {
            "by_sigma": by_sigma(test[0], figures),
            "all": {name: round(float(v), 4) for name, v in figures(everyone).items()},
        },
        "systematics": table(shift, _sample(test[0]), _sample(test[1])).to_dict(),
    }


def _real(network: Characteriser, pools: Pools) -> dict[str, Any]:
    def logit(pool: Pool) -> Floats:
        return tasks.said(network, pool)["real"][:, 0]

    line = cal.platt(logit(pools.calibration), pools.calibration.truth.real.numpy())
    probability = {
        name: expit(line["intercept"] + line["slope"] * logit(pool))
        for name, pool in (("calibration", pools.calibration), ("b1", pools.b1), ("b2", pools.b2))
    }
    threshold = cal.operating_threshold(probability["calibration"], pools.calibration.truth.real.numpy())
    figures = {}
    for name, pool in (("b1", pools.b1), ("b2", pools.b2)):
        p, real, bright = probability[name], pool.truth.real.numpy(), above(pool, tasks.SCORE_SIGMA)
        strong = real & (pool.truth.limit_sigma.numpy() >= tasks.SCORE_SIGMA) | ~real
        figures[name] = {
            "auc": cal.area_under_roc(p, real),
            "auc_above_5_sigma": cal.area_under_roc(p[strong], real[strong]),
            "expected_calibration_error": cal.expected_calibration_error(p, real),
            "lost_above_5_sigma_at_half": float(np.mean(p[bright] < 0.5)),
            "true_positive_rate": float(np.mean(p[real] >= threshold)),
            "false_positive_rate": float(np.mean(p[~real] >= threshold)),
            "share_real": float(real.mean()),
        }
    rounded = {s: {k: round(v, 4) for k, v in row.items()} for s, row in figures.items()}
    return {"calibration": line, "operating_threshold": threshold, "figures": rounded}


def _classes(network: Characteriser, pools: Pools) -> dict[str, Any]:
    code = pools.calibration.truth.class_code.numpy()
    calibration = {
        name: cal.vector_scaling(logits, code)
        for name, logits in tasks.said(network, pools.calibration).items()
    }
    said = [tasks.said(network, pool) for pool in (pools.b1, pools.b2)]
    truth = [pool.truth.class_code.numpy() for pool in (pools.b1, pools.b2)]
    sigma = pools.b1.truth.limit_sigma.numpy()
    figures = {
        name: _class_figures(logits, cal.scaled_probabilities(logits, calibration[name]), truth[0], sigma)
        for name, logits in said[0].items()
    }
    leading = "full" if "full" in calibration else "no_years"
    probability = [cal.scaled_probabilities(s[leading], calibration[leading]) for s in said]
    real = [code != CLASSES.index("FAKE") for code in truth]

    def shift(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
        shifts = []
        for c in range(len(CLASSES) - 1):
            own = [rows[t[rows] == c] for rows, t in zip((first, second), truth, strict=True)]
            if min(map(len, own)) >= 20:
                shifts.append(np.abs(probability[1][own[1]].mean(0) - probability[0][own[0]].mean(0)).max())
        return float(max(shifts)) if shifts else np.nan

    def kept(rows: NDArray[np.int64], s: int) -> NDArray[np.int64]:
        return rows[real[s][rows]]

    shifts: Table = table(lambda a, b: shift(kept(a, 0), kept(b, 1)), _sample(pools.b1), _sample(pools.b2))
    return {"calibration": calibration, "figures": figures, "systematics": shifts.to_dict()}


def _class_figures(
    logits: Floats, probability: Floats, code: NDArray[np.int64], sigma: Floats
) -> dict[str, Any]:
    """Balanced accuracies by the balanced (training) weights, calibration by the natural ones."""
    three = np.where(np.isin(code, AGN), 0, np.where(code == 2, 1, np.where(code == 4, 2, -1)))
    merged = np.stack([logits[:, list(AGN)].max(1), logits[:, 2], logits[:, 4]], 1)
    bright = (sigma >= BRIGHT_SIGMA) & (code < 4)
    agn = np.isin(code, AGN)
    ratio = logits[:, 0] - logits[:, 1]
    guess = logits.argmax(1)
    out = {
        "balanced_accuracy": cal.balanced_accuracy(guess, code, range(len(CLASSES))),
        "agn_psr_fake": cal.balanced_accuracy(merged[three >= 0].argmax(1), three[three >= 0], range(3)),
        "four_classes_above_10_sigma": cal.balanced_accuracy(
            logits[bright, :4].argmax(1), code[bright], range(4)
        ),
        "auc_bll_fsrq": cal.area_under_roc(ratio[agn], code[agn] == 0),
        "auc_bll_fsrq_above_10_sigma": cal.area_under_roc(ratio[agn & bright], code[agn & bright] == 0),
        "expected_calibration_error": max(
            cal.expected_calibration_error(probability[:, c], code == c) for c in range(len(CLASSES))
        ),
        "accuracy_of_the_most_probable": float(np.mean(probability.argmax(1) == code)),
    }
    confusion = np.zeros((len(CLASSES), len(CLASSES)), int)
    np.add.at(confusion, (code, guess), 1)
    return {name: round(v, 4) for name, v in out.items()} | {"confusion": confusion.tolist()}
