"""The networks that come with the program, by their files and model cards: asking does not load torch."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "weights"


class NetworkError(ValueError):
    """A network that does not fit the data it is given."""


def shipped_weights(survey: str, kind: str = "localise") -> Path:
    """Path of a localiser's weights.

    Parameters
    ----------
    survey : str
    kind : str
        ``localise``, or ``localise-counts`` of the network that sees counts alone.

    Raises
    ------
    NetworkError
        If there are none for the survey.
    """
    path = FOLDER / f"{kind}-{survey}.safetensors"
    if not path.exists():
        raise NetworkError(f"no trained network '{kind}' for survey '{survey}'")
    return path


def model_card(weights: Path) -> dict[str, Any]:
    """The model card beside a network's weights.

    Raises
    ------
    NetworkError
        If it cannot be read, or does not say which network it is of.
    """
    try:
        card: dict[str, Any] = json.loads(weights.with_suffix(".json").read_text())
        card["network"]["survey"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NetworkError(f"{weights}: no model card beside it ({error})") from error
    return card


def require_localiser(weights: Path, card: dict[str, Any], survey: str, localiser: str) -> None:
    """Check by its card that a localising network is of a survey and has probabilities for a localiser.

    Raises
    ------
    NetworkError
        If not.
    """
    own = card["network"]["survey"]
    if own != survey:
        raise NetworkError(f"{weights}: a network for survey '{own}' cannot search a cube of '{survey}'")
    if localiser not in card.get("calibration", {}):
        raise NetworkError(f"{weights}: the model card gives no probabilities for '{localiser}'")
