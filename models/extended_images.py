"""Expected counts of extended sources on tile images: their blurred radial profiles at the pixels.

A disc or a Gaussian through the PSF is round and smooth: one profile, of a kind of source and a plane, gives all
its pixels. The pixels' own width counts as one more blur.
"""

from functools import cache, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.psf_kernels import plane_psf, shuffle_sigma_deg
from models.render import PSF_INDICES, TileSources
from sky.psf import SEPARATION_DEG, RadialPSF
from sky.rendering import GAUSSIAN_R68
from sky.response import load_response
from sky.survey import Survey

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

# Separations of the profiles are even steps of asinh(separation / CORE_DEG), see `sky.psf`.
CORE_DEG = 0.01
STEP = float(np.arcsinh(SEPARATION_DEG[1] / CORE_DEG))
# 4FGL-DR2 has some 75 pairs of shape and size.
KINDS = 128


def draw_extended(
    survey: Survey, irfs: str, plane: int, sources: TileSources, shape: Ints, size_deg: Array, n_pixels: int
) -> Tensor:
    """Expected counts of each of some extended sources on its own tile, [N, n_pixels, n_pixels].

    Parameters
    ----------
    sources : TileSources
    shape : array of int [N]
        1 a disc of radius `size_deg`, 2 a Gaussian of 68 % radius `size_deg`.
    size_deg : array [N]
    """
    pixel_deg = 10.0 / survey.tile_pixels_per_10deg[survey.planes[plane][0]]
    device = sources.counts.device
    grid = (torch.arange(n_pixels, device=device) - (n_pixels - 1) / 2) * pixel_deg
    images = torch.empty(len(shape), n_pixels, n_pixels, device=device)
    for k, kind in enumerate(zip(shape.tolist(), size_deg.tolist(), strict=True)):
        radius = torch.hypot(grid[None, :] - sources.x_deg[k], grid[:, None] - sources.y_deg[k])
        profile = _profiles(survey, irfs, *kind)[plane, sources.psf_index[k, plane]]
        solid_angle = float(np.radians(pixel_deg)) ** 2
        images[k] = sources.counts[k, plane] * solid_angle * _at(profile.to(device), radius)
    return images


def image_significance(images: list[Tensor], tile: Tensor, expected: list[Tensor]) -> Tensor:
    """Significance of each source if all else were known exactly, [N]; see `models.evaluate.limit_significance`.

    Parameters
    ----------
    images : list of tensor [N, n, n]
        Each source's expected counts on its tile, by plane.
    tile : tensor of int [N]
    expected : list of tensor [n_tiles, n, n]
        All expected counts of each plane, the sources' own included.
    """
    ratio = torch.zeros(len(tile), device=tile.device)
    for source, total in zip(images, expected, strict=True):
        rest = (total[tile] - source).clamp(min=1e-7)
        ratio += 2.0 * ((rest + source) * torch.log1p(source / rest) - source).sum((1, 2))
    return torch.sqrt(ratio.clamp(min=0.0))


def _at(profile: Tensor, radius_deg: Tensor) -> Tensor:
    """A profile on `SEPARATION_DEG` at other separations."""
    place = torch.asinh(radius_deg / CORE_DEG) / STEP
    lower = place.long().clamp(max=len(profile) - 2)
    low, high = profile[lower], profile[lower + 1]
    return low + (place - lower) * (high - low)


@lru_cache(maxsize=KINDS)
def _profiles(survey: Survey, irfs: str, shape: int, size_deg: float) -> Tensor:
    """Density per sr of a kind of source of one photon, [n_planes, n_indices, n_separations]."""
    rows = []
    for psfs in _pixel_psfs(survey, irfs):
        wide = [p.over_disc(size_deg) if shape == 1 else p.smeared(size_deg / GAUSSIAN_R68) for p in psfs]
        rows.append([p.density_per_sr for p in wide])
    return torch.tensor(np.array(rows), dtype=torch.float32)


@cache
def _pixel_psfs(survey: Survey, irfs: str) -> list[list[RadialPSF]]:
    """PSF of every plane and of each of `PSF_INDICES`, averaged over pixels, the photons' shuffle included."""
    response, out = load_response(irfs), []
    for plane, (band, _) in enumerate(survey.planes):
        pixel_deg = 10.0 / survey.tile_pixels_per_10deg[band]
        blur = float(np.hypot(shuffle_sigma_deg(survey.bands[band].order), pixel_deg / np.sqrt(12.0)))
        out.append([plane_psf(survey, response, plane, index).smeared(blur) for index in PSF_INDICES])
    return out
