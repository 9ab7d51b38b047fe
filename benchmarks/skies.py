"""What several benchmarks search: the real sky above 10 GeV, and the exposure of a synthetic one."""

import tempfile
from pathlib import Path

from models.training_sky import mean_exposures_cm2_s
from scripts.lat_10gev import write_observation
from sky.exposure import ExposureMaps
from sky.ingest import IngestedSky, ingest
from sky.mission import pattern
from sky.observation import load_observation
from sky.simulate import SyntheticSky

EXPOSURE_ORDER = 5


def real_sky() -> IngestedSky:
    """Counts and exposure of 8.2 years above 10 GeV."""
    with tempfile.TemporaryDirectory() as folder:
        return ingest(load_observation(write_observation(Path(folder) / "observation.toml")))


def exposure_maps(sky: SyntheticSky) -> ExposureMaps:
    """Exposure of a synthetic sky, averaged over each band for the survey's index."""
    mean = mean_exposures_cm2_s(sky.survey, sky.mission)[:, None, None]
    return ExposureMaps(sky.survey, EXPOSURE_ORDER, mean * pattern(1 << EXPOSURE_ORDER))
