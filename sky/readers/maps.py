"""Whatever maps a FITS file holds: HEALPix table or image."""

from pathlib import Path

from sky.readers.files import InputError, open_fits
from sky.readers.healpix import HealpixTable, is_healpix, read_healpix
from sky.readers.wcs import WcsCube, is_image, read_wcs


def read_maps(path: Path) -> HealpixTable | WcsCube:
    """Read the first HEALPix table or celestial image of a file.

    Raises
    ------
    InputError
        If the file cannot be read or holds neither.
    """
    with open_fits(path) as hdus:
        for hdu in hdus:
            if is_healpix(hdu):
                return read_healpix(path, hdus, hdu)
            if is_image(hdu):
                return read_wcs(path, hdus, hdu)
        if "EVENTS" in hdus:
            raise InputError(path, "a photon list: name it under [[events]]")
        raise InputError(path, "neither a HEALPix table nor an image of the sky")
