"""Expected counts of point sources on tile images, many tiles at once, in PyTorch.

A source is stamped with its PSF integrated over the pixels. Its stamp ends where fewer than `LOST_PHOTONS`
are left, so that bright sources keep their wings. Positions stand on a grid of `SUBPIXELS` per pixel side
and plane.
"""

from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.psf_kernels import plane_psf, shuffle_sigma_deg
from sky.psf import RadialPSF
from sky.response import load_response
from sky.survey import Survey

Array = NDArray[np.float64]

SUBPIXELS = 8
STAMP_HALF_PX = (7, 20, 60)
# Stamps in memory at once.
STAMP_PIXELS = 1 << 24
LOST_PHOTONS = 0.3
# Photon indices within a band for which stamps are kept; a source takes the nearest.
PSF_INDICES = (1.5, 2.0, 2.5, 3.2)


@dataclass(frozen=True, eq=False)
class PlaneStamps:
    """Stamps of one plane.

    Attributes
    ----------
    stamps : tuple of tensor [index, sub_y, sub_x, 2 h + 1, 2 h + 1]
        One for each of `STAMP_HALF_PX`.
    lost : array [n_sizes]
        Share of the photons outside a stamp, for the widest of the PSFs.
    """

    stamps: tuple[Tensor, ...]
    lost: Array


@cache
def plane_stamps(survey: Survey, irfs: str, plane: int) -> PlaneStamps:
    """Stamps of a plane."""
    band, _ = survey.planes[plane]
    pixel_deg = 10.0 / survey.tile_pixels_per_10deg[band]
    psfs = [stamp_psf(survey, irfs, plane, index) for index in PSF_INDICES]
    stamps = tuple(
        torch.tensor(np.array([shifted_stamps(psf, pixel_deg, half) for psf in psfs]), dtype=torch.float32)
        for half in STAMP_HALF_PX
    )
    radii = pixel_deg * np.array(STAMP_HALF_PX)
    return PlaneStamps(stamps, np.max([1.0 - psf.containment(radii) for psf in psfs], axis=0))


def stamp_psf(survey: Survey, irfs: str, plane: int, index: float) -> RadialPSF:
    """PSF of a plane for sources of a photon index, the photons' shuffle in their HEALPix pixels included."""
    band, _ = survey.planes[plane]
    blur = shuffle_sigma_deg(survey.bands[band].order)
    return plane_psf(survey, load_response(irfs), plane, index).smeared(blur)


def shifted_stamps(psf: RadialPSF, pixel_deg: float, half: int, subpixels: int = SUBPIXELS) -> Array:
    """PSF integrated over pixels, for a source in each sub-pixel of the middle one, [s, s, 2 h + 1, 2 h +
    1]."""
    n, s = 2 * half + 1, subpixels
    cell_deg = pixel_deg / s
    # Photons in cells of a sub-pixel about the source, those near it split finer: the PSF's core is no wider.
    middle = (n * s + s) // 2
    offset = (np.arange(n * s + s) - middle) * cell_deg
    cells = psf.density_sr(np.hypot(offset[:, None], offset[None, :]))
    near = slice(middle - 2 * s, middle + 2 * s + 1)
    split = (offset[near, None] + (np.arange(5) - 2) / 5 * cell_deg)[:, :, None, None]
    cells[near, near] = psf.density_sr(np.hypot(split, split.transpose(2, 3, 0, 1))).mean(axis=(1, 3))
    summed = np.pad(cells.cumsum(0).cumsum(1), ((1, 0), (1, 0))) * np.radians(cell_deg) ** 2
    out = np.empty((s, s, n, n))
    for i in range(s):
        rows = middle - i - half * s + s * np.arange(n + 1)
        for j in range(s):
            columns = middle - j - half * s + s * np.arange(n + 1)
            out[i, j] = np.diff(np.diff(summed[np.ix_(rows, columns)], axis=0), axis=1)
    return out


@dataclass(frozen=True, eq=False)
class TileSources:
    """Sources on a batch of tiles.

    Attributes
    ----------
    tile : tensor of int [N]
    x_deg, y_deg : tensor [N]
        On the tangent plane, from the tile's centre, x along columns.
    counts : tensor [N, n_planes]
        Expected photons.
    psf_index : tensor of int [N, n_planes]
        Into `PSF_INDICES`.
    """

    tile: Tensor
    x_deg: Tensor
    y_deg: Tensor
    counts: Tensor
    psf_index: Tensor

    def select(self, which: Tensor) -> "TileSources":
        """Some of the sources."""
        return TileSources(*(getattr(self, f.name)[which] for f in fields(self)))


@dataclass(frozen=True, eq=False)
class SourceCells:
    """Pixel of a plane that each source stands in, and the sub-pixel in that; tensors of int [N]."""

    column: Tensor
    row: Tensor
    sub_x: Tensor
    sub_y: Tensor


def source_cells(survey: Survey, plane: int, sources: TileSources, n_pixels: int) -> SourceCells:
    """Where sources stand on tiles of `n_pixels` a side, on them or not."""
    pixel_deg = 10.0 / survey.tile_pixels_per_10deg[survey.planes[plane][0]]
    x = torch.floor((sources.x_deg / pixel_deg + n_pixels / 2) * SUBPIXELS).long()
    y = torch.floor((sources.y_deg / pixel_deg + n_pixels / 2) * SUBPIXELS).long()
    column, row = x.div(SUBPIXELS, rounding_mode="floor"), y.div(SUBPIXELS, rounding_mode="floor")
    return SourceCells(column, row, x - column * SUBPIXELS, y - row * SUBPIXELS)


def stamp_sizes(stamps: PlaneStamps, counts: Tensor) -> Tensor:
    """Number of the stamp, of `STAMP_HALF_PX`, that sources of these counts need, [N]."""
    lost = torch.as_tensor(stamps.lost, dtype=counts.dtype, device=counts.device)
    return (counts[:, None] * lost[:-1] > LOST_PHOTONS).sum(1)


@dataclass(frozen=True, eq=False)
class _Placed:
    """Where stamps lie on the flattened, padded canvas of a plane."""

    start: Tensor  # [N], corner of the stamp
    sub_y: Tensor
    sub_x: Tensor


def draw_sources(
    survey: Survey, irfs: str, plane: int, sources: TileSources, n_tiles: int, n_pixels: int
) -> Tensor:
    """Expected counts of all sources of a plane, [n_tiles, n_pixels, n_pixels]; those outside count by
    their wings."""
    stamps = plane_stamps(survey, irfs, plane)
    counts = sources.counts[:, plane]
    device = counts.device
    margin = 2 * max(STAMP_HALF_PX) + 1
    width = n_pixels + 2 * margin
    canvas = torch.zeros(n_tiles * width * width, device=device)
    size = stamp_sizes(stamps, counts)
    for k, half in enumerate(STAMP_HALF_PX):
        for some in torch.nonzero(size == k)[:, 0].split(STAMP_PIXELS // (2 * half + 1) ** 2):
            chosen = sources.select(some)
            placed = _place(survey, plane, chosen, half, n_pixels, margin, inside_px=half)
            chosen = chosen.select(placed[1])
            if not len(chosen.tile):
                continue
            stamp = _stamps(stamps.stamps[k].to(device), chosen, plane, placed[0])
            canvas.index_add_(0, _cells(placed[0].start, half, width).ravel(), stamp.ravel())
    return canvas.reshape(n_tiles, width, width)[:, margin:-margin, margin:-margin].contiguous()


def limit_significance(
    survey: Survey, irfs: str, sources: TileSources, expected: list[Tensor], half: int = STAMP_HALF_PX[0]
) -> Tensor:
    """Significance of each source if all else were known exactly, [N]; see
    `models.evaluate.limit_significance`.

    Parameters
    ----------
    expected : list of tensor [n_tiles, n, n]
        All expected counts of each plane, the sources' own included.
    """
    ratio = torch.zeros(len(sources.tile), device=sources.counts.device)
    for plane, total in enumerate(expected):
        n, margin = total.shape[-1], 2 * max(STAMP_HALF_PX) + 1
        padded = torch.nn.functional.pad(total, [margin] * 4)
        placed, inside = _place(survey, plane, sources, half, n, margin, inside_px=0)
        chosen = sources.select(inside)
        if not len(chosen.tile):
            continue
        stamps = plane_stamps(survey, irfs, plane).stamps[STAMP_HALF_PX.index(half)]
        source = _stamps(stamps.to(total.device), chosen, plane, placed)
        everything = padded.ravel()[_cells(placed.start, half, padded.shape[-1])].reshape(source.shape)
        # Outside the tile nothing is known of the background, and the stamp counts for nothing.
        source = torch.where(everything > 0, source, 0.0)
        rest = (everything - source).clamp(min=1e-7)
        ratio[inside] += 2.0 * ((rest + source) * torch.log1p(source / rest) - source).sum((1, 2))
    return torch.sqrt(ratio.clamp(min=0.0))


def _place(
    survey: Survey, plane: int, sources: TileSources, half: int, n_pixels: int, margin: int, inside_px: int
) -> tuple[_Placed, Tensor]:
    """Stamps that reach the image (their centres at most `inside_px` outside it) and which sources they
    are."""
    at = source_cells(survey, plane, sources, n_pixels)
    column, row, sub_x, sub_y = at.column, at.row, at.sub_x, at.sub_y
    low, high = -inside_px, n_pixels + inside_px
    inside = torch.nonzero((column >= low) & (column < high) & (row >= low) & (row < high))[:, 0]
    width = n_pixels + 2 * margin
    first_row = sources.tile[inside] * width + row[inside] + margin - half
    start = first_row * width + column[inside] + margin - half
    return _Placed(start, sub_y[inside], sub_x[inside]), inside


def _stamps(stamps: Tensor, sources: TileSources, plane: int, placed: _Placed) -> Tensor:
    """Expected counts on the stamps, [N, 2 h + 1, 2 h + 1]."""
    shape = stamps[sources.psf_index[:, plane], placed.sub_y, placed.sub_x]
    return shape * sources.counts[:, plane, None, None]


def _cells(start: Tensor, half: int, width: int) -> Tensor:
    """Flat canvas indices of stamps, [N, (2 h + 1)^2]."""
    step = torch.arange(2 * half + 1, device=start.device)
    return start[:, None] + (step[:, None] * width + step[None, :]).ravel()
