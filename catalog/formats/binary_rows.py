"""Rows of tables in bytes, as FITS and VOTable both have them: cell after cell, big-endian, text filled with zeros."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.characters import encode

ROWS_AT_ONCE = 3 * 2048  # whole words, as checksums want them, and whole units of base64


def binary_rows(
    kinds: Sequence[str], columns: Sequence[NDArray[Any]], ahead_bytes: int = 0
) -> Iterator[memoryview]:
    """The rows of a table, some at a time.

    Parameters
    ----------
    kinds : sequence of str
        NumPy's type of an element of each column, as it shall stand there.
    columns : sequence of array, shape (n_rows, ...)
    ahead_bytes : int
        Zeros before each row.
    """
    cells = [
        (str(k), kind, column.shape[1:]) for k, (kind, column) in enumerate(zip(kinds, columns, strict=True))
    ]
    record = np.dtype([("ahead", f"V{ahead_bytes}"), *cells])
    for first in range(0, len(columns[0]), ROWS_AT_ONCE):
        parts = [column[first : first + ROWS_AT_ONCE] for column in columns]
        rows = np.zeros(len(parts[0]), record)
        for (name, _, _), part in zip(cells, parts, strict=True):
            rows[name] = _cells(part, record[name])
        yield rows.view(np.uint8).data


def _cells(part: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    """Cells that NumPy puts into the file's type without more ado: of a logical or a text it would make objects."""
    if part.dtype.kind == "b":
        return np.where(part, b"T", b"F")
    return encode(part, kind.itemsize) if part.dtype.kind == "U" else part
