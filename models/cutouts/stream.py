"""The characterisation's training stream: cut-outs round the detections of simulated tiles, for ever."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from models.cutouts.candidates import THRESHOLD_SIGMA, candidates
from models.cutouts.crop import centre_pixels, cutout_width_deg, fits, windows
from models.cutouts.cutout import FAKE, SIZE_PX, Cutouts, CutoutTruth
from models.cutouts.years import yearly_counts
from models.evaluate import LIMIT_SIGMA, MATCH_RADIUS_DEG, Positions, match
from models.stream import PLANE_SHARE, DrawSky, random_axes
from models.synthetic_tiles import SyntheticTiles, render_tiles, tile_to_sky
from models.training.seeds import sky_rng
from models.training_sky import TrainingSky, mixed_sky
from sky.mission import pattern_at
from sky.survey import Survey

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

# A disc of radius R holds 68 % of its light within 0.825 R.
DISC_R68 = float(np.sqrt(0.68))


class CutoutStream(IterableDataset[tuple[Cutouts, CutoutTruth]]):
    """Endless cut-outs with their truths; every process of a loader makes skies of its own.

    The number of cut-outs differs from batch to batch: all the detections of `batch_tiles` tiles.

    Parameters
    ----------
    survey : Survey
    seed : int
    split : str
        `train`, `validation` or `test`; their skies never meet.
    batch_tiles, batches_per_sky : int
    draw_sky : callable, optional
        `(survey, rng) -> TrainingSky`; the training mixture by default.
    first_sky : int
        Number of the first sky, to go on where an earlier stream ended.
    years : bool
        Yearly cut-outs too, in surveys that have time slices.
    threshold_sigma : float, optional
        Detections below are dropped; the survey's own of `models.cutouts.candidates` by default.
    random_share : float
        Random places away from all truths, as fakes, for each detection.
    plane_share : float
        Of the tiles that are drawn near the Galactic plane; see `models.stream`.
    extended_share : float
        Of the training mixture's skies that have extended sources.
    """

    def __init__(
        self,
        survey: Survey,
        seed: int,
        split: str = "train",
        batch_tiles: int = 8,
        batches_per_sky: int = 16,
        draw_sky: DrawSky | None = None,
        first_sky: int = 0,
        years: bool = True,
        threshold_sigma: float | None = None,
        random_share: float = 0.05,
        plane_share: float = PLANE_SHARE,
        extended_share: float = 0.5,
    ):
        self.survey, self.seed, self.split = survey, seed, split
        self.batch_tiles, self.batches_per_sky, self.first_sky = batch_tiles, batches_per_sky, first_sky
        self.draw_sky = draw_sky or partial(mixed_sky, extended_share=extended_share)
        self.years = years and survey.time_slices > 1
        self.threshold_sigma = THRESHOLD_SIGMA[survey.name] if threshold_sigma is None else threshold_sigma
        self.random_share, self.plane_share = random_share, plane_share

    def __iter__(self) -> Iterator[tuple[Cutouts, CutoutTruth]]:
        """Sky after sky, `batches_per_sky` batches of each."""
        info = get_worker_info()
        worker = 0 if info is None else info.id
        number = self.first_sky
        while True:
            rng = sky_rng(self.seed, self.split, worker, number)
            sky = self.draw_sky(self.survey, rng)
            for _ in range(self.batches_per_sky):
                yield self._batch(sky, rng)
            number += 1

    def _batch(self, sky: TrainingSky, rng: np.random.Generator) -> tuple[Cutouts, CutoutTruth]:
        axes = random_axes(rng, self.batch_tiles, self.plane_share)
        tiles = render_tiles(sky, axes, rng, width_deg=cutout_width_deg(self.survey))
        tile, x, y, _ = candidates(self.survey, tiles.by_band(tiles.counts), self.threshold_sigma)
        truth = matched_sources(tiles, tile, x, y)
        extra = random_places(tiles, rng, rng.poisson(self.random_share * len(tile)))
        tile, x, y = torch.cat([tile, extra[0]]), np.append(x, extra[1]), np.append(y, extra[2])
        truth = np.append(truth, np.full(len(extra[0]), -1))
        kept = fits([c.shape[-1] for c in tiles.by_band(tiles.counts)], _pixels(tiles, x, y)[0]).numpy()
        tile, x, y, truth = tile[torch.from_numpy(kept)], x[kept], y[kept], truth[kept]
        return cut_synthetic(tiles, tile, x, y, self.years, rng), truths(tiles, x, y, truth)


def matched_sources(tiles: SyntheticTiles, tile: Tensor, x_px: Array, y_px: Array) -> Ints:
    """Number of the source, in the tiles' list, that each place is; -1 for fakes."""
    shown = np.flatnonzero(tiles.limit_sigma.numpy() >= LIMIT_SIGMA)
    flux = tiles.sky.flux_cm2_s[tiles.rows[shown]]
    of = match(
        _flat(tiles, tiles.sources.tile.numpy(), tiles.x_px.numpy(), tiles.y_px.numpy()).select(shown),
        flux,
        _flat(tiles, tile.numpy(), x_px, y_px),
    ).of_detection
    return np.where(of >= 0, shown[of], -1) if len(shown) else of


def random_places(
    tiles: SyntheticTiles, rng: np.random.Generator, number: int
) -> tuple[Tensor, Array, Array]:
    """Places on the tiles that no source above the limit is near: tile, x_px, y_px; at most `number`."""
    n = tiles.n_pixels
    tile, (x, y) = rng.integers(len(tiles.axes), size=number), rng.uniform(-0.5, n - 0.5, (2, number))
    shown = tiles.limit_sigma.numpy() >= LIMIT_SIGMA
    of, x_px, y_px = (v.numpy()[shown] for v in (tiles.sources.tile, tiles.x_px, tiles.y_px))
    reach_px = MATCH_RADIUS_DEG * n / tiles.width_deg
    near = (np.hypot(x[:, None] - x_px, y[:, None] - y_px) < reach_px) & (tile[:, None] == of)
    away = ~near.any(1)
    return torch.from_numpy(tile[away]), x[away], y[away]


def cut_synthetic(
    tiles: SyntheticTiles, tile: Tensor, x_px: Array, y_px: Array, years: bool, rng: np.random.Generator
) -> Cutouts:
    """Cut-outs of simulated tiles round places on them."""
    sky = tiles.sky
    pixel, offset_px = _pixels(tiles, x_px, y_px)
    bands = tiles.by_band(tiles.counts)
    counts = torch.cat([windows(c, tile, pixel[:, b], SIZE_PX) for b, c in enumerate(bands)], 1)
    pixel_deg, middle = tiles.width_deg / tiles.n_pixels, (tiles.n_pixels - 1) / 2
    glon, glat = tile_to_sky(
        tiles.axes[tile.numpy()], (x_px - middle) * pixel_deg, (y_px - middle) * pixel_deg
    )
    exposure = np.reshape(pattern_at(glon, glat), (-1, 1)) * sky.mean_exposure_cm2_s
    return Cutouts(
        counts=counts,
        yearly=yearly_counts(tiles, tile, pixel, counts, rng) if years else None,
        offset_px=offset_px,
        exposure_cm2_s=torch.from_numpy(exposure.astype(np.float32)),
        glon_deg=torch.from_numpy(glon),
        glat_deg=torch.from_numpy(glat),
        covered=fits([c.shape[-1] for c in bands], pixel),
    )


def truths(tiles: SyntheticTiles, x_px: Array, y_px: Array, source: Ints) -> CutoutTruth:
    """What the sky knows of places: `source` is a number in the tiles' list, -1 for a fake."""
    sky, real = tiles.sky, torch.from_numpy(source >= 0)
    row = tiles.rows[source]
    disc = np.where(sky.shape == 2, sky.size_deg / DISC_R68, sky.size_deg)

    def of_sky(values: NDArray[np.generic], fake: float) -> Tensor:
        found = torch.as_tensor(values[row])
        found = found.float() if found.is_floating_point() else found
        return torch.where(real.reshape(-1, *[1] * (found.ndim - 1)), found, fake)

    shift = np.stack([tiles.x_px.numpy()[source] - x_px, tiles.y_px.numpy()[source] - y_px], -1)
    return CutoutTruth(
        real=real,
        class_code=of_sky(sky.class_code, FAKE),
        flux_cm2_s=of_sky(sky.flux_cm2_s, 0.0),
        flux_band_cm2_s=of_sky(sky.flux_band_cm2_s, 0.0),
        shift_px=torch.where(real[:, None], torch.from_numpy(shift.astype(np.float32)), torch.nan),
        limit_sigma=torch.where(real, tiles.limit_sigma[source], 0.0),
        extension_deg=of_sky(disc, 0.0),
    )


def _pixels(tiles: SyntheticTiles, x_px: Array, y_px: Array) -> tuple[Tensor, Tensor]:
    sides = [c.shape[-1] for c in tiles.by_band(tiles.counts)]
    return centre_pixels(sides, x_px, y_px)


def _flat(tiles: SyntheticTiles, tile: Ints, x_px: Array, y_px: Array) -> Positions:
    # Flat and small: a tile's plane stands in for a patch of sky at the equator.
    scale = tiles.width_deg / tiles.n_pixels
    x, y = ((v - tiles.n_pixels / 2) * scale for v in (x_px.astype(float), y_px.astype(float)))
    return Positions(x % 360.0, y, tile)
