"""All that a training must keep to go on after an interruption."""

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from models.unet import NetworkConfig, UNet
from models.weights import load_weights

Tensors = tuple[Tensor, ...] | list[Tensor]

# Starts that one training may have; one that goes on from another's weights sees skies after all of them.
STARTS_A_TRAINING = 1000


class TrainingError(ValueError):
    """A training that cannot start or go on."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train; stored with the weights.

    Attributes
    ----------
    seed : int
        Of skies, tiles, photons and first weights.
    steps, minutes
        The training ends, and its learning rate has come down, with whichever is used up first.
    batch_tiles : int
    learning_rate, weight_decay : float
        Of AdamW.
    warmup_steps : int
    ema_decay : float
        Of the running average of the weights, which is what is validated and kept.
    workers : int
        Processes that make skies.
    validate_every : int
        Steps.
    validation_skies, validation_tiles : int
        Skies, and tiles of each.
    patience : int
        Validations without a better score before the training stops.
    device : str
    extended_share : float
        Share of the skies, of training and validation, that have extended sources beside points.
    """

    seed: int = 1
    steps: int = 2400
    batch_tiles: int = 16
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 100
    ema_decay: float = 0.995
    workers: int = 1
    validate_every: int = 300
    validation_skies: int = 6
    validation_tiles: int = 32
    patience: int = 6
    minutes: float = 240.0
    device: str = "cpu"
    extended_share: float = 0.0


@dataclass
class Progress:
    """What has happened so far; `stream` counts the starts, each with skies of its own."""

    step: int = 0
    seconds: float = 0.0
    best_score: float = -np.inf
    best_step: int = 0
    stream: int = 0


@dataclass(frozen=True, eq=False)
class TrainState:
    """A network in training; `parent` says which weights it began with, empty if with none."""

    network: NetworkConfig
    model: UNet
    average: AveragedModel
    optimiser: torch.optim.Optimizer
    progress: Progress
    parent: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def at(
        cls, checkpoint: Path, network: NetworkConfig, config: TrainConfig, start: Path | None = None
    ) -> "TrainState":
        """From a checkpoint; where there is none, from the weights `start`, or new.

        Raises
        ------
        TrainingError
            If one of the files is of another network, or the first no checkpoint.
        NetworkError
            If the second is no weights.
        """
        torch.manual_seed(config.seed)
        device = torch.device(config.device)
        model = UNet(network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        progress, parent = Progress(), {}
        if start and not checkpoint.exists():
            parent = descent(model, start)
            progress.stream = STARTS_A_TRAINING * parent["generation"]
        average = AveragedModel(model, multi_avg_fn=running_average(config.ema_decay), use_buffers=True)
        optimiser = torch.optim.AdamW(
            model.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )
        if not checkpoint.exists():
            return cls(network, model, average, optimiser, progress, parent)
        try:
            stored = torch.load(checkpoint, weights_only=True, map_location=device)
            of = NetworkConfig.from_dict(stored["network"])
        except (RuntimeError, EOFError, LookupError, pickle.UnpicklingError) as error:
            raise TrainingError(f"{checkpoint}: not a checkpoint of a training") from error
        if of != network:
            raise TrainingError(f"{checkpoint}: holds the training of another network")
        model.load_state_dict(stored["model"])
        average.load_state_dict(stored["average"])
        optimiser.load_state_dict(stored["optimiser"])
        progress, parent = Progress(**stored["progress"]), stored.get("parent", {})
        return cls(network, model, average, optimiser, progress, parent)

    @property
    def smooth(self) -> UNet:
        """The network with averaged weights."""
        return cast(UNet, self.average.module)

    def save(self, checkpoint: Path) -> None:
        """Write all of it, or leave the file as it was."""
        state = {
            "network": self.network.to_dict(),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": asdict(self.progress),
            "parent": self.parent,
        }
        part = checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.replace(checkpoint)

    def step(self, loss: Tensor) -> None:
        """One step of the optimiser down a loss."""
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.average.update_parameters(self.model)
        self.progress.step += 1


def descent(model: UNet, start: Path) -> dict[str, Any]:
    """Give a model the numbers of weights to go on from; what its own card says of them.

    Returns
    -------
    dict
        `sha256` and `tiles` of the weights, `generation` of the training that goes on: 1 after one that
        began anew.

    Raises
    ------
    TrainingError
        If the weights are of another network.
    NetworkError
        If they are none.
    """
    weights, card = load_weights(start)
    if weights.config != model.config:
        raise TrainingError(f"{start}: weights of another network")
    model.load_state_dict(weights.state_dict())
    return {
        "sha256": hashlib.sha256(start.read_bytes()).hexdigest(),
        "tiles": card.get("tiles"),
        "generation": card.get("parent", {}).get("generation", 0) + 1,
    }


def running_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Exponential average of weights that forgets its first steps sooner, for `AveragedModel`."""

    @torch.no_grad()
    def average(kept: Tensors, new: Tensors, number: Tensor | int) -> None:
        n = int(number)
        weight = 1.0 - min(decay, (1 + n) / (10 + n))
        for old, value in zip(kept, new, strict=True):
            if old.is_floating_point():
                old.lerp_(value.to(old.dtype), weight)
            else:
                old.copy_(value)

    return average
