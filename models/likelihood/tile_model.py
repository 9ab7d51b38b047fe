"""The model of one tile: point sources on a background, both fitted to the tile's counts."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.likelihood.background import BackgroundScales, Images, Smoother, estimate
from models.likelihood.mixture import Mixture
from models.likelihood.neighbourhood import SkyPixels, gather, sky_pixels
from models.likelihood.optics import PointSpread, band_fractions, healpix_point_spread, tile_exposures
from models.likelihood.sharing import Sharing
from sky.counts import CountsCube
from sky.exposure import ExposureMaps
from sky.response import Response
from sky.tiles import COVER_ORDER, TileGrid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Sources reach as far as holds this share of their photons; what is beyond is smooth, and left to the background.
REACH = 0.97
REACH_DEG = 3.0


@dataclass(frozen=True)
class Pace:
    """How far sources and background are fitted in turns.

    Below 1 GeV the PSF is as wide as the background's structure, and photons change sides slowly.

    Attributes
    ----------
    rounds, steps : int
        Turns, and steps of the sources in each.
    stretch : float
        Of the sources' steps, see `Mixture.step`.
    widened : tuple of int
        Turns in which the widths of the sources are chosen anew.
    """

    rounds: int
    steps: int
    stretch: float
    widened: tuple[int, ...]


SEARCHING = Pace(rounds=3, steps=4, stretch=1.0, widened=(1, 2))
MEASURING = Pace(rounds=6, steps=2, stretch=1.8, widened=(0, 1, 3))
THINNINGS = 3


@dataclass(frozen=True, eq=False)
class TileSky:
    """Counts of a tile on its HEALPix pixels, and their places on the tile's fine grid.

    Arrays over cells, the non-empty pixels of all planes one after the other, are [n_cells].

    Attributes
    ----------
    grid : TileGrid
    tile : int
    pixels : SkyPixels
    spread : PointSpread
    band : int
        The finest, whose grid the images of the tile are on.
    smoother : Smoother
        Of that grid.
    share : array [n_planes]
        Share of a source's photons in each plane, for the survey's index and the tile's exposure.
    counts : array
    cell : array of int
        Number of the fine grid's pixel, through all planes.
    inside : array of bool
        Whether the pixel is inside the grid; others take the background of the nearest border pixel.
    solid_angle_sr : array [ny, nx]
    mean : float
        Counts of all planes in a pixel of the tile's middle, had the sky the same everywhere.
    """

    grid: TileGrid
    tile: int
    pixels: SkyPixels
    spread: PointSpread
    band: int
    smoother: Smoother
    share: Floats
    counts: Floats
    cell: Ints
    inside: NDArray[np.bool_]
    solid_angle_sr: Floats
    mean: float

    @classmethod
    def of(
        cls, cube: CountsCube, exposure: ExposureMaps, response: Response, grid: TileGrid, tile: int
    ) -> "TileSky":
        """Cut a tile out of the sky."""
        survey = cube.survey
        band = survey.finest_band
        pixels = sky_pixels(cube, grid.cover(tile, COVER_ORDER))
        yields = band_fractions(survey, survey.reference_index) * tile_exposures(exposure, grid, tile)
        cell, inside = _cells(grid, tile, band, pixels)
        return cls(
            grid=grid,
            tile=tile,
            pixels=pixels,
            spread=healpix_point_spread(survey, response),
            band=band,
            smoother=Smoother(grid.npix(band), grid.pixel_deg(band)),
            share=yields / yields.sum(),
            counts=np.concatenate(pixels.counts),
            cell=cell,
            inside=inside,
            solid_angle_sr=grid.solid_angle_sr(band),
            mean=cube.total() / (4 * np.pi) * np.radians(grid.pixel_deg(band)) ** 2,
        )

    @cached_property
    def _inside(self) -> tuple[Ints, Ints]:
        """Numbers of the cells inside the grid, and their pixels there."""
        inside = np.flatnonzero(self.inside)
        return inside, self.cell.take(inside)

    @cached_property
    def _cell_sr(self) -> Floats:
        """Solid angle of the fine grid's pixel of every cell, [n_cells]."""
        return self.solid_angle_sr.ravel()[self.cell % self.solid_angle_sr.size]

    @property
    def reach_deg(self) -> Floats:
        """Radius of a source in each plane, [n_planes]."""
        return np.minimum(self.spread.radius_deg(REACH), REACH_DEG)

    def image(self, values: Floats) -> Images:
        """Sum values of cells into images [n_planes, ny, nx]."""
        shape = (len(self.share), *self.solid_angle_sr.shape)
        inside, cell = self._inside
        flat = np.bincount(cell, weights=values.take(inside), minlength=int(np.prod(shape)))
        return flat.reshape(shape).astype(np.float32)

    def per_sr(self, background: Images) -> Floats:
        """Background images, counts a pixel, as counts per sr in every cell."""
        return background.ravel().take(self.cell) / self._cell_sr

    def first_background(self, scales: BackgroundScales) -> Images:
        """Background before any source is known, counts a pixel, [n_planes, ny, nx]."""
        return estimate(self.smoother, self.image(self.counts), self.mean, scales)

    def mixture(self, vectors: Floats, extent: Ints) -> Mixture:
        """Sources at positions [n, 3] of widths [n]."""
        return Mixture.of(gather(self.pixels, vectors, self.reach_deg), self.pixels, self.spread, extent)

    def thinned(self, floor: Floats, sources: Floats) -> Images:
        """Counts less the sources' share of them, for a background and sources per sr [n_cells]."""
        return self.image(self.counts * floor / (floor + sources))

    def background_between(self, mixture: Mixture, photons: Floats, scales: BackgroundScales) -> Images:
        """Background beside sources that are about known: without it their own photons would be its first guess."""
        background, sources = self.first_background(scales), mixture.density(photons)
        for _ in range(THINNINGS):
            share = self.thinned(self.per_sr(background), sources)
            background = estimate(self.smoother, share, self.mean, scales)
        return background

    def settle(
        self,
        mixture: Mixture,
        photons: Floats,
        background: Images,
        scales: BackgroundScales,
        pace: Pace = SEARCHING,
    ) -> tuple[Mixture, Floats, Images]:
        """Fit photons of the sources [n, n_planes], their widths and the background in turns."""
        sharing = Sharing.of(mixture, self.counts)
        for k in range(pace.rounds):
            floor = self.per_sr(background)
            photons = sharing.settled(photons, floor, pace.steps, pace.stretch)
            if k in pace.widened:
                mixture = mixture.widened(photons, floor)
                sharing = Sharing.of(mixture, self.counts)
            share = self.thinned(floor, sharing.density(photons))
            background = estimate(self.smoother, share, self.mean, scales)
        return mixture, photons, background

    def background_at(self, background: Images, vectors: Floats, plane: Ints | slice = slice(None)) -> Floats:
        """Background per sr at unit vectors [n, 3]: of all planes, [n_planes, n], or of one plane each, [n]."""
        x, y = self.grid.vectors_to_pixel(self.tile, self.band, vectors)
        last = self.smoother.npix - 1
        column = np.clip(np.rint(x), 0, last).astype(np.int64)
        row = np.clip(np.rint(y), 0, last).astype(np.int64)
        at = row * (last + 1) + column
        counts = background.reshape(len(background), -1)[plane, at]
        return counts / self.solid_angle_sr.ravel()[at]


def _cells(grid: TileGrid, tile: int, band: int, pixels: SkyPixels) -> tuple[Ints, NDArray[np.bool_]]:
    """Cell of a band's images (flat, through all planes) of every HEALPix pixel, and whether it is inside."""
    size = grid.npix(band)
    numbers, inside = [], []
    for plane, vectors in enumerate(pixels.vectors):
        x, y = grid.vectors_to_pixel(tile, band, vectors)
        column, row = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
        inside.append((column >= 0) & (column < size) & (row >= 0) & (row < size))
        column, row = np.clip(column, 0, size - 1), np.clip(row, 0, size - 1)
        numbers.append((plane * size + row) * size + column)
    return np.concatenate(numbers), np.concatenate(inside)
