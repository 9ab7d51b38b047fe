"""HEALPix tables: gtbin and gtexpcube2 cubes, healpy's and gammapy's maps.

They differ in little: how many values stand in a row, whether the pixel is the row's number or a `PIX` column
(`INDXSCHM`), what the columns are called, where the energies are. The conventions are those of the
gamma-astro-data-formats (section "HEALPix formats") and of healpy's `write_map`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import healpy as hp
import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sky.readers.files import InputError
from sky.readers.headers import energy_edges, header_frame, node_energies, observed_interval, value_unit

INDEX_COLUMNS = ("PIX", "PIXEL", "HPX_INDEX")


@dataclass(frozen=True)
class HealpixTable:
    """HEALPix maps of one file.

    Attributes
    ----------
    path : Path
    order : int
    nested : bool
        Numbering of the pixels.
    frame : str or None
        As the header says it.
    pixels : tuple of (ndarray of int64, or None)
        A channel: pixel of each value, in the file's numbering; None where value i belongs to pixel i.
    values : tuple of ndarray
        A channel: as stored, unchecked.
    edges_gev : ndarray, shape (n_channels, 2), or None
    nodes_gev : ndarray, shape (n_channels,), or None
    unit : str
        Of the values, as the header says it.
    interval_met_s : tuple of float, or None
        First and last second of the good time intervals.
    """

    path: Path
    order: int
    nested: bool
    frame: str | None
    pixels: tuple[NDArray[np.int64] | None, ...]
    values: tuple[NDArray[Any], ...]
    edges_gev: NDArray[np.float64] | None
    nodes_gev: NDArray[np.float64] | None
    unit: str
    interval_met_s: tuple[float, float] | None

    @property
    def resolution(self) -> str:
        """How fine the map is, in words."""
        return f"NSIDE {1 << self.order}"

    def filled(self, channel: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """NESTED pixels and values of a channel, empty pixels left out."""
        values = self.values[channel]
        where = np.flatnonzero(values)
        pixels = self.pixels[channel]
        ipix = where if pixels is None else pixels[where]
        if not self.nested:
            ipix = hp.ring2nest(1 << self.order, ipix)
        return ipix.astype(np.int64), values[where]


def is_healpix(hdu: Any) -> bool:
    """Whether an HDU is a HEALPix table (old files lack `PIXTYPE`)."""
    return isinstance(hdu, fits.BinTableHDU) and (
        str(hdu.header.get("PIXTYPE", "")).strip().upper() == "HEALPIX" or "ORDERING" in hdu.header
    )


def _order(path: Path, header: fits.Header, n_values: int, whole_sky: bool) -> int:
    nside = header.get("NSIDE")
    if nside is None:
        if not (whole_sky and hp.isnpixok(n_values)):
            raise InputError(path, f"no NSIDE, and {n_values} values are no HEALPix map")
        nside = hp.npix2nside(n_values)
    if not isinstance(nside, int) or not hp.isnsideok(nside, nest=True):
        raise InputError(path, f"NSIDE {nside} is not a power of two")
    if whole_sky and n_values != hp.nside2npix(nside):
        raise InputError(path, f"{n_values} values, but NSIDE {nside} has {hp.nside2npix(nside)} pixels")
    return int(nside).bit_length() - 1


def _sparse(
    path: Path, hdu: Any, names: dict[str, str]
) -> tuple[list[NDArray[np.int64]], list[NDArray[Any]]]:
    """Channels of a table of (pixel, channel, value) rows, as gammapy's `sparse=True` writes it."""
    ipix, values = np.asarray(hdu.data[names["PIX"]], dtype=np.int64), hdu.data[names["VALUE"]]
    if "CHANNEL" not in names:
        return [ipix], [values]
    channel = np.asarray(hdu.data[names["CHANNEL"]])
    bands = hdu.header.get("NBANDS", int(channel.max(initial=0)) + 1)
    if channel.size and channel.min() < 0:
        raise InputError(path, "negative channel number")
    return [ipix[channel == c] for c in range(bands)], [values[channel == c] for c in range(bands)]


def read_healpix(path: Path, hdus: fits.HDUList, hdu: Any) -> HealpixTable:
    """Read the HEALPix table `hdu` of an open file.

    Raises
    ------
    InputError
        If NSIDE, length, ordering or pixel numbers make no sense.
    """
    header = hdu.header
    ordering = str(header.get("ORDERING", "")).strip().upper()
    if ordering not in ("RING", "NESTED", "NEST"):
        raise InputError(path, "the header does not say whether pixels are RING or NESTED (ORDERING)")
    names = {name.upper(): name for name in hdu.columns.names}
    scheme = str(header.get("INDXSCHM", "IMPLICIT")).strip().upper()
    index = next((names[n] for n in INDEX_COLUMNS if n in names), None)

    pixels: list[NDArray[np.int64] | None]
    if scheme == "SPARSE":
        if not {"PIX", "VALUE"} <= set(names):
            raise InputError(path, "a SPARSE HEALPix table without the columns PIX and VALUE")
        sparse_pixels, values = _sparse(path, hdu, names)
        pixels = list(sparse_pixels)
    else:
        values = [np.ravel(hdu.data[name]) for name in hdu.columns.names if name != index]
        explicit = None if index is None else np.ravel(hdu.data[index]).astype(np.int64)
        pixels = [explicit] * len(values)
    if not values:
        raise InputError(path, "a HEALPix table without maps")
    order = _order(path, header, len(values[0]), whole_sky=pixels[0] is None)
    for ipix in {id(p): p for p in pixels if p is not None}.values():
        if ipix.size and (ipix.min() < 0 or ipix.max() >= 12 << (2 * order)):
            raise InputError(path, f"pixel numbers outside NSIDE {1 << order}")
        if (np.diff(np.sort(ipix)) == 0).any():  # np.unique takes ten times as long
            raise InputError(path, "a pixel stands twice in the table")
    return HealpixTable(
        path=path,
        order=order,
        nested=ordering != "RING",
        frame=header_frame(path, header),
        pixels=tuple(pixels),
        values=tuple(values),
        edges_gev=energy_edges(path, hdus, header, len(values)),
        nodes_gev=node_energies(path, hdus, header, len(values)),
        unit=value_unit(header),
        interval_met_s=observed_interval(hdus),
    )
