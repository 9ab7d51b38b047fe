"""Networks that characterise detections: flux, real or fake, class, position, each with an error.

Nothing here loads torch before a network is used.
"""

from typing import TYPE_CHECKING, Any

from models.characterise.on_lists import Listed
from models.characterise.result import Characterisation
from models.characterise.shipped import has_networks

if TYPE_CHECKING:
    from models.cutouts import Cutouts
    from sky.survey import Survey


def characterise_networks(cutouts: "Cutouts", survey: "Survey", **options: Any) -> Characterisation:
    """Characterise detections; see `models.characterise.inference.characterise_networks`."""
    from models.characterise.inference import characterise_networks as run

    return run(cutouts, survey, **options)


__all__ = ["Characterisation", "Listed", "characterise_networks", "has_networks"]
