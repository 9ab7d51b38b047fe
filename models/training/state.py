"""All that a training must keep to go on after an interruption."""

import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from models.unet import NetworkConfig, UNet

Tensors = tuple[Tensor, ...] | list[Tensor]


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
    """A network in training."""

    network: NetworkConfig
    model: UNet
    average: AveragedModel
    optimiser: torch.optim.Optimizer
    progress: Progress

    @classmethod
    def at(cls, checkpoint: Path, network: NetworkConfig, config: TrainConfig) -> "TrainState":
        """From a checkpoint, or new where there is none.

        Raises
        ------
        TrainingError
            If the file is no checkpoint, or one of another network.
        """
        torch.manual_seed(config.seed)
        device = torch.device(config.device)
        model = UNet(network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = AveragedModel(model, multi_avg_fn=running_average(config.ema_decay), use_buffers=True)
        optimiser = torch.optim.AdamW(
            model.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )
        if not checkpoint.exists():
            return cls(network, model, average, optimiser, Progress())
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
        return cls(network, model, average, optimiser, Progress(**stored["progress"]))

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
