"""What known sources leave of a tile's counts, summed over discs and the rings round them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.likelihood.background import Images
from models.likelihood.tile_model import TileSky
from sky.survey import Survey

Floats = NDArray[np.float64]

GAP_DEG, RING_DEG = 0.5, 2.0  # a ring begins and ends so far from the rim of its disc
COARSE_DEG = 0.25


@dataclass(frozen=True, eq=False)
class Rest:
    """Counts that are left, and known sources' photons, by band [n_bands, ny, nx] on the finest grid."""

    sky: TileSky
    survey: Survey
    counts: Floats
    known: Floats

    @classmethod
    def of(cls, sky: TileSky, survey: Survey, images: Images) -> Self:
        """From images [n_planes, ny, nx] of counts less the sources' share (`TileSky.thinned`)."""
        known, planes = sky.image(sky.counts) - images, np.array([band for band, _ in survey.planes])
        by_band = [
            np.array([part[planes == band].sum(axis=0) for band in range(len(survey.bands))], dtype=float)
            for part in (images, known)
        ]
        return cls(sky, survey, *by_band)

    @property
    def coarse(self) -> int:
        """How many pixels together are about `COARSE_DEG` wide."""
        size, pixel_deg = self.counts.shape[-1], self.sky.smoother.pixel_deg
        return next(k for k in range(max(1, int(COARSE_DEG / pixel_deg)), size + 1) if size % k == 0)

    def regions(self, vectors: Floats, radii_deg: Floats, step: int = 1) -> tuple[Floats, Floats, Floats]:
        """Counts in discs round places [n, 3] and in the rings round them, and known sources' photons that bear on them.

        All [n, n_radii, n_bands]; of the last, those in the ring count by how much smaller the disc is. Pixels are taken
        whole, `step` by `step` of them together.
        """
        counts, known = (together(part, step).reshape(len(part), -1).T for part in (self.counts, self.known))
        x, y = self.sky.grid.vectors_to_pixel(self.sky.tile, self.sky.band, vectors)
        across = (np.arange(self.counts.shape[-1] // step) + 0.5) * step - 0.5
        off = np.hypot(across[None, None, :] - x[:, None, None], across[None, :, None] - y[:, None, None])
        off = self.sky.smoother.pixel_deg * off.reshape(len(vectors), 1, -1)
        radius = radii_deg[:, None]
        disc, ring = off < radius, (off > radius + GAP_DEG) & (off < radius + RING_DEG)
        share = disc.sum(axis=2, keepdims=True) / np.maximum(ring.sum(axis=2, keepdims=True), 1)
        return disc @ counts, ring @ counts, disc @ known + share * (ring @ known)


def together(images: Floats, step: int) -> Floats:
    """`step` by `step` pixels of images [n, ny, nx] as one."""
    size = images.shape[-1] // step
    return images.reshape(-1, size, step, size, step).sum(axis=(2, 4))
