"""From a segmented image to positions: each way a small pure function, chosen by name in `by_name`."""

from models.localise.blobs import disk, log
from models.localise.centre import centre
from models.localise.direction import centre_direction, direction_response
from models.localise.kmeans import kmeans
from models.localise.peaks import Peaks, local_maxima

__all__ = [
    "Peaks",
    "centre",
    "centre_direction",
    "direction_response",
    "disk",
    "kmeans",
    "local_maxima",
    "log",
]
