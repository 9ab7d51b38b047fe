"""All-sky images and cubes with a celestial projection: CAR, AIT, HPX and the others of astropy's WCS."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area, proj_plane_pixel_scales
from numpy.typing import NDArray

from sky.readers.files import InputError
from sky.readers.headers import energy_edges, node_energies, observed_interval, value_unit

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WcsCube:
    """Images of one file on one celestial grid.

    Attributes
    ----------
    path : Path
    wcs : WCS
        Celestial axes only.
    frame : str
        'galactic' or 'equatorial'.
    values : ndarray, shape (n_channels, ny, nx)
        As stored, unchecked.
    edges_gev : ndarray, shape (n_channels, 2), or None
    nodes_gev : ndarray, shape (n_channels,), or None
    unit : str
        Of the values, as the header says it.
    interval_met_s : tuple of float, or None
        First and last second of the good time intervals.
    """

    path: Path
    wcs: WCS
    frame: str
    values: NDArray[Any]
    edges_gev: Floats | None
    nodes_gev: Floats | None
    unit: str
    interval_met_s: tuple[float, float] | None

    @property
    def pixel_deg(self) -> float:
        """Side of a pixel where the projection is true, degrees."""
        return float(np.sqrt(proj_plane_pixel_area(self.wcs)))

    @property
    def resolution(self) -> str:
        """How fine the image is, in words."""
        return f"pixels of {self.pixel_deg:.3g} deg"

    def sky(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Longitude and latitude, degrees, of 0-based pixel coordinates; NaN off the sky."""
        lon, lat = self.wcs.wcs_pix2world(x, y, 0)
        # wcslib goes on beyond the border of CAR and AIT: only a place that projects back to itself is real
        back_x, back_y = self.wcs.wcs_world2pix(lon, lat, 0)
        period = 360.0 / float(proj_plane_pixel_scales(self.wcs)[0])
        dx = np.abs(back_x - x)
        real = (np.minimum(dx, np.abs(dx - period)) < 0.01) & (np.abs(back_y - y) < 0.01)
        return np.where(real, lon, np.nan), np.where(real, lat, np.nan)

    def on_sky(self) -> NDArray[np.bool_]:
        """Which pixels have their centre on the sky, [ny, nx]: the corners of an oval map have not."""
        ny, nx = self.values.shape[1:]
        x, y = np.meshgrid(np.arange(nx, dtype=np.float64), np.arange(ny, dtype=np.float64))
        return np.isfinite(self.sky(x.ravel(), y.ravel())[0]).reshape(ny, nx)

    def image_pixels(self, lon_deg: Floats, lat_deg: Floats) -> tuple[Floats, Floats]:
        """0-based pixel coordinates of positions in the file's frame, whole turns of longitude taken out."""
        x, y = self.wcs.wcs_world2pix(lon_deg, lat_deg, 0)
        period, nx = 360.0 / float(proj_plane_pixel_scales(self.wcs)[0]), self.values.shape[2]
        x = np.where(x < -0.5, x + period, x)
        return np.where(x > nx - 0.5, x - period, x), y


def is_image(hdu: Any) -> bool:
    """Whether an HDU is an image with celestial axes."""
    return bool(
        isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU)
        and hdu.header.get("NAXIS", 0) >= 2
        and str(hdu.header.get("CTYPE1", ""))[:4].strip("-") in ("GLON", "GLAT", "RA", "DEC")
    )


def read_wcs(path: Path, hdus: fits.HDUList, hdu: Any) -> WcsCube:
    """Read the image or cube `hdu` of an open file.

    Raises
    ------
    InputError
        If the axes are not longitude, latitude and at most energy, or the map does not cover the sky.
    """
    celestial = WCS(hdu.header, naxis=2)
    if not celestial.has_celestial:
        raise InputError(path, "an image without a celestial projection")
    values = np.asarray(hdu.data)
    values = values.reshape((-1, *values.shape[-2:]))
    kinds = {ctype[:4].strip("-") for ctype in celestial.wcs.ctype}
    cube = WcsCube(
        path=path,
        wcs=celestial,
        frame="galactic" if "GLON" in kinds else "equatorial",
        values=values,
        edges_gev=energy_edges(path, hdus, hdu.header, len(values)),
        nodes_gev=node_energies(path, hdus, hdu.header, len(values)),
        unit=value_unit(hdu.header),
        interval_met_s=observed_interval(hdus),
    )
    _require_whole_sky(cube)
    return cube


def _require_whole_sky(cube: WcsCube) -> None:
    ny, nx = cube.values.shape[1:]
    lon, lat = np.meshgrid(np.arange(0.5, 360.0, 5.0), np.arange(-87.5, 90.0, 5.0))
    x, y = cube.image_pixels(lon, lat)
    inside = (x >= -0.5) & (x <= nx - 0.5) & (y >= -0.5) & (y <= ny - 0.5)
    if not inside.all():
        raise InputError(cube.path, f"the map covers only {inside.mean():.0%} of the sky")
