"""Fit what the localisers' cards say of `Det_Prob` on searched skies: score, likelihood and background together.

Run ``python -m scripts.calibrate_det_prob --survey lat-6band``. Validation skies (seeds that no test and no training
has; B1 and the random family, half of them with extended sources) are searched with every localiser in an eighth of
the tiles, and a logistic function of the score, the test statistic and the background is fitted to what is there
(`models.det_prob`). Figures in the cards, those of the score alone beside them, are of every second block of those
searched, after a fit to the others; what is stored is the fit to all.
"""

import argparse
import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from models import det_prob, logistic
from models import evaluate as ev
from models.characterise.calibration import expected_calibration_error
from models.detectors import NETWORK_DETECTORS
from models.localise.names import LOCALISERS
from models.network_detect import NetworkDetection, detect_tiles
from models.shipped import shipped_weights
from models.training.drawn_sky import (
    block_tiles,
    drawn_cubes,
    exposure_maps,
    in_even_block,
    inside_blocks,
    truths_of,
)
from models.training.lists import list_sky
from models.training.loop import commit
from models.training.seeds import sky_rng
from sky.readers.files import file_sha256
from sky.response import load_response
from sky.survey import Survey, get_survey
from sky.tiles import TileGrid, owner

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SEED, STREAM, SKIES = 9, 11, 4
EVERY_BLOCK = 8
PLACES_SEED = 1
BORDER_DEG = ev.MATCH_RADIUS_DEG
PURITY = 0.90
THRESHOLDS = (0.2, 0.25, 0.3, 0.33, 0.36, 0.4, 0.45, 0.5, 0.6, 0.7, 0.9)


class Searched(NamedTuple):
    """Lists of some skies, and what is there; places of different skies never match.

    `probability`, `ts` and `darkness` are by detection, `flux_cm2_s` by truth; `even` of each, whether its block is.
    """

    places: ev.Positions
    probability: Floats
    ts: Floats
    darkness: Floats
    even: Mask
    truths: ev.Positions
    flux_cm2_s: Floats
    truth_even: Mask

    @property
    def real(self) -> Mask:
        """Whether a detection is a source that can be seen, one to one."""
        return ev.match(self.truths, self.flux_cm2_s, self.places).real

    @property
    def odd(self) -> Self:
        """What the odd blocks hold."""
        own, there = ~self.even, ~self.truth_even
        return type(self)(
            self.places.select(own),
            self.probability[own],
            self.ts[own],
            self.darkness[own],
            self.even[own],
            self.truths.select(there),
            self.flux_cm2_s[there],
            self.truth_even[there],
        )

    def figures(self, probability: Floats) -> dict[str, float]:
        """How good a probability of these detections is."""
        curve = ev.score_curve(self.truths, self.flux_cm2_s, self.places, probability)
        return {
            f"completeness_{PURITY:.2f}": round(curve.completeness_at_purity(PURITY), 4),
            "expected_calibration_error": round(expected_calibration_error(probability, self.real), 4),
        }

    def lists(self, probability: Floats) -> dict[str, dict[str, float]]:
        """Purity and completeness of the list from several probabilities on."""
        rows = {}
        for threshold in THRESHOLDS:
            kept = self.places.select(probability >= threshold)
            matches = ev.match(self.truths, self.flux_cm2_s, kept)
            purity, completeness = matches.purity, matches.completeness
            rows[f"{threshold:g}"] = {"purity": round(purity, 3), "completeness": round(completeness, 3)}
        return rows


def searched(survey: Survey, configs: Sequence[NetworkDetection]) -> list[Searched]:
    """Lists of the validation skies by each configuration."""
    grid, response = TileGrid(survey), load_response(survey.irfs)
    parts: list[list[Searched]] = [[] for _ in configs]
    for number in range(SKIES):
        sky = list_sky(survey, sky_rng(SEED, "validation", STREAM, number))
        (cube, _), exposure = drawn_cubes(sky), exposure_maps(sky)
        tiles = block_tiles(EVERY_BLOCK, number % EVERY_BLOCK)
        truths = truths_of(sky, tiles)
        inside = inside_blocks(truths.glon_deg, truths.glat_deg, tiles, BORDER_DEG)
        there = owner(truths.glon_deg[inside], truths.glat_deg[inside])
        for of, config in zip(parts, configs, strict=True):
            found = detect_tiles(cube, exposure, response, grid, tiles, PLACES_SEED, config)
            found = found.points()
            found = found.select(inside_blocks(found.glon_deg, found.glat_deg, tiles, BORDER_DEG))
            of.append(
                Searched(
                    _places(found.glon_deg, found.glat_deg, number),
                    found.det_prob,
                    found.ts,
                    det_prob.darkness(found.background_sr, cube.total() / (4 * np.pi)),
                    in_even_block(found.tile, EVERY_BLOCK),
                    _places(truths.glon_deg[inside], truths.glat_deg[inside], number),
                    truths.flux_cm2_s[inside],
                    in_even_block(there, EVERY_BLOCK),
                )
            )
        print(f"sky {number + 1} of {SKIES}", flush=True)
    return [_joined(of) for of in parts]


def entry_of(lists: Searched) -> dict[str, Any]:
    """What a card says of one localiser."""
    said, real = det_prob.judgements(lists.probability, lists.ts, lists.darkness), lists.real
    held, even = lists.odd, lists.even
    line = logistic.fit_line(said[even], real[even], det_prob.JUDGEMENTS)
    both = logistic.probability(said[~even], line, det_prob.JUDGEMENTS)
    whole = logistic.fit_line(said, real, det_prob.JUDGEMENTS)
    return {
        "line": {name: round(value, 5) for name, value in whole.items()},
        "detections": len(real),
        "share_real": round(float(real.mean()), 4),
        "figures": held.figures(both),
        "from": held.lists(both),
        "by_score_alone": held.figures(held.probability),
    }


def _places(glon_deg: Floats, glat_deg: Floats, number: int) -> ev.Positions:
    return ev.Positions(glon_deg, glat_deg, np.full(len(glon_deg), number))


def _joined(parts: Sequence[Searched]) -> Searched:
    """Several skies as one."""
    places, probability, ts, darkness, even, truths, flux, truth_even = zip(*parts, strict=True)
    return Searched(
        _all(places),
        np.concatenate(probability),
        np.concatenate(ts),
        np.concatenate(darkness),
        np.concatenate(even),
        _all(truths),
        np.concatenate(flux),
        np.concatenate(truth_even),
    )


def _all(places: Sequence[ev.Positions]) -> ev.Positions:
    columns = ([getattr(p, name) for p in places] for name in ("glon_deg", "glat_deg", "group"))
    return ev.Positions(*(np.concatenate(column) for column in columns))


def main() -> None:
    """Search, fit, and write the cards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--survey", default="lat-6band")
    parser.add_argument("--detector", choices=list(NETWORK_DETECTORS), default="unet")
    parser.add_argument("--localisers", nargs="+", choices=LOCALISERS, default=list(LOCALISERS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    survey = get_survey(arguments.survey)
    weights = shipped_weights(survey.name, NETWORK_DETECTORS[arguments.detector])
    configs = [NetworkDetection(weights, name, judged=False) for name in arguments.localisers]
    entries = [entry_of(lists) for lists in searched(survey, configs)]
    path = weights.with_suffix(".json")
    card = json.loads(path.read_text())
    made = {
        "skies": SKIES,
        "every_block": EVERY_BLOCK,
        "command": f"python -m scripts.calibrate_det_prob --survey {survey.name}"
        f" --detector {arguments.detector}",
        "commit": commit(),
        "weights_sha256": file_sha256(weights),
    }
    lists = card.setdefault("on_lists", {})
    lists |= {name: entry | made for name, entry in zip(arguments.localisers, entries, strict=True)}
    path.write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(dict(zip(arguments.localisers, entries, strict=True)), indent=1))


if __name__ == "__main__":
    main()
