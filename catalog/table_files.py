"""Table files of any origin: FITS, VOTable and ECSV, plain or gzip, known by content, not by name."""

import gzip
import io
import warnings
import zlib
from pathlib import Path

from astropy.io import fits, votable
from astropy.table import Column, Table
from astropy.units import UnitsWarning

from catalog.recognition import has_positions
from sky.readers.files import GZIP_MAGIC, InputError, open_fits


def read_table(path: Path) -> Table:
    """The table of positions in a file; the first one, if it has several.

    Raises
    ------
    InputError
        If it is missing, damaged, none of the formats, or holds no table of plain columns.
    """
    head = _unpacked(path, 4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)
        if head.startswith(b"SIMPLE"):
            tables = _fits_tables(path)
        elif b"<VOTABLE" in head:
            tables = votable_tables(_unpacked(path), path)
        elif head.startswith(b"# %ECSV"):
            tables = [_ecsv_table(path)]
        else:
            raise InputError(path, "not a FITS, VOTable or ECSV table")
    if not tables:
        raise InputError(path, "no table in it")
    table = next((table for table in tables if has_positions(table)), tables[0])
    mixed = [name for name in table.colnames if not isinstance(table[name], Column)]
    if mixed:
        raise InputError(path, f"column '{mixed[0]}' is neither numbers nor text")
    table.convert_bytestring_to_unicode()
    return table


def votable_tables(content: bytes, path: Path) -> list[Table]:
    """All tables of a VOTable, named as the document names them.

    Raises
    ------
    InputError
        If it is damaged, or not a VOTable.
    """
    document = parse_votable(content, path)
    return [table.to_table(use_names_over_ids=True) for table in document.iter_tables()]


def parse_votable(content: bytes, path: Path) -> votable.tree.VOTableFile:
    """A VOTable document; raises as `votable_tables`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return votable.parse(io.BytesIO(content), verify="ignore", invalid="mask")
        except (ValueError, IndexError, SyntaxError) as error:  # SyntaxError: against the standard
            raise InputError(path, f"damaged VOTable ({_first_line(error)})") from None


def _fits_tables(path: Path) -> list[Table]:
    with open_fits(path) as hdus:
        kinds = (fits.BinTableHDU, fits.TableHDU)
        try:
            return [Table.read(hdu) for hdu in hdus if isinstance(hdu, kinds)]
        except (ValueError, TypeError) as error:
            raise InputError(path, f"damaged table ({_first_line(error)})") from None


def _ecsv_table(path: Path) -> Table:
    try:
        return Table.read(_unpacked(path).decode().splitlines(), format="ascii.ecsv")
    except ValueError as error:
        raise InputError(path, f"damaged ECSV table ({_first_line(error)})") from None


def _unpacked(path: Path, size: int = -1) -> bytes:
    try:
        with path.open("rb") as stream:
            if stream.read(2) != GZIP_MAGIC:
                stream.seek(0)
                return stream.read(size)
        with gzip.open(path) as stream:
            return stream.read(size)
    except FileNotFoundError:
        raise InputError(path, "no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(path, f"truncated or damaged gzip file ({error})") from None
    except OSError as error:
        raise InputError(path, error.strerror or type(error).__name__) from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
