"""What each characterising network is taught, and the figure by which its training stops."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.characterise import calibration as cal
from models.characterise import flux, position
from models.characterise.inputs import turn_vectors
from models.characterise.networks import Characteriser, RegressionMember
from models.cutouts import CLASSES
from models.training.pool import Pool
from sky.survey import Survey, get_survey

# Squared errors beyond this many units grow linearly: false matches teach nothing.
LARGEST_GAP = 3.0
# Below it a source gives no figure that anybody quotes.
SCORE_SIGMA = 5.0
# Weight of a source in the flux's loss: a power of its significance, which takes the slope of the source counts
# out. Without it fluxes shrink towards the many faint sources: 6 % at 5 to 20 sigma.
FLUX_WEIGHT_POWER = 1.5
FLUX_WEIGHT_SIGMAS = (0.3, 8.0)
CHUNK = 4096

Said = dict[str, np.ndarray]


@dataclass(frozen=True)
class Task:
    """How one kind of network is trained.

    Attributes
    ----------
    stages : tuple of str
        One after the other; in `spread` trunk and mean stand still.
    rows : callable
        `pool -> mask` of the cut-outs that it is taught with.
    loss : callable
        `(member, pool of a batch, symmetry, stage, weights) -> loss`.
    score : callable
        `(network, validation pool, stage) -> figures`; `score` is the one to stop by.
    """

    stages: tuple[str, ...]
    rows: Callable[[Pool], Tensor]
    loss: Callable[[torch.nn.Module, Pool, int, str, Tensor], Tensor]
    score: Callable[[Characteriser, Pool, str], dict[str, float]]


def everything(pool: Pool) -> Tensor:
    """All cut-outs."""
    return torch.ones(len(pool), dtype=torch.bool)


def sources(pool: Pool) -> Tensor:
    """Real point sources; of an extended one the cut-out holds a part."""
    return pool.truth.real & (pool.truth.extension_deg == 0)


def class_weights(code: Tensor) -> Tensor:
    """Weights that give every class that occurs the same say, mean 1 over the cut-outs."""
    number = torch.bincount(code, minlength=len(CLASSES)).float()
    occurring = (number > 0).sum()
    return torch.where(number > 0, len(code) / (occurring * number.clamp(min=1.0)), 0.0)


def regression_loss(
    member: torch.nn.Module,
    batch: Pool,
    symmetry: int,
    stage: str,
    weights: Tensor,
    survey: Survey,
    kind: str,
) -> Tensor:
    """Mean squared gap of the means, then the likelihood of the spreads about them.

    The gap counts in units of the first guess's error, so that faint and bright sources teach alike.
    """
    del weights
    say = torch.ones(len(batch))
    assert isinstance(member, RegressionMember)
    turned = batch.inputs.turned(symmetry)
    mean, log_sigma = member(turned)
    if kind == "flux":
        wanted = flux.targets(turned, batch.truth.flux_cm2_s, batch.truth.flux_band_cm2_s, survey)
        say = (batch.truth.limit_sigma / SCORE_SIGMA).clamp(*FLUX_WEIGHT_SIGMAS) ** FLUX_WEIGHT_POWER
    else:
        wanted = position.targets(turned, turn_vectors(batch.truth.shift_px.float(), symmetry))
    if stage == "mean":
        gaps = F.smooth_l1_loss(mean, wanted, beta=LARGEST_GAP, reduction="none")
        return (say[:, None] * gaps).mean() / say.mean()
    gap = (wanted - mean.detach()).clamp(-2 * LARGEST_GAP, 2 * LARGEST_GAP)
    return (0.5 * (gap * torch.exp(-log_sigma)) ** 2 + log_sigma).mean()


def classifier_loss(
    member: torch.nn.Module,
    batch: Pool,
    symmetry: int,
    stage: str,
    weights: Tensor,
    survey: Survey,
    kind: str,
) -> Tensor:
    """Cross-entropy of all variants; of classes, weighted against their imbalance."""
    del stage, survey
    losses = []
    for logits in member(batch.inputs.turned(symmetry)).values():
        if kind == "real":
            losses.append(F.binary_cross_entropy_with_logits(logits[:, 0], batch.truth.real.float()))
        else:
            losses.append(F.cross_entropy(logits, batch.truth.class_code, weights))
    return torch.stack(losses).mean()


def said(network: Characteriser, pool: Pool) -> Said:
    """All that a network says of a pool, in chunks: `mean`, `sigma`, or logits by variant."""
    network.eval()
    parts: list[dict[str, Tensor]] = []
    regression = network.config.kind in ("flux", "position")
    with torch.inference_mode():
        for rows in torch.arange(len(pool)).split(CHUNK):
            inputs = pool.inputs.select(rows)
            if regression:
                mean, sigma = network.mixture(inputs)
                parts.append({"mean": mean.transpose(0, 1), "sigma": sigma.transpose(0, 1)})
            else:
                parts.append(network.logits(inputs))
    network.train()
    return {name: torch.cat([p[name] for p in parts]).double().numpy() for name in parts[0]}


def said_fluxes(network: Characteriser, pool: Pool) -> flux.LogFluxes:
    """Fluxes without calibration."""
    out, survey = said(network, pool), get_survey(network.config.survey)
    mean, sigma = (torch.as_tensor(out[k].swapaxes(0, 1)) for k in ("mean", "sigma"))
    return flux.from_mixture(mean, sigma, pool.inputs, survey)


def said_shifts(network: Characteriser, pool: Pool) -> position.Shifts:
    """Positions without calibration."""
    out = said(network, pool)
    mean, sigma = (torch.as_tensor(out[k].swapaxes(0, 1)) for k in ("mean", "sigma"))
    return position.from_mixture(mean, sigma, pool.inputs)


def log_truth(pool: Pool) -> np.ndarray:
    """Logarithms of the true fluxes, headline and bands, [n, 1 + bands]."""
    flux_cm2_s = torch.cat([pool.truth.flux_cm2_s[:, None], pool.truth.flux_band_cm2_s], 1)
    return np.log(flux_cm2_s.double().numpy())


def flux_score(network: Characteriser, pool: Pool, stage: str) -> dict[str, float]:
    """Deviation above 5 sigma, in units of the fit's error; of the spread, the mean log likelihood."""
    values, truth = said_fluxes(network, pool), log_truth(pool)
    gap = values.value - truth
    bright = (pool.truth.limit_sigma >= SCORE_SIGMA).numpy()
    unit = flux.units(pool.inputs, 0)[:, 0].double().numpy()
    rms = np.sqrt(np.mean(np.clip(gap[:, 0] / unit, -5, 5)[bright] ** 2))
    likelihood = -np.mean(0.5 * np.clip(gap / values.error, -6, 6) ** 2 + np.log(values.error))
    return {
        "rms_units_above_5_sigma": float(rms),
        "width_above_5_sigma": cal.half_width(gap[bright, 0]),
        "bias_above_5_sigma": float(np.median(gap[bright, 0])),
        "log_likelihood": float(likelihood),
        "score": float(-rms if stage == "mean" else likelihood),
    }


def position_score(network: Characteriser, pool: Pool, stage: str) -> dict[str, float]:
    """68 % radius in units of the fit's error; of the spread, the mean log likelihood."""
    values, truth = said_shifts(network, pool), pool.truth.shift_px.double().numpy()
    unit = position.units(pool.inputs).double().numpy()[:, 0]
    off = np.hypot(*(values.shift_px - truth).T) / unit
    first = np.hypot(*(pool.inputs.shift_px.double().numpy() - truth).T) / unit
    distance = np.minimum(values.distance(truth), 6.0)
    likelihood = -np.mean(0.5 * distance**2 + 2 * np.log(values.sigma_px))
    radius = float(np.percentile(off, 68))
    return {
        "radius_68_units": radius,
        "radius_68_units_of_the_fit": float(np.percentile(first, 68)),
        "log_likelihood": float(likelihood),
        "score": -radius if stage == "mean" else float(likelihood),
    }


def real_score(network: Characteriser, pool: Pool, stage: str) -> dict[str, float]:
    """Area under the ROC curve."""
    del stage
    logit, real = said(network, pool)["real"][:, 0], pool.truth.real.numpy()
    bright = real & (pool.truth.limit_sigma.numpy() >= SCORE_SIGMA) | ~real
    area = cal.area_under_roc(logit, real)
    above = cal.area_under_roc(logit[bright], real[bright])
    return {"auc": area, "auc_above_5_sigma": above, "score": area}


def class_score(network: Characteriser, pool: Pool, stage: str) -> dict[str, float]:
    """Balanced accuracy of every variant; the score is the first's."""
    del stage
    code = pool.truth.class_code.numpy()
    out = {
        f"balanced_accuracy_{name}": cal.balanced_accuracy(logits.argmax(1), code, range(len(CLASSES)))
        for name, logits in said(network, pool).items()
    }
    return out | {"score": float(np.mean(list(out.values())))}


def task_of(kind: str, survey: Survey) -> Task:
    """The task of one of `models.characterise.networks.KINDS`."""
    regression = kind in ("flux", "position")
    loss: Any = regression_loss if regression else classifier_loss
    scores = {"flux": flux_score, "position": position_score, "real": real_score}
    return Task(
        stages=("mean", "spread") if regression else ("all",),
        rows=sources if regression else everything,
        loss=lambda member, batch, symmetry, stage, weights: loss(
            member, batch, symmetry, stage, weights, survey, kind
        ),
        score=scores.get(kind, class_score),
    )
