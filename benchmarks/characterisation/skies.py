"""The skies that are characterised: synthetic ones of the test split, and the real one above 10 GeV.

A synthetic sky is named ``EMISSION:POPULATION:NUMBER``; its seed is drawn from the test split by the number alone,
so that ``B1:physical:1`` and ``B2:physical:1`` hold the same sources under different emission. With ``validation/``
before it, the seed is of the validation split: such skies calibrate, and are never measured.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.skies import real_sky
from models.training.drawn_sky import (
    Truths,
    drawn_cubes,
    exposure_maps,
    truths_of,
)
from models.training.seeds import sky_rng
from sky.counts import CountsCube
from sky.exposure import ExposureMaps
from sky.simulate import synthetic_sky
from sky.survey import Survey, get_survey

Array = NDArray[np.float64]

SEED = 5
CALIBRATING = "validation/"
# Sources so near the border of what is searched are not measured, for their neighbours outside are not known.
BORDER_DEG = 1.5


@dataclass(frozen=True, eq=False)
class Case:
    """A sky to characterise; `yearly` is the cube in time slices where there are such."""

    name: str
    irfs: str
    cube: CountsCube
    yearly: CountsCube
    exposure: ExposureMaps
    truths: Truths | None


def make_case(survey: Survey, name: str, tiles: list[int]) -> Case:
    """A sky by name."""
    if name == "real":
        return real_case()
    split, _, sky_name = name.rpartition("/")
    emission, population, number = sky_name.split(":")
    seed = int(sky_rng(SEED, split or "test", 0, int(number)).integers(2**62))
    slices = max(1, survey.time_slices)
    # Drawing discs takes minutes on six bands: skies that calibrate have points alone there.
    extended = not (name.startswith(CALIBRATING) and survey.name == "lat-6band")
    sky = synthetic_sky(survey, seed, emission, population, slices=slices, extended=extended)
    cube, yearly = drawn_cubes(sky)
    return Case(name, survey.irfs, cube, yearly, exposure_maps(sky), truths_of(sky, tiles))


def real_case() -> Case:
    """The real sky above 10 GeV."""
    sky = real_sky()
    assert sky.cube.survey == get_survey("lat-10gev")
    return Case("real", sky.irfs, sky.cube, sky.cube, sky.exposure, None)
