"""The views made for people: what they say, of which release, and that every column is explained."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.time import Time
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from catalog.freezing import freeze
from catalog.query import read_only
from catalog.schema_words import VIEWS, database_markdown
from tests.catalog.small_run import finished_run

DOC = Path(__file__).parents[2] / "docs" / "database.md"


@pytest.fixture
def two_releases(engine: Engine) -> tuple[Engine, int, int]:
    """The same sky's run released, and another as a draft; with time slices and the networks' words."""
    with engine.begin() as conn:
        runs = [finished_run(conn, n=30, seed=seed) for seed in (1, 2)]
        conn.execute(text("UPDATE run SET status = 'running', finished_at = NULL"))
        for statement in (
            "INSERT INTO time_slice SELECT o.id, k, 239557417 + 1e6 * k, 239557417 + 1e6 * (k + 1)"
            " FROM observation o, generate_series(0, 3) k",
            "INSERT INTO slice_flux SELECT d.id, k, 1e-10, CASE WHEN k > 0 THEN -1e-11 END, 2e-11, k, 5"
            " FROM detection d, generate_series(0, 3) k",
            "INSERT INTO variability SELECT id, 12.5 FROM detection",
            "INSERT INTO network_band_flux SELECT id, 1, 3e-11, 1e-12 FROM detection",
            "INSERT INTO class_probability SELECT id, 'full', 0.5, 0.25, 0.125, 0.0625, 0.0625 FROM detection",
            "INSERT INTO no_counterpart SELECT id, 0.25 FROM detection",
        ):
            conn.execute(text(statement))
        conn.execute(text("UPDATE run SET status = 'done', finished_at = now()"))
        freeze(conn, "one", runs[0])
        freeze(conn, "two", runs[1], draft=True)
    return engine, *runs


def rows(conn: Connection, query: str, **values: object) -> list[dict[str, object]]:
    return [dict(row) for row in conn.execute(text(query), values).mappings()]


def test_a_draft_has_no_names_and_is_not_the_latest(two_releases: tuple[Engine, int, int]) -> None:
    engine, public, draft = two_releases
    with engine.connect() as conn:
        assert conn.scalar(text("SELECT newest_release()")) == "one"
        for view in ("detections", "associations", "spectra", "light_curves"):
            named = rows(conn, f"SELECT run_id, count(*) n, count(source_name) named FROM {view} GROUP BY 1")
            counts = {row["run_id"]: row for row in named}
            assert counts[public]["named"] == counts[public]["n"] > 0
            assert counts[draft]["named"] == 0 < counts[draft]["n"]
        assert rows(conn, "SELECT DISTINCT version FROM catalogue_latest") == [{"version": "one"}]
        same = "SELECT count(*) FROM detections JOIN catalogue_latest c USING (detection_id, source_name)"
        assert conn.scalar(text(same)) == conn.scalar(
            text("SELECT n_sources FROM release WHERE version = 'one'")
        )


def test_detections_say_what_the_tables_say(two_releases: tuple[Engine, int, int]) -> None:
    engine, _, _ = two_releases
    with engine.connect() as conn:
        plain = "SELECT m.*, d.run_id, d.det_prob, d.tile FROM measurement m JOIN detection d ON d.id = detection_id"
        plain += " ORDER BY detection_id"
        for view, table in zip(
            rows(conn, "SELECT * FROM detections ORDER BY detection_id"), rows(conn, plain), strict=True
        ):
            shared = view.keys() & table.keys()
            assert len(shared) > 18
            assert {k: view[k] for k in shared} == {k: table[k] for k in shared}
            assert (view["flux_emin_gev"], view["flux_emax_gev"], view["survey"]) == (10, 1000, "lat-10gev")
            assert (view["prob_bll"], view["prob_fake"], view["variability_index"]) == (0.5, 0.0625, 12.5)
            assert view["prob_no_counterpart"] == 0.25


def test_associations_are_all_candidates(two_releases: tuple[Engine, int, int]) -> None:
    engine, public, _ = two_releases
    with engine.connect() as conn:
        found = rows(conn, "SELECT * FROM associations WHERE run_id = :r", r=public)
        assert len(found) == conn.scalar(
            text(
                "SELECT count(*) FROM association a JOIN detection d ON d.id = a.detection_id WHERE run_id = :r"
            ),
            {"r": public},
        )
        assert {row["catalog"] for row in found} == {"4FGL-DR2", "3FHL"}
        assert {row["prob_none"] for row in found} == {0.25}
        assert {row["ref_class"] for row in found} == {"bll", "", "PSR"}
        latest = rows(
            conn, "SELECT source_name, assoc_fgl, assoc_sep FROM catalogue_latest WHERE assoc_fgl <> ''"
        )
        named = {(row["source_name"], row["ref_name"], row["sep_deg"]) for row in found if row["matched_05"]}
        assert latest and {tuple(row.values()) for row in latest} <= named


def test_spectra_have_the_energies_of_the_survey(two_releases: tuple[Engine, int, int]) -> None:
    engine, public, _ = two_releases
    with engine.connect() as conn:
        found = rows(conn, "SELECT * FROM spectra WHERE run_id = :r ORDER BY detection_id, band", r=public)
    assert [(row["emin_gev"], row["emax_gev"]) for row in found[:3]] == [(10, 30), (30, 100), (100, 2000)]
    assert len(found) == 3 * 30 and {row["upper_limit"] for row in found} == {True, False}
    assert all((row["unc_low_cm2_s"] is None) == row["upper_limit"] for row in found)
    assert {(row["band"], row["network_flux_cm2_s"]) for row in found} == {(0, None), (1, 3e-11), (2, None)}


def test_light_curves_have_dates(two_releases: tuple[Engine, int, int]) -> None:
    engine, public, _ = two_releases
    with engine.connect() as conn:
        found = rows(
            conn, "SELECT * FROM light_curves WHERE run_id = :r ORDER BY detection_id, slice", r=public
        )
    assert len(found) == 4 * 30 and [row["upper_limit"] for row in found[:4]] == [True, False, False, False]
    assert found[0]["tstart"].isoformat() == "2008-08-04T15:43:36+00:00"  # type: ignore[attr-defined]
    assert found[0]["tstop"] == found[1]["tstart"] and found[0]["variability_index"] == 12.5


def test_mission_elapsed_time_counts_leap_seconds(engine: Engine) -> None:
    rng = np.random.default_rng(1)
    leaps = np.array([157766401, 252460802, 362793603, 457401604, 504921605])
    met = np.concatenate([rng.uniform(0, 8e8, 50), leaps - 2, leaps + 0.5])
    start = Time("2001-01-01T00:00:00", scale="utc")
    expected = (start.tai + met * u.s).utc.datetime
    with engine.connect() as conn:
        for value, date in zip(met.tolist(), expected, strict=True):
            found = conn.scalar(text("SELECT utc_of_met(:m)"), {"m": value})
            assert abs((found.replace(tzinfo=None) - date).total_seconds()) < 1e-3, value


def test_every_column_of_the_views_is_explained(engine: Engine) -> None:
    query = text(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relname = ANY(:views) AND (a.attnum > 0 AND col_description(c.oid, a.attnum) IS NULL)"
    )
    with engine.connect() as conn:
        assert conn.execute(query, {"views": list(VIEWS)}).all() == []
        silent = (
            "SELECT relname FROM pg_class WHERE relname = ANY(:views) AND obj_description(oid) IS NOT NULL"
        )
        assert set(conn.scalars(text(silent), {"views": list(VIEWS)})) == set(VIEWS)


def test_the_document_is_made_from_the_explanations(engine: Engine) -> None:
    with engine.connect() as conn:
        assert database_markdown(conn, DOC.read_text()) == DOC.read_text(), "python -m scripts.database_doc"


def test_people_may_read_and_call_all_of_it(two_releases: tuple[Engine, int, int]) -> None:
    engine, run, _ = two_releases
    for view in (*VIEWS, "catalogue", "catalogue_latest"):
        assert read_only(engine, f"SELECT count(*) FROM {view}").rows[0][0] > 0
    for call in (
        "cone(0, 0, 180)",
        f"cone_of_run({run}, 0, 0, 180)",
        "match('4FGL-DR2', 0.5)",
        "match('detections', 0.5)",
        "match('reference_source', 0.5)",
        "cone_search('reference_source', 0, 0, 180)",
        "crossmatch('measurement', 'reference_source', 0.5, 'detection_id')",
    ):
        assert read_only(engine, f"SELECT count(*) FROM {call}").rows[0][0] > 0


def test_what_is_released_stays(two_releases: tuple[Engine, int, int]) -> None:
    engine, public, draft = two_releases
    for run in (public, draft):
        with (
            engine.connect() as conn,
            pytest.raises(IntegrityError, match="holds this row of no_counterpart"),
        ):
            conn.execute(
                text(
                    "UPDATE no_counterpart SET prob = 0 FROM detection d WHERE d.id = detection_id AND run_id = :r"
                ),
                {"r": run},
            )
