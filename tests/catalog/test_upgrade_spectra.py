"""Revision 0007 knows curved spectra; what was released before stays as it was, its files to the byte."""

from pathlib import Path

from alembic import command

from catalog.engine import alembic_config, make_engine, require_schema, upgrade
from catalog.freezing import freeze
from catalog.release import release_table
from tests.catalog.small_run import catalogue_rows, characterise_run, finished_run, written

NEW = ("LP_Flux_Density", "LP_Index", "LP_beta", "LP_SigCurv")


def test_a_release_of_before_keeps_its_spectra_and_a_new_one_has_more(
    empty_database_url: str, tmp_path: Path
) -> None:
    command.upgrade(alembic_config(empty_database_url), "0006")
    engine = make_engine(empty_database_url, pooled=False)
    with engine.begin() as conn:
        run = finished_run(conn, survey="lat-6band", n_slices=4)
        characterise_run(conn, run, n_bands=6, n_slices=4)
        freeze(conn, "v1", run)
        before, files = catalogue_rows(conn), written(conn, tmp_path / "before")
    upgrade(empty_database_url)
    require_schema(engine)
    with engine.begin() as conn:
        for row, old in zip(catalogue_rows(conn), before, strict=True):
            added = {name: row.pop(name) for name in set(row) - set(old)}
            assert row == old
            assert set(added) >= {name.lower() for name in NEW}
            assert set(added.values()) == {None}
        assert written(conn, tmp_path / "after") == files
        assert set(release_table(conn, "v1").colnames).isdisjoint(NEW)
        run = finished_run(conn, seed=2, survey="lat-6band", n_slices=4)
        characterise_run(conn, run, n_bands=6, n_slices=4, curved=True)
        freeze(conn, "v2", run)
        table = release_table(conn, "v2")
    assert set(NEW) <= set(table.colnames)
    assert (table["SpectrumType"] == "LogParabola").any()
