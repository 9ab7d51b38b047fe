"""LAT photon lists (FT1)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sky.frames import icrs_to_galactic
from sky.readers.files import InputError, open_fits
from sky.readers.headers import observed_interval

Floats = NDArray[np.float64]
FRONT_BIT, BACK_BIT = 0, 1


@dataclass(frozen=True)
class PhotonList:
    """Photons, one row each, shape (n,).

    Attributes
    ----------
    path : Path
    glon_deg, glat_deg, energy_gev, time_met_s : ndarray of float64
    front : ndarray of bool
        Converted in the front of the tracker; the others in its back.
    interval_met_s : tuple of float, or None
        First and last second of the good time intervals.
    """

    path: Path
    glon_deg: Floats
    glat_deg: Floats
    energy_gev: Floats
    time_met_s: Floats
    front: NDArray[np.bool_]
    interval_met_s: tuple[float, float] | None


def type_bit(column: NDArray[Any], bit: int) -> NDArray[np.bool_]:
    """One bit of an event type or class column, shape (n,).

    Stored as 32 bits (`32X`) or 32 logicals (`32L`), the most significant first, or as one integer.
    """
    if column.ndim == 2:
        return np.asarray(column[:, column.shape[1] - 1 - bit], dtype=np.bool_)
    return (column.astype(np.int64) >> bit & 1).astype(np.bool_)


def _front(path: Path, data: Any, names: dict[str, str]) -> NDArray[np.bool_]:
    if "EVENT_TYPE" in names:
        event_type = np.asarray(data[names["EVENT_TYPE"]])
        front, back = type_bit(event_type, FRONT_BIT), type_bit(event_type, BACK_BIT)
        if np.any(front == back):
            raise InputError(path, f"{np.sum(front == back)} photons are not either FRONT or BACK")
        return front
    if "CONVERSION_TYPE" in names:
        return np.asarray(data[names["CONVERSION_TYPE"]]) == 0
    raise InputError(path, "neither EVENT_TYPE nor CONVERSION_TYPE in the EVENTS table")


def read_photon_list(path: Path) -> PhotonList:
    """Read an FT1 file.

    Raises
    ------
    InputError
        If it has no EVENTS table, lacks a column, or holds impossible positions or energies.
    """
    with open_fits(path) as hdus:
        if "EVENTS" not in hdus:
            raise InputError(path, "no EVENTS table: not a photon list (FT1)")
        data = hdus["EVENTS"].data
        names = {name.upper(): name for name in hdus["EVENTS"].columns.names}

        def column(name: str) -> Floats:
            if name not in names:
                raise InputError(path, f"no column {name} in the EVENTS table")
            return np.asarray(data[names[name]], dtype=np.float64)

        if {"L", "B"} <= names.keys():
            glon, glat = column("L"), column("B")
        else:
            glon, glat = icrs_to_galactic(column("RA"), column("DEC"))
        energy_gev, time = column("ENERGY") * 1e-3, column("TIME")
        front = _front(path, data, names)
        interval = observed_interval(hdus)
    if not (np.all(np.isfinite(glon)) and np.all(np.abs(glat) <= 90)):
        raise InputError(path, "photons without a position on the sky")
    if not (np.all(np.isfinite(energy_gev)) and np.all(energy_gev > 0)):
        raise InputError(path, "photons without a positive energy")
    if not np.all(np.isfinite(time)):
        raise InputError(path, "photons without a time")
    return PhotonList(path, glon % 360.0, glat, energy_gev, time, front, interval)
