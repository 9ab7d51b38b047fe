"""The networks on many simulated detections: the training stream's test split, with B1 and with B2."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.characterisation import figures as fig
from benchmarks.characterisation.tables import class_figures, reality_figures
from models.characterise import characterise_networks
from models.cutouts import Cutouts, CutoutStream, CutoutTruth
from models.training.whole import of_emission
from sky.survey import Survey

SEED = 17
TIMED = 10_000


def stream_sample(survey: Survey, emission: str, number: int) -> tuple[Cutouts, CutoutTruth]:
    """At least so many cut-outs of test skies, from all over the sky, no random places among them."""
    stream = CutoutStream(
        survey,
        SEED,
        "test",
        batches_per_sky=4,
        draw_sky=of_emission(emission),
        random_share=0.0,
        plane_share=0.0,
    )
    parts, n = [], 0
    for part in stream:
        parts.append(part)
        n += len(part[0])
        if n >= number:
            break
    return Cutouts.join([c for c, _ in parts]), CutoutTruth.join([t for _, t in parts])


def stream_figures(survey: Survey, emission: str, number: int) -> dict[str, Any]:
    """Flux by exact significance, real or fake, and classes, with and without years."""
    cutouts, truth = stream_sample(survey, emission, number)
    said = characterise_networks(cutouts, survey)
    real, sigma = truth.real.numpy(), truth.limit_sigma.double().numpy()
    code, point = truth.class_code.numpy(), (truth.extension_deg == 0).numpy()
    out: dict[str, Any] = {"real or fake": reality_figures(said.prob_real, real, sigma), "flux": []}
    out["network_seconds"] = round(network_seconds(survey, cutouts), 1)
    for label, mine in fig.sigma_bins(np.where(real & point, sigma, -1)):
        columns = (said.flux_cm2_s, said.unc_flux_cm2_s, truth.flux_cm2_s.double().numpy())
        out["flux"].append({"sigma": label, "by": "network"} | fig.flux_figures(*(c[mine] for c in columns)))
    out["class"] = class_figures(said.class_prob, code, np.where(real, sigma, 0))
    out["class, blind"] = class_figures(said.class_prob_blind, code, np.where(real, sigma, 0))
    if cutouts.yearly is not None:
        without = characterise_networks(replace(cutouts, yearly=None), survey)
        out["class, without years"] = class_figures(without.class_prob, code, np.where(real, sigma, 0))
        blind = class_figures(without.class_prob_blind, code, np.where(real, sigma, 0))
        out["class, blind, without years"] = blind
    return out


def network_seconds(survey: Survey, cutouts: Cutouts) -> float:
    """Processor seconds of the networks for 10,000 detections."""
    many = cutouts.select(torch.arange(TIMED) % len(cutouts))
    started = time.process_time()
    characterise_networks(many, survey)
    return time.process_time() - started
