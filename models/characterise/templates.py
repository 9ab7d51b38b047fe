"""The PSF on a cut-out, for a source at any place about the centre pixel."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from models.cutouts import SIZE_PX
from models.render import PSF_INDICES, STAMP_HALF_PX, SUBPIXELS, shifted_stamps, stamp_psf
from sky.survey import get_survey

# How far from the centre pixel's centre a source may be, pixels of the finest band; coarser bands need less.
REACH_PX = 4.0


@dataclass(frozen=True, eq=False)
class Templates:
    """Expected shares of a source's photons on the cut-outs of a survey's planes.

    Attributes
    ----------
    share : tuple of tensor [(places a side)^2, SIZE_PX^2]
        One a plane; places stand `1 / SUBPIXELS` pixels apart, y slow, x fast.
    slope : tuple of tensor [2, (places a side)^2, SIZE_PX^2]
        Derivatives of `share` by the source's x and y, per pixel of the plane's band.
    band : tuple of int
        Of each plane.
    pixel_ratio : tensor [n_bands]
        Pixel of the finest band over the band's own.
    reach_px : tuple of int [n_planes]
    """

    share: tuple[Tensor, ...]
    slope: tuple[Tensor, ...]
    band: tuple[int, ...]
    pixel_ratio: Tensor
    reach_px: tuple[int, ...]

    def at(self, plane: int, place_px: Tensor) -> tuple[Tensor, Tensor]:
        """Shares [n, SIZE_PX^2] and their slopes [2, n, SIZE_PX^2] of sources at places (x, y) [n, 2].

        Places are pixels of the plane's band from the centre pixel's centre; those out of reach are moved
        to its border. Shares are bilinear between the places of the table, slopes the nearest place's.
        """
        reach = self.reach_px[plane]
        side = (2 * reach + 1) * SUBPIXELS
        cell = ((place_px + reach + 0.5) * SUBPIXELS - 0.5).clamp(0.0, side - 1.001)
        low = cell.floor()
        fx, fy = (cell - low).unbind(-1)
        x, y = low.long().unbind(-1)
        table, corner = self.share[plane], y * side + x
        share = ((1 - fy) * (1 - fx))[:, None] * table[corner]
        share += ((1 - fy) * fx)[:, None] * table[corner + 1]
        share += (fy * (1 - fx))[:, None] * table[corner + side]
        share += (fy * fx)[:, None] * table[corner + side + 1]
        nearest = cell.round().long()
        return share, self.slope[plane][:, nearest[:, 1] * side + nearest[:, 0]]


@cache
def survey_templates(name: str) -> Templates:
    """Templates of a survey, for sources of its reference index."""
    survey = get_survey(name)
    index = min(PSF_INDICES, key=lambda index: abs(index - survey.reference_index))
    pixels = np.array(survey.tile_pixels_per_10deg)
    ratio = pixels / pixels.max()
    share, slope, reaches = [], [], []
    for plane, (band, _) in enumerate(survey.planes):
        reach = max(1, int(np.ceil(REACH_PX * ratio[band])))
        half = min(h for h in STAMP_HALF_PX if h >= SIZE_PX // 2 + reach)
        psf = stamp_psf(survey, survey.irfs, plane, index)
        stamps = shifted_stamps(psf, 10.0 / survey.tile_pixels_per_10deg[band], half)
        table = _windows(torch.from_numpy(stamps).float(), half, reach)
        by_y, by_x = torch.gradient(table, spacing=1.0 / SUBPIXELS, dim=(0, 1))
        share.append(table.flatten(2).flatten(0, 1))
        slope.append(torch.stack([by_x, by_y]).flatten(3).flatten(1, 2))
        reaches.append(reach)
    bands = tuple(band for band, _ in survey.planes)
    return Templates(tuple(share), tuple(slope), bands, torch.tensor(ratio).float(), tuple(reaches))


def _windows(stamps: Tensor, half: int, reach: int) -> Tensor:
    """Stamps [sub_y, sub_x, 2 half + 1, 2 half + 1] cut for every whole and sub-pixel place.

    Returns [places, places, SIZE_PX, SIZE_PX].
    """
    first, rows = half - SIZE_PX // 2, []
    for y in range(-reach, reach + 1):
        # The source moved up by y: the window moves down in the stamp.
        row = [
            stamps[:, :, first - y : first - y + SIZE_PX, first - x : first - x + SIZE_PX]
            for x in range(-reach, reach + 1)
        ]
        rows.append(torch.cat(row, 1))
    return torch.cat(rows, 0).contiguous()
