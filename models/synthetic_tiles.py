"""Tiles of a training sky: expected and drawn counts, and the sources on them.

To all but the images an extended source is one source at its centre.
"""

from dataclasses import dataclass

import healpy as hp
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.extended_images import draw_extended, image_significance
from models.render import SUBPIXELS, TileSources, draw_sources, limit_significance
from models.training_sky import TrainingSky

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

# Sources farther than this from a tile's border are not drawn on it.
REACH_DEG = 4.5


@dataclass(frozen=True, eq=False)
class SyntheticTiles:
    """Tiles of a sky, n pixels a side in the finest band.

    Attributes
    ----------
    sky : TrainingSky
    axes : array [batch, 3, 3]
        Unit vectors of the tiles: column, row, outward.
    width_deg : float
    counts, expected, diffuse : list of tensor [batch, n_band, n_band]
        By plane: drawn counts, their expectation, and the diffuse part of that.
    sources : TileSources
        The sources on the tiles and near them.
    rows : array of int [N]
        Their rows in the sky's list.
    x_px, y_px : tensor [N]
        Their pixel coordinates in the finest band, centres at whole numbers.
    limit_sigma : tensor [N]
        Their significance if all else were known exactly.
    """

    sky: TrainingSky
    axes: Array
    width_deg: float
    counts: list[Tensor]
    expected: list[Tensor]
    diffuse: list[Tensor]
    sources: TileSources
    rows: Ints
    x_px: Tensor
    y_px: Tensor
    limit_sigma: Tensor

    @property
    def n_pixels(self) -> int:
        """Pixels a side of the finest band."""
        return max(c.shape[-1] for c in self.counts)

    def by_band(self, planes: list[Tensor]) -> list[Tensor]:
        """Planes [batch, n, n] stacked to bands [batch, event types, n, n]."""
        types = len(self.sky.survey.event_types)
        return [torch.stack(planes[k : k + types], 1) for k in range(0, len(planes), types)]

    def inside(self) -> Tensor:
        """Numbers of the sources on the tiles."""
        n = self.n_pixels
        x, y = self.x_px, self.y_px
        return torch.nonzero((x > -0.5) & (x < n - 0.5) & (y > -0.5) & (y < n - 0.5))[:, 0]


def render_tiles(
    sky: TrainingSky,
    axes: Array,
    rng: np.random.Generator,
    device: str = "cpu",
    width_deg: float = 10.0,
    poisson: bool = True,
) -> SyntheticTiles:
    """Draw tiles of a sky with given axes [batch, 3, 3]; without `poisson`, the expected counts."""
    survey, n_tiles = sky.survey, len(axes)
    sources, rows = _sources_on_tiles(sky, axes, width_deg, device)
    is_wide = sky.shape[rows] > 0
    kinds = sky.shape[rows][is_wide], sky.size_deg[rows][is_wide]
    wide, points = (torch.as_tensor(np.flatnonzero(which), device=device) for which in (is_wide, ~is_wide))
    extended, drawn = sources.select(wide), sources.select(points)
    diffuse, expected, images = [], [], []
    for plane, (band, _) in enumerate(survey.planes):
        n = round(survey.tile_pixels_per_10deg[band] * width_deg / 10)
        smooth = _diffuse_tiles(sky, plane, axes, n, width_deg).to(device)
        diffuse.append(smooth)
        images.append(draw_extended(survey, sky.irfs, plane, extended, *kinds, n))
        total = smooth + draw_sources(survey, sky.irfs, plane, drawn, n_tiles, n)
        expected.append(total.index_add(0, extended.tile, images[-1]))
    sigma = torch.zeros(len(rows), device=device)
    sigma[points] = limit_significance(survey, sky.irfs, drawn, expected)
    sigma[wide] = image_significance(images, extended.tile, expected)
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    counts = [torch.poisson(e, generator=generator) if poisson else e for e in expected]
    n = max(c.shape[-1] for c in counts)
    middle, pixel_deg = (n - 1) / 2, width_deg / n
    x_px, y_px = sources.x_deg / pixel_deg + middle, sources.y_deg / pixel_deg + middle
    return SyntheticTiles(sky, axes, width_deg, counts, expected, diffuse, sources, rows, x_px, y_px, sigma)


def tile_to_sky(axes: Array, x_deg: Array, y_deg: Array) -> tuple[Array, Array]:
    """Galactic longitude and latitude of places on the tangent planes of axes [n, 3, 3]."""
    flat = np.stack([np.radians(x_deg), np.radians(y_deg), np.ones(len(x_deg))], axis=-1)
    vectors = np.einsum("ni,nij->nj", flat, axes)
    lon, lat = hp.vec2ang(vectors, lonlat=True)
    return np.asarray(lon, float), np.asarray(lat, float)


def _sources_on_tiles(
    sky: TrainingSky, axes: Array, width_deg: float, device: str
) -> tuple[TileSources, Ints]:
    """Sources on the tiles and near them, and their rows in the sky's list."""
    finest = max(sky.survey.tile_pixels_per_10deg)
    cell_deg = 10.0 / (finest * SUBPIXELS)
    reach = np.tan(np.radians(width_deg / 2 + REACH_DEG))
    tiles, rows, x_deg, y_deg = [], [], [], []
    for t, frame in enumerate(axes):
        column, row, out = frame @ sky.vectors.T
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = column / out, row / out
        near = np.flatnonzero((out > 0.2) & (np.abs(x) < reach) & (np.abs(y) < reach))
        tiles.append(np.full(len(near), t))
        rows.append(near)
        x_deg.append(np.degrees(x[near]))
        y_deg.append(np.degrees(y[near]))
    chosen = np.concatenate(rows)

    def snapped(degrees: list[Array]) -> Tensor:
        # Onto the stamps' grid: what is drawn and what is taught are then the same place.
        cells = np.floor(np.concatenate(degrees) / cell_deg) + 0.5
        return torch.as_tensor(cells * cell_deg, dtype=torch.float32, device=device)

    sources = TileSources(
        torch.as_tensor(np.concatenate(tiles), device=device),
        snapped(x_deg),
        snapped(y_deg),
        torch.as_tensor(sky.counts[chosen], dtype=torch.float32, device=device),
        torch.as_tensor(sky.psf_index[chosen], device=device),
    )
    return sources, chosen


def _diffuse_tiles(sky: TrainingSky, plane: int, axes: Array, n: int, width_deg: float) -> Tensor:
    """Expected diffuse counts per pixel of one plane, [batch, n, n]."""
    # The maps' pixels are 0.23 degrees: half of that is sampling enough, the rest is bilinear.
    coarse = min(n, 4 * round(width_deg / 10 * 16))
    step = np.radians(width_deg) / coarse
    place = step * (np.arange(coarse) - (coarse - 1) / 2)
    x, y = np.meshgrid(place, place)
    plane_vec = np.stack([x, y, np.ones_like(x)], axis=-1)
    vec = plane_vec[None] @ axes[:, None]
    shape = vec.shape[:-1]
    theta = np.arccos(vec[..., 2] / np.linalg.norm(vec, axis=-1))
    phi = np.arctan2(vec[..., 1], vec[..., 0])
    density = hp.get_interp_val(sky.diffuse_sr[plane], theta.ravel(), phi.ravel()).reshape(shape)
    fine = torch.as_tensor(density, dtype=torch.float32)[:, None]
    if coarse < n:
        fine = F.interpolate(fine, size=(n, n), mode="bilinear", align_corners=False)
    edge = np.radians(width_deg) / n * (np.arange(n) - (n - 1) / 2)
    # Solid angle of a gnomonic pixel.
    area = (np.radians(width_deg) / n) ** 2 * (1 + edge[:, None] ** 2 + edge[None, :] ** 2) ** -1.5
    return fine[:, 0] * torch.as_tensor(area, dtype=torch.float32)
