"""Positions with Gaussian errors: error ellipses as covariances, their densities and their combination.

Offsets and covariances live in the tangent plane at a position, axes east and north (ICRS), square degrees.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sky.frames import lon_lat, unit_vectors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

UNKNOWN_SIGMA_DEG = 0.1
"""Taken where a catalogue gives no position error, mostly for extended sources."""


@dataclass(frozen=True)
class Positions:
    """Positions with Gaussian errors, n of each.

    Attributes
    ----------
    ra_deg, dec_deg : ndarray, shape (n,)
    covariance_deg2 : ndarray, shape (n, 2, 2)
        In the tangent plane, axes east and north.
    """

    ra_deg: Floats
    dec_deg: Floats
    covariance_deg2: Floats

    @classmethod
    def from_ellipses(
        cls,
        ra_deg: ArrayLike,
        dec_deg: ArrayLike,
        semimajor_deg: ArrayLike,
        semiminor_deg: ArrayLike,
        posang_deg: ArrayLike,
        containment: float,
    ) -> Self:
        """Positions from error ellipses of one containment (0.95, say), angles east of north; NaN for none.

        An ellipse without a position angle is taken as a circle of the same area.
        """
        scale = 1 / np.sqrt(-2 * np.log1p(-containment))
        major, minor, angle = (
            np.array(values, dtype=np.float64) for values in (semimajor_deg, semiminor_deg, posang_deg)
        )
        unknown = ~(np.isfinite(major) & np.isfinite(minor))
        major, minor = (np.where(unknown, UNKNOWN_SIGMA_DEG, values * scale) for values in (major, minor))
        circle = ~np.isfinite(angle)
        major, minor = (np.where(circle, np.sqrt(major * minor), values) for values in (major, minor))
        radians = np.radians(np.where(circle, 0.0, angle))
        along = np.stack([np.sin(radians), np.cos(radians)], axis=-1)
        across = np.stack([np.cos(radians), -np.sin(radians)], axis=-1)
        covariance = sum(
            (axis**2)[:, None, None] * direction[:, :, None] * direction[:, None, :]
            for axis, direction in ((major, along), (minor, across))
        )
        return cls(np.asarray(ra_deg, np.float64), np.asarray(dec_deg, np.float64), np.asarray(covariance))

    @classmethod
    def empty(cls) -> Self:
        """No position at all."""
        return cls(np.empty(0), np.empty(0), np.empty((0, 2, 2)))

    @classmethod
    def concatenate(cls, parts: list[Self]) -> Self:
        """Several lists as one."""
        names = ("ra_deg", "dec_deg", "covariance_deg2")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def take(self, which: ArrayLike) -> Self:
        """Some of the positions, by index or mask."""
        rows = np.asarray(which)
        return type(self)(self.ra_deg[rows], self.dec_deg[rows], self.covariance_deg2[rows])

    @property
    def vectors(self) -> Floats:
        """Unit vectors, shape (n, 3)."""
        return unit_vectors(self.ra_deg, self.dec_deg).reshape(-1, 3)

    @property
    def area_deg2(self) -> Floats:
        """Area of the one sigma ellipse over pi, shape (n,)."""
        return np.asarray(np.sqrt(np.linalg.det(self.covariance_deg2)))

    def __len__(self) -> int:
        return len(self.ra_deg)


def tangent_axes(positions: Positions) -> Floats:
    """Unit vectors to the east and to the north, shape (n, 2, 3)."""
    ra, dec = np.radians(positions.ra_deg), np.radians(positions.dec_deg)
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    return np.stack([east, north], axis=1)


def offsets_deg(origins: Positions, targets: Positions) -> Floats:
    """Offsets, east and north, of targets from origins, one to one; shape (n, 2). For small separations."""
    return np.degrees(np.einsum("nad,nd->na", tangent_axes(origins), targets.vectors))


def separation_density_deg2(first: Positions, second: Positions) -> Floats:
    """Gaussian density, a square degree, of the second place if both are one source; one to one.

    The covariance is the sum of both (Budavari & Szalay 2008, ApJ 679, 301, for two catalogues).
    """
    offset = offsets_deg(first, second)
    covariance = first.covariance_deg2 + second.covariance_deg2
    chi2 = np.einsum("na,na->n", offset, np.linalg.solve(covariance, offset[..., None])[..., 0])
    return np.asarray(np.exp(-chi2 / 2) / (2 * np.pi * np.sqrt(np.linalg.det(covariance))))


def combined(first: Positions, second: Positions) -> Positions:
    """The position of sources seen twice with independent errors: the product of both Gaussians; one to one."""
    gain = first.covariance_deg2 @ np.linalg.inv(first.covariance_deg2 + second.covariance_deg2)
    shift = np.einsum("nab,nb->na", gain, offsets_deg(first, second))
    moved = first.vectors + np.radians(np.einsum("na,nad->nd", shift, tangent_axes(first)))
    return Positions(*lon_lat(moved), first.covariance_deg2 - gain @ first.covariance_deg2)
