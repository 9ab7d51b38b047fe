"""The skies that are characterised: synthetic ones of the test split, and the real one above 10 GeV.

A synthetic sky is named ``EMISSION:POPULATION:NUMBER``; its seed is drawn from the test split by the number alone,
so that ``B1:physical:1`` and ``B2:physical:1`` hold the same sources under different emission. With ``validation/``
before it, the seed is of the validation split: such skies calibrate, and are never measured.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from benchmarks.skies import exposure_maps, real_sky
from models.evaluate import LIMIT_SIGMA, Positions
from models.synthetic_tiles import render_tiles
from models.training.seeds import sky_rng
from models.training_sky import training_sky
from sky.counts import CountsCube, HealpixCounts
from sky.exposure import ExposureMaps
from sky.simulate import SyntheticSky, synthetic_sky
from sky.survey import Survey, get_survey
from sky.tiles import TileGrid, owner, tile_axes

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

SEED = 5
CALIBRATING = "validation/"
# Blocks of 16 tiles (HEALPix cells of order 1) are searched; sources so near their border are not measured, for
# their neighbours outside are not known.
TILES_A_BLOCK, N_BLOCKS = 16, 48
BORDER_DEG = 1.5


@dataclass(frozen=True, eq=False)
class Truths:
    """Sources that can be seen (3 sigma, all else known) in the searched tiles; arrays [N].

    Attributes
    ----------
    glon_deg, glat_deg, flux_cm2_s, limit_sigma, extension_deg : array
    flux_band_cm2_s : array [N, n_bands]
    class_code : array of int
        Into `models.cutouts.CLASSES`.
    """

    glon_deg: Array
    glat_deg: Array
    flux_cm2_s: Array
    limit_sigma: Array
    extension_deg: Array
    flux_band_cm2_s: Array
    class_code: Ints

    def places(self) -> Positions:
        """For matching."""
        return Positions(self.glon_deg, self.glat_deg)


@dataclass(frozen=True, eq=False)
class Case:
    """A sky to characterise; `yearly` is the cube in time slices where there are such."""

    name: str
    irfs: str
    cube: CountsCube
    yearly: CountsCube
    exposure: ExposureMaps
    truths: Truths | None


def block_tiles(step: int) -> list[int]:
    """Tiles of every `step`-th block."""
    blocks = range(0, N_BLOCKS, step)
    return [b * TILES_A_BLOCK + k for b in blocks for k in range(TILES_A_BLOCK)]


def inside_blocks(glon_deg: Array, glat_deg: Array, tiles: list[int]) -> NDArray[np.bool_]:
    """Whether places lie at least `BORDER_DEG` within the searched tiles."""
    inside = np.isin(owner(glon_deg, glat_deg), tiles)
    for angle in np.arange(0, 360, 30):
        step = np.radians(angle)
        lat = np.clip(glat_deg + BORDER_DEG * np.sin(step), -90, 90)
        lon = glon_deg + BORDER_DEG * np.cos(step) / np.maximum(np.cos(np.radians(glat_deg)), 0.02)
        inside &= np.isin(owner(lon % 360, lat), tiles)
    return inside


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
    yearly, summed = {}, {}
    for plane, (band, event_type) in enumerate(survey.planes):
        order, total = survey.bands[band].order, np.zeros(survey.bands[band].npix, np.int64)
        for s, counts in enumerate(sky.draw_counts(plane)):
            yearly[band, event_type, s] = HealpixCounts.from_dense(order, counts)
            total += counts
        summed[band, event_type, 0] = HealpixCounts.from_dense(order, total)
    edges = sky.mission.edges_met
    intervals = tuple((float(a), float(b)) for a, b in pairwise(edges)) if slices > 1 else ()
    cube, in_years = CountsCube(survey, summed), CountsCube(survey, yearly, intervals)
    return Case(name, survey.irfs, cube, in_years, exposure_maps(sky), truths_of(sky, tiles))


def truths_of(sky: SyntheticSky, tiles: list[int], batch: int = 8) -> Truths:
    """What a likelihood that knows all else would see in some tiles."""
    expected, survey = training_sky(sky), sky.survey
    frames = tile_axes() * np.array([-1.0, 1.0, 1.0])[:, None]
    sources = sky.sources
    owners = owner(sources.glon_deg, sources.glat_deg)
    rows, sigma = [], []
    width_deg, rng = TileGrid(survey).width_deg, np.random.default_rng(0)
    for first in range(0, len(tiles), batch):
        some = np.array(tiles[first : first + batch])
        rendered = render_tiles(expected, frames[some], rng, width_deg=width_deg, poisson=False)
        own = owners[rendered.rows] == some[rendered.sources.tile.numpy()]
        own &= rendered.limit_sigma.numpy() >= LIMIT_SIGMA
        rows.append(rendered.rows[own])
        sigma.append(rendered.limit_sigma.numpy()[own])
    row = np.concatenate(rows)
    return Truths(
        sources.glon_deg[row],
        sources.glat_deg[row],
        expected.flux_cm2_s[row],
        np.concatenate(sigma).astype(float),
        sources.size_deg[row],
        expected.flux_band_cm2_s[row],
        sources.class_code[row],
    )


def real_case() -> Case:
    """The real sky above 10 GeV."""
    sky = real_sky()
    assert sky.cube.survey == get_survey("lat-10gev")
    return Case("real", sky.irfs, sky.cube, sky.cube, sky.exposure, None)
