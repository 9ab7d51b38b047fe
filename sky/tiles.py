"""The sky as tangent-plane tiles on HEALPix cell centres.

A tile is a gnomonic image centred on a NESTED order-3 cell (768 tiles, ids = cell numbers), galactic north up
and longitude increasing to the left, as sky maps are drawn. It is wider than its cell: overlap is for seeing,
ownership for counting. A position belongs to the one tile whose cell holds it.

Pixels are equal steps on the tangent plane (FITS `TAN`), `width_deg / npix` wide at the centre. The worst
point of a cell is 6.50 degrees from the centre along an axis of the plane, 1.00 plane degrees (0.99 on the
sky) inside the border of a 15 degree tile: the true minimum margin, held by `tests/sky/test_tiles.py`.

Cost in position: a photon is first given a random place in its HEALPix pixel (`sky.photons`), then counted in
a tile pixel. See `TileGrid.images` for the measured blur of both together.
"""

from dataclasses import dataclass, field
from functools import cache, lru_cache

import healpy as hp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sky.counts import CountsCube
from sky.frames import lon_lat, unit_vectors
from sky.photons import PlacedPhotons, photons_within
from sky.survey import Survey

Floats = NDArray[np.float64]
TILE_ORDER = 3
N_TILES = 12 << (2 * TILE_ORDER)
COVER_ORDER = 6  # cells of 0.9 deg: few needless photons outside a tile, few ranges inside


def owner(glon_deg: ArrayLike, glat_deg: ArrayLike) -> NDArray[np.int64]:
    """Tile that owns each galactic position."""
    return np.asarray(hp.ang2pix(1 << TILE_ORDER, glon_deg, glat_deg, nest=True, lonlat=True), dtype=np.int64)


@cache
def tile_axes() -> Floats:
    """Unit vectors east, north and outward of every tile's centre, shape (768, 3, 3)."""
    centre = np.stack(hp.pix2vec(1 << TILE_ORDER, np.arange(N_TILES), nest=True), axis=-1)
    east = np.stack([-centre[:, 1], centre[:, 0], np.zeros(N_TILES)], axis=-1)
    east /= np.linalg.norm(east, axis=-1, keepdims=True)  # no cell centre of order 3 lies at a pole
    axes = np.stack([east, np.cross(centre, east), centre], axis=1)
    axes.setflags(write=False)
    return axes


@dataclass(frozen=True)
class TileGrid:
    """Tiles of one width for the bands of a survey.

    Pixel coordinates are (x, y) floats, pixel centres at integers, (0, 0) the centre of the lower left pixel;
    x runs to the right (to smaller longitude), y to galactic north. Images are indexed [y, x].

    Attributes
    ----------
    survey : Survey
    width_deg : float
    together : tuple of int
        Tiles whose images are asked for one after the other: the photons that they share are placed once.
    """

    survey: Survey
    width_deg: float = 15.0
    together: tuple[int, ...] = field(default=(), compare=False)

    def npix(self, band: int) -> int:
        """Pixels on a side of a band's image."""
        return round(self.survey.tile_pixels_per_10deg[band] * self.width_deg / 10)

    def pixel_deg(self, band: int) -> float:
        """Side of a pixel at the tile's centre, degrees."""
        return self.width_deg / self.npix(band)

    def owner(self, glon_deg: ArrayLike, glat_deg: ArrayLike) -> NDArray[np.int64]:
        """Tile that owns each galactic position."""
        return owner(glon_deg, glat_deg)

    def centre(self, tile: int) -> tuple[float, float]:
        """Galactic longitude and latitude of a tile's centre, degrees."""
        glon, glat = lon_lat(tile_axes()[tile, 2])
        return float(glon), float(glat)

    def sky_to_pixel(
        self, tile: int, band: int, glon_deg: ArrayLike, glat_deg: ArrayLike
    ) -> tuple[Floats, Floats]:
        """Pixel coordinates of galactic positions; NaN for those in the far hemisphere."""
        return self.vectors_to_pixel(tile, band, unit_vectors(glon_deg, glat_deg))

    def vectors_to_pixel(self, tile: int, band: int, vectors: Floats) -> tuple[Floats, Floats]:
        """The same for galactic unit vectors [..., 3]."""
        east, north, out = np.moveaxis(vectors @ tile_axes()[tile].T, -1, 0)
        out = np.where(out > 0, out, np.nan)
        scale, middle = np.degrees(1.0) / self.pixel_deg(band), (self.npix(band) - 1) / 2
        return middle - scale * east / out, middle + scale * north / out

    def pixel_to_sky(self, tile: int, band: int, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Galactic longitude and latitude, degrees, of pixel coordinates (inside the image or not)."""
        scale, middle = np.radians(self.pixel_deg(band)), (self.npix(band) - 1) / 2
        east, north = scale * (middle - np.asarray(x)), scale * (np.asarray(y) - middle)
        plane = np.stack(np.broadcast_arrays(east, north, 1.0), axis=-1)
        return lon_lat(plane @ tile_axes()[tile])

    def solid_angle_sr(self, band: int) -> Floats:
        """Solid angle of every pixel, [ny, nx]: the same for all tiles.

        A gnomonic pixel far from the centre sees less sky; the integral of (1 + x^2 + y^2)^(-3/2) over a
        rectangle is exact in the corner function atan(x y / sqrt(1 + x^2 + y^2)).
        """
        n = self.npix(band)
        edge = np.radians(self.pixel_deg(band)) * (np.arange(n + 1) - n / 2)
        x, y = edge[None, :], edge[:, None]
        corner = np.arctan(x * y / np.sqrt(1 + x**2 + y**2))
        return np.diff(np.diff(corner, axis=0), axis=1)

    def cell_mask(self, tile: int, band: int) -> NDArray[np.bool_]:
        """Pixels whose centres the tile owns, [ny, nx]."""
        n = self.npix(band)
        glon, glat = self.pixel_to_sky(tile, band, np.arange(n)[None, :], np.arange(n)[:, None])
        return owner(glon, glat) == tile

    def cover(self, tile: int, order: int) -> NDArray[np.int64]:
        """Half-open NESTED pixel ranges of an order that hold the whole tile, shape (m, 2)."""
        coarse = min(order, COVER_ORDER)
        return _cover_ranges(tile, self.width_deg, coarse) << np.int64(2 * (order - coarse))

    def images(
        self, cube: CountsCube, tile: int, seed: int, *, summed: bool = False
    ) -> list[NDArray[np.int32]]:
        """Counts images of a tile.

        Where a photon of a band of order 10 is counted differs from where it was by 0.033 deg rms on each
        axis (0.024 for its random place in the HEALPix pixel, 0.023 for the tile's pixel), with no shift:
        measured, and held by `tests/sky/test_tiles.py`. A source of N photons and a PSF of width s on each
        axis is placed to sqrt(s^2 + 0.033^2) / sqrt(N) instead of s / sqrt(N).

        Parameters
        ----------
        cube : CountsCube
            Of this grid's survey.
        tile : int
        seed : int
            Seed of the photons' places (`sky.photons`).
        summed : bool
            All slices together, as if there were one.

        Returns
        -------
        list of ndarray of int32, one a band, shape (n_event_types, n_slices, ny, nx)
        """
        survey = cube.survey
        images = []
        for band in range(len(survey.bands)):
            planes = [survey.planes.index((band, event_type)) for event_type in survey.event_types]
            images.append(np.stack([self._plane(cube, tile, plane, seed, summed) for plane in planes]))
        return images

    def _plane(self, cube: CountsCube, tile: int, plane: int, seed: int, summed: bool) -> NDArray[np.int32]:
        """Counts images of one plane, [n_slices, ny, nx]."""
        band, _ = cube.survey.planes[plane]
        ranges = self.cover(tile, cube.survey.bands[band].order)
        if tile in self.together:
            together = _placed_together(cube, plane, seed, self.together, self.width_deg)
            vectors, time_slice = together.within(ranges)
        else:
            vectors, time_slice = photons_within(cube, plane, seed, ranges)
        number, inside = self._pixel_numbers(tile, band, *vectors)
        n, slices = self.npix(band), 1 if summed else cube.n_slices
        if slices > 1:
            number += time_slice * (n * n)
        images = np.bincount(number[inside], minlength=slices * n * n)
        return images.reshape(-1, n, n).astype(np.int32)

    def _pixel_numbers(
        self, tile: int, band: int, x: Floats, y: Floats, z: Floats
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Flat number of the pixel that holds each unit vector, and whether it is on the image at all."""
        n = self.npix(band)
        east, north, out = (a[0] * x + a[1] * y + a[2] * z for a in tile_axes()[tile])
        # out > 0: the cover reaches no farther than 12 deg from the centre
        scale = np.degrees(1.0) / self.pixel_deg(band) / out
        column = n / 2 - scale * east
        row = n / 2 + scale * north
        inside = (column >= 0) & (column < n) & (row >= 0) & (row < n)
        return row.astype(np.int64) * n + column.astype(np.int64), inside


@lru_cache(maxsize=12)  # the planes of one group of tiles
def _placed_together(
    cube: CountsCube, plane: int, seed: int, tiles: tuple[int, ...], width_deg: float
) -> PlacedPhotons:
    """Photons of a plane that any of some tiles see."""
    order = cube.survey.bands[cube.survey.planes[plane][0]].order
    coarse = min(order, COVER_ORDER)
    covers = np.concatenate([_cover_ranges(tile, width_deg, coarse) for tile in tiles])
    cells = np.unique(np.concatenate([np.arange(first, last) for first, last in covers]))
    return PlacedPhotons.of(cube, plane, seed, cell_ranges(cells) << np.int64(2 * (order - coarse)))


@cache
def _cover_ranges(tile: int, width_deg: float, order: int) -> NDArray[np.int64]:
    """Cells of an order, as half-open ranges, that touch a tile."""
    half = np.radians(width_deg / 2)
    corners = (
        np.array([[half, half, 1], [-half, half, 1], [-half, -half, 1], [half, -half, 1]]) @ tile_axes()[tile]
    )
    cells = hp.query_polygon(1 << order, corners, inclusive=True, fact=8, nest=True)
    return cell_ranges(np.sort(cells))


def cell_ranges(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Half-open ranges of ascending numbers, shape (m, 2)."""
    breaks = np.flatnonzero(np.diff(cells) != 1)
    first = np.concatenate([cells[:1], cells[breaks + 1]])
    last = np.concatenate([cells[breaks], cells[-1:]]) + 1
    return np.stack([first, last], axis=-1).astype(np.int64)
