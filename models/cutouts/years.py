"""Photons of simulated cut-outs dealt out to the years, each source's after its own light curve.

Given how many photons of a band a pixel has, each came from the diffuse emission or from one of the sources
with the probability of their expected counts, and in a year with that of its origin's light curve: a multinomial
draw, consistent with the counts of all years together.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.cutouts.crop import windows
from models.cutouts.cutout import SIZE_PX, YEARLY_SIZE_PX
from models.render import STAMP_HALF_PX, plane_stamps, source_cells, stamp_sizes
from models.synthetic_tiles import SyntheticTiles
from sky.survey import Survey

Array = NDArray[np.float64]
Pairs = tuple[Tensor, Tensor]

HALF = YEARLY_SIZE_PX // 2
# What a source brings to a cut-out is taken as constant where it is less, in photons of all years.
LEAST_PHOTONS = 1.0
# Some skies have many thousands of false peaks: pairs of all of them with all sources fill no memory.
CUTOUTS_TOGETHER = 512


def yearly_counts(
    tiles: SyntheticTiles, tile: Tensor, pixel: Tensor, counts: Tensor, rng: np.random.Generator
) -> Tensor:
    """Counts of every year, event types summed, [n, bands, slices, 7, 7].

    Parameters
    ----------
    tiles : SyntheticTiles
    tile : tensor [n]
    pixel : tensor [n, bands, 2]
        Centre pixels, (column, row).
    counts : tensor [n, planes, 11, 11]
    rng : Generator
    """
    sky, types = tiles.sky, len(tiles.sky.survey.event_types)
    rim = (SIZE_PX - YEARLY_SIZE_PX) // 2
    bands = counts[..., rim:-rim, rim:-rim].unflatten(1, (-1, types)).sum(2)
    # Extended sources do not vary: those known are nebulae and galaxies.
    points = np.flatnonzero(sky.shape[tiles.rows] == 0)
    years = []
    for band in range(bands.shape[1]):
        parts = []
        for rows in torch.arange(len(tile)).split(CUTOUTS_TOGETHER):
            cutout, point = torch.nonzero(tile[rows, None] == tiles.sources.tile[points]).unbind(1)
            pairs = cutout, torch.from_numpy(points)[point]
            parts.append(_share(tiles, band, tile[rows], pixel[rows, band], pairs))
        years.append(_dealt(bands[:, band], np.concatenate(parts), rng))
    return torch.stack(years, 1)


def _dealt(counts: Tensor, share: Array, rng: np.random.Generator) -> Tensor:
    """Counts [n, 7, 7] dealt out to the slices with the shares [n, 7, 7, slices]: [n, slices, 7, 7]."""
    number = counts.numpy().astype(np.int64)
    dealt = np.zeros(share.shape, np.float32)
    some = number > 0
    dealt[some] = rng.multinomial(number[some], share[some])
    return torch.from_numpy(np.moveaxis(dealt, -1, 1).copy())


def _share(tiles: SyntheticTiles, band: int, tile: Tensor, pixel: Tensor, pairs: Pairs) -> Array:
    """Share of each slice in the expected counts of a band's pixels, [n, 7, 7, slices]."""
    sky = tiles.sky
    types = range(band * len(sky.survey.event_types), (band + 1) * len(sky.survey.event_types))
    shape = len(tile), YEARLY_SIZE_PX**2
    constant, excess = torch.zeros(shape), torch.zeros(*shape, len(sky.slice_share))
    for plane in types:
        whole = windows(tiles.expected[plane][:, None], tile, pixel, YEARLY_SIZE_PX)
        constant += whole.flatten(1)
        for cutout, source, expected in _contributions(tiles, plane, pixel, pairs):
            # Light curves have mean 1: what they add to a constant source.
            curves = torch.from_numpy(sky.light_curves[tiles.rows[source.numpy()]] - 1.0).float()
            excess.index_add_(0, cutout, expected[:, :, None] * curves[:, None, :])
    share = (constant[..., None] + excess).clamp(min=0.0).double().numpy() * sky.slice_share
    share /= np.maximum(share.sum(-1, keepdims=True), 1e-300)
    return share.reshape(-1, YEARLY_SIZE_PX, YEARLY_SIZE_PX, len(sky.slice_share))


def _contributions(
    tiles: SyntheticTiles, plane: int, pixel: Tensor, pairs: Pairs
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Cut-outs, sources, and what these are expected to bring to those, [pairs, 49], by size of the stamps."""
    sky, sources = tiles.sky, tiles.sources
    stamps = plane_stamps(sky.survey, sky.irfs, plane)
    counts = sources.counts[:, plane]
    at = source_cells(sky.survey, plane, sources, tiles.expected[plane].shape[-1])
    size = stamp_sizes(stamps, counts)
    bright = counts[pairs[1]] >= LEAST_PHOTONS
    step = torch.arange(-HALF, HALF + 1)
    for k, half in enumerate(STAMP_HALF_PX):
        cutout, of = (p[bright & (size == k)[pairs[1]]] for p in pairs)
        dx, dy = pixel[cutout, 0] - at.column[of], pixel[cutout, 1] - at.row[of]
        reach = half + HALF
        near = torch.nonzero((dx.abs() <= reach) & (dy.abs() <= reach))[:, 0]
        most = _most(sky.survey, sky.irfs, plane)[k][dy[near] + reach, dx[near] + reach]
        near = near[most * counts[of[near]] >= LEAST_PHOTONS]
        cutout, of = cutout[near], of[near]
        x, y = dx[near, None] + step + half, dy[near, None] + step + half
        inside = ((y >= 0) & (y <= 2 * half))[:, :, None] & ((x >= 0) & (x <= 2 * half))[:, None, :]
        x, y = x.clamp(0, 2 * half)[:, None, :], y.clamp(0, 2 * half)[:, :, None]
        index = (sources.psf_index[of, plane], at.sub_y[of], at.sub_x[of])
        density = stamps.stamps[k][(*(i[:, None, None] for i in index), y, x)]
        expected = (density * inside * counts[of, None, None]).flatten(1)
        enough = expected.sum(1) >= LEAST_PHOTONS
        yield cutout[enough], of[enough], expected[enough]


@cache
def _most(survey: Survey, irfs: str, plane: int) -> list[Tensor]:
    """Largest share of a source's photons in a cut-out, by the row and column of their distance, by stamp size."""
    most = []
    for stamps in plane_stamps(survey, irfs, plane).stamps:
        widest = F.pad(stamps.amax((0, 1, 2)), [2 * HALF] * 4)
        most.append(F.avg_pool2d(widest[None], YEARLY_SIZE_PX, 1)[0] * YEARLY_SIZE_PX**2)
    return most
