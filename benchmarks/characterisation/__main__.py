"""Measure and write `results/characterisation-SURVEY.json` and `.md`.

Run ``python -m benchmarks.characterisation [--survey lat-10gev] [--step 4] [--skies B1:physical:1,real]``.
A sky is ``EMISSION:POPULATION:NUMBER`` or ``real`` (lat-10gev); ``--step 4`` searches every fourth of 48 blocks;
``--skies ""`` asks the networks about detections of the test stream alone.
Aperture photometry needs the extra ``peers``.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.characterisation.figures import auc
from benchmarks.characterisation.known_classes import known_places, real_confusion
from benchmarks.characterisation.report import as_markdown
from benchmarks.characterisation.sample import Sample, cached_sample
from benchmarks.characterisation.stream_skies import stream_figures
from benchmarks.characterisation.tables import (
    class_figures,
    extension_table,
    flux_table,
    position_table,
    reality_figures,
    shift_figures,
)
from benchmarks.machine import RESULTS, describe
from models.characterise import Characterisation, Listed, characterise_networks, has_networks
from models.cutouts import FAKE
from models.detectors import default_detector
from models.evaluate import Positions, match
from models.training.drawn_sky import N_BLOCKS
from sky.survey import Survey, get_survey


def sky_figures(sample: Sample, said: Characterisation | None) -> dict[str, Any]:
    """All tables of a sky."""
    out: dict[str, Any] = {"detections": len(sample.truth), "seconds": sample.seconds}
    if sample.truths is None:
        out |= {"known places": known_places(sample)}
        return out if said is None else out | {"known classes": real_confusion(sample, said)}
    out |= {"real": float(sample.real.mean())}
    out |= {"flux": flux_table(sample, said), "position": position_table(sample, said)}
    if said is not None:
        sigma = np.where(sample.real, sample.truths.limit_sigma[sample.truth], 0)
        code = np.where(sample.real, sample.truths.class_code[sample.truth], FAKE)
        out["real or fake"] = reality_figures(said.prob_real, sample.real, sigma)
        out["real or fake"] |= {"det_prob_auc": auc(sample.detections.det_prob, sample.real)}
        out["extension"] = extension_table(sample)
        out["class"] = class_figures(said.class_prob, code, sample.measured.signif_avg)
        out["class, blind"] = class_figures(said.class_prob_blind, code, sample.measured.signif_avg)
    return out


def listed(sample: Sample, survey: Survey) -> Listed:
    """What the detector said of a sample."""
    found = sample.detections
    return Listed(default_detector(survey.name), found.det_prob, found.ts)


def emission_shift(
    one: tuple[Sample, Characterisation], two: tuple[Sample, Characterisation]
) -> dict[str, float]:
    """The same sources on two skies, found near each other."""
    places = [Positions(s.measured.glon_deg, s.measured.glat_deg) for s, _ in (one, two)]
    of = match(places[0], one[0].measured.signif_avg, places[1]).of_truth
    same = (of >= 0) & one[0].real & two[0].real[of]

    def rows(said: Characterisation, which: Any) -> Characterisation:
        return Characterisation(**{name: values[which] for name, values in vars(said).items()})

    return shift_figures(rows(one[1], same), rows(two[1], of[same]))


def run(survey: Survey, skies: list[str], step: int, number: int, cache: Path | None) -> dict[str, Any]:
    """Everything that is measured."""
    networks = has_networks(survey.name)
    result: dict[str, Any] = {
        "survey": survey.name,
        "blocks": len(range(0, N_BLOCKS, step)) if skies else 0,
        "networks": networks,
        "measured_on": describe(),
        "skies": {},
    }
    kept: dict[str, tuple[Sample, Characterisation]] = {}
    for name in skies:
        sample = cached_sample(survey, name, step, cache)
        said = (
            characterise_networks(sample.cutouts, survey, listed=listed(sample, survey)) if networks else None
        )
        result["skies"][name] = sky_figures(sample, said)
        if said is not None:
            kept[name] = sample, said
        print(f"{survey.name} {name}: {len(sample.truth)} detections", flush=True)
    seconds: dict[str, float] = {}
    if skies:
        per = 10_000 / max(len(sample.truth), 1)
        seconds = {k: round(v * per, 1) for k, v in sample.seconds.items() if k != "detect"}
    if networks:
        figures = {e: stream_figures(survey, e, number) for e in ("B1", "B2")}
        seconds["networks"] = figures["B1"].pop("network_seconds")
        figures["B2"].pop("network_seconds")
        result["stream"] = figures
    pair = [kept[name] for name in kept if name.partition(":")[2] == "physical:1"]
    if len(pair) == 2:
        result["shift"] = emission_shift(pair[0], pair[1])
    return result | {"seconds_for_10000": seconds}


def plain(value: Any) -> Any:
    """What JSON knows; NaN as null."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--survey", default="lat-10gev")
    parser.add_argument("--skies", default="B1:physical:1,B2:physical:1")
    parser.add_argument("--step", type=int, default=4)
    parser.add_argument(
        "--cutouts", type=int, default=8000, help="of the test stream, for each emission model"
    )
    parser.add_argument("--cache", type=Path, default=None, help="folder that keeps the likelihood's results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    survey = get_survey(arguments.survey)
    skies = [name for name in arguments.skies.split(",") if name]
    result = run(survey, skies, arguments.step, arguments.cutouts, arguments.cache)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"characterisation-{survey.name}.json"
    path.write_text(json.dumps(plain(result), indent=1) + "\n")
    path.with_suffix(".md").write_text(as_markdown(result))


if __name__ == "__main__":
    main()
