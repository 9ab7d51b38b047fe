"""Exposure of every plane on the sphere: effective area times live time, averaged over the band."""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import healpy as hp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sky.survey import Survey

Floats = NDArray[np.float64]
MAX_ORDER = 7  # exposure varies over tens of degrees; finer maps than 0.46 deg say nothing more


@dataclass(frozen=True, eq=False)
class ExposureMaps:
    """Exposure maps of an observation, galactic, NESTED.

    Attributes
    ----------
    survey : Survey
    order : int
        HEALPix order of the maps.
    values_cm2_s : ndarray of float64, shape (n_planes, n_slices, 12 * 4**order)
        `n_slices` is 1 where the exposure is not given by time slice.
    """

    survey: Survey
    order: int
    values_cm2_s: Floats

    @property
    def n_slices(self) -> int:
        """Length of the slice axis."""
        return int(self.values_cm2_s.shape[1])

    @cached_property
    def _summed(self) -> Floats:
        # Added up once: every tile asks.
        return cast(Floats, self.values_cm2_s.sum(axis=1))

    def map(self, plane: int, time_slice: int | None = None) -> Floats:
        """Exposure map of a plane, cm2 s, shape (12 * 4**order,): of one slice, or of all together."""
        return self._summed[plane] if time_slice is None else self.values_cm2_s[plane, time_slice]

    def at(
        self, plane: int, glon_deg: ArrayLike, glat_deg: ArrayLike, time_slice: int | None = None
    ) -> Floats:
        """Exposure at galactic positions, cm2 s, interpolated between the four nearest pixel centres."""
        lon, lat = np.broadcast_arrays(glon_deg, glat_deg)
        found = hp.get_interp_val(self.map(plane, time_slice), lon, lat, nest=True, lonlat=True)
        return np.reshape(found, lon.shape)  # healpy gives a number for one position in an array

    def of_planes(self, glon_deg: ArrayLike, glat_deg: ArrayLike) -> Floats:
        """As `at` for every plane, [n, n_planes], at positions [n]."""
        return self._interpolated(self._summed, glon_deg, glat_deg)

    def of_slices(self, glon_deg: ArrayLike, glat_deg: ArrayLike) -> Floats:
        """As `at` for every plane and slice, [n, n_planes, n_slices], at positions [n]."""
        return self._interpolated(self.values_cm2_s, glon_deg, glat_deg)

    def _interpolated(self, maps: Floats, glon_deg: ArrayLike, glat_deg: ArrayLike) -> Floats:
        """Maps [..., npix] at positions [n], [n, ...]: pixels and weights are looked up once for all maps."""
        pixels, weights = hp.get_interp_weights(1 << self.order, glon_deg, glat_deg, nest=True, lonlat=True)
        return np.moveaxis((maps[..., pixels] * weights).sum(axis=-2), -1, 0)
