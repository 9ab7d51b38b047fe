"""Trained weights as safetensors, each with its model card (JSON) beside it."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.shipped import NetworkError, model_card
from models.unet import NetworkConfig, UNet


class Config(Protocol):
    """What a network is made of."""

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        ...


class Configured(Protocol):
    """A network that knows what it is made of."""

    @property
    def config(self) -> Config:
        """What it is made of."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Its numbers."""
        ...


def save_weights(path: Path, network: Configured, card: dict[str, Any]) -> None:
    """Write `path` and its model card; what may be None in `card` is stored as null."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    processor = platform.processor() or platform.machine()
    machine = f"{processor}, {os.cpu_count()} cores, torch {torch.__version__}"
    full = card | {"machine": machine, "written": datetime.now(UTC).isoformat(timespec="seconds")}
    save_file(state, path, metadata={"network": json.dumps(network.config.to_dict())})
    path.with_suffix(".json").write_text(json.dumps(full, indent=2) + "\n")


def load_weights(path: Path) -> tuple[UNet, dict[str, Any]]:
    """Network, ready to use, and its model card.

    Raises
    ------
    NetworkError
        If the files are not weights with a card, or do not fit the network they name.
    """
    try:
        card = model_card(path)
        network = UNet(NetworkConfig.from_dict(card["network"]))
        network.load_state_dict(load_file(path))
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise NetworkError(f"{path}: not the weights of a localisation network ({error})") from error
    except RuntimeError as error:
        raise NetworkError(f"{path}: weights do not fit the network of their card") from error
    return network.to(memory_format=torch.channels_last).eval(), card  # type: ignore[call-overload]
