"""Cutting windows out of tiles: the same whole pixels in training and on real skies."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.cutouts.cutout import SIZE_PX
from sky.survey import Survey

Array = NDArray[np.float64]

# The worst point of a tile's cell is this far from its centre along an axis of the plane (`sky.tiles`).
CELL_REACH_DEG = 6.5
LEAST_WIDTH_DEG = 15.0


def cutout_width_deg(survey: Survey) -> float:
    """Width of a tile that holds the cut-outs of every detection in its cell, whatever the band."""
    coarsest = min(survey.tile_pixels_per_10deg)
    room = CELL_REACH_DEG + 10.0 / coarsest * (SIZE_PX // 2 + 1)
    # Whole numbers of pixels in every band, an even one in the coarsest: so pixels lie as on other widths.
    step = 20.0 / coarsest
    return max(LEAST_WIDTH_DEG, float(np.ceil(2.0 * room / step)) * step)


def centre_pixels(sides: list[int], x_px: Array, y_px: Array) -> tuple[Tensor, Tensor]:
    """Pixel of every band that holds each place, and the place in it.

    Parameters
    ----------
    sides : list of int
        Pixels a side of each band's tile.
    x_px, y_px : array [n]
        Coordinates in the finest band's tile, pixel centres at whole numbers.

    Returns
    -------
    pixel : tensor of int64 [n, bands, 2]
        Column and row.
    offset_px : tensor [n, bands, 2]
        Place (x, y) from that pixel's centre, in the band's pixels.
    """
    ratio = np.array(sides) / max(sides)
    place = (np.stack([x_px, y_px], axis=-1)[:, None] + 0.5) * ratio[:, None] - 0.5
    pixel = np.floor(place + 0.5)
    return torch.from_numpy(pixel.astype(np.int64)), torch.from_numpy((place - pixel).astype(np.float32))


def windows(image: Tensor, tile: Tensor, pixel: Tensor, size: int) -> Tensor:
    """Square windows [n, channels, size, size] of images [tiles, channels, ny, nx] round pixels [n, 2].

    What lies outside the image is 0.
    """
    half = size // 2
    padded = F.pad(image, [half] * 4)
    step = torch.arange(size, device=image.device)
    column, row = pixel[:, 0, None] + step, pixel[:, 1, None] + step
    cut = padded[tile[:, None, None], :, row[:, :, None], column[:, None, :]]
    return cut.permute(0, 3, 1, 2).contiguous()


def fits(sides: list[int], pixel: Tensor) -> Tensor:
    """Whether the cut-outs of every band lie on the tile, [n]."""
    half = SIZE_PX // 2
    last = torch.tensor(sides)[None, :, None] - half
    return ((pixel >= half) & (pixel < last)).all(2).all(1)
