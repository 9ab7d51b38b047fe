"""Checksums of the FITS standard (its appendix J), added up while a file is written.

astropy would read the whole file again for them, a block of 2880 bytes at a time.
"""

import numpy as np

WORD_BYTES = 4
_PUNCTUATION = frozenset(b":;<=>?@[\\]^_`")  # between the digits and the letters: not used


def words_sum(data: bytes | memoryview) -> int:
    """Sum of bytes as big-endian words of 32 bits; only the last piece of a unit may end within a word."""
    read = np.frombuffer(data, np.uint8)
    whole = len(read) // WORD_BYTES * WORD_BYTES
    total = int(read[:whole].view(">u4").sum(dtype=np.uint64))
    return total + int.from_bytes(bytes(read[whole:]).ljust(WORD_BYTES, b"\0"), "big")


def ones_complement(total: int) -> int:
    """A sum of words with all carries added in again: DATASUM."""
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def checksum_text(total: int) -> str:
    """CHECKSUM of a header and data unit whose words have this sum, CHECKSUM being sixteen zeros in it."""
    missing = ~ones_complement(total) & 0xFFFFFFFF
    text = np.zeros((4, 4), np.uint8)  # a column is a byte of the word
    for column, byte in enumerate(missing.to_bytes(4, "big")):
        text[:, column] = _characters(byte)
    return np.roll(text.ravel(), 1).tobytes().decode("ascii")


def _characters(byte: int) -> list[int]:
    """Four digits or letters whose distances from '0' have a sum."""
    found = [byte // 4 + ord("0")] * 4
    found[0] += byte % 4
    for first in (0, 2):
        while found[first] in _PUNCTUATION or found[first + 1] in _PUNCTUATION:
            found[first] += 1
            found[first + 1] -= 1
    return found
