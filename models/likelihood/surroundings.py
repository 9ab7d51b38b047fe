"""What lies round the sources that are to be measured: pixels, background and neighbours, ready for fits."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.likelihood.background import BackgroundScales, Images
from models.likelihood.detections import Detections
from models.likelihood.evidence import BACKGROUND_ERROR
from models.likelihood.local_fit import LocalSky
from models.likelihood.mixture import Mixture
from models.likelihood.neighbourhood import Neighbourhoods, SkyPixels, cover, gather, moved, sky_pixels
from models.likelihood.optics import PointSpread, band_fractions, healpix_point_spread
from models.likelihood.tile_model import MEASURING, TileSky
from sky.counts import CountsCube
from sky.exposure import ExposureMaps
from sky.frames import unit_vectors
from sky.response import Response
from sky.survey import Survey
from sky.tiles import TileGrid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FIT_RADIUS_DEG = (1.0, 3.0)  # limits of the neighbourhood's radius
DISC_PLACES = 400


@dataclass(frozen=True, eq=False)
class TileSurroundings:
    """Surroundings of one tile's sources.

    Attributes
    ----------
    pixels : SkyPixels
        The non-empty pixels round them; all planes one after the other, [n_cells].
    sky : LocalSky
    cell : array of int [n_pairs]
        Those of the pairs of `sky`.
    own : array [n_pairs]
        What each source gives per sr in `everyone`.
    seen : array of int [n_seen]
        Rows of all sources in sight.
    mine : array of int [n]
        Place of the tile's sources among them.
    everyone : Mixture
        All sources in sight, on the same pixels.
    photons : array [n_seen, n_planes]
        Theirs.
    floor : array [n_cells]
        Background per sr.
    """

    pixels: SkyPixels
    sky: LocalSky
    cell: Ints
    own: Floats
    seen: Ints
    mine: Ints
    everyone: Mixture
    photons: Floats
    floor: Floats

    @property
    def rows(self) -> Ints:
        """Rows of the tile's sources, [n]."""
        return self.seen[self.mine]


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Surroundings of the sources to be measured, which are sorted by tile.

    Attributes
    ----------
    detections : Detections
        Of the whole sky, or at least of all tiles that touch those measured.
    order : array of int [N]
        Rows of `detections` that are measured, by tile.
    back : array of int [N]
        Brings results from that order into the one asked for.
    survey : Survey
    response : Response
    tiles : list of TileSurroundings
    """

    detections: Detections
    order: Ints
    back: Ints
    survey: Survey
    response: Response
    tiles: list[TileSurroundings]

    @classmethod
    def of(
        cls,
        detections: Detections,
        which: ArrayLike,
        cube: CountsCube,
        exposure: ExposureMaps,
        response: Response,
    ) -> Self:
        """Surroundings of the detections of rows `which` [N]; those of a source do not depend on the others."""
        rows = np.asarray(which, dtype=np.int64)
        by_tile = np.argsort(detections.tile[rows], kind="stable")
        back = np.empty(len(rows), dtype=np.int64)
        back[by_tile] = np.arange(len(rows))
        order, grid = rows[by_tile], TileGrid(cube.survey)
        tiles = [
            _of_tile(detections, order[detections.tile[order] == t], cube, exposure, response, grid, int(t))
            for t in np.unique(detections.tile[order])
        ]
        return cls(detections, order, back, cube.survey, response, tiles)

    def __len__(self) -> int:
        return len(self.order)

    @property
    def measured(self) -> Detections:
        """The detections that are measured, by tile."""
        return self.detections.select(self.order)

    def by_tile(self, values: NDArray[Any]) -> list[NDArray[Any]]:
        """Values of the sources, sorted by tile, split into those of each tile."""
        return np.split(values, np.cumsum([len(tile.mine) for tile in self.tiles])[:-1])

    def shaped(self, profile: Ints, spread: PointSpread) -> Self:
        """The same, the sources measured with other profiles [N], sorted by tile, of a table that has all theirs."""
        tiles = [
            replace(tile, sky=replace(tile.sky, spread=spread, profile=own))
            for tile, own in zip(self.tiles, self.by_tile(profile), strict=True)
        ]
        return replace(self, tiles=tiles)

    def joined(self, which: NDArray[np.bool_] | None = None) -> LocalSky:
        """Surroundings of some of the sources [N], sorted by tile, or of all, as one; at least one is needed."""
        parts = [tile.sky for tile in self.tiles]
        if which is not None:
            some = zip(parts, self.by_tile(which), strict=True)
            parts = [part if own.all() else part.select(own) for part, own in some if own.any()]
        counts = [p.near.n for p in parts]
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        columns = {
            name: np.concatenate([getattr(p.near, name) for p in parts])
            for name in ("plane", "counts", "east_deg", "north_deg", "pixel")
        }
        owner = np.concatenate([p.near.owner + f for p, f in zip(parts, first, strict=True)])
        near = Neighbourhoods(n=sum(counts), owner=owner, radius_deg=parts[0].near.radius_deg, **columns)
        return LocalSky(
            near,
            np.concatenate([p.background for p in parts]),
            np.concatenate([p.neighbours for p in parts]),
            parts[0].spread,
            np.concatenate([p.profile for p in parts]),
            np.concatenate([p.background_total for p in parts]),
            BACKGROUND_ERROR,
        )


def settled(
    sky: TileSky, detections: Detections, exposure: ExposureMaps
) -> tuple[Ints, Mixture, Floats, Images]:
    """Rows of the sources in a tile's sight, all of them fitted together: mixture, photons, background.

    Wide sources are the background's: as points they have no photons.
    """
    survey, grid = exposure.survey, sky.grid
    vectors = unit_vectors(detections.glon_deg, detections.glat_deg)
    centre = unit_vectors(*grid.centre(sky.tile))
    seen = np.flatnonzero(vectors @ centre > np.cos(np.radians(grid.width_deg * 0.75)))
    exposures = exposure.of_planes(detections.glon_deg[seen], detections.glat_deg[seen])
    flux = np.where(detections.disc_deg > 0, 0.0, detections.flux_cm2_s)[seen, None]
    photons = flux * exposures * band_fractions(survey, survey.reference_index)
    scales = BackgroundScales()
    mixture = sky.mixture(vectors[seen], np.zeros(len(seen), np.int64))
    background = sky.background_between(mixture, photons, scales)
    return seen, *sky.settle(mixture, photons, background, scales, MEASURING)


def _of_tile(
    detections: Detections,
    rows: Ints,
    cube: CountsCube,
    exposure: ExposureMaps,
    response: Response,
    grid: TileGrid,
    tile: int,
) -> TileSurroundings:
    """Surroundings of a tile's sources, on the background that all sources in sight leave."""
    survey = cube.survey
    sky = TileSky.of(cube, exposure, response, grid, tile)
    spread = healpix_point_spread(survey, response)
    vectors = unit_vectors(detections.glon_deg, detections.glat_deg)
    seen, mixture, photons, background = settled(sky, detections, exposure)
    mine = np.searchsorted(seen, rows)
    radius = np.clip(2 * spread.radius_deg(0.9), *FIT_RADIUS_DEG)
    pixels = sky_pixels(cube, cover(vectors[rows], float(radius.max())))
    near = gather(pixels, vectors[rows], radius)
    everyone = Mixture.of(gather(pixels, vectors[seen], sky.reach_deg), pixels, spread, mixture.extent)
    cell, extent = near.pixel + pixels.first[near.plane], mixture.extent[mine]
    squared = near.squared_deg()
    own = spread.density_of(spread.row(near.plane, near.per_pixel(extent)), squared)
    own *= near.per_pixel(photons[mine]) * (squared <= sky.reach_deg[near.plane] ** 2)
    neighbours = np.maximum(everyone.density(photons)[cell] - own, 0)
    plane = np.repeat(np.arange(len(radius)), [len(counts) for counts in pixels.counts])
    floor = sky.background_at(background, pixels.columns[1].T, plane)
    totals = _disc_totals(sky, background, vectors[rows], radius)
    around = LocalSky(near, floor[cell], neighbours, spread, extent, totals)
    return TileSurroundings(pixels, around, cell, own, seen, mine, everyone, photons, floor)


def _disc_totals(sky: TileSky, background: Images, vectors: Floats, radius: Floats) -> Floats:
    """Photons of the background in discs round positions, [n, n_planes]."""
    # places spread evenly over the unit disc (a sunflower), the same for all
    k = np.arange(DISC_PLACES)
    r, angle = np.sqrt((k + 0.5) / k.size), k * np.pi * (3 - np.sqrt(5))
    east, north = np.tile(r * np.cos(angle), len(vectors)), np.tile(r * np.sin(angle), len(vectors))
    start = np.repeat(vectors, k.size, axis=0)
    totals = np.empty((len(vectors), len(radius)))
    for size in np.unique(radius):
        planes, places = radius == size, moved(start, size * east, size * north)
        mean = sky.background_at(background[planes], places).reshape(-1, len(vectors), k.size).mean(axis=2)
        totals[:, planes] = mean.T * 2 * np.pi * (1 - np.cos(np.radians(size)))
    return totals
