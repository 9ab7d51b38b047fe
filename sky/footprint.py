"""Which part of the sky an observation covers: where it has exposure, in any plane."""

from collections.abc import Sequence

import healpy as hp
import numpy as np
from numpy.typing import NDArray

from sky.exposure import ExposureMaps
from sky.frames import icrs_to_galactic
from sky.tiles import N_TILES, owner

FOOTPRINT_ORDER = 8  # 0.23 deg; exposure maps are no finer than 0.46 deg

Mask = NDArray[np.bool_]


def covered_cells(exposure: ExposureMaps) -> Mask:
    """Which ICRS cells have exposure at their centre, NESTED, shape (12 * 4**FOOTPRINT_ORDER,)."""
    return _exposed(exposure, *icrs_to_galactic(*_centres()))


def cells_of_tiles(tiles: Sequence[int]) -> Mask:
    """Which ICRS cells have their centre in some tiles, NESTED, shape (12 * 4**FOOTPRINT_ORDER,)."""
    return np.isin(owner(*icrs_to_galactic(*_centres())), tiles)


def exposed_tiles(exposure: ExposureMaps) -> list[int]:
    """Tiles that have exposure somewhere."""
    exposed = _exposed(exposure, *_centres())
    return np.flatnonzero(exposed.reshape(N_TILES, -1).any(axis=1)).tolist()


def _centres() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitudes and latitudes of all cells' centres, degrees."""
    return hp.pix2ang(2**FOOTPRINT_ORDER, np.arange(12 * 4**FOOTPRINT_ORDER), nest=True, lonlat=True)


def _exposed(exposure: ExposureMaps, glon: NDArray[np.float64], glat: NDArray[np.float64]) -> Mask:
    # As `ExposureMaps.at` for all planes and slices at once: no term is negative.
    total = exposure.values_cm2_s.sum(axis=(0, 1))
    return np.asarray(hp.get_interp_val(total, glon, glat, nest=True, lonlat=True) > 0)
