"""Which networks come with the program; asking does not load them."""

from pathlib import Path

from models.shipped import FOLDER

NEEDED = ("flux", "real", "class", "position")


def shipped_path(kind: str, survey: str) -> Path:
    """Where the weights of a network lie, or would."""
    return FOLDER / f"characterise-{kind}-{survey}.safetensors"


def has_networks(survey: str) -> bool:
    """Whether all networks that a characterisation needs are there for a survey."""
    return all(shipped_path(kind, survey).exists() for kind in NEEDED)
