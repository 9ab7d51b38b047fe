"""Who finds the sources: networks, likelihood filters and peers, on held-out skies and on the real one.

Run ``python -m benchmarks.localisation [--survey lat-10gev] [--step 16] [--peer-step 96] [--weights FILE]``.
``--step 16`` searches every sixteenth tile, of the real sky every ``--real-step``-th; all finders see the same
tiles. The peers are slow: they see every
``--peer-step``-th tile (a multiple of the step) of the first B1 sky, and a table of their own sets all others
beside them on those tiles alone; 0 leaves them out. Skies and answers are kept in ``--folder``: what is there
already is not computed again.
"""

import argparse
import hashlib
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.localisation.finders import (
    COUNTS_NETWORK,
    NETWORK,
    Answer,
    BenchmarkError,
    Find,
    measured,
    our_finders,
    peer_finders,
)
from benchmarks.localisation.report import as_markdown
from benchmarks.localisation.scores import Pooled
from benchmarks.localisation.skies import TEN_SKIES, TEST_SEED, Case, Truths, make_case, sky_seed
from benchmarks.machine import RESULTS, describe
from models.detectors import NETWORK_DETECTORS
from models.shipped import shipped_weights
from sky.survey import Survey, get_survey
from sky.tiles import N_TILES

LIMIT = "limit: all above 5 sigma of exact significance"
PURITY = "0.90"


class Bench:
    """One benchmark: a survey, its skies and tiles, and what has been answered so far."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.survey: Survey = get_survey(arguments.survey)
        self.tiles = range(0, N_TILES, arguments.step)
        self.real_tiles = range(0, N_TILES, arguments.real_step)
        self.peer_tiles = range(0, N_TILES, arguments.peer_step) if arguments.peer_step else range(0)
        if any(tile not in self.tiles for tile in self.peer_tiles):
            raise BenchmarkError("--peer-step must be a multiple of --step")
        self.skies: list[str] = arguments.skies.split(",")
        self.folder: Path = arguments.folder / self.survey.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.weights: Path = arguments.weights or shipped_weights(self.survey.name)
        self.weights_sha256 = hashlib.sha256(self.weights.read_bytes()).hexdigest()[:12]
        self.wanted: list[str] = arguments.finders.split(";") if arguments.finders else []
        counts_alone = shipped_weights(self.survey.name, NETWORK_DETECTORS[COUNTS_NETWORK])
        counts_weights = None if arguments.weights else counts_alone
        self.networks = _content([self.weights, *([counts_weights] if counts_weights else [])])
        self.ours = self._wanted(our_finders(self.weights, counts_weights))
        first = next((name for name in self.skies if name.startswith("B1")), None)
        self.peer_sky = first if len(self.peer_tiles) else None

    def case(self, name: str) -> Case:
        """A sky, from the folder if it is there."""
        wrong = name == self.peer_sky
        tiles = self.tiles_of(name)
        stem = f"sky-{len(tiles)}-{name}{'-wrong' if wrong else ''}"
        return self._kept(stem, lambda: make_case(self.survey, name, tiles, wrong=wrong))

    def tiles_of(self, name: str) -> range:
        """The tiles searched of a sky."""
        return self.real_tiles if name == "real" else self.tiles

    def answers(self) -> tuple[dict[str, dict[str, Answer]], dict[str, Answer], dict[str, Truths]]:
        """Answers by sky and finder; the peers' on their sky; the truths by sky."""
        ours: dict[str, dict[str, Answer]] = {}
        peers: dict[str, Answer] = {}
        truths = {}
        for name in self.skies:
            case = self.case(name)
            truths[name] = case.truths
            ours[name] = {
                f: self._answer(f, find, case, self.tiles_of(name)) for f, find in self.ours.items()
            }
            if name == self.peer_sky:
                asked = self._wanted(peer_finders())
                peers = {f: self._answer(f, find, case, self.peer_tiles) for f, find in asked.items()}
        return ours, peers, truths

    def _wanted(self, finders: dict[str, Find]) -> dict[str, Find]:
        if not self.wanted:
            return finders
        return {f: find for f, find in finders.items() if any(f.startswith(w) for w in self.wanted)}

    def _answer(self, finder: str, find: Find, case: Case, tiles: Sequence[int]) -> Answer:
        of = f"-{self.networks}" if finder.startswith(NETWORK) else ""
        answer = self._kept(
            f"answer-{len(tiles)}-{case.name}-{finder}{of}", lambda: measured(find, case, tiles)
        )
        print(f"{case.name:18} {finder:45} {len(answer.score):6} {answer.cpu_seconds:7.0f} s CPU", flush=True)
        return answer

    def _kept(self, stem: str, make: Callable[[], Any]) -> Any:
        path = self.folder / f"{stem.replace(':', '-').replace(' ', '-').replace(',', '')}.pickle"
        if path.exists():
            return pickle.loads(path.read_bytes())
        made = make()
        part = path.with_suffix(".part")
        part.write_bytes(pickle.dumps(made, protocol=5))
        part.replace(path)
        return made


def _content(weights: Sequence[Path]) -> str:
    """Weights and cards, which say what scores mean, as a short checksum."""
    parts = [p.read_bytes() for path in weights for p in (path, path.with_suffix(".json"))]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def rows_of(
    kinds: dict[str, list[str]],
    answers: dict[str, dict[str, Answer]],
    truths: dict[str, Truths],
    tiles: Sequence[int],
) -> list[dict[str, Any]]:
    """A row for every kind of sky and finder, skies of a kind together, and the limit's."""
    rows: list[dict[str, Any]] = []
    for kind, names in kinds.items():
        inside = [truths[name].on(tiles) for name in names]
        for finder in answers[names[0]]:
            mine = [answers[name][finder] for name in names]
            rows.append(
                {
                    "sky": kind,
                    "skies": names,
                    "finder": finder,
                    "seconds": sum(a.seconds for a in mine),
                    "cpu_seconds": sum(a.cpu_seconds for a in mine),
                    "memory_gb": max(a.memory_gb for a in mine),
                    "scores": _pooled(inside, mine, tiles).figures(),
                }
            )
        if kind != "real":
            strong = [t.inside & (t.limit_sigma >= 5.0) for t in inside]
            perfect = [t.places.select(s) for t, s in zip(inside, strong, strict=True)]
            sigma = [t.limit_sigma[s] for t, s in zip(inside, strong, strict=True)]
            figures = Pooled(inside, perfect, sigma).figures()
            rows.append({"sky": kind, "skies": names, "finder": LIMIT, "scores": figures})
    return rows


def _pooled(truths: Sequence[Truths], answers: Sequence[Answer], tiles: Sequence[int]) -> Pooled:
    on = [answer.on(tiles) for answer in answers]
    return Pooled([t.on(tiles) for t in truths], [places for places, _ in on], [score for _, score in on])


def robustness(
    answers: dict[str, dict[str, Answer]], truths: dict[str, Truths], tiles: Sequence[int]
) -> dict[str, Any]:
    """B1 against B2, the same sources under each: the change of completeness, and of false detections."""
    pairs = [
        (a, a.replace("B1", "B2")) for a in answers if a.startswith("B1") and a.replace("B1", "B2") in answers
    ]
    out: dict[str, Any] = {"skies": pairs}
    for finder in next(iter(answers.values())):
        b1, b2 = (
            _pooled(
                [truths[pair[which]] for pair in pairs],
                [answers[pair[which]][finder] for pair in pairs],
                tiles,
            )
            for which in (0, 1)
        )
        threshold = b1.thresholds()[PURITY]
        out[finder] = {
            "completeness_b1": b1.figures()["all"][PURITY]["completeness"],
            "completeness_b2": b2.figures()["all"][PURITY]["completeness"],
            "false_in_plane_b1": b1.at_threshold(threshold, "b<5")["false"],
            "false_in_plane_b2": b2.at_threshold(threshold, "b<5")["false"],
        }
    return out


def main() -> None:
    """Measure and write `results/localisation-SURVEY.json` and `.md`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.localisation", description=__doc__)
    parser.add_argument("--survey", default="lat-10gev")
    parser.add_argument("--weights", type=Path, default=None, help="others than the program's own")
    parser.add_argument(
        "--skies", default=None, help="EMISSION:POPULATION:NUMBER, or real; default: ten and the real one"
    )
    parser.add_argument("--step", type=int, default=16)
    parser.add_argument("--real-step", type=int, default=4)
    parser.add_argument("--peer-step", type=int, default=96)
    parser.add_argument(
        "--finders", default="", help="only those whose names begin so, separated by semicolons"
    )
    parser.add_argument("--folder", type=Path, default=Path("benchmark-localisation"))
    parser.add_argument("--name", default="", help="added to the names of the result's files")
    arguments = parser.parse_args()
    real = ",real" if arguments.survey == "lat-10gev" else ""
    arguments.skies = arguments.skies or TEN_SKIES + real
    bench = Bench(arguments)
    answers, peers, truths = bench.answers()
    kinds: dict[str, list[str]] = {}
    for name in bench.skies:
        kinds.setdefault(name.partition(":")[0], []).append(name)
    result: dict[str, Any] = {
        "survey": bench.survey.name,
        "tiles": len(bench.tiles),
        "measured_on": describe(),
        "weights_sha256": bench.weights_sha256,
        "seeds": {n: str(sky_seed(int(n.split(":")[2]))) for n in bench.skies if n != "real"},
        "test_seed": TEST_SEED,
        "real_tiles": len(bench.real_tiles) if "real" in kinds else 0,
        "rows": [
            row
            for k, names in kinds.items()
            for row in rows_of({k: names}, answers, truths, bench.tiles_of(k))
        ],
    }
    if any(k == "B1" for k in kinds) and any(k == "B2" for k in kinds):
        result["robustness"] = robustness(
            {n: a for n, a in answers.items() if n != "real"}, truths, bench.tiles
        )
    if bench.peer_sky:
        together = {bench.peer_sky: answers[bench.peer_sky] | peers}
        result["peers"] = {
            "sky": bench.peer_sky,
            "tiles": len(bench.peer_tiles),
            "rows": rows_of({"B1": [bench.peer_sky]}, together, truths, bench.peer_tiles),
        }
    path = RESULTS / f"localisation-{bench.survey.name}{arguments.name and '-'}{arguments.name}.json"
    path.write_text(json.dumps(_plain(result), indent=1) + "\n")
    path.with_suffix(".md").write_text(as_markdown(result))


def _plain(value: Any) -> Any:
    """As JSON knows it: no NaN, no numpy."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 15) if np.isfinite(value) else None
    return value


if __name__ == "__main__":
    main()
