"""Rows in bytes are the cells one after another, whatever pieces they come in."""

import numpy as np

from catalog.formats.binary_rows import ROWS_AT_ONCE, binary_rows


def test_pieces_make_the_whole_table_and_can_be_encoded_one_by_one() -> None:
    rng, n = np.random.default_rng(1), 2 * ROWS_AT_ONCE + 7
    number, cells = rng.integers(0, 2**31, n), rng.normal(size=(n, 3, 2))
    name, same = np.array([f"J{k}" for k in number]), number % 2 == 0
    pieces = [bytes(p) for p in binary_rows([">i4", "S8", ">f4", "S1"], [number, name, cells, same], 2)]
    rows = np.frombuffer(b"".join(pieces), "V2, >i4, S8, (3,2)>f4, S1")
    assert len(pieces) == 3 and rows.itemsize == 2 + 4 + 8 + 24 + 1
    assert bytes(rows["f0"]) == b"\0" * 2 * n
    assert rows["f1"].tolist() == number.tolist()
    assert rows["f2"].tolist() == [text[:8].encode() for text in name.tolist()]
    np.testing.assert_array_equal(rows["f3"], cells.astype("f4"))
    assert rows["f4"].tolist() == np.where(same, b"T", b"F").tolist()
    # Checksums add up words of 4 bytes; base64 takes 3 at a time.
    assert {len(piece) % 12 for piece in pieces[:-1]} == {0}
