"""What is read for a release's files at once is what the view tells of each source."""

import numpy as np
import pytest
from sqlalchemy import Engine, text

from catalog.bulk_read import Field, ReadError, read
from catalog.freezing import freeze
from catalog.release import release_table
from tests.catalog.small_run import characterise_run, finished_run


@pytest.mark.parametrize(("survey", "bands", "slices"), [("lat-10gev", 3, 0), ("lat-6band", 6, 10)])
def test_it_is_what_the_view_says(engine: Engine, survey: str, bands: int, slices: int) -> None:
    with engine.begin() as conn:
        for seed in (1, 2):  # another release's rows must not come in
            run = finished_run(conn, seed=seed, survey=survey, n_slices=slices)
            characterise_run(conn, run, bands, slices)
            freeze(conn, f"v{seed}", run)
        table = release_table(conn, "v2")
        view = [
            dict(row) for row in conn.execute(text("SELECT * FROM catalogue WHERE version = 'v2'")).mappings()
        ]
    assert len(table) == len(view) == 60
    assert list(table["RAJ2000"]) == sorted(table["RAJ2000"])
    of_name = {row["source_name"]: row for row in view}
    names = dict.fromkeys(("Flux1000", "Flux10000"), "flux")
    names |= dict.fromkeys(("Unc_Flux1000", "Unc_Flux10000"), "unc_flux")
    for name in table.colnames:
        column = table[name].value
        told = [of_name[source][names.get(name, name.lower())] for source in table["Source_Name"]]
        if column.dtype.kind == "U":
            assert column.tolist() == [value or "" for value in told], name
        else:
            plain = np.array(told, dtype=float).astype(column.dtype)
            np.testing.assert_array_equal(column, plain, err_msg=name)
            assert np.isfinite(plain).any() or name == "Unc_PL_Index", name


def test_values_that_do_not_fit_are_refused(engine: Engine) -> None:
    body = "FROM (VALUES ('Ångström', 1), ('b', %s::integer)) t (word, number)"
    word, number = Field("word", "t.word", "text", 10), Field("number", "t.number", "integer")
    with engine.connect() as conn:
        assert read(conn, [word, number], body, [2])["word"].tolist() == ["Ångström", "b"]
        none = read(conn, [word, number], body + " WHERE number > 5", [2])
        assert {name: (len(v), v.dtype.kind) for name, v in none.items()} == {
            "word": (0, "U"),
            "number": (0, "i"),
        }
    narrow = Field("word", "t.word", "text", 9)
    for field, value, reason in (
        (narrow, 2, "column word is 9 wide, too narrow for 'Ångström'"),
        (number, None, "the rows are not as long as their columns say"),
    ):
        with engine.connect() as conn, pytest.raises(ReadError, match=reason):
            read(conn, [field], body, [value])
