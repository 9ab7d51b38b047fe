"""Binary tables with every column described, and the same bytes each time they are written.

astropy writes the keywords it knows (TTYPE, TFORM, TUNIT, TDISP) column by column and pushes all others
behind the last column; so tables are made plain first, and described in a second pass that leaves the data as
they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
from astropy.io import fits

CARD_WIDTH = 80
COLUMN_KEYWORDS = ("TTYPE", "TFORM", "TUNIT", "TDISP", "TDIM")

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

    def plain(self) -> fits.Column:
        """The column as astropy knows it."""
        values = np.asarray(self.values)
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
    plain = [fits.BinTableHDU.from_columns([c.plain() for c in table.columns]) for table in tables]
    buffer = BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *plain]).writeto(buffer)
    buffer.seek(0)
    with fits.open(buffer, lazy_load_hdus=False) as hdus:
        _set(hdus[0].header, primary)
        for hdu, table in zip(hdus[1:], tables, strict=True):
            for number, column in enumerate(table.columns, start=1):
                _describe(hdu.header, number, column)
            _set(hdu.header, [("EXTNAME", table.name, "Name of this table"), *table.cards])
            _set(hdu.header, [("DATE", date, "Date of the release (UTC)"), LONG_STRINGS])
            for line in table.history:
                hdu.header["HISTORY"] = line
        for hdu in hdus:
            hdu.add_datasum(when=date)
            hdu.add_checksum(when=date)
        with path.open("wb") as stream:
            hdus.writeto(stream)


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
