"""The detectors by name: one signature, one table of results.

torch is loaded by the first tile that needs it, never by importing this: Celery's parent process must stay
free of it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version

from models.likelihood.detect import detect_tile as matched_filter_tile
from models.likelihood.detections import Detections
from models.likelihood.evidence import POPULATIONS
from models.localise.names import DEFAULT_LOCALISER, LOCALISERS, unknown
from models.shipped import model_card, require_localiser, shipped_weights
from sky.counts import CountsCube
from sky.exposure import ExposureMaps
from sky.response import Response
from sky.tiles import TileGrid

Detector = Callable[[CountsCube, ExposureMaps, Response, TileGrid, Sequence[int], int], Detections]

# Those that run a network, and its weights (`models.shipped.shipped_weights`): a GPU helps them, and they take a
# localiser. The first also sees the likelihood filter's map, the other counts alone.
NETWORK_DETECTORS = {"unet": "localise", "unet-counts": "localise-counts"}
DETECTORS = ("matched-filter", *NETWORK_DETECTORS)
# The better one on held-out skies, and on the real one where there is one (docs/localisation.md).
DEFAULT_DETECTORS = {"lat-6band": "unet", "lat-10gev": "matched-filter"}

# Least `Det_Prob` of a catalogue's sources: more probably real than not; where `Det_Prob` is right also far below,
# three in ten (docs/localisation.md).
DEFAULT_THRESHOLD = 0.5
GENEROUS_THRESHOLDS = {("lat-6band", "unet"): 0.3}


class DetectorError(ValueError):
    """A detector that does not exist, or cannot work on a survey."""


def default_detector(survey: str) -> str:
    """The detector of a run that asks for none."""
    return DEFAULT_DETECTORS.get(survey, "matched-filter")


def default_threshold(survey: str, detector: str) -> float:
    """The least `Det_Prob` of the sources of a run that asks for none."""
    return GENEROUS_THRESHOLDS.get((survey, detector), DEFAULT_THRESHOLD)


def require_known(name: str, survey: str, localiser: str | None = None) -> None:
    """Check what needs no network for it: that there is such a detector, for that survey, and a localiser if asked for.

    Raises
    ------
    DetectorError
        If there is none of that name, or none for that survey, or it takes no localiser, or there is no such one.
    """
    if name not in DETECTORS:
        raise DetectorError(f"unknown detector '{name}'; known: {', '.join(DETECTORS)}")
    if survey not in POPULATIONS:
        raise DetectorError(f"no detector '{name}' for survey '{survey}'")
    if localiser is not None and name not in NETWORK_DETECTORS:
        known = " and ".join(NETWORK_DETECTORS)
        raise DetectorError(f"detector '{name}' takes no localiser; only {known} do")
    if localiser is not None and localiser not in LOCALISERS:
        raise DetectorError(unknown(localiser))


def require_detector(name: str, survey: str, localiser: str | None = None) -> str | None:
    """Check that a detector can find sources in a survey.

    Parameters
    ----------
    name, survey : str
    localiser : str or None
        How a network's output becomes positions (`models.localise.names.LOCALISERS`); None for its own.

    Returns
    -------
    str or None
        The localiser it will use; None for a detector that has none.

    Raises
    ------
    DetectorError
        As `require_known`.
    NetworkError
        If it is a network and no trained one comes with the program, or there is no such localiser.
    """
    require_known(name, survey, localiser)
    if name not in NETWORK_DETECTORS:
        return None
    chosen = localiser or DEFAULT_LOCALISER
    weights = shipped_weights(survey, NETWORK_DETECTORS[name])
    require_localiser(weights, model_card(weights), survey, chosen)
    return chosen


def gpu_here() -> bool:
    """Whether networks can run on a GPU of this machine. Loads torch, unless that is built for processors alone."""
    if version("torch").endswith("+cpu"):
        return False
    import torch

    return torch.cuda.is_available()


def load_detector(name: str, survey: str) -> None:
    """Load torch and a detector's network now, and not with its first tile; nothing for one without a network."""
    if name in NETWORK_DETECTORS:
        from models.network_detect import load_network

        load_network(shipped_weights(survey, NETWORK_DETECTORS[name]))


def make_detector(name: str, localiser: str | None = None) -> Detector:
    """A detector by name; `require_detector` says whether it can work.

    Returns
    -------
    callable
        ``(cube, exposure, response, grid, tiles, seed) -> Detections`` of those tiles, one after the other.
    """
    if name in NETWORK_DETECTORS:
        return partial(network_tiles, kind=NETWORK_DETECTORS[name], localiser=localiser)
    return matched_filter_tiles


def matched_filter_tiles(
    cube: CountsCube,
    exposure: ExposureMaps,
    response: Response,
    grid: TileGrid,
    tiles: Sequence[int],
    seed: int,
) -> Detections:
    """Sources of some tiles by the likelihood filter; see `models.likelihood.detect_tile`."""
    return Detections.concatenate(
        [matched_filter_tile(cube, exposure, response, grid, tile, seed) for tile in tiles]
    )


def network_tiles(
    cube: CountsCube,
    exposure: ExposureMaps,
    response: Response,
    grid: TileGrid,
    tiles: Sequence[int],
    seed: int,
    kind: str = "localise",
    localiser: str | None = None,
) -> Detections:
    """Sources of some tiles by a localisation network that comes with the program; see `network_detect`."""
    from models.network_detect import NetworkDetection, detect_tiles

    config = NetworkDetection(shipped_weights(cube.survey.name, kind)).with_localiser(localiser)
    return detect_tiles(cube, exposure, response, grid, tiles, seed, config)
