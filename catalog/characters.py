"""Text of whole columns to bytes and back: NumPy's own way makes a Python object of every cell.

Almost all text here is ASCII, where a character is a byte.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ASCII = 0x80  # characters below


def decode(values: NDArray[np.bytes_], width: int) -> NDArray[np.str_]:
    """UTF-8 as text.

    Parameters
    ----------
    values : array of bytes, shape (n,)
        Contiguous; no cell longer than `width`.
    width : int
        Characters of a cell of the result.
    """
    codes = _codes(values, np.uint8)
    if np.any(codes >= ASCII):
        return np.char.decode(values, "utf-8").astype(f"U{width}")
    return _cells(codes, width, np.uint32, "U")


def encode(values: NDArray[np.str_], width: int) -> NDArray[np.bytes_]:
    """ASCII text as bytes.

    Parameters
    ----------
    values : array of str, shape (n,)
    width : int
        Bytes of a cell of the result; what is longer is cut off.

    Raises
    ------
    UnicodeEncodeError
        If a character is not ASCII.
    """
    codes = _codes(values, np.uint32)
    if np.any(codes >= ASCII):
        np.strings.encode(values, "ascii")  # finds the character and says which
    return _cells(codes, width, np.uint8, "S")


def _codes(values: NDArray[Any], kind: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """The characters' numbers, shape (n, width)."""
    native = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    return native.view(kind).reshape(len(values), native.itemsize // np.dtype(kind).itemsize)


def _cells(codes: NDArray[Any], width: int, kind: type[np.unsignedinteger[Any]], letter: str) -> NDArray[Any]:
    cells = np.zeros((len(codes), width), kind)
    used = min(width, codes.shape[1])
    cells[:, :used] = codes[:, :used]
    return cells.view(f"{letter}{width}")[:, 0]
