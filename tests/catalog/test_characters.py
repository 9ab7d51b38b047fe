"""Whole columns of text become what NumPy makes of each cell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.characters import decode, encode

WORDS = st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=6))
ASCII_WORDS = st.lists(st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=6))


@given(WORDS)
def test_bytes_become_text(words: list[str]) -> None:
    values = np.array([word.encode() for word in words], dtype="S24")
    found = decode(values, 24)
    assert found.dtype == "U24" and found.tolist() == words


@given(ASCII_WORDS, st.integers(1, 9))
def test_text_becomes_bytes_of_a_width(words: list[str], width: int) -> None:
    values = np.array(words, dtype="U7")
    for given_order in (values, values.astype(">U7"), np.repeat(values, 2)[::2]):
        found = encode(given_order, width)
        assert (
            found.dtype == f"S{width}" and found.tolist() == values.astype("S7").astype(f"S{width}").tolist()
        )


def test_what_is_not_ascii_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError, match="ordinal not in range"):
        encode(np.array(["a", "Å"]), 4)
