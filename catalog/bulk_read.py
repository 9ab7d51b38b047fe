"""A catalogue's columns out of the view `catalogue`, fast: rows of one length, read as one array.

PostgreSQL's binary COPY writes each value with its length. Where no value is NULL and every one has its column's
length, a row is a structure of fixed size and NumPy reads all of them at once; no Python object is made for a value.
So NULL becomes NaN, a cell with a shape becomes its elements, and text becomes bytes filled up with zeros.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from catalog.columns import Column

HEADER_BYTES, TRAILER_BYTES = 19, 2
# Single precision is made here: PostgreSQL refuses what is too small for it.
_BINARY = {
    "real": (">f8", "double precision"),
    "double": (">f8", "double precision"),
    "integer": (">i4", "integer"),
    "long": (">i8", "bigint"),
}


class ReadError(ValueError):
    """Rows that do not have the declared columns."""


def read_columns(conn: Connection, version: str, columns: Sequence[Column]) -> dict[str, NDArray[Any]]:
    """Columns of a release by name, one row a source by right ascension, in their declared types.

    Raises
    ------
    ReadError
        If a text is wider than its column.
    """
    fields = [field for column in columns for field in _fields(column)]
    row = np.dtype(
        [("count", ">i2"), *((f"{k}{name}", t) for k, (_, t) in enumerate(fields) for name, t in _cell(t))]
    )
    query = f"SELECT {', '.join(sql for sql, _ in fields)} FROM catalogue WHERE version = %s"
    copy = f"COPY ({query} ORDER BY raj2000, dej2000, source_name) TO STDOUT (FORMAT binary)"
    driver = conn.connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor, cursor.copy(copy, (version,)) as stream:
        data = b"".join(stream)
    body = len(data) - HEADER_BYTES - TRAILER_BYTES
    if body % row.itemsize:
        raise ReadError(f"release {version}: the rows of the view are not as long as its columns say")
    rows = np.frombuffer(data, dtype=row, count=body // row.itemsize, offset=HEADER_BYTES)
    taken = iter(range(len(fields)))
    return {column.name: _column(column, rows, taken) for column in columns}


def _cell(binary: str) -> Iterator[tuple[str, str]]:
    """A value and its length before it."""
    yield "n", ">i4"
    yield "", binary


def _fields(column: Column) -> Iterator[tuple[str, str]]:
    """SQL and binary type of each element of a cell."""
    name = column.sql_name
    if column.kind == "text":
        zeros = f"decode(repeat('00', {column.width + 1}), 'hex')"
        yield (
            f"substring(convert_to(coalesce({name}, ''), 'UTF8') || {zeros}, 1, {column.width + 1})",
            (f"S{column.width + 1}"),
        )
        return
    binary, sql = _BINARY[column.kind]
    for place in product(*(range(1, n + 1) for n in column.shape)):
        element = f"{name}{''.join(f'[{k}]' for k in place)}::{sql}"
        yield (element if column.kind in ("integer", "long") else f"coalesce({element}, 'NaN')"), binary


def _column(column: Column, rows: NDArray[Any], taken: Iterator[int]) -> NDArray[Any]:
    n = int(np.prod(column.shape)) if column.shape else 1
    numbers = [next(taken) for _ in range(n)]
    for k in numbers:
        if np.any(rows[f"{k}n"] != rows.dtype[str(k)].itemsize):
            raise ReadError(f"column {column.name}: a value is missing or has another length")
    if column.kind == "text":
        values = rows[str(numbers[0])]
        long = np.char.str_len(values) > column.width
        if np.any(long):
            wide = values[long][0].decode("utf-8", "replace")
            raise ReadError(f"column {column.name} is {column.width} wide, too narrow for '{wide}'")
        return np.char.decode(values, "utf-8").astype(column.dtype)
    cells = np.stack([rows[str(k)] for k in numbers], axis=-1) if column.shape else rows[str(numbers[0])]
    return cells.astype(column.dtype.base).reshape(len(rows), *column.shape)
