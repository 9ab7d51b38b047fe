"""Opening FITS files that may be missing, cut short, compressed, or something else."""

import gzip
import hashlib
import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning
from astropy.utils.exceptions import AstropyUserWarning

GZIP_MAGIC = b"\x1f\x8b"


class InputError(ValueError):
    """A photon, counts or exposure file that cannot be used; the message names the file and the fault."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path}: {fault}")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes as they are on the disk, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _content(path: Path) -> Any:
    """What astropy is to open: the path, or the bytes unpacked whole, so that a cut is seen at once."""
    with path.open("rb") as stream:
        if stream.read(2) != GZIP_MAGIC:
            return path
    try:
        with gzip.open(path) as stream:
            return io.BytesIO(stream.read())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(path, f"truncated or damaged gzip file ({error})") from None


@contextmanager
def open_fits(path: Path) -> Iterator[fits.HDUList]:
    """Open a FITS file, plain or gzip, whatever its name.

    Raises
    ------
    InputError
        If it is missing, unreadable, cut short, or not FITS.
    """
    try:
        content = _content(path)
        with warnings.catch_warnings():
            # astropy only warns of a file cut short; old LAT headers give harmless warnings of other kinds
            warnings.simplefilter("ignore", VerifyWarning)
            warnings.filterwarnings("error", message=".*truncated", category=AstropyUserWarning)
            warnings.filterwarnings("error", message=".*not multiple of 2880", category=AstropyUserWarning)
            with fits.open(content, lazy_load_hdus=False) as hdus:
                yield hdus
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(path, "no such file") from None
    except AstropyUserWarning as warning:
        raise InputError(path, f"truncated FITS file ({warning})") from None
    except OSError as error:
        fault = error.strerror or "not a FITS file"
        raise InputError(path, fault) from None
