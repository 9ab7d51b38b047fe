"""What the workers of a run need before their first tile: made ahead, while the run's files are read."""

from dataclasses import dataclass

from models.characterise import has_networks
from models.detectors import NETWORK_DETECTORS, load_detector
from models.likelihood.discs import all_shapes
from models.likelihood.matched_filter import matched_filter
from models.likelihood.regions import contained
from models.likelihood.wide_search import searchable
from sky.response import load_response
from sky.survey import get_survey
from sky.tiles import TileGrid


@dataclass(frozen=True)
class Expected:
    """What a run's workers will be asked for."""

    survey: str
    irfs: str
    detector: str


def make_tables(expected: Expected) -> None:
    """Make the tables of the PSF; those made before a fork are the same memory in all processes."""
    survey, response = get_survey(expected.survey), load_response(expected.irfs)
    all_shapes(survey, response)
    if expected.detector not in NETWORK_DETECTORS:
        matched_filter(survey, response, TileGrid(survey))
    if searchable(survey):
        contained(survey, response)


def load_networks(expected: Expected) -> None:
    """Load torch, which does not survive a fork, and the networks."""
    load_detector(expected.detector, expected.survey)
    if has_networks(expected.survey):
        from models.characterise.inference import shipped

        shipped(expected.survey)
