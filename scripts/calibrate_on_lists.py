"""Fit what the cards of the characterising networks say about a detector's lists, on validation skies.

Run ``python -m scripts.calibrate_on_lists --survey lat-10gev``. The default detector of the survey searches validation
skies (seeds that no test and no training has); what is fitted is written into the cards of `real` (probability of
being a source) and `position` (radii of the ellipses). Figures in the cards are of every second block of those searched,
after a fit to the others; what is stored is the fit to all. It also prints by how much the likelihood's ellipses, as they
are stored, would have to be wider to hold 68 and 95 % (`models.likelihood.localise`), and how likely the true fluxes are
by the likelihood and by the network, on which the choice between them rests (`workers.networks`).
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.characterisation.figures import sigma_bins
from benchmarks.characterisation.sample import Sample, cached_sample
from benchmarks.characterisation.skies import CALIBRATING
from models.characterise import calibration as cal
from models.characterise import characterise_networks, position
from models.characterise.inference import Characterisers, reality_logits, shipped
from models.characterise.inputs import Inputs, make_inputs
from models.characterise.on_lists import Listed, fit_line, judgements, probability
from models.characterise.shipped import shipped_path
from models.detectors import default_detector
from models.training.drawn_sky import in_even_block
from models.training.loop import commit
from sky.frames import galactic_to_icrs, position_angle_deg, separation_deg
from sky.readers.files import file_sha256
from sky.survey import Survey, get_survey
from sky.tiles import TileGrid

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Each with its own sources and emission; the physical flux law has as many faint sources as the real sky.
SKIES = ("B1:physical:1", "random:physical:2")
STEPS = {"lat-10gev": 2, "lat-6band": 8}
STRONG_SIGMA = 5.0
FITTED = ("real", "class", "position")
# The operating threshold is the highest that loses no more of the sources above 5 sigma.
LOST = 0.01
LARGEST_PULL = 5.0


def reality(said: Floats, real: Mask, sigma: Floats, even: Mask) -> dict[str, Any]:
    """Line and threshold for the lists, with what the line of the even blocks reaches on the odd ones."""
    line = fit_line(said, real)
    probabilities = probability(said, line)
    held, odd = probability(said, fit_line(said[even], real[even]))[~even], ~even
    strong = real[odd] & (sigma[odd] > STRONG_SIGMA)
    threshold = float(np.quantile(probabilities[real & (sigma > STRONG_SIGMA)], LOST))
    return {
        "line": {name: round(value, 5) for name, value in line.items()},
        "operating_threshold": round(threshold, 4),
        "figures": {
            "detections": len(real),
            "share_real": round(float(real.mean()), 4),
            "auc": round(cal.area_under_roc(held, real[odd]), 4),
            "expected_calibration_error": round(cal.expected_calibration_error(held, real[odd]), 4),
            "lost_above_5_sigma_at_half": round(float(np.mean(held[strong] < 0.5)), 4),
            "lost_above_5_sigma_at_threshold": round(float(np.mean(held[strong] < threshold)), 4),
            "fakes_kept_at_half": round(float(np.mean(held[~real[odd]] >= 0.5)), 4),
            "fakes_kept_at_threshold": round(float(np.mean(held[~real[odd]] >= threshold)), 4),
        },
    }


def true_shifts_px(sample: Sample, survey: Survey, rows: NDArray[np.int64]) -> Floats:
    """Truths less detections, (x, y), pixels of the finest band of the tiles that own the detections, [n, 2]."""
    assert sample.truths is not None
    grid, finest = TileGrid(survey), survey.finest_band
    out = np.empty((len(rows), 2))
    for tile in np.unique(sample.detections.tile[rows]):
        own = sample.detections.tile[rows] == tile
        found, t = rows[own], sample.truth[rows[own]]
        here = grid.sky_to_pixel(
            int(tile), finest, sample.detections.glon_deg[found], sample.detections.glat_deg[found]
        )
        there = grid.sky_to_pixel(int(tile), finest, sample.truths.glon_deg[t], sample.truths.glat_deg[t])
        out[own] = np.stack(there, 1) - np.stack(here, 1)
    return out


def ellipse_factors(samples: Sequence[Sample], least_sigma: float = 4.0) -> dict[str, float]:
    """By how much the likelihood's ellipses would have to be wider; 1 where they are right."""
    over: dict[str, list[Floats]] = {"68": [], "95": []}
    for sample in samples:
        assert sample.truths is not None
        rows = points(sample)
        rows = rows[sample.measured.signif_avg[rows] >= least_sigma]
        by, t = sample.measured.select(rows), sample.truth[rows]
        here = galactic_to_icrs(by.glon_deg, by.glat_deg)
        there = galactic_to_icrs(sample.truths.glon_deg[t], sample.truths.glat_deg[t])
        apart = separation_deg(*here, *there)
        turn = np.radians(position_angle_deg(*here, *there) - by.conf_posang_deg)
        for level, found in over.items():
            axes = (getattr(by, f"conf_{level}_semi{axis}_deg") for axis in ("major", "minor"))
            major, minor = axes
            found.append(np.hypot(apart * np.cos(turn) / major, apart * np.sin(turn) / minor))
    return {
        level: round(float(np.percentile(np.concatenate(found), int(level))), 3)
        for level, found in over.items()
    }


def flux_scores(survey: Survey, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Mean log probability density of ln(true flux) by each method, by significance: the higher the better.

    Gaussian in the flux; a pull beyond `LARGEST_PULL` counts as that, so that a few do not decide.
    """
    sigma, pulls, errors = [], [], []
    for sample in samples:
        assert sample.truths is not None
        rows = points(sample)
        truth = sample.truths.flux_cm2_s[sample.truth[rows]]
        by = characterise_networks(sample.cutouts.select(torch.as_tensor(rows)), survey)
        measured = sample.measured
        flux = np.stack([measured.flux_cm2_s[rows], by.flux_cm2_s])
        error = np.stack([measured.unc_flux_cm2_s[rows], by.unc_flux_cm2_s])
        sigma.append(measured.signif_avg[rows])
        pulls.append((flux - truth) / error)
        errors.append(error / truth)
    pull, error = np.concatenate(pulls, axis=1), np.concatenate(errors, axis=1)
    score = -0.5 * np.clip(pull, -LARGEST_PULL, LARGEST_PULL) ** 2 - np.log(error * np.sqrt(2 * np.pi))
    known = np.isfinite(score).all(axis=0)
    return [
        {"sigma": label, "n": int(mine.sum())}
        | {
            by: round(float(of[mine].mean()), 3)
            for by, of in zip(("likelihood", "network"), score, strict=True)
        }
        for label, mine in sigma_bins(np.where(known, np.concatenate(sigma), -1.0))
    ]


def points(sample: Sample) -> NDArray[np.int64]:
    """Rows that are point sources."""
    assert sample.truths is not None
    return np.flatnonzero(sample.real & (sample.truths.extension_deg[sample.truth] == 0))


def shifts(models: Characterisers, inputs: Inputs) -> position.Shifts:
    """What the network for positions says."""
    with torch.inference_mode():
        return position.from_mixture(*models.networks["position"].mixture(inputs), inputs)


def calibrate(survey: Survey, samples: Sequence[Sample]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Entries of the cards of `real` and `position`."""
    models, detector = shipped(survey.name), default_detector(survey.name)
    said, real, sigma, even = [], [], [], []
    centre, covariance, truth = [], [], []
    for sample in samples:
        assert sample.truths is not None
        usable = np.flatnonzero(sample.cutouts.covered.numpy())
        inputs = make_inputs(sample.cutouts.select(torch.as_tensor(usable)), survey)
        found = sample.detections.select(usable)
        said.append(judgements(*reality_logits(models, inputs), Listed(detector, found.det_prob, found.ts)))
        real.append(sample.real[usable])
        sigma.append(np.where(real[-1], sample.truths.limit_sigma[sample.truth[usable]], 0.0))
        even.append(in_even_block(found.tile, STEPS[survey.name]))
        mine = np.isin(usable, points(sample))
        shift = shifts(models, inputs)
        centre.append(shift.shift_px[mine])
        covariance.append(shift.covariance_px2[mine])
        truth.append(true_shifts_px(sample, survey, usable[mine]))
    stated = position.Shifts(np.concatenate(centre), np.concatenate(covariance))
    radii = position.calibrate(stated, np.concatenate(truth))
    line = reality(*(np.concatenate(parts) for parts in (said, real, sigma, even)))
    return line, radii | {"sources": len(stated.shift_px)}


def main() -> None:
    """Fit, and write the cards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--survey", default="lat-10gev")
    parser.add_argument("--cache", type=Path, default=None, help="folder that keeps the searched skies")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    survey = get_survey(arguments.survey)
    step = STEPS[survey.name]
    samples = [cached_sample(survey, CALIBRATING + name, step, arguments.cache) for name in SKIES]
    line, radii = calibrate(survey, samples)
    made = {
        "skies": SKIES,
        "every_block": step,
        "command": f"python -m scripts.calibrate_on_lists --survey {survey.name}",
        "commit": commit(),
        "weights_sha256": {kind: file_sha256(shipped_path(kind, survey.name)) for kind in FITTED},
    }
    for kind, entry in (("real", line), ("position", radii)):
        path = shipped_path(kind, survey.name).with_suffix(".json")
        card = json.loads(path.read_text())
        card.setdefault("on_lists", {})[default_detector(survey.name)] = entry | made
        path.write_text(json.dumps(card, indent=2) + "\n")
    told = {"ellipses": ellipse_factors(samples), "fluxes": flux_scores(survey, samples)}
    print(json.dumps(line | told, indent=1))


if __name__ == "__main__":
    main()
