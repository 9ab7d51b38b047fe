"""Galactic and equatorial frames as one fixed rotation, unit vectors, separations and position angles.

Catalogue positions need one rotation and a handful of vector formulas on large arrays; astropy's `SkyCoord`
is exact but slow there, so its own rotation matrix is taken once and used as a plain 3x3 array.
"""

from functools import cache
from typing import cast

import astropy.units as u
import healpy as hp
import numpy as np
from astropy.coordinates import SkyCoord
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
HPX29_NSIDE = 1 << 29


@cache
def galactic_to_icrs_matrix() -> Floats:
    """Rotation of unit vectors from galactic to ICRS, shape (3, 3), as astropy defines it."""
    axes = SkyCoord([0, 90, 0] * u.deg, [0, 0, 90] * u.deg, frame="galactic").icrs
    matrix = cast(Floats, axes.cartesian.xyz.value)
    left, _, right = np.linalg.svd(matrix)  # the nearest exact rotation: astropy's is orthogonal to 3e-15
    matrix = left @ right
    matrix.setflags(write=False)
    return matrix


def unit_vectors(lon_deg: ArrayLike, lat_deg: ArrayLike) -> Floats:
    """Unit vectors of positions.

    Parameters
    ----------
    lon_deg, lat_deg : array_like
        Broadcast against each other; degrees.

    Returns
    -------
    ndarray
        Shape (..., 3).
    """
    lon, lat = np.radians(lon_deg), np.radians(lat_deg)
    cos_lat = np.cos(lat)
    return np.stack(np.broadcast_arrays(cos_lat * np.cos(lon), cos_lat * np.sin(lon), np.sin(lat)), axis=-1)


def lon_lat(vectors: ArrayLike) -> tuple[Floats, Floats]:
    """Longitude in [0, 360) and latitude, degrees, of vectors of any length, shape (..., 3)."""
    x, y, z = np.moveaxis(np.asarray(vectors, dtype=np.float64), -1, 0)
    lon = np.degrees(np.arctan2(y, x)) % 360.0
    # -1e-15 % 360 is 360.0 exactly, which no longitude may be
    return np.where(lon >= 360.0, 0.0, lon), np.degrees(np.arctan2(z, np.hypot(x, y)))


def galactic_to_icrs(glon_deg: ArrayLike, glat_deg: ArrayLike) -> tuple[Floats, Floats]:
    """ICRS right ascension and declination of galactic positions, degrees."""
    return lon_lat(unit_vectors(glon_deg, glat_deg) @ galactic_to_icrs_matrix().T)


def icrs_to_galactic(ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Floats, Floats]:
    """Galactic longitude and latitude of ICRS positions, degrees."""
    return lon_lat(unit_vectors(ra_deg, dec_deg) @ galactic_to_icrs_matrix())


def separation_deg(
    lon1_deg: ArrayLike, lat1_deg: ArrayLike, lon2_deg: ArrayLike, lat2_deg: ArrayLike
) -> Floats:
    """Angle between positions in one frame, degrees; accurate from zero to the antipode.

    Uses atan2 of the chords to the point and to its antipode (Kahan's formula), which the arc cosine and the
    haversine are not at either end.
    """
    a, b = unit_vectors(lon1_deg, lat1_deg), unit_vectors(lon2_deg, lat2_deg)
    near, far = np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)
    return cast(Floats, np.degrees(2 * np.arctan2(near, far)))


def position_angle_deg(
    lon1_deg: ArrayLike, lat1_deg: ArrayLike, lon2_deg: ArrayLike, lat2_deg: ArrayLike
) -> Floats:
    """Position angle of the second position seen from the first: north through east, in [0, 360) degrees.

    East and north are those of the frame in which the positions are given.
    """
    dlon = np.radians(np.subtract(lon2_deg, lon1_deg))
    lat1, lat2 = np.radians(lat1_deg), np.radians(lat2_deg)
    east = np.cos(lat2) * np.sin(dlon)
    north = np.cos(lat1) * np.sin(lat2) - np.sin(lat1) * np.cos(lat2) * np.cos(dlon)
    angle = np.degrees(np.arctan2(east, north)) % 360.0
    return np.where(angle >= 360.0, 0.0, angle)


def galactic_north_angle_deg(glon_deg: ArrayLike, glat_deg: ArrayLike) -> Floats:
    """Equatorial position angle of galactic north, [0, 360) degrees.

    Added to a galactic position angle it gives the equatorial one.
    """
    ra, dec = galactic_to_icrs(glon_deg, glat_deg)
    pole_ra, pole_dec = galactic_to_icrs(0.0, 90.0)
    return position_angle_deg(ra, dec, pole_ra, pole_dec)


def hpx29_icrs(glon_deg: ArrayLike, glat_deg: ArrayLike) -> NDArray[np.int64]:
    """ICRS HEALPix cell, NESTED, order 29, of galactic positions."""
    ra, dec = galactic_to_icrs(glon_deg, glat_deg)
    return np.asarray(hp.ang2pix(HPX29_NSIDE, ra, dec, nest=True, lonlat=True), dtype=np.int64)
