"""How good a network is on skies it has never seen, by the score that counts: completeness at purity 0.90."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from models import evaluate as ev
from models.localise.by_name import find_peaks, score_logit
from models.localise.names import LOCALISERS, MASK_LOCALISERS
from models.stream import TileBatch, TileStream
from models.unet import Segmentation, UNet
from sky.survey import Survey

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Detections and truths count in this inner part of a tile, away from its rim.
MARGIN_PX = 10
PURITIES = (0.90, 0.95)


@dataclass(frozen=True, eq=False)
class Found:
    """Truths and detections in the inner parts of tiles.

    Attributes
    ----------
    truths, detections : Positions
    flux_cm2_s, limit_sigma : array [n_truths]
    score : array [n_detections]
    """

    truths: ev.Positions
    detections: ev.Positions
    flux_cm2_s: Array
    limit_sigma: Array
    score: Array


@dataclass(frozen=True, eq=False)
class Validation:
    """Tiles kept for validation."""

    batches: list[TileBatch]

    @classmethod
    def drawn(
        cls, survey: Survey, seed: int, skies: int, tiles_per_sky: int, extended_share: float = 0.0
    ) -> "Validation":
        """From skies of the validation split, tiles at random centres; a share of the skies with extended sources."""
        stream = TileStream(survey, seed, "validation", tiles_per_sky, 1, extended_share=extended_share)
        return cls([batch for batch, _ in zip(iter(stream), range(skies), strict=False)])

    def run(self, network: UNet, localiser: str = "centre-direction") -> dict[str, float]:
        """Scores of a network, by name; `score` is the one to stop by."""
        out = self.segment(network)
        accuracy = [
            ev.mask_accuracy(o.mask_logit > 0, b.mask > 0) for o, b in zip(out, self.batches, strict=True)
        ]
        return summary(self.detect(out, localiser)) | {
            "binary_accuracy": float(np.mean([a for a, _ in accuracy])),
            "adjusted_accuracy": float(np.mean([a for _, a in accuracy])),
        }

    def calibration(self, network: UNet) -> dict[str, dict[str, float]]:
        """How scores become probabilities, for every localiser."""
        out = self.segment(network)
        names = LOCALISERS if network.config.has("direction") else MASK_LOCALISERS
        return {name: calibrate(self.detect(out, name)) for name in names}

    def segment(self, network: UNet, chunk: int = 16) -> list[Segmentation]:
        """What the network says of every batch; backgrounds are not kept."""
        network.eval()
        device = next(network.parameters()).device
        out = []
        for batch in self.batches:
            parts = []
            for first in range(0, len(batch.mask), chunk):
                with torch.inference_mode():
                    parts.append(network([i[first : first + chunk].to(device) for i in batch.images]))
            centre = [p.centre_logit.cpu() for p in parts if p.centre_logit is not None]
            mask = torch.cat([p.mask_logit.cpu() for p in parts])
            direction = [p.direction.cpu() for p in parts if p.direction is not None]
            out.append(
                Segmentation(
                    mask,
                    torch.cat(direction) if direction else None,
                    torch.cat(centre) if centre else None,
                    None,
                )
            )
        return out

    def detect(self, segmented: list[Segmentation], localiser: str) -> Found:
        """Localise and put aside what lies on the rims."""
        found, truths = [np.empty((0, 4))], []
        for number, (batch, out) in enumerate(zip(self.batches, segmented, strict=True)):
            n = batch.mask.shape[-1]
            for k in range(len(batch.mask)):
                peaks = find_peaks(out, localiser, 0.3 * n / 10.0, k)
                group = np.full(len(peaks), 1000.0 * number + k)
                found.append(np.stack([group, peaks.x, peaks.y, peaks.score], axis=-1))
            columns = (
                1000.0 * number + batch.tile,
                batch.x_px,
                batch.y_px,
                batch.flux_cm2_s,
                batch.limit_sigma,
            )
            truths.append(np.stack([c.double().numpy() for c in columns], axis=-1))
        t, d = (_inner(np.concatenate(rows), n) for rows in (truths, found))
        return Found(_positions(t, n), _positions(d, n), t[:, 3], t[:, 4], d[:, 3])


def summary(found: Found) -> dict[str, float]:
    """The figures that a model card gives."""
    shown = found.limit_sigma >= ev.LIMIT_SIGMA
    truths, flux, sigma = found.truths.select(shown), found.flux_cm2_s[shown], found.limit_sigma[shown]
    curve = ev.score_curve(truths, flux, found.detections, found.score)
    out = {"truths": float(len(truths))}
    for purity in PURITIES:
        threshold = curve.threshold_at_purity(purity)
        matches = ev.match(truths, flux, found.detections.select(found.score >= threshold))
        bright = matches.found[sigma >= 5.0]
        error = matches.separation_deg[matches.found]
        label = f"{purity:.2f}"
        out |= {
            f"completeness_{label}": matches.completeness,
            f"threshold_{label}": threshold,
            f"above_5_sigma_{label}": float(bright.mean()) if bright.size else np.nan,
            f"flux_50_{label}": ev.value_at_completeness(flux, matches.found, 0.5),
            f"position_error_deg_{label}": float(np.median(error)) if error.size else np.nan,
        }
    out["score"] = out["completeness_0.90"]
    return out


def calibrate(found: Found) -> dict[str, float]:
    """Probability that a detection is real as a logistic function of its score's logit (Platt 1999).

    It rises strictly with the score, so that the sequence of the detections stays.
    """
    if not len(found.score):
        return {"intercept": 0.0, "slope": 1.0}
    shown = found.limit_sigma >= ev.LIMIT_SIGMA
    real = ev.match(found.truths.select(shown), found.flux_cm2_s[shown], found.detections).real
    x = score_logit(found.score)

    def cross_entropy(parameters: Array) -> float:
        z = parameters[0] + np.exp(parameters[1]) * x
        return float(np.mean(np.logaddexp(0.0, z) - real * z))

    intercept, log_slope = minimize(cross_entropy, np.zeros(2)).x
    return {"intercept": float(intercept), "slope": float(np.exp(log_slope))}


def _inner(rows: Array, n: int) -> Array:
    low, high = MARGIN_PX, n - 1 - MARGIN_PX
    return rows[np.all((rows[:, 1:3] >= low) & (rows[:, 1:3] <= high), axis=1)]


def _positions(rows: Array, n: int) -> ev.Positions:
    # Flat and small: a tile's plane stands in for a patch of sky at the equator.
    place = (rows[:, 1:3] - n / 2) * 10.0 / n
    return ev.Positions(place[:, 0] % 360.0, place[:, 1], rows[:, 0].astype(int))
