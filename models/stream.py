"""The training stream: tiles with random centres and orientations out of fresh synthetic skies, for ever.

No network may learn where the Galaxy's features or the published sources are, so every tile has a centre
and an orientation of its own; Poisson counts are drawn anew each time. A stream is reproducible by its seed
and the number of its processes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from models.synthetic_tiles import SyntheticTiles, render_tiles
from models.training.seeds import sky_rng
from models.training_sky import TrainingSky, mixed_sky
from sky.survey import Survey

Array = NDArray[np.float64]
DrawSky = Callable[[Survey, np.random.Generator], TrainingSky]

DISC_RADIUS_PX = 5.0
CENTRE_SIGMA_PX = 1.0
# Truths fainter than this, were all else known, are nobody's target; see `models.evaluate`.
TARGET_SIGMA = 3.0
# Share of the tiles that are drawn near the plane, where the sky is hardest and the area small.
PLANE_SHARE = 0.3
PLANE_GLAT_DEG = 6.0


@dataclass(frozen=True, eq=False)
class TileBatch:
    """Tiles and their targets; n pixels a side at the finest level.

    Attributes
    ----------
    images : list of tensor [batch, event types, n_band, n_band]
        Counts, one a band.
    mask : tensor [batch, n, n]
        1 inside a disc of 5 pixels round a source.
    direction : tensor [batch, 2, n, n]
        Sine and cosine of the angle to the nearest source; 0 on tiles without one.
    centre : tensor [batch, n, n]
        Gaussian of 1 pixel on every source, 1 at its top.
    background : list of tensor [batch, event types, n_band, n_band]
        Expected diffuse counts.
    tile, x_px, y_px : tensor [N]
        The sources on the tiles: which tile, pixel coordinates (centres at whole numbers).
    flux_cm2_s, limit_sigma, class_code : tensor [N]
    counts : tensor [N, n_planes]
    glat_deg : tensor [batch]
        Galactic latitude of the tiles' centres.
    """

    images: list[Tensor]
    mask: Tensor
    direction: Tensor
    centre: Tensor
    background: list[Tensor]
    tile: Tensor
    x_px: Tensor
    y_px: Tensor
    flux_cm2_s: Tensor
    limit_sigma: Tensor
    class_code: Tensor
    counts: Tensor
    glat_deg: Tensor

    def to(self, device: torch.device | str) -> "TileBatch":
        """The batch on a device."""

        def move(value: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
            return [v.to(device) for v in value] if isinstance(value, list) else value.to(device)

        return TileBatch(**{f.name: move(getattr(self, f.name)) for f in fields(self)})  # type: ignore[arg-type]


class TileStream(IterableDataset[TileBatch]):
    """Endless batches of tiles; every process of a loader makes skies of its own.

    Parameters
    ----------
    survey : Survey
    seed : int
    split : str
        `train`, `validation` or `test`; their skies never meet.
    batch_tiles : int
    batches_per_sky : int
    device : str
        Where sources are drawn.
    draw_sky : callable, optional
        `(survey, rng) -> TrainingSky`; the training mixture by default.
    first_sky : int
        Number of the first sky, to go on where an earlier stream ended.
    extended_share : float
        Share of the skies of the training mixture that have extended sources; the truth of one is its centre.
    """

    def __init__(
        self,
        survey: Survey,
        seed: int,
        split: str = "train",
        batch_tiles: int = 16,
        batches_per_sky: int = 24,
        device: str = "cpu",
        draw_sky: DrawSky | None = None,
        first_sky: int = 0,
        extended_share: float = 0.0,
    ):
        self.survey, self.seed, self.split = survey, seed, split
        self.batch_tiles, self.batches_per_sky = batch_tiles, batches_per_sky
        self.device, self.first_sky = device, first_sky
        self.draw_sky = draw_sky or partial(mixed_sky, extended_share=extended_share)

    def __iter__(self) -> Iterator[TileBatch]:
        """Sky after sky, `batches_per_sky` batches of each."""
        info = get_worker_info()
        worker = 0 if info is None else info.id
        number = self.first_sky
        while True:
            rng = sky_rng(self.seed, self.split, worker, number)
            sky = self.draw_sky(self.survey, rng)
            for _ in range(self.batches_per_sky):
                yield render_batch(sky, random_axes(rng, self.batch_tiles), rng, self.device)
            number += 1


def random_axes(rng: np.random.Generator, n: int, plane_share: float = PLANE_SHARE) -> Array:
    """Tiles' axes, unit vectors [n, 3 (column, row, outward), 3], of any orientation.

    Centres are uniform on the sphere, but for `plane_share` of them, uniform within `PLANE_GLAT_DEG` of the
    plane.
    """
    limit = np.where(rng.uniform(size=n) < plane_share, np.sin(np.radians(PLANE_GLAT_DEG)), 1.0)
    sin_b, lon, turn = (
        limit * rng.uniform(-1, 1, n),
        rng.uniform(0, 2 * np.pi, n),
        rng.uniform(0, 2 * np.pi, n),
    )
    spin = Rotation.from_euler("zyz", np.stack([turn, np.arccos(sin_b), lon], axis=-1))
    # Columns run against longitude, as in `sky.tiles`: seen from inside, east is to the left.
    return np.swapaxes(spin.as_matrix(), 1, 2) * np.array([-1.0, 1.0, 1.0])[:, None]


def render_batch(
    sky: TrainingSky,
    axes: Array,
    rng: np.random.Generator,
    device: str = "cpu",
    width_deg: float = 10.0,
    poisson: bool = True,
) -> TileBatch:
    """Draw tiles of a sky with given axes [batch, 3, 3]; without `poisson`, the expected counts."""
    return tile_batch(render_tiles(sky, axes, rng, device, width_deg, poisson))


def tile_batch(tiles: SyntheticTiles) -> TileBatch:
    """Tiles with their targets."""
    sky, n_tiles, n = tiles.sky, len(tiles.axes), tiles.n_pixels
    target = torch.nonzero(tiles.limit_sigma >= TARGET_SIGMA)[:, 0]
    places = tiles.sources.tile[target], tiles.x_px[target], tiles.y_px[target]
    mask, direction, centre = draw_targets(*places, n_tiles, n)
    on = tiles.inside()
    rows = tiles.rows[on.cpu().numpy()]

    def per_source(values: NDArray[np.generic]) -> Tensor:
        return torch.as_tensor(values[rows], device=on.device)

    return TileBatch(
        images=tiles.by_band(tiles.counts),
        mask=mask,
        direction=direction,
        centre=centre,
        background=tiles.by_band(tiles.diffuse),
        tile=tiles.sources.tile[on],
        x_px=tiles.x_px[on],
        y_px=tiles.y_px[on],
        flux_cm2_s=per_source(sky.flux_cm2_s),
        limit_sigma=tiles.limit_sigma[on],
        class_code=per_source(sky.class_code),
        counts=tiles.sources.counts[on],
        glat_deg=torch.as_tensor(np.degrees(np.arcsin(tiles.axes[:, 2, 2])), dtype=torch.float32),
    )


def draw_targets(
    tile: Tensor, x_px: Tensor, y_px: Tensor, n_tiles: int, n: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Mask, direction field and centre map of sources on tiles of n pixels; see `TileBatch`."""
    mask = torch.zeros(n_tiles, n, n, device=x_px.device)
    direction = torch.zeros(n_tiles, 2, n, n, device=x_px.device)
    centre = torch.zeros(n_tiles, n, n, device=x_px.device)
    grid = torch.arange(n, device=x_px.device, dtype=x_px.dtype)
    for t in range(n_tiles):
        mine = tile == t
        if not mine.any():
            continue
        dx = x_px[mine][:, None, None] - grid[None, None, :]
        dy = y_px[mine][:, None, None] - grid[None, :, None]
        nearest = (dx**2 + dy**2).min(0)
        distance = torch.sqrt(nearest.values)
        mask[t] = distance <= DISC_RADIUS_PX
        centre[t] = torch.exp(-0.5 * (distance / CENTRE_SIGMA_PX) ** 2)
        safe = distance.clamp(min=1e-3)
        towards_x = torch.gather(dx.expand(-1, n, -1), 0, nearest.indices[None])[0]
        towards_y = torch.gather(dy.expand(-1, -1, n), 0, nearest.indices[None])[0]
        direction[t] = torch.stack([towards_y / safe, towards_x / safe])
    return mask, direction, centre
