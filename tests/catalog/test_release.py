"""Releases: frozen once, refused to all changes, and read back as they were."""

from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from catalog import store
from catalog.engine import head_revision
from catalog.freezing import freeze
from catalog.ledger import create_run
from catalog.release import ReleaseError, release_associations, release_record, release_table
from tests.catalog.small_run import finished_run, new_observation, new_run, some_detections


@pytest.fixture
def released(engine: Engine) -> Engine:
    with engine.begin() as conn:
        assert freeze(conn, "v1", finished_run(conn)).run_id == 1
    return engine


def test_the_table_holds_what_was_measured(released: Engine) -> None:
    with released.connect() as conn:
        table = release_table(conn, "v1")
        rows = store.read_measurements(conn, 1).sort_values(["ra_deg", "dec_deg"], kind="stable")
        bands = store.read_band_fluxes(conn, 1)
    assert len(table) == 60
    np.testing.assert_array_equal(table["RAJ2000"], rows["ra_deg"])
    order = np.argsort(table["Signif_Avg"])
    np.testing.assert_array_equal(
        np.sort(rows["signif_avg"].to_numpy(np.float32)), table["Signif_Avg"][order]
    )
    np.testing.assert_array_equal(
        np.sort(table["Flux_Band"].ravel()), np.sort(bands["flux_cm2_s"].to_numpy(np.float32))
    )
    lower, upper = table["Unc_Flux_Band"][..., 0], table["Unc_Flux_Band"][..., 1]
    assert np.isnan(lower).sum() == bands["unc_low_cm2_s"].isna().sum() > 0
    assert np.all(lower[np.isfinite(lower)] <= 0) and np.all(upper >= 0)
    assert np.isnan(table["Conf_95_SemiMajor"]).sum() == 1
    assert len(set(table["Source_Name"])) == 60
    letters = [name[17:] for name in table["Source_Name"] if len(name) > 17]
    assert sorted(letters) == ["A", "B"]


def test_counterparts_are_the_one_to_one_matches(released: Engine) -> None:
    with released.connect() as conn:
        table = release_table(conn, "v1")
        pairs = release_associations(conn, "v1")
    assert len(pairs) == 60
    by_name = {row["Source_Name"]: row for row in table}
    matched = pairs[pairs["Match_05"]]
    for row in matched:
        column = {"4FGL-DR2": "ASSOC_FGL", "3FHL": "ASSOC_FHL"}[row["Ref_Catalog"]]
        assert by_name[row["Source_Name"]][column] == row["Ref_Name"]
    assert (table["ASSOC_FGL"] != "").sum() == (matched["Ref_Catalog"] == "4FGL-DR2").sum() > 0
    assert (table["ASSOC_FHL"] != "").sum() == (matched["Ref_Catalog"] == "3FHL").sum() > 0
    np.testing.assert_array_equal(np.isnan(table["ASSOC_SEP"]), table["ASSOC_FGL"] == "")


def test_releasing_again_is_the_same_release(released: Engine) -> None:
    with released.begin() as conn:
        first = release_record(conn, "v1")
        assert freeze(conn, "v1", 1, released_at=datetime(2030, 1, 1, tzinfo=UTC)) == first
        other = freeze(conn, "v2", 1)
        assert (
            release_table(conn, "v2")["Source_Name"].tolist()
            == release_table(conn, "v1")["Source_Name"].tolist()
        )
    assert other.n_sources == 60


def test_the_date_can_be_given(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    with engine.begin() as conn:
        run = finished_run(conn)
        assert freeze(conn, "v1", run).date == "2023-11-14T22:13:20"
        assert (
            freeze(conn, "v2", run, released_at=datetime(2026, 1, 2, tzinfo=UTC)).date
            == "2026-01-02T00:00:00"
        )


def test_provenance_says_what_was_used(released: Engine) -> None:
    with released.connect() as conn:
        p = release_record(conn, "v1").provenance
    assert p["run"] == {"id": 1, "detector": "matched-filter", "seed": 1}
    assert p["observation"]["content_sha256"] == "0123456789abcdef" * 4
    assert [c["name"] for c in p["references"]] == ["3FHL", "4FGL-DR2"]
    assert p["schema_revision"] == head_revision()


@pytest.mark.parametrize(
    ("version", "run_id", "fault"),
    [
        ("../v1", 1, "bad version"),
        ("", 1, "bad version"),
        ("v1\n", 1, "bad version"),
        ("v2", 77, "no run 77"),
        ("v1", 2, "version v1 is already the release of run 1"),
        ("v3", 2, r"run 2 is not finished \(planned\)"),
    ],
)
def test_what_cannot_be_released(released: Engine, version: str, run_id: int, fault: str) -> None:
    with released.begin() as conn:
        new_run(conn)
    with released.connect() as conn, pytest.raises(ReleaseError, match=fault):
        freeze(conn, version, run_id)


def test_a_release_may_name_a_simulated_sky_of_its_survey(engine: Engine) -> None:
    with engine.begin() as conn:
        freeze(conn, "sim", finished_run(conn, seed=1))
        other_sky = new_observation(conn, sha256="f" * 64, name="six", survey="lat-6band")
        six = create_run(
            conn, other_sky, detector="matched-filter", seed=1, settings={}, software={"asidcat": "0.1.0"}
        )
        conn.execute(
            text("UPDATE run SET status = 'done', finished_at = now() WHERE id = :six"), {"six": six}
        )
        freeze(conn, "six", six)
        run = finished_run(conn, seed=3)
        for other, fault in (("six", "of survey lat-6band, not lat-10gev"), ("none", "there is no release")):
            with pytest.raises(ReleaseError, match=fault):
                freeze(conn, "real", run, first=True, simulated=other)
        freeze(conn, "real", run, first=True, simulated="sim")
        assert release_record(conn, "real").provenance["simulated"] == "sim"
        assert "simulated" not in release_record(conn, "sim").provenance


def test_an_unknown_release_is_named(engine: Engine) -> None:
    with engine.connect() as conn, pytest.raises(ReleaseError, match="no release v9"):
        release_table(conn, "v9")


def test_a_run_without_detections_is_an_empty_release(engine: Engine) -> None:
    with engine.begin() as conn:
        run = new_run(conn)
        conn.execute(text("UPDATE run SET status = 'done', finished_at = now()"))
        assert freeze(conn, "empty", run).n_sources == 0
        assert len(release_table(conn, "empty")) == len(release_associations(conn, "empty")) == 0


TABLES = ("run", "detection", "measurement", "band_flux", "association", "release", "release_source")
CHANGES = {
    "run": "seed = 5",
    "detection": "ts = 1",
    "measurement": "flags = 1",
    "band_flux": "npred = 1",
    "association": "prob = 0",
    "release": "n_sources = 1",
    "release_source": "source_name = 'ASID J0000.0+0000Z'",
}
ADDITIONS = {
    "detection": "SELECT run_id, tile, 999, det_prob, ts, flux_cm2_s, background_sr, ra_deg, dec_deg,"
    " glon_deg, glat_deg, x, y, z, hpx29 FROM detection WHERE run_id = 1 LIMIT 1",
    "band_flux": "SELECT detection_id, 99, 0, 0, 0, 0, 0 FROM band_flux LIMIT 1",
    "association": "SELECT d.id, r.id, 0, 0, false, false FROM detection d, reference_source r"
    " WHERE d.run_id = 1 AND NOT EXISTS (SELECT FROM association WHERE detection_id = d.id) LIMIT 1",
    "release_source": "SELECT r.version, 'ASID J0000.0+0000Z', d.id FROM release r, detection d"
    " WHERE d.run_id <> r.run_id LIMIT 1",
}
COLUMNS = {
    "detection": "(run_id, tile, ordinal, det_prob, ts, flux_cm2_s, background_sr, ra_deg, dec_deg, glon_deg,"
    " glat_deg, x, y, z, hpx29)",
}


def refused(conn: Connection, statement: str) -> None:
    savepoint = conn.begin_nested()
    with pytest.raises(IntegrityError) as caught:
        conn.execute(text(statement))
        conn.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    savepoint.rollback()
    assert caught.value.orig.sqlstate == "23001", str(caught.value)


def test_nothing_of_a_release_can_be_changed(released: Engine) -> None:
    with released.connect() as conn:
        for table in TABLES:
            refused(conn, f"UPDATE {table} SET {CHANGES[table]}")
            refused(conn, f"DELETE FROM {table}")
            refused(conn, f"TRUNCATE {table} CASCADE")
        refused(conn, "TRUNCATE observation CASCADE")
        refused(conn, "TRUNCATE reference_catalog CASCADE")
        refused(conn, "UPDATE reference_source SET name = 'other'")


@pytest.mark.parametrize("table", ["detection", "band_flux", "association", "release_source"])
def test_nothing_can_be_added_to_a_release(released: Engine, table: str) -> None:
    with released.begin() as conn:
        run = new_run(conn)
        store.write_detections(conn, run, [5], some_detections(np.random.default_rng(1), [5], 2))
        refused(conn, f"INSERT INTO {table} {COLUMNS.get(table, '')} {ADDITIONS[table]}")


def test_a_measurement_cannot_be_moved_into_a_released_run(released: Engine) -> None:
    with released.begin() as conn:
        run = new_run(conn)
        store.write_detections(conn, run, [5], some_detections(np.random.default_rng(1), [5], 2))
        refused(conn, f"UPDATE detection SET run_id = 1, tile = 700 WHERE run_id = {run}")


def test_a_release_with_sources_missing_cannot_be_committed(engine: Engine) -> None:
    with engine.begin() as conn:
        finished_run(conn)
    with pytest.raises(IntegrityError, match="lacks sources"), engine.begin() as conn:
        conn.execute(text("INSERT INTO release VALUES ('v1', 1, 3, '{}', now())"))


def test_a_release_holds_only_sources_of_its_run(engine: Engine) -> None:
    with engine.begin() as conn:
        first, second = finished_run(conn), finished_run(conn, seed=2)
    with pytest.raises(IntegrityError, match="own run only"), engine.begin() as conn:
        conn.execute(text(f"INSERT INTO release VALUES ('v1', {first}, 1, '{{}}', now())"))
        conn.execute(
            text(
                "INSERT INTO release_source SELECT 'v1', 'ASID J0000.0+0000', max(id) FROM detection"
                f" WHERE run_id = {second}"
            )
        )


def test_other_runs_stay_free(released: Engine) -> None:
    with released.begin() as conn:
        run = finished_run(conn, seed=9)
        conn.execute(text("UPDATE run SET error = NULL WHERE id = :r"), {"r": run})
        conn.execute(text("DELETE FROM run WHERE id = :r"), {"r": run})
        assert conn.scalar(text("SELECT count(*) FROM detection WHERE run_id = :r"), {"r": run}) == 0


def test_cone_searches_the_latest_release(released: Engine) -> None:
    with released.begin() as conn:
        row = release_table(conn, "v1")[7]
        query = text("SELECT * FROM cone(:l, :b, 0.001)")
        place = {"l": float(row["GLON"]), "b": float(row["GLAT"])}
        found = conn.execute(query, place).all()
        assert [f.source_name for f in found] == [row["Source_Name"]]
        assert found[0].sep_deg < 1e-6 and np.float32(found[0].flux) == row["Flux10000"]
        freeze(conn, "later", finished_run(conn, seed=3), released_at=datetime(2099, 1, 1, tzinfo=UTC))
        assert conn.execute(query, place).all() == []
        of_run = conn.execute(text("SELECT * FROM cone_of_run(1, :l, :b, 0.001)"), place).all()
        assert [r.detection_id for r in of_run] == [found[0].detection_id]


def test_what_is_too_small_for_single_precision_is_zero_in_the_files(engine: Engine) -> None:
    with engine.begin() as conn:
        run = finished_run(conn)
        conn.execute(text("UPDATE band_flux SET flux_cm2_s = 1e-300, npred = 0 WHERE band = 1"))
        freeze(conn, "v1", run)
        table = release_table(conn, "v1")
    assert np.all(table["Flux_Band"][:, 1] == 0) and np.all(table["Flux_Band"][:, 0] > 0)
