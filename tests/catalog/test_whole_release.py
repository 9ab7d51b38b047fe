"""What is read for a release's files at once is what the view tells of each source."""

import numpy as np
import psycopg
import pytest
from sqlalchemy import Engine, text

from catalog.bulk_read import ROWS_AT_ONCE, Field, ReadError, read
from catalog.freezing import freeze
from catalog.release import release_table
from catalog.store import analyze
from catalog.whole_release import order_by_place
from tests.catalog.small_run import characterise_run, finished_run


@pytest.mark.parametrize(("survey", "bands", "slices"), [("lat-10gev", 3, 0), ("lat-6band", 6, 10)])
def test_it_is_what_the_view_says(engine: Engine, survey: str, bands: int, slices: int) -> None:
    with engine.begin() as conn:
        for seed in (1, 2):  # another release's rows must not come in
            run = finished_run(conn, seed=seed, survey=survey, n_slices=slices)
            characterise_run(conn, run, bands, slices, curved=True)
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


def test_rows_are_read_band_by_band_even_where_the_server_thinks_there_are_none(engine: Engine) -> None:
    """Right after the freezing no statistics tell of the release: a join source by source would be quadratic."""
    with engine.begin() as conn:
        run = finished_run(conn, survey="lat-6band", n_slices=2)
        characterise_run(conn, run, 6, 2, curved=True)
    with engine.begin() as conn:
        analyze(conn)  # as a run does at its end, before anything is released
        freeze(conn, "v1", run)
    with engine.connect() as conn:
        assert len(release_table(conn, "v1")) == 60
        query = (
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'band_flux'"
        )
        whole = 60 * 6
        assert whole <= conn.scalar(text(query)) <= 6 * whole
        assert conn.scalar(text("SHOW enable_nestloop")) == "on"


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


@pytest.mark.parametrize("rows", [0, 1, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, 3 * ROWS_AT_ONCE + 1])
def test_any_number_of_rows_comes_whole_and_in_order(engine: Engine, rows: int) -> None:
    fields = [Field("n", "n", "integer"), Field("minus", "-1", "integer"), Field("half", "n / 2.0", "double")]
    with engine.connect() as conn:
        found = read(conn, fields, "FROM generate_series(1, %s) n", [rows])
        assert conn.scalar(text("SELECT 1")) == 1  # the connection is as it was
    np.testing.assert_array_equal(found["n"], np.arange(1, rows + 1))
    np.testing.assert_array_equal(found["half"], np.arange(1, rows + 1) / 2)
    assert set(found["minus"]) <= {-1}  # a row may end with the bytes that end a COPY


@pytest.mark.parametrize("at", [1, 2, 20_000])
def test_a_fault_of_the_server_in_any_row_is_told_in_its_words(engine: Engine, at: int) -> None:
    field = Field("x", f"1 / (n - {at})", "integer")
    with engine.connect() as conn:
        with conn.begin(), pytest.raises(psycopg.errors.DivisionByZero, match="division by zero"):
            read(conn, [field], "FROM generate_series(1, 30000) n", [])
        assert conn.scalar(text("SELECT 1")) == 1


def test_sources_stand_by_right_ascension_then_declination_then_name() -> None:
    ra, dec = np.array([2.0, 1.0, 2.0, 0.5, 2.0, 0.5]), np.array([5.0, 0.0, -5.0, 1.0, 5.0, 0.0])
    name = np.array(["d", "a", "c", "f", "b", "e"])
    expected = sorted(range(6), key=lambda i: (ra[i], dec[i], name[i]))
    assert order_by_place(ra, dec, name).tolist() == expected
    assert order_by_place(ra[:0], dec[:0], name[:0]).tolist() == []
