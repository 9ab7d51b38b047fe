"""The training loop: resumes after an interruption, stops early by the scientific score."""

import json
import math
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.utils.data import DataLoader

from models.stream import TileBatch, TileStream
from models.training.interrupt import interruptible
from models.training.losses import localisation_loss
from models.training.state import Progress, TrainConfig, TrainingError, TrainState
from models.training.validation import Validation
from models.unet import NetworkConfig
from models.weights import load_weights, save_weights
from sky.survey import get_survey

Report = Callable[[str], None]

# Skies of one start of a training; a resumed one begins after them.
SKIES_A_START = 100_000


def train(
    config: TrainConfig,
    network: NetworkConfig,
    folder: Path,
    report: Report,
    command: str = "",
    start: Path | None = None,
) -> Path:
    """Train a network, or go on with the training a folder holds.

    Parameters
    ----------
    config : TrainConfig
    network : NetworkConfig
    folder : Path
        Gets `checkpoint.pt`, `history.jsonl`, and the weights with their model card.
    report : callable
        Takes lines of progress.
    command : str
        For the model card.
    start : Path, optional
        Weights to begin with; a folder that holds a training goes on with its own.

    Returns
    -------
    Path
        The weights of the best validation.

    Raises
    ------
    TrainingError
        If the folder holds a training of another network, or there is no such device.
    NetworkError
        If `start` is no weights.
    """
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise TrainingError("no GPU here for device 'cuda'")
    survey = get_survey(network.survey)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    state = TrainState.at(checkpoint, network, config, start)
    progress = state.progress
    report(f"{state.model.n_parameters:,} parameters, step {progress.step} of {config.steps}")
    validation = Validation.drawn(
        survey, config.seed, config.validation_skies, config.validation_tiles, config.extended_share
    )
    if state.parent and "score" not in state.parent:
        state.parent.update(score=validation.run(state.model)["score"])
        report("begun with weights of {tiles} tiles: score {score:.4f}".format(**state.parent))
    weights = folder / f"localise-{network.survey}-{network.normalisation}.safetensors"
    batches = _batches(network, config, progress)
    forward = cast(nn.Module, torch.compile(state.model)) if config.device != "cpu" else state.model
    started, before = time.monotonic(), progress.seconds
    sums: dict[str, float] = {}
    with interruptible() as stopped:
        while progress.step < config.steps:
            _step(state, forward, next(batches).to(config.device), config, sums)
            progress.seconds = before + time.monotonic() - started
            over = stopped() or progress.seconds > 60 * config.minutes
            if not (over or progress.step % config.validate_every == 0 or progress.step == config.steps):
                continue
            scores = validation.run(state.smooth)
            _record(folder, progress, scores, sums, report)
            if scores["score"] > progress.best_score:
                progress.best_score, progress.best_step = scores["score"], progress.step
                save_weights(weights, state.smooth, model_card(config, state, scores, command))
            state.save(checkpoint)
            if over or progress.step - progress.best_step >= config.patience * config.validate_every:
                break
    best, card = load_weights(weights)
    save_weights(weights, best, card | {"calibration": validation.calibration(best)})
    return weights


def _batches(network: NetworkConfig, config: TrainConfig, progress: Progress) -> Iterator[TileBatch]:
    """The stream; a resumed training sees new skies."""
    first_sky = SKIES_A_START * progress.stream
    progress.stream += 1
    survey = get_survey(network.survey)
    stream = TileStream(
        survey,
        config.seed,
        "train",
        config.batch_tiles,
        first_sky=first_sky,
        extended_share=config.extended_share,
    )
    prefetch = 4 if config.workers else None
    return iter(DataLoader(stream, batch_size=None, num_workers=config.workers, prefetch_factor=prefetch))


def _step(
    state: TrainState, forward: nn.Module, batch: TileBatch, config: TrainConfig, sums: dict[str, float]
) -> None:
    state.model.train()
    for group in state.optimiser.param_groups:
        group["lr"] = config.learning_rate * schedule(state.progress, config)
    with torch.autocast(config.device.split(":")[0], torch.bfloat16, enabled=fast_bf16(config.device)):
        out = forward(batch.images)
    losses = localisation_loss(out, batch)
    state.step(losses["total"])
    sums["steps"] = sums.get("steps", 0.0) + 1
    for name, value in losses.items():
        sums[name] = sums.get(name, 0.0) + float(value.detach())


def schedule(progress: Progress, config: TrainConfig) -> float:
    """Learning rate relative to its highest: linear start, then half a cosine down to 2 %.

    The cosine follows the steps or the minutes, whichever will be used up first.
    """
    if progress.step < config.warmup_steps:
        return (progress.step + 1) / config.warmup_steps
    done = max(progress.step / config.steps, progress.seconds / (60 * config.minutes))
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def fast_bf16(device: str) -> bool:
    """Whether half precision pays: on a GPU, and on processors with instructions for it."""
    if device.startswith("cuda"):
        return True
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def model_card(
    config: TrainConfig, state: TrainState, scores: dict[str, float], command: str
) -> dict[str, Any]:
    """What is known of the weights, but for the machine, which `save_weights` adds."""
    progress, extended = state.progress, config.extended_share
    points = "trained on point sources alone: extended sources come out as several"
    return {
        "network": state.network.to_dict(),
        "training": asdict(config),
        "parameters": state.model.n_parameters,
        "step": progress.step,
        "tiles": progress.step * config.batch_tiles,
        "hours": round(progress.seconds / 3600, 3),
        "parent": state.parent,
        "data": "synthetic skies: B1 and its random family, founding and physical flux laws, a quarter "
        "of the skies without faint sources; random centres and orientations; B2 (p6v11) held out"
        + (
            f"; extended sources on {extended:.0%} of the skies, each taught at its centre"
            if extended
            else ""
        ),
        "command": command,
        "commit": commit(),
        "validation": _plain(scores),
        "limits": ("" if extended else f"{points}; ")
        + "not for other surveys, event classes or exposures far from those of its survey",
    }


def commit() -> str:
    """Commit of the checkout that trains, marked where files were changed; empty outside a checkout."""
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    here = Path(__file__).parent
    try:
        return subprocess.run(asked, cwd=here, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _record(
    folder: Path, progress: Progress, scores: dict[str, float], sums: dict[str, float], report: Report
) -> None:
    """A line of history and one of progress; the sums begin anew."""
    losses = {name: value / sums["steps"] for name, value in sums.items() if name != "steps"}
    sums.clear()
    row = {"step": progress.step, "seconds": round(progress.seconds)} | _plain(losses | scores)
    with (folder / "history.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    report(
        f"step {progress.step}: loss {losses['total']:.4f}, completeness {scores['completeness_0.90']:.3f} "
        f"at purity 0.90, {scores['above_5_sigma_0.90']:.3f} above 5 sigma, {progress.seconds / 60:.1f} min"
    )


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    """Numbers as JSON knows them."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
