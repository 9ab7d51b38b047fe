"""`asidcat train flux|real|class|class3d|position|characterise`: pools, networks, calibration, cards."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from models.characterise.inference import load_characteriser
from models.characterise.networks import KINDS, Characteriser, CharacteriserConfig
from models.shipped import NetworkError
from models.stream import DrawSky
from models.training.characterise import FitConfig, fit_network
from models.training.finish import Pools, finish
from models.training.interrupt import interruptible
from models.training.lists import ListConfig, draw_lists, load_lists
from models.training.loop import commit
from models.training.pool import Pool, PoolConfig, Report, draw_pool, load_pool
from models.training_sky import BRIGHTNESS_SPREAD, FAINTEST, TrainingSky, as_measured, training_sky
from models.weights import save_weights
from sky.readers.files import file_sha256
from sky.simulate import synthetic_sky
from sky.survey import Survey, get_survey

# Skies whose lists say when the training of `real` stops.
LISTS_TO_VALIDATE = 2


@dataclass(frozen=True)
class Plan:
    """What a training draws and does.

    Attributes
    ----------
    survey : str
    fit : FitConfig
    cutouts, validation, test : int
        Numbers of cut-outs, at least; `validation` of the mixture and again of B1, `test` of B1 and of B2.
    per_sky : int
    every : int
        Every so many blocks of a sky are searched for lists (`fit.searched` skies to train with).
    """

    survey: str
    fit: FitConfig
    cutouts: int = 48_000
    validation: int = 12_000
    test: int = 12_000
    per_sky: int = 4000
    every: int = 8


def kinds_of(name: str, survey: Survey) -> tuple[str, ...]:
    """Networks that a name on the command line stands for."""
    if name != "characterise":
        return (name,)
    return tuple(k for k in KINDS if k != "class3d" or survey.time_slices)


def taught_with_lists(kind: str, fit: FitConfig) -> bool:
    """Whether a network learns from lists of the survey's detector too: those that have to know its fakes."""
    return kind in ("real", "class", "class3d") and fit.searched > 0


def train_characterisers(
    kinds: tuple[str, ...],
    plan: Plan,
    folder: Path,
    report: Report,
    command: str = "",
    start: Path | None = None,
) -> list[Path]:
    """Train networks, or go on with what the folder holds; the paths of their weights.

    With `start` the training of one network begins with these weights.

    Raises
    ------
    TrainingError
        If the folder holds another training, or on Ctrl-C, with all that is done kept.
    NetworkError
        If the survey has no such network, or the weights to begin with are another's.
    """
    configs = [CharacteriserConfig.standard(kind, plan.survey) for kind in kinds]
    survey = get_survey(plan.survey)
    seed, cubes, out = plan.fit.seed, "class3d" in kinds, []
    parent, told_of_parent = _parent(configs, start) if start else (None, {})
    with interruptible() as stopped:

        def pool(split: str, cutouts: int, name: str, draw_sky: DrawSky | None = None) -> Pool:
            # Held-out skies have points alone: what is promised of extended sources is another module's.
            config = PoolConfig(seed, split, cutouts, plan.per_sky, extended=split == "train")
            draw_pool(survey, config, folder / "pool" / name, report, draw_sky, stopped)
            return load_pool(survey, config, folder / "pool" / name, cubes)

        def lists_of(config: ListConfig) -> Pool:
            draw_lists(survey, config, folder / "pool" / "lists", report, stopped)
            return load_lists(survey, config, folder / "pool" / "lists", cubes)

        train, validation = pool("train", plan.cutouts, "mixed"), pool("validation", plan.validation, "mixed")
        b1 = of_emission("B1")
        pools = Pools(
            validation.and_(pool("validation", plan.validation, "b1", b1)),
            pool("test", plan.test, "b1", b1),
            pool("test", plan.test, "b2", of_emission("B2")),
        )
        for config in configs:
            taught, judged, told_of_lists = train, validation, {}
            if taught_with_lists(config.kind, plan.fit):
                lists = {
                    split: lists_of(ListConfig(seed, split, skies, plan.every))
                    for split, skies in (("train", plan.fit.searched), ("validation", LISTS_TO_VALIDATE))
                }
                taught = train.and_(lists["train"])
                # What a run asks of `real` is to tell apart what is on lists: that decides when to stop. Of some
                # classes a list has too few for that.
                judged = lists["validation"] if config.kind == "real" else validation
                told_of_lists = {"lists": {split: _told(pool) for split, pool in lists.items()}}
            network, told = fit_network(config, plan.fit, taught, judged, folder, report, stopped, parent)
            if parent:
                told_of_parent["parent"]["validation"] = told["history"][0]
            path = folder / f"characterise-{config.kind}-{plan.survey}.safetensors"
            known = card(network, plan, told, command) | told_of_parent | told_of_lists
            save_weights(path, network, known | finish(network, train, pools))
            out.append(path)
    return out


def _parent(
    configs: list[CharacteriserConfig], start: Path
) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    """Weights to begin with, and what a card says of them."""
    network, card = load_characteriser(start)
    if configs != [network.config]:
        raise NetworkError(f"{start}: not weights of the network that is to be trained")
    told = {"file": start.name, "sha256": file_sha256(start), "training": card.get("training")}
    return network.state_dict(), {"parent": told}


def _told(lists: Pool) -> dict[str, Any]:
    """What a card says of lists."""
    return {"detections": len(lists), "share_real": round(float(lists.truth.real.float().mean()), 4)}


def of_emission(emission: str) -> DrawSky:
    """Skies of one emission model: the same sources and brightness for every model, of either flux law."""

    def draw(survey: Survey, rng: np.random.Generator) -> TrainingSky:
        population = str(rng.choice(["founding", "physical"]))
        seed, slices = int(rng.integers(2**62)), max(1, survey.time_slices)
        sky = synthetic_sky(survey, seed, emission, population, slices=slices, faintest=FAINTEST)
        return as_measured(training_sky(sky), sky, np.exp(rng.normal(0.0, BRIGHTNESS_SPREAD)))

    return draw


def card(network: Characteriser, plan: Plan, told: dict[str, Any], command: str) -> dict[str, Any]:
    """What is known of the weights, but for the machine and what `finish` finds."""
    best = {row["stage"]: row for row in sorted(told["history"], key=lambda row: row["score"])}
    listed = taught_with_lists(network.config.kind, plan.fit)
    lists = f", and the lists of the default detector on {plan.fit.searched} more" if listed else ""
    return {
        "network": network.config.to_dict(),
        "training": asdict(plan),
        "parameters": network.n_parameters,
        "hours": round(told["seconds"] / 3600, 3),
        "data": "cut-outs of synthetic skies: B1 and its random family, founding and physical flux laws; peaks of "
        f"the likelihood filter and random places{lists}; test skies apart; B2 (p6v11) never trained on",
        "command": command,
        "commit": commit(),
        "validation": best,
        "limits": "sources are points; one exposure pattern and response, those of the survey; fluxes far above or "
        "below the training's are flagged or left wide; probabilities hold for the share of fakes of the stream",
    }
