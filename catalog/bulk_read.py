"""Columns of many rows out of the database, fast: rows of one length, read as arrays.

PostgreSQL's binary COPY writes each value with its length. Where no value is NULL and every one has its column's
length, a row is a structure of fixed size and NumPy reads many of them at once; no Python object is made for a value.
So NULL becomes NaN, a cell with a shape becomes its elements, and text becomes bytes filled up with zeros.
Rows that have come are taken from libpq itself: psycopg does more for each than all that is done here.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Copy, errors
from psycopg.abc import PQGen
from psycopg.pq.abc import PGconn
from psycopg.waiting import Wait
from sqlalchemy import Connection

from catalog.characters import decode
from catalog.columns import CODES

HEADER_BYTES, TRAILER_BYTES = 19, 2
LAST_BLOCK_BYTES = (TRAILER_BYTES, HEADER_BYTES + TRAILER_BYTES)  # of rows, of none
ROWS_AT_ONCE = 4096
Parameters = Sequence[Any] | Mapping[str, Any]
# Single precision is made here: PostgreSQL refuses what is too small for it.
_BINARY = {
    "real": (">f8", "double precision"),
    "double": (">f8", "double precision"),
    "integer": (">i4", "integer"),
    "long": (">i8", "bigint"),
    "logical": ("?", "boolean"),
}
_FLOATING = ("real", "double")


class ReadError(ValueError):
    """Rows that do not have the declared columns."""


@dataclass(frozen=True)
class Field:
    """What is read into one array: a name, an expression, and the kind of `catalog.columns.Column` (or ``logical``).

    A cell with a shape is an array of the server's, of which each element is taken; or `elements` has an expression
    for each of them, the last index running fastest.
    """

    name: str
    sql: str
    kind: str
    width: int = 0
    shape: tuple[int, ...] = ()
    elements: tuple[str, ...] = ()

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy type of an element."""
        return np.dtype((CODES | {"logical": "?"})[self.kind] + str(self.width or ""))


def read(
    conn: Connection, fields: Sequence[Field], body: str, parameters: Parameters
) -> dict[str, NDArray[Any]]:
    """Arrays by name of the rows that ``SELECT fields body`` gives, parameters as psycopg takes them.

    Raises
    ------
    ReadError
        If a text is wider than its field, or a value that cannot be NaN is missing.
    """
    cells = [cell for field in fields for cell in _cells(field)]
    row = np.dtype(
        [("count", ">i2"), *((f"{k}{name}", t) for k, (_, t) in enumerate(cells) for name, t in _cell(t))]
    )
    query = f"SELECT {', '.join(sql for sql, _ in cells)} {body}"
    with closing(_chunks(conn, query, parameters, row)) as chunks:  # ends the COPY if a row is refused
        parts = [_arrays(fields, rows) for rows in chunks] or [_arrays(fields, np.empty(0, row))]
    return {field.name: np.concatenate([part.pop(field.name) for part in parts]) for field in fields}


def _chunks(
    conn: Connection, query: str, parameters: Parameters, row: np.dtype[Any]
) -> Generator[NDArray[Any], None, None]:
    """Rows as structures, some at a time: they fit into the processor's cache, not only into memory."""
    copy = f"COPY ({query}) TO STDOUT (FORMAT binary)"
    driver = conn.connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor, cursor.copy(copy, parameters) as stream:
        rest = bytearray()
        skip = HEADER_BYTES
        for batch in _batches(stream):
            data = rest + batch if rest else batch
            count = (len(data) - skip) // row.itemsize
            if count:
                yield np.frombuffer(data, dtype=row, count=count, offset=skip)
            rest, skip = data[skip + count * row.itemsize :], 0
    if len(rest) != TRAILER_BYTES:
        raise ReadError("the rows are not as long as their columns say")


def _batches(stream: Copy) -> Iterator[bytearray]:
    """The blocks of a binary COPY, a row each, many at a time; psycopg begins it and ends it."""
    for block in stream:
        yield stream.connection.wait(_batch(block, stream.connection.pgconn))


def _batch(first: bytes | bytearray | memoryview, server: PGconn) -> PQGen[bytearray]:
    """A block and those after it, put together at once: the garbage collector would go through all that are kept."""
    data, rows, size = bytearray(first), 1, len(first)
    # The end, which comes after the last block, is for psycopg to see.
    while size not in LAST_BLOCK_BYTES and rows < ROWS_AT_ONCE:
        size, block = server.get_copy_data(1)
        if size > 0:
            data += block
            rows += 1
        elif size == 0:  # not here yet
            while not (yield Wait.R):
                pass
            server.consume_input()
        else:  # a fault of the server, in one of these rows
            results = list(iter(server.get_result, None))
            raise errors.error_from_result(results[0])
    return data


def _cell(binary: str) -> Iterator[tuple[str, str]]:
    """A value and its length before it."""
    yield "n", ">i4"
    yield "", binary


def _cells(field: Field) -> Iterator[tuple[str, str]]:
    """SQL and binary type of each element of a cell."""
    name, width = field.sql, field.width + 1
    if field.kind == "text":
        zeros = f"decode(repeat('00', {width}), 'hex')"
        yield f"substring(convert_to(coalesce({name}, ''), 'UTF8') || {zeros}, 1, {width})", f"S{width}"
        return
    binary, sql = _BINARY[field.kind]
    places = product(*(range(1, n + 1) for n in field.shape))
    elements = field.elements or [f"({name})" + "".join(f"[{k}]" for k in place) for place in places]
    for element in elements:
        value = f"{element}::{sql}"
        yield (f"coalesce({value}, 'NaN')" if field.kind in _FLOATING else value), binary


def _arrays(fields: Sequence[Field], rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
    taken = iter(range(len(rows.dtype.names or ())))
    return {field.name: _array(field, rows, taken) for field in fields}


def _array(field: Field, rows: NDArray[Any], taken: Iterator[int]) -> NDArray[Any]:
    numbers = [next(taken) for _ in range(int(np.prod(field.shape)))]
    for k in numbers:
        if np.any(rows[f"{k}n"] != rows.dtype[str(k)].itemsize):
            raise ReadError(f"column {field.name}: a value is missing or has another length")
    if field.kind == "text":
        values = np.ascontiguousarray(rows[str(numbers[0])])
        long = values.view(np.uint8).reshape(len(values), values.itemsize)[:, field.width] > 0
        if np.any(long):
            wide = values[long][0].decode("utf-8", "replace")
            raise ReadError(f"column {field.name} is {field.width} wide, too narrow for '{wide}'")
        return decode(values, field.width)
    cells = np.stack([rows[str(k)] for k in numbers], axis=-1) if field.shape else rows[str(numbers[0])]
    return cells.astype(field.dtype).reshape(len(rows), *field.shape)
