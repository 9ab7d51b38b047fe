"""What the headers and energy tables of LAT files say: frame, energy bins, energies of cube planes."""

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sky.readers.files import InputError

Floats = NDArray[np.float64]

# COORDSYS as healpy (G, C, E), gtbin (GAL, EQU, CEL) and gammapy (GAL, CEL) write it; COORDTYPE is GALPROP's
FRAMES = {
    "G": "galactic",
    "GAL": "galactic",
    "GALACTIC": "galactic",
    "C": "equatorial",
    "CEL": "equatorial",
    "EQU": "equatorial",
    "EQUATORIAL": "equatorial",
    "CELESTIAL": "equatorial",
    "ICRS": "equatorial",
}


def header_frame(path: Path, header: fits.Header) -> str | None:
    """Frame of a HEALPix table, 'galactic' or 'equatorial'; None where the header does not say.

    Raises
    ------
    InputError
        If it names any other frame (such as ecliptic).
    """
    text = str(header.get("COORDSYS", header.get("COORDTYPE", ""))).strip().upper()
    if not text:
        return None
    if text not in FRAMES:
        raise InputError(path, f"coordinate frame '{text}' is neither galactic nor equatorial")
    return FRAMES[text]


def resolve_frame(path: Path, in_header: str | None, given: str | None) -> str:
    """Frame of a file from its header and the observation.

    Raises
    ------
    InputError
        If neither says it, or they contradict each other.
    """
    if in_header and given and in_header != given:
        raise InputError(path, f"the header says the frame is {in_header}, the observation says {given}")
    frame = in_header or given
    if frame is None:
        raise InputError(path, "the header has no COORDSYS: say frame = 'galactic' or 'equatorial'")
    return frame


def observed_interval(hdus: fits.HDUList) -> tuple[float, float] | None:
    """First and last second of the good time intervals, mission elapsed time; None where there are none.

    TSTOP of the headers is no substitute: it is the end that was asked for, hours after the last photon.
    """
    if "GTI" not in hdus or not len(hdus["GTI"].data):
        return None
    gti = hdus["GTI"].data
    return float(gti["START"].min()), float(gti["STOP"].max())


def value_unit(header: fits.Header) -> str:
    """Unit of a map's values: `BUNIT`, else that of the first column; empty where the header does not say."""
    return str(header.get("BUNIT", "") or header.get("TUNIT1", "")).strip()


def _column(table: Any, names: tuple[str, ...], default_unit: str) -> Floats | None:
    """The first of some columns a table has, in GeV."""
    for column in table.columns:
        if column.name.upper() in names:
            unit = u.Unit(column.unit) if column.unit else u.Unit(default_unit)
            return np.asarray((table.data[column.name] * unit).to_value(u.GeV), dtype=np.float64)
    return None


def _tables(hdus: fits.HDUList, map_header: fits.Header) -> list[Any]:
    """Tables that may hold the energies of a map, the one its header names first."""
    map_name = map_header.get("EXTNAME", "").upper()
    names = [map_header.get("BANDSHDU", ""), f"{map_name}_BANDS", "EBOUNDS", "ENERGIES", "BANDS"]
    return [hdus[name] for name in dict.fromkeys(n.upper() for n in names if n) if name in hdus]


def energy_edges(path: Path, hdus: fits.HDUList, header: fits.Header, n_channels: int) -> Floats | None:
    """Energy bins of a counts cube, GeV, shape (n_channels, 2); None where the file has no such table.

    Units are the columns' own, keV where they have none (OGIP).

    Raises
    ------
    InputError
        If the table has not one ascending bin a channel.
    """
    for table in _tables(hdus, header):
        low = _column(table, ("E_MIN", "ENERGY_MIN"), "keV")
        high = _column(table, ("E_MAX", "ENERGY_MAX"), "keV")
        if low is not None and high is not None:
            if len(low) != n_channels:
                raise InputError(path, f"{n_channels} channels but {len(low)} energy bins in {table.name}")
            if not (np.all(np.isfinite(low) & np.isfinite(high)) and np.all((low >= 0) & (high > low))):
                raise InputError(path, f"energy bounds in {table.name} are not ascending")
            return np.stack([low, high], axis=-1)
    return None


def node_energies(path: Path, hdus: fits.HDUList, header: fits.Header, n_channels: int) -> Floats | None:
    """Energies of an exposure cube's planes, GeV, shape (n_channels,); None where the file has no such table.

    Units are the column's own, MeV where it has none (gtexpcube2).

    Raises
    ------
    InputError
        If the table has not one positive energy a plane, ascending.
    """
    for table in _tables(hdus, header):
        energies = _column(table, ("ENERGY", "ENERGY_TRUE"), "MeV")
        if energies is not None:
            if len(energies) != n_channels:
                raise InputError(path, f"{n_channels} planes but {len(energies)} energies in {table.name}")
            if not (np.all(np.isfinite(energies)) and energies[0] > 0 and np.all(np.diff(energies) > 0)):
                raise InputError(path, f"energies in {table.name} are not positive and ascending")
            return energies
    edges = energy_edges(path, hdus, header, n_channels)
    return None if edges is None else np.sqrt(edges[:, 0] * edges[:, 1])
