"""Binary tables with every column described, and the same bytes each time they are written.

astropy writes the keywords it knows (TTYPE, TFORM, TUNIT, TDISP) column by column and pushes all others
behind the last column; so headers are made plain first, and described in a second pass. The rows go to the file
some at a time: a table is never there twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import SEEK_END, BytesIO
from pathlib import Path
from textwrap import shorten
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits

from catalog.formats.binary_rows import binary_rows
from catalog.formats.fits_checksum import checksum_text, ones_complement, words_sum

CARD_WIDTH = 80
COLUMN_KEYWORDS = ("TTYPE", "TFORM", "TUNIT", "TDISP", "TDIM")

BLOCK_BYTES = 2880
BINARY = {"A": "S", "L": "S1", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}

Card = tuple[str, Any, str]
# Descriptions may go on in CONTINUE cards.
LONG_STRINGS: Card = ("LONGSTRN", "OGIP 1.0", "The OGIP long string convention may be used")


@dataclass(frozen=True)
class TableColumn:
    """One column of a FITS table.

    Attributes
    ----------
    name, form, text, ucd : str
        TTYPE, TFORM, TCOMM and TUCD.
    values : array_like, shape (n_rows, ...)
    unit, display : str
        TUNIT and TDISP; empty for none.
    cards : sequence of (keyword without the column's number, value, comment)
        Further keywords of the column.
    """

    name: str
    form: str
    text: str
    ucd: str
    values: Any
    unit: str = ""
    display: str = ""
    cards: Sequence[Card] = ()

    @property
    def binary(self) -> str:
        """NumPy's type of an element as it stands in the file."""
        letter = self.form[-1]
        return BINARY[letter] + (self.form[:-1] or "1" if letter == "A" else "")

    def plain(self) -> fits.Column:
        """The column as astropy knows it, without its rows."""
        values = np.asarray(self.values)[:0]
        # FITS counts axes from the fastest: (bands, 2) is (2, bands) there.
        dim = f"({','.join(str(n) for n in reversed(values.shape[1:]))})" if values.ndim > 2 else None
        unit, display = self.unit or None, self.display or None
        return fits.Column(self.name, self.form, unit=unit, disp=display, dim=dim, array=values)


@dataclass(frozen=True)
class TableHDU:
    """A binary table: name (its case is kept), columns, and header cards."""

    name: str
    columns: Sequence[TableColumn]
    cards: Sequence[Card] = ()
    history: Sequence[str] = field(default=())


def write_tables(path: Path, primary: Sequence[Card], tables: Sequence[TableHDU], date: str) -> None:
    """Write tables with checksums; `date` is the only date in the file."""
    first = fits.PrimaryHDU().header
    _set(first, primary)
    with path.open("wb") as stream:
        _write_hdu(stream, first, (), date)
        for table in tables:
            columns = [np.asarray(column.values) for column in table.columns]
            rows = binary_rows([column.binary for column in table.columns], columns)
            _write_hdu(stream, _header(table, date), rows, date)


def _write_hdu(stream: BinaryIO, header: fits.Header, parts: Iterable[memoryview], date: str) -> None:
    # The checksums' places, so that nothing moves when they are known.
    header["CHECKSUM"] = ("0" * 16, date)
    header["DATASUM"] = ("0", date)
    start = stream.tell()
    stream.write(_bytes(header))
    size = total = 0
    for part in parts:
        total += words_sum(part)
        size += stream.write(part)
    stream.write(b"\0" * (-size % BLOCK_BYTES))
    header["DATASUM"] = str(ones_complement(total))
    header["CHECKSUM"] = checksum_text(total + words_sum(_bytes(header)))
    stream.seek(start)
    stream.write(_bytes(header))
    stream.seek(0, SEEK_END)


def _bytes(header: fits.Header) -> bytes:
    text: str = header.tostring(padding=True)
    return text.encode("ascii")


def _header(table: TableHDU, date: str) -> fits.Header:
    """The header of a table, its number of rows included."""
    n_rows = len(table.columns[0].values)
    buffer = BytesIO()
    plain = fits.BinTableHDU.from_columns([c.plain() for c in table.columns], nrows=0)
    fits.HDUList([fits.PrimaryHDU(), plain]).writeto(buffer)
    buffer.seek(0)
    with fits.open(buffer, lazy_load_hdus=False) as hdus:
        header = hdus[1].header
    for number, column in enumerate(table.columns, start=1):
        _describe(header, number, column)
    _set(header, [("EXTNAME", table.name, "Name of this table"), *table.cards])
    _set(header, [("DATE", date, "Date of the release (UTC)"), LONG_STRINGS])
    for line in table.history:
        header["HISTORY"] = line
    header["NAXIS2"] = n_rows
    return header


def _set(header: fits.Header, cards: Sequence[Card]) -> None:
    for keyword, value, comment in cards:
        if value is not None:
            header[keyword] = (value, comment)


def _describe(header: fits.Header, number: int, column: TableColumn) -> None:
    """Put the keywords astropy does not know behind those it does, column by column."""
    room = CARD_WIDTH - len("KEYWORD = ") - max(20, len(column.name) + 2) - len(" / ")
    header.comments[f"TTYPE{number}"] = shorten(column.text, room, placeholder=" ...")  # TCOMM has it whole
    last = [f"{keyword}{number}" for keyword in COLUMN_KEYWORDS if f"{keyword}{number}" in header][-1]
    for keyword, value, comment in (("TCOMM", column.text, ""), ("TUCD", column.ucd, ""), *column.cards):
        header.set(f"{keyword}{number}", value, comment or None, after=last)
        last = f"{keyword}{number}"
