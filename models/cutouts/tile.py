"""Cut-outs of a real sky: the same pixels as in training, from a counts cube."""

import healpy as hp
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from models.cutouts.counting import window_counts
from models.cutouts.crop import centre_pixels, cutout_width_deg, fits
from models.cutouts.cutout import SIZE_PX, YEARLY_SIZE_PX, Cutouts
from sky.counts import CountsCube
from sky.exposure import ExposureMaps
from sky.tiles import TileGrid

Array = NDArray[np.float64]
RIM_PX = (SIZE_PX - YEARLY_SIZE_PX) // 2


def cut_tile(
    cube: CountsCube,
    exposure: ExposureMaps,
    grid: TileGrid,
    tile: int,
    seed: int,
    glon_deg: ArrayLike,
    glat_deg: ArrayLike,
) -> Cutouts:
    """Cut-outs round places in a tile's cell.

    Parameters
    ----------
    cube : CountsCube
    exposure : ExposureMaps
    grid : TileGrid
        A wider one takes its place where it does not hold the cut-outs of the coarsest band.
    tile : int
    seed : int
        Seed of the photons' places in their HEALPix pixels.
    glon_deg, glat_deg : array [n]

    Returns
    -------
    Cutouts
        With `yearly` if the cube has time slices. Places so far from the cell that a cut-out leaves the tile
        are not `covered`, nor are those with pixels that have no exposure, or one that is not a number.
    """
    survey = cube.survey
    glon, glat = (np.atleast_1d(np.asarray(v, float)) for v in (glon_deg, glat_deg))
    if grid.width_deg < cutout_width_deg(survey):
        grid = TileGrid(survey, cutout_width_deg(survey))
    sides = [grid.npix(b) for b in range(len(survey.bands))]
    x, y = grid.sky_to_pixel(tile, int(np.argmax(sides)), glon, glat)
    pixel, offset_px = centre_pixels(sides, x, y)
    bands = [
        window_counts(cube, grid, tile, seed, b, pixel[:, b].numpy()).astype(np.float32)
        for b in range(len(sides))
    ]
    yearly = None
    if cube.n_slices > 1:
        middle = slice(RIM_PX, RIM_PX + YEARLY_SIZE_PX)
        yearly = torch.from_numpy(np.stack([b[..., middle, middle].sum(1) for b in bands], 1))
    exposures = exposure.of_planes(glon, glat)
    exposed = _exposed(exposure, grid, tile, pixel) & np.isfinite(exposures).all(1)
    return Cutouts(
        counts=torch.from_numpy(np.concatenate([b.sum(2) for b in bands], 1)),
        yearly=yearly,
        offset_px=offset_px,
        exposure_cm2_s=torch.from_numpy(np.nan_to_num(exposures).astype(np.float32)),
        glon_deg=torch.from_numpy(glon),
        glat_deg=torch.from_numpy(glat),
        covered=fits(sides, pixel) & torch.from_numpy(exposed),
    )


def _exposed(exposure: ExposureMaps, grid: TileGrid, tile: int, pixel: Tensor) -> NDArray[np.bool_]:
    """Whether all planes have exposure at all pixels of each cut-out, [n]."""
    step = np.arange(SIZE_PX) - SIZE_PX // 2
    exposed = np.ones(len(pixel), bool)
    for band in range(len(exposure.survey.bands)):
        column, row = pixel[:, band].numpy().T
        x, y = np.broadcast_arrays(column[:, None, None] + step, row[:, None, None] + step[:, None])
        lon, lat = grid.pixel_to_sky(tile, band, x, y)
        # The map's own pixels, not an interpolation: one without exposure must not hide among its neighbours.
        nearest = hp.ang2pix(1 << exposure.order, lon, lat, nest=True, lonlat=True)
        for event_type in exposure.survey.event_types:
            plane = exposure.survey.planes.index((band, event_type))
            # The comparison is false for what is not a number.
            exposed &= (exposure.map(plane)[nearest] > 0).all((1, 2))
    return exposed
