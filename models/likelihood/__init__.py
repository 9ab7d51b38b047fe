"""The classical branch: matched-filter detection and maximum-likelihood characterisation."""

from models.likelihood.detect import DetectionConfig, detect_tile
from models.likelihood.detections import Detections
from models.likelihood.discs import measure_discs
from models.likelihood.extension import Extensions, extensions
from models.likelihood.fit import Measurements, characterise, measure
from models.likelihood.flags import Flags
from models.likelihood.light_curve import LightCurves, light_curves
from models.likelihood.surroundings import Surroundings
from models.likelihood.wide_measure import measure_wide

__all__ = [
    "DetectionConfig",
    "Detections",
    "Extensions",
    "Flags",
    "LightCurves",
    "Measurements",
    "Surroundings",
    "characterise",
    "detect_tile",
    "extensions",
    "light_curves",
    "measure",
    "measure_discs",
    "measure_wide",
]
