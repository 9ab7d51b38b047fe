"""Checksums are those that FITS readers find: the words of a unit add up to nothing but ones."""

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from catalog.formats.fits_checksum import checksum_text, ones_complement, words_sum


@given(st.integers(0, 2**32 - 1))
def test_the_text_makes_the_sum_complete_and_has_only_digits_and_letters(total: int) -> None:
    text = checksum_text(total)
    assert len(text) == 16 and text.isalnum() and text.isascii()
    # It stands in columns 12 to 27 of its card, one byte past the beginning of a word.
    there, zeros = (words_sum(f"   {t} ".encode()) for t in (text, "0" * 16))
    assert ones_complement(total + there - zeros) == 0xFFFFFFFF


@pytest.mark.parametrize("size", [0, 1, 4, 2879, 2880, 100_003])
def test_sums_are_those_of_astropy(size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    hdu = fits.ImageHDU(data) if size else fits.ImageHDU()
    hdu.add_datasum()
    assert str(ones_complement(words_sum(data.data))) == hdu.header["DATASUM"]


def test_carries_are_added_in_until_none_is_left() -> None:
    assert ones_complement(0x1_FFFF_FFFF) == 1
    assert ones_complement(0xFFFF_FFFF) == 0xFFFF_FFFF
