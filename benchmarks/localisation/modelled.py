"""The likelihood filter given a model of the diffuse emission, instead of a background from the counts.

Sources are searched brightest first; each pass fits those found before and adds them to the model, so that the
fainter ones are sought on what is left. Each plane's diffuse counts are the model's shape times one factor,
fitted to the tile together with the sources.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import healpy as hp
import numpy as np
from numpy.typing import NDArray

from benchmarks.localisation.skies import Case
from models.likelihood.background import BackgroundScales, Images
from models.likelihood.detect import DetectionConfig, anchor_ratio, judge, search, settle_places
from models.likelihood.detections import Detections
from models.likelihood.evidence import POPULATIONS
from models.likelihood.matched_filter import matched_filter
from models.likelihood.mixture import Mixture
from models.likelihood.sharing import Sharing
from models.likelihood.tile_model import SEARCHING, Pace, TileSky
from sky.response import load_response
from sky.tiles import TileGrid

Floats = NDArray[np.float64]

# Below, thresholds of the passes; the filter without a model needs fewer, its background gives way to sources.
MODEL_TS = (400.0, 100.0, 40.0, 25.0, 16.0)
SEPARATION_DEG = (0.8, 0.5, 0.3, 0.2, 0.2)
LEAST_DET_PROB = 0.1


@dataclass(frozen=True, eq=False)
class ModelledSky(TileSky):
    """A tile whose background is a given shape in every plane.

    Attributes
    ----------
    shape : array [n_planes, ny, nx]
        Expected diffuse counts a pixel.
    """

    shape: Images

    def first_background(self, scales: BackgroundScales) -> Images:  # noqa: ARG002
        """The model as it is."""
        return self.shape

    def settle(
        self,
        mixture: Mixture,
        photons: Floats,
        background: Images,
        scales: BackgroundScales,
        pace: Pace = SEARCHING,
    ) -> tuple[Mixture, Floats, Images]:
        """Fit photons of the sources and the planes' factors in turns."""
        del scales
        sharing = Sharing.of(mixture, self.counts)
        for _ in range(pace.rounds):
            floor = self.per_sr(background)
            photons = sharing.settled(photons, floor, pace.steps, pace.stretch)
            share = self.thinned(floor, sharing.density(photons))
            factor = share.sum(axis=(1, 2)) / self.shape.sum(axis=(1, 2))
            background = (self.shape * factor[:, None, None]).astype(np.float32)
        return mixture, photons, background


def diffuse_images(grid: TileGrid, tile: int, band: int, diffuse_sr: NDArray[np.float32]) -> Images:
    """Expected diffuse counts of every plane on a tile's grid of one band, [n_planes, ny, nx]."""
    n = grid.npix(band)
    glon, glat = grid.pixel_to_sky(tile, band, np.arange(n)[None, :], np.arange(n)[:, None])
    area = grid.solid_angle_sr(band)
    return np.array(
        [hp.get_interp_val(plane, glon, glat, lonlat=True) * area for plane in diffuse_sr], np.float32
    )


def search_with_model(case: Case, which: str, tiles: Sequence[int]) -> Detections:
    """Sources of some tiles, given one of the case's diffuse models."""
    response, grid = load_response(case.irfs), TileGrid(case.cube.survey)
    config = DetectionConfig(
        POPULATIONS[case.cube.survey.name],
        model_ts=MODEL_TS,
        model_separation_deg=SEPARATION_DEG,
        min_det_prob=LEAST_DET_PROB,
    )
    found, fine = [], matched_filter(case.cube.survey, response, grid)
    for tile in tiles:
        plain = TileSky.of(case.cube, case.exposure, response, grid, tile)
        shape = diffuse_images(grid, tile, plain.band, case.diffuse_sr[which])
        sky = ModelledSky(**{f.name: getattr(plain, f.name) for f in fields(TileSky)}, shape=shape)
        settled = settle_places(
            sky, search(sky, fine, config), anchor_ratio(sky, case.cube), config.margin_deg
        )
        found.append(judge(sky, settled, case.exposure, config))
    return Detections.concatenate(found)
