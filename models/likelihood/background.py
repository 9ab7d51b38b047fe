"""The background of a tile, estimated from its counts alone.

Photons are shared out between the sources found so far and the background (expectation maximisation for a
mixture; Dempster, Laird and Rubin 1977): the background's share, smoothed, is the next background. No template
of interstellar emission enters, so the estimate serves any sky.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Images = NDArray[np.float32]

FLOOR = 1e-6  # counts a pixel: keeps logarithms finite where no photon is near


@dataclass(frozen=True)
class Smoother:
    """Gaussian smoothing of square images, corrected for what lies outside them.

    A Gaussian is separable, and so is its share inside a square: two small matrix products smooth, interpolate
    and correct at once.

    Attributes
    ----------
    npix : int
        Pixels on a side.
    pixel_deg : float
    """

    npix: int
    pixel_deg: float

    def smooth(self, image: Images, sigma_deg: float) -> Images:
        """Local mean of images [..., ny, nx] with Gaussian weights."""
        step = self._step(sigma_deg)
        rows = _matrix(self, sigma_deg, step)
        # Rows are added up as they lie in memory; along them a product is faster than a strided sum.
        lines = image.reshape(*image.shape[:-2], -1, step, self.npix).sum(axis=-2)
        mean = rows @ ((lines @ _blocks(self.npix, step)) @ rows.T)
        return np.maximum(mean, FLOOR, out=mean)

    def photons(self, mean: Images, sigma_deg: float) -> Images:
        """Photons that a local mean rests on: those within the kernel's effective area."""
        return mean * np.float32(4 * np.pi * (sigma_deg / self.pixel_deg) ** 2)

    def _step(self, sigma_deg: float) -> int:
        """Pixels may first be summed in blocks well below the kernel's width."""
        fits = [s for s in (8, 4, 3, 2) if self.npix % s == 0 and s * self.pixel_deg <= 0.45 * sigma_deg]
        return fits[0] if fits else 1


@lru_cache(maxsize=64)
def _matrix(smoother: Smoother, sigma_deg: float, step: int) -> NDArray[np.float32]:
    """Weights of blocks of `step` pixels [n_blocks] in the mean at every pixel [npix]."""
    at = np.arange(smoother.npix) + 0.5
    edges = np.arange(0, smoother.npix + 1, step)
    scaled = (edges[None, :] - at[:, None]) * smoother.pixel_deg / (np.sqrt(2) * sigma_deg)
    weights = np.diff(erf(scaled), axis=1)
    return (weights / weights.sum(axis=1, keepdims=True) / step).astype(np.float32)


@lru_cache(maxsize=16)
def _blocks(npix: int, step: int) -> NDArray[np.float32]:
    """Sums pixels [npix] into blocks [npix / step] when multiplied."""
    return np.repeat(np.eye(npix // step, dtype=np.float32), step, axis=0)


@dataclass(frozen=True)
class BackgroundScales:
    """How finely the background is followed.

    Attributes
    ----------
    widths_deg : tuple of float
        Gaussian kernels of the shape that all planes share, from wide to narrow.
    structure : float
        Relative rms, at each width, of the structure of interstellar emission where that outshines everything:
        where the background is far above the sky's mean.
    spectrum_deg : float
        Kernel for the share of each plane, which has few photons and changes slowly.
    """

    widths_deg: tuple[float, ...] = (1.5, 0.8, 0.4)
    structure: float = 0.2
    spectrum_deg: float = 3.0


def estimate(smoother: Smoother, counts: Images, mean: float, scales: BackgroundScales) -> Images:
    """Smooth images [n_planes, ny, nx] into a background, counts a pixel.

    From each width to the next narrower one the difference is shrunk by the Wiener factor: variance of the
    structure over that plus the Poisson variance of the narrower mean. So the background is followed closely in
    the Galactic plane and averaged widely at high latitude.

    Parameters
    ----------
    smoother : Smoother
    counts : array [n_planes, ny, nx]
    mean : float
        Counts a pixel of all planes, averaged over the whole sky.
    scales : BackgroundScales
    """
    total = counts.sum(axis=0)
    planes = smoother.smooth(counts, scales.spectrum_deg)
    widest, *narrower = scales.widths_deg
    shape = smoother.smooth(total, widest)
    for width in narrower:
        structure = np.float32(scales.structure) * shape / (shape + np.float32(mean))
        signal = structure**2 * smoother.photons(shape, width)
        shape += (smoother.smooth(total, width) - shape) * (signal / (1 + signal))
    planes *= shape / planes.sum(axis=0)
    return planes
