"""Exposure files: gtexpcube2 cubes, HEALPix or WCS, and single maps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import healpy as hp
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates

from sky.exposure import MAX_ORDER
from sky.frames import galactic_to_icrs
from sky.readers.files import InputError
from sky.readers.headers import resolve_frame
from sky.readers.healpix import HealpixTable
from sky.readers.maps import read_maps
from sky.readers.wcs import WcsCube

Floats = NDArray[np.float64]
HALF_BIN = 1.6  # ratio of energies


@dataclass(frozen=True)
class ExposureCube:
    """Exposure of one file, galactic, NESTED.

    Attributes
    ----------
    path : Path
    order : int
    nodes_gev : ndarray, shape (n,), or None
        None for a single map, which holds for all energies.
    reach_gev : tuple of float
        Lowest and highest energy for which the file holds: the edges of its bins, or its first and last plane
        and half a wide bin beyond.
    values_cm2_s : ndarray, shape (n, 12 * 4**order)
    """

    path: Path
    order: int
    nodes_gev: Floats | None
    reach_gev: tuple[float, float]
    values_cm2_s: Floats


def read_exposure(path: Path, frame: str | None) -> ExposureCube:
    """Read an exposure file into galactic HEALPix maps of order 7 at most.

    Parameters
    ----------
    path : Path
    frame : {'galactic', 'equatorial'} or None
        As the observation says it.

    Raises
    ------
    InputError
        If the frame is unknown or contradicted, energies are missing, or values are not exposures.
    """
    source = read_maps(path)
    source_frame = resolve_frame(path, source.frame, frame)
    if source.nodes_gev is None and len(source.values) > 1:
        raise InputError(path, f"{len(source.values)} planes but no ENERGIES table")
    if isinstance(source, HealpixTable):
        order, maps = _from_healpix(source, source_frame)
    else:
        order, maps = _from_wcs(source, source_frame)
    if not maps.any():
        raise InputError(path, "the exposure is zero everywhere")
    return ExposureCube(path, order, source.nodes_gev, _reach(source), maps * _cm2_s(source))


def _reach(source: HealpixTable | WcsCube) -> tuple[float, float]:
    if source.nodes_gev is None:
        return 0.0, np.inf
    if source.edges_gev is not None:
        return float(source.edges_gev[0, 0]), float(source.edges_gev[-1, 1])
    return float(source.nodes_gev[0] / HALF_BIN), float(source.nodes_gev[-1] * HALF_BIN)


def _cm2_s(source: HealpixTable | WcsCube) -> float:
    """Factor from the file's unit, cm2 s where it has none (gtexpcube2)."""
    try:
        return float(u.Unit(source.unit or "cm2 s").to("cm2 s"))
    except (ValueError, u.UnitsError):
        raise InputError(source.path, f"unit '{source.unit}' is not one of exposure (cm2 s)") from None


def _require_exposure(path: Path, values: NDArray[Any]) -> None:
    if not np.all(np.isfinite(values)):
        raise InputError(path, "the exposure is not finite everywhere")
    if np.any(values < 0):
        raise InputError(path, "the exposure is negative somewhere")


def _from_healpix(table: HealpixTable, frame: str) -> tuple[int, Floats]:
    if any(pixels is not None for pixels in table.pixels):
        raise InputError(table.path, "the exposure does not cover the whole sky")
    maps = np.array(table.values, dtype=np.float64)
    _require_exposure(table.path, maps)
    if not table.nested:
        maps = maps[:, hp.nest2ring(1 << table.order, np.arange(maps.shape[1]))]
    order = min(table.order, MAX_ORDER)
    maps = maps.reshape(len(maps), 12 << (2 * order), -1).mean(axis=-1)
    if frame == "equatorial":
        nside = 1 << order
        ra, dec = galactic_to_icrs(*hp.pix2ang(nside, np.arange(12 * nside**2), nest=True, lonlat=True))
        maps = np.array([hp.get_interp_val(m, ra, dec, nest=True, lonlat=True) for m in maps])
    return order, maps


def _from_wcs(cube: WcsCube, frame: str) -> tuple[int, Floats]:
    order = int(
        np.clip(np.ceil(np.log2(58.6 / cube.pixel_deg)), 3, MAX_ORDER)
    )  # 58.6 deg: a pixel of order 0
    nside = 1 << order
    lon, lat = hp.pix2ang(nside, np.arange(12 * nside**2), nest=True, lonlat=True)
    if frame == "equatorial":
        lon, lat = galactic_to_icrs(lon, lat)
    x, y = cube.image_pixels(lon, lat)
    on_sky = cube.on_sky()
    _require_exposure(cube.path, cube.values[:, on_sky])
    # beyond the border of an oval map go on with the nearest pixel that is on the sky, then interpolate
    nearest = distance_transform_edt(~on_sky, return_distances=False, return_indices=True)
    maps = [
        map_coordinates(image[tuple(nearest)], [y, x], order=1, mode="nearest")
        for image in cube.values.astype(np.float64)
    ]
    return order, np.array(maps)
