"""Cut-outs round detections: the one input of every characterising network, in training and on real skies."""

from models.cutouts.cutout import (
    CLASSES,
    FAKE,
    SIZE_PX,
    YEARLY_SIZE_PX,
    Cutouts,
    CutoutTruth,
)
from models.cutouts.stream import CutoutStream
from models.cutouts.tile import cut_tile

__all__ = [
    "CLASSES",
    "FAKE",
    "SIZE_PX",
    "YEARLY_SIZE_PX",
    "CutoutStream",
    "CutoutTruth",
    "Cutouts",
    "cut_tile",
]
