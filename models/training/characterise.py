"""Training of a characterising network from a pool: epochs, stages, early stopping, resumption."""

import json
import math
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.characterise.inputs import SYMMETRIES
from models.characterise.networks import Characteriser, CharacteriserConfig
from models.training.pool import Pool
from models.training.state import TrainingError
from models.training.tasks import Task, class_weights, task_of
from sky.survey import get_survey

Report = Callable[[str], None]


@dataclass(frozen=True)
class FitConfig:
    """How to train; stored with the weights.

    Attributes
    ----------
    seed : int
        Of first weights and of the batches' order; the pool's skies as well.
    epochs : int
        Of the first stage; the spread of a regression, which is one small head, gets half of them.
    batch : int
    learning_rate, weight_decay : float
        Of AdamW; the rate starts slowly and falls by half a cosine.
    patience : int
        Epochs without a better score before a stage ends.
    searched : int
        Skies that the survey's detector searches; `real` and the classes are taught with these lists too.
    """

    seed: int = 1
    epochs: int = 12
    batch: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    patience: int = 4
    searched: int = 0


@dataclass
class FitProgress:
    """What has happened so far."""

    stage: int = 0
    epoch: int = 0
    seconds: float = 0.0
    best_score: float = -math.inf
    best_epoch: int = -1


def fit_network(
    network: CharacteriserConfig,
    config: FitConfig,
    train: Pool,
    validation: Pool,
    folder: Path,
    report: Report,
    stopped: Callable[[], bool] = lambda: False,
    start: dict[str, torch.Tensor] | None = None,
) -> tuple[Characteriser, dict[str, Any]]:
    """Train, or go on with what the folder holds; the network of the best validation, and its history.

    With `start` it begins with these weights, and keeps them where no epoch of the first stage is better.

    Raises
    ------
    TrainingError
        If the folder holds a training of another network, or it was told to stop; then all is saved.
    """
    task = task_of(network.kind, get_survey(network.survey))
    train, validation = train.select(task.rows(train)), validation.select(task.rows(validation))
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"{network.kind}.pt"
    torch.manual_seed(config.seed)
    model = Characteriser(network)
    if start is None:
        model.standardise(train.inputs)
    else:
        model.load_state_dict(start)
    best = {k: v.clone() for k, v in model.state_dict().items()}
    progress, optimiser_state = FitProgress(), None
    history: list[dict[str, Any]] = []
    if checkpoint.exists():
        progress, history, best, optimiser_state = _load(checkpoint, network, config, model)
    elif start is not None:
        figures = task.score(model, validation, task.stages[0])
        history.append({"stage": task.stages[0], "epoch": 0} | figures)
        progress.best_score, progress.best_epoch = figures["score"], 0
    report(f"{network.kind}: {model.n_parameters:,} parameters, {len(train):,} cut-outs")
    weights = class_weights(train.truth.class_code)
    started, before = time.monotonic(), progress.seconds
    while progress.stage < len(task.stages):
        stage = task.stages[progress.stage]
        epochs = config.epochs if stage != "spread" else -(-config.epochs // 2)
        optimiser = _optimiser(model, stage, config)
        if optimiser_state is not None:
            optimiser.load_state_dict(optimiser_state)
            optimiser_state = None
        while progress.epoch < epochs:
            loss = _epoch(model, task, train, config, stage, progress, epochs, optimiser, weights, stopped)
            progress.epoch += 1
            progress.seconds = before + time.monotonic() - started
            figures = task.score(model, validation, stage)
            history.append({"stage": stage, "epoch": progress.epoch, "loss": loss} | figures)
            report(_line(network.kind, stage, progress, epochs, loss, figures))
            if figures["score"] > progress.best_score:
                progress.best_score, progress.best_epoch = figures["score"], progress.epoch
                best = {k: v.clone() for k, v in model.state_dict().items()}
            if progress.epoch - progress.best_epoch >= config.patience or progress.epoch == epochs:
                model.load_state_dict(best)
                progress = FitProgress(stage=progress.stage + 1, seconds=progress.seconds)
                _save(checkpoint, network, config, model, best, progress, history, None)
                break
            _save(checkpoint, network, config, model, best, progress, history, optimiser)
    model.load_state_dict(best)
    return model.eval(), {"history": history, "seconds": progress.seconds}


def _epoch(
    model: Characteriser,
    task: Task,
    train: Pool,
    config: FitConfig,
    stage: str,
    progress: FitProgress,
    epochs: int,
    optimiser: torch.optim.Optimizer,
    weights: torch.Tensor,
    stopped: Callable[[], bool],
) -> float:
    """One pass over the pool; every member sees every batch turned its own way."""
    rng = np.random.default_rng([config.seed, progress.stage, progress.epoch])
    batches = torch.as_tensor(rng.permutation(len(train))).split(config.batch)
    total = 0.0
    for number, rows in enumerate(batches):
        if stopped():
            raise TrainingError("interrupted; the epochs before this one are kept")
        done = (progress.epoch + number / len(batches)) / epochs
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * _schedule(done, epochs)
        batch, symmetry = train.select(rows), int(rng.integers(SYMMETRIES))
        losses = [
            task.loss(member, batch, (symmetry + k) % SYMMETRIES, stage, weights)
            for k, member in enumerate(model.members)
        ]
        loss = torch.stack(losses).sum()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0 * len(losses))
        optimiser.step()
        total += float(loss.detach()) / len(losses)
    return total / len(batches)


def _schedule(done: float, epochs: int) -> float:
    """Learning rate relative to its highest, by the share of the stage that is done."""
    start = min(1.0, 0.1 + 0.9 * done * epochs / 0.3)
    return start * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0))))


def _optimiser(model: Characteriser, stage: str, config: FitConfig) -> torch.optim.Optimizer:
    """AdamW on what the stage trains."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_((".spread." in name) == (stage == "spread"))
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(trained, config.learning_rate, weight_decay=config.weight_decay)


def _line(
    kind: str, stage: str, progress: FitProgress, epochs: int, loss: float, figures: dict[str, float]
) -> str:
    shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items() if name != "score")
    done = f"{kind} ({stage}) epoch {progress.epoch} of {epochs}"
    return f"{done}: loss {loss:.4f}, {shown}, {progress.seconds / 60:.1f} min"


def _save(
    path: Path,
    network: CharacteriserConfig,
    config: FitConfig,
    model: Characteriser,
    best: dict[str, torch.Tensor],
    progress: FitProgress,
    history: list[dict[str, Any]],
    optimiser: torch.optim.Optimizer | None,
) -> None:
    """Write all of it, or leave the file as it was."""
    part = path.with_suffix(".part")
    torch.save(
        {
            "network": network.to_dict(),
            "config": asdict(config),
            "model": model.state_dict(),
            "best": best,
            "progress": asdict(progress),
            "history": json.dumps(history),
            "optimiser": None if optimiser is None else optimiser.state_dict(),
        },
        part,
    )
    part.replace(path)


def _load(
    path: Path, network: CharacteriserConfig, config: FitConfig, model: Characteriser
) -> tuple[FitProgress, list[dict[str, Any]], dict[str, torch.Tensor], dict[str, Any] | None]:
    try:
        stored = torch.load(path, weights_only=True)
        same = stored["network"] == network.to_dict() and stored["config"] == asdict(config)
    except (RuntimeError, EOFError, LookupError, TypeError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{path}: not a checkpoint of a training") from error
    if not same:
        raise TrainingError(f"{path}: holds the training of another network, or one with other settings")
    model.load_state_dict(stored["model"])
    progress = FitProgress(**stored["progress"])
    return progress, json.loads(stored["history"]), stored["best"], stored["optimiser"]
