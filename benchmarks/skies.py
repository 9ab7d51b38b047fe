"""What several benchmarks search: the real sky above 10 GeV, and the exposure of a synthetic one."""

import tempfile
from pathlib import Path

from models.training.drawn_sky import exposure_maps
from scripts.lat_10gev import write_observation
from sky.ingest import IngestedSky, ingest
from sky.observation import load_observation

__all__ = ["exposure_maps", "real_sky"]


def real_sky() -> IngestedSky:
    """Counts and exposure of 8.2 years above 10 GeV."""
    with tempfile.TemporaryDirectory() as folder:
        return ingest(load_observation(write_observation(Path(folder) / "observation.toml")))
