"""Where a detector would look twice on simulated tiles: peaks of the likelihood ratio of a point source."""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.localise.peaks import local_maxima
from models.normalise import LikelihoodChannels
from models.psf_kernels import level_psfs
from sky.survey import Survey, get_survey

Array = NDArray[np.float64]

# About half of the peaks away from the plane are then sources.
THRESHOLD_SIGMA = {"lat-10gev": 3.0, "lat-6band": 3.5}
SEPARATION_DEG = 0.2
# Coarser bands follow the structure of the background, which a point source's likelihood ratio takes for sources.
COARSEST_PIXEL_DEG = 0.2


def candidates(
    survey: Survey, images: list[Tensor], threshold_sigma: float
) -> tuple[Tensor, Array, Array, Array]:
    """Peaks of tiles.

    Parameters
    ----------
    survey : Survey
    images : list of tensor [batch, event types, n_band, n_band]
        Counts.
    threshold_sigma : float

    Returns
    -------
    tile : tensor of int64 [n]
    x_px, y_px : array [n]
        Pixel coordinates in the finest band.
    sigma : array [n]
        Square root of the likelihood ratio's double.
    """
    maps = significance(survey, images)
    pixel_deg = 10.0 / max(survey.tile_pixels_per_10deg)
    found = [local_maxima(m.numpy(), SEPARATION_DEG / pixel_deg, threshold_sigma) for m in maps]
    tile = torch.from_numpy(np.repeat(np.arange(len(found)), [len(peaks) for peaks in found]))
    x, y, sigma = (np.concatenate([getattr(p, name) for p in found]) for name in ("x", "y", "score"))
    return tile, x, y, sigma


def significance(survey: Survey, images: list[Tensor]) -> Tensor:
    """Signed square root of twice the best log likelihood ratio at every pixel, [batch, n, n]."""
    filters = _filters(survey.name)
    levels = [level for level in level_psfs(survey) if level.pixel_deg <= COARSEST_PIXEL_DEG]
    counts = [torch.cat([images[b] for b in level.bands], 1) for level in levels]
    return filters.significance(counts).amax(1)


@cache
def _filters(survey: str) -> LikelihoodChannels:
    levels = level_psfs(get_survey(survey))
    return LikelihoodChannels([level for level in levels if level.pixel_deg <= COARSEST_PIXEL_DEG])
