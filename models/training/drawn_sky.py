"""A synthetic sky as an observation of it would be stored, with what a perfect analysis could see in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.evaluate import LIMIT_SIGMA, Positions
from models.synthetic_tiles import render_tiles
from models.training_sky import mean_exposures_cm2_s, training_sky
from sky.counts import CountsCube, HealpixCounts
from sky.exposure import ExposureMaps
from sky.mission import pattern
from sky.simulate import SyntheticSky
from sky.tiles import TileGrid, owner, tile_axes

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

EXPOSURE_ORDER = 5
# Skies are searched in blocks of tiles (HEALPix cells of order 1): few borders to what is not searched.
TILES_A_BLOCK, N_BLOCKS = 16, 48


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


def exposure_maps(sky: SyntheticSky) -> ExposureMaps:
    """Exposure of a synthetic sky, averaged over each band for the survey's index."""
    mean = mean_exposures_cm2_s(sky.survey, sky.mission)[:, None, None]
    return ExposureMaps(sky.survey, EXPOSURE_ORDER, mean * pattern(1 << EXPOSURE_ORDER))


def drawn_cubes(sky: SyntheticSky) -> tuple[CountsCube, CountsCube]:
    """Counts of all the time together, and in the sky's time slices."""
    survey, summed, yearly = sky.survey, {}, {}
    for plane, (band, event_type) in enumerate(survey.planes):
        order, total = survey.bands[band].order, np.zeros(survey.bands[band].npix, np.int64)
        for s, counts in enumerate(sky.draw_counts(plane)):
            yearly[band, event_type, s] = HealpixCounts.from_dense(order, counts)
            total += counts
        summed[band, event_type, 0] = HealpixCounts.from_dense(order, total)
    edges = sky.mission.edges_met
    intervals = tuple((float(a), float(b)) for a, b in pairwise(edges)) if len(edges) > 2 else ()
    return CountsCube(survey, summed), CountsCube(survey, yearly, intervals)


def truths_of(sky: SyntheticSky, tiles: Sequence[int], batch: int = 8) -> Truths:
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


def block_tiles(step: int, first: int = 0) -> list[int]:
    """Tiles of every `step`-th block from the `first` on."""
    blocks = range(first, N_BLOCKS, step)
    return [b * TILES_A_BLOCK + k for b in blocks for k in range(TILES_A_BLOCK)]


def in_even_block(tile: Ints, step: int) -> NDArray[np.bool_]:
    """Whether tiles lie in every second one of the blocks that `block_tiles` takes."""
    return np.asarray(tile // TILES_A_BLOCK // step % 2 == 0)


def inside_blocks(
    glon_deg: Array, glat_deg: Array, tiles: Sequence[int], border_deg: float
) -> NDArray[np.bool_]:
    """Whether places lie at least so far within the searched tiles."""
    inside = np.isin(owner(glon_deg, glat_deg), tiles)
    for angle in np.arange(0, 360, 30):
        step = np.radians(angle)
        lat = np.clip(glat_deg + border_deg * np.sin(step), -90, 90)
        lon = glon_deg + border_deg * np.cos(step) / np.maximum(np.cos(np.radians(glat_deg)), 0.02)
        inside &= np.isin(owner(lon % 360, lat), tiles)
    return inside
