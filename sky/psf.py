"""A radially symmetric point-spread function on the sphere."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import healpy as hp
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.special import i0e

Array = NDArray[np.float64]

# Fine in the core (0.07 mdeg steps below 0.01 deg), 0.7 % steps in the wings, out to the antipode.
SEPARATION_DEG: Array = 0.01 * np.sinh(np.linspace(0.0, np.arcsinh(18000.0), 1501))
SEPARATION_DEG[-1] = 180.0
GAUSSIAN_REACH = 9.0  # standard deviations; beyond is less than 1e-17


@dataclass(frozen=True, eq=False)
class RadialPSF:
    """Density of a point source's photons by separation, integrating to 1 over the sphere.

    Attributes
    ----------
    density_per_sr : array [1501]
        On the separations `SEPARATION_DEG`.
    """

    density_per_sr: Array

    @classmethod
    def normalised(cls, density: Array) -> "RadialPSF":
        """Of any non-negative profile on `SEPARATION_DEG`, scaled to integrate to 1."""
        return cls(density / _cumulative(density)[-1])

    def density_sr(self, sep_deg: ArrayLike) -> Array:
        """Photons per steradian at a separation; any shape."""
        return np.interp(np.asarray(sep_deg, float), SEPARATION_DEG, self.density_per_sr)

    @cached_property
    def _containment(self) -> Array:
        return _cumulative(self.density_per_sr)

    def containment(self, sep_deg: ArrayLike) -> Array:
        """Fraction of the photons within a separation; any shape."""
        return np.interp(np.asarray(sep_deg, float), SEPARATION_DEG, self._containment)

    def radius_deg(self, fraction: ArrayLike) -> Array:
        """Radius that contains a fraction of the photons; any shape."""
        return np.interp(np.asarray(fraction, float), self._containment, SEPARATION_DEG)

    def smeared(self, sigma_deg: float) -> "RadialPSF":
        """Convolved with a Gaussian of `sigma_deg` per axis.

        A square pixel of side w blurs by w / sqrt(12) per axis when a density is averaged over it, and by
        w / sqrt(6) when photons are moved to a random place inside it.
        """
        return self if sigma_deg <= 0 else self._averaged(_gaussian_rings(float(sigma_deg)))

    def over_disc(self, radius_deg: float) -> "RadialPSF":
        """Convolved with a uniform disc of `radius_deg`."""
        return self if radius_deg <= 0 else self._averaged(_disc_rings(float(radius_deg)))

    def _averaged(self, weights: csr_array) -> "RadialPSF":
        return RadialPSF.normalised(weights @ self.density_per_sr)

    def pixel_kernel(
        self, pixel_deg: float, half_width_px: int, oversample: int = 5, smear_sigma_deg: float = 0.0
    ) -> Array:
        """Fraction of a source's photons in each tangent-plane pixel round the one it sits at the centre of.

        Parameters
        ----------
        pixel_deg : float
            Side of a pixel.
        half_width_px : int
            The kernel is `2 * half_width_px + 1` pixels wide.
        oversample : int
            Every pixel is the mean over `oversample` squared places in it.
        smear_sigma_deg : float
            Further Gaussian blur, see `smeared`.

        Returns
        -------
        array [ny, nx]
            Sums to the photons inside the kernel (not to 1).
        """
        n = (2 * half_width_px + 1) * oversample
        offset_deg = (np.arange(n) - (n - 1) / 2) * (pixel_deg / oversample)
        density = self.smeared(smear_sigma_deg).density_sr(np.hypot(offset_deg[:, None], offset_deg[None, :]))
        mean = density.reshape(n // oversample, oversample, n // oversample, oversample).mean(axis=(1, 3))
        return mean * np.radians(pixel_deg) ** 2

    def window(self, lmax: int) -> Array:
        """Multipole window b_l, l = 0 .. lmax, with b_0 = 1."""
        bl = hp.beam2bl(self.density_per_sr, np.radians(SEPARATION_DEG), lmax)
        return bl / bl[0]


def _cumulative(density: Array) -> Array:
    """Integral of a profile over the sphere from 0 to each separation."""
    # In 1 - cos the sphere's area element is flat; the half-angle form keeps its digits at small angles.
    area = 4.0 * np.pi * np.sin(np.radians(SEPARATION_DEG) / 2.0) ** 2
    rings = 0.5 * (density[1:] + density[:-1]) * np.diff(area)
    return np.concatenate([[0.0], np.cumsum(rings)])


@lru_cache(maxsize=6)
def _gaussian_rings(sigma_deg: float) -> csr_array:
    """Weight of the ring at each separation (columns) in a Gaussian mean about a point at each (rows).

    In the tangent plane: a Gaussian over the ring's azimuths is a modified Bessel function.
    """
    rings = _Rings.within(GAUSSIAN_REACH * sigma_deg)
    r, other = rings.row_deg, rings.column_deg
    return rings.shares(np.exp(-0.5 * ((r - other) / sigma_deg) ** 2) * i0e(r * other / sigma_deg**2))


@lru_cache(maxsize=2)
def _disc_rings(radius_deg: float) -> csr_array:
    """The same for a uniform disc: the part of the ring that the disc covers, in the tangent plane."""
    rings = _Rings.within(radius_deg)
    r, other = rings.row_deg, rings.column_deg
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = (r**2 + other**2 - radius_deg**2) / (2 * r * other)
    inside = r + other <= radius_deg
    return rings.shares(np.where(inside, np.pi, np.arccos(np.clip(np.nan_to_num(cosine, nan=1), -1, 1))))


@dataclass(frozen=True, eq=False)
class _Rings:
    """Pairs of separations no farther apart than a kernel reaches, row by row: elsewhere it is 0.

    Attributes
    ----------
    first : array of int [1502]
        Number of each row's first pair, and of all.
    row, column : array of int [n_pairs]
    """

    first: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]

    @classmethod
    def within(cls, reach_deg: float) -> "_Rings":
        low = np.searchsorted(SEPARATION_DEG, SEPARATION_DEG - reach_deg)
        high = np.searchsorted(SEPARATION_DEG, SEPARATION_DEG + reach_deg, side="right")
        first = np.concatenate([[0], np.cumsum(high - low)])
        row = np.repeat(np.arange(len(low)), high - low)
        return cls(first, row, np.arange(first[-1]) - (first[:-1] - low)[row])

    @property
    def row_deg(self) -> Array:
        return SEPARATION_DEG[self.row]

    @property
    def column_deg(self) -> Array:
        return SEPARATION_DEG[self.column]

    def shares(self, density: Array) -> csr_array:
        """Shares of rings from weights per area; a kernel too narrow for the grid leaves its point as it is."""
        edges = np.concatenate([[0.0], 0.5 * (SEPARATION_DEG[1:] + SEPARATION_DEG[:-1]), SEPARATION_DEG[-1:]])
        weight = density * np.diff(edges**2)[self.column]
        total = np.add.reduceat(weight, self.first[:-1])[self.row]
        share = np.where(total > 0, weight / np.where(total > 0, total, 1), self.row == self.column)
        size = len(SEPARATION_DEG)
        return csr_array((share, self.column, self.first), shape=(size, size))
