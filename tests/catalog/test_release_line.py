"""The line of releases: drafts and public ones, predecessors, identities of sources, what changed, what is worse."""

import json
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Latitude, Longitude
from mocpy import MOC
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from catalog.checks import bright_references
from catalog.diff import COLUMNS, diff
from catalog.freezing import freeze
from catalog.publishing import PublicationRefused, publish
from catalog.release import ReleaseError, release_record
from catalog.store import read_detections, write_detections, write_measurements
from tests.catalog.small_run import finished_run, new_run, some_detections, some_measurements

N = 40
SPACING_DEG = 5.0


def run_with(conn: Connection, **changes: Any) -> int:
    """A finished run of N bright sources, SPACING_DEG apart along the galactic equator, with some values changed."""
    run_id = new_run(conn)
    glon = np.arange(N) * SPACING_DEG
    rng = np.random.default_rng(7)
    found = some_detections(rng, [0], N) | {"glon_deg": glon, "glat_deg": np.zeros(N), "det_prob": np.ones(N)}
    measured = some_measurements(rng, glon, np.zeros(N)) | {
        "signif_avg": np.full(N, 20.0),
        "flux_cm2_s": np.full(N, 1e-10),
        "unc_flux_cm2_s": np.full(N, 1e-11),
        **{name: np.full(N, 0.05) for name in ("conf_95_semimajor_deg", "conf_95_semiminor_deg")},
        **{name: np.full(N, 0.03) for name in ("conf_68_semimajor_deg", "conf_68_semiminor_deg")},
    }
    keep = changes.pop("keep", np.arange(N))
    for name, values in changes.items():
        measured[name] = measured[name].copy()
        for k, value in values.items():
            measured[name][k] = value
    found["glon_deg"], found["glat_deg"] = measured["glon_deg"], measured["glat_deg"]
    write_detections(conn, run_id, [0], {name: values[keep] for name, values in found.items()})
    ids = read_detections(conn, run_id)["id"]
    write_measurements(conn, ids, {name: values[keep] for name, values in measured.items()})
    conn.execute(text("UPDATE run SET status = 'done', finished_at = now() WHERE id = :r"), {"r": run_id})
    return run_id


def identities(conn: Connection, version: str) -> dict[float, int]:
    """Source ids by galactic longitude, to a tenth of a degree."""
    query = text(
        "SELECT round(m.glon_deg::numeric, 1)::float, s.source_id FROM release_source s"
        " JOIN measurement m USING (detection_id) WHERE version = :v"
    )
    return {row[0]: row[1] for row in conn.execute(query, {"v": version})}


def refused(conn: Connection, statement: str, state: str = "23001") -> None:
    savepoint = conn.begin_nested()
    with pytest.raises(IntegrityError) as caught:
        conn.execute(text(statement))
        conn.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    savepoint.rollback()
    assert caught.value.orig.sqlstate == state, str(caught.value)


@pytest.fixture
def conn(engine: Engine):
    with engine.begin() as connection:
        yield connection


def test_a_release_follows_the_last_public_one_of_its_survey(conn: Connection) -> None:
    run = run_with(conn)
    assert freeze(conn, "v1", run).predecessor is None
    assert freeze(conn, "d1", run, draft=True).predecessor == "v1"
    assert freeze(conn, "v2", run).predecessor == "v1"
    assert freeze(conn, "d2", run, draft=True, predecessor="v1").predecessor == "v1"
    assert freeze(conn, "other", run, first=True).predecessor is None
    for version, line in (("v1", "followed by v2 already"), ("d1", "is a draft"), ("v9", "no release v9")):
        with pytest.raises(ReleaseError, match=line):
            freeze(conn, "v3", run, predecessor=version)


def test_only_a_draft_becomes_public_and_nothing_else_changes(conn: Connection) -> None:
    run = run_with(conn)
    freeze(conn, "v1", run)
    freeze(conn, "d1", run, draft=True)
    assert not release_record(conn, "d1").public
    for change in (
        "status = 'public', published_at = now(), n_sources = 1",
        "status = 'public', published_at = now(), predecessor = NULL",
        "checks = '[]'",
    ):
        refused(conn, f"UPDATE release SET {change} WHERE version = 'd1'")
    refused(conn, "UPDATE release SET status = 'draft', published_at = NULL WHERE version = 'v1'")
    refused(conn, "DELETE FROM release WHERE version = 'd1'")
    assert [check.passed for check in publish(conn, "d1")] == [True] * 4
    assert release_record(conn, "d1").public
    assert publish(conn, "d1") == publish(conn, "d1") != []
    refused(conn, "UPDATE release SET published_at = now() WHERE version = 'd1'")


def test_drafts_are_not_the_latest_catalogue(conn: Connection) -> None:
    latest = text("SELECT DISTINCT version FROM catalogue_latest")
    freeze(conn, "v1", run_with(conn))
    freeze(conn, "d1", run_with(conn), draft=True)
    assert conn.scalars(latest).all() == ["v1"]
    publish(conn, "d1")
    assert conn.scalars(latest).all() == ["d1"]


def test_a_draft_that_was_overtaken_is_not_published(conn: Connection) -> None:
    run = run_with(conn)
    freeze(conn, "v1", run)
    for version in ("d1", "d2"):
        freeze(conn, version, run, draft=True)
    publish(conn, "d1")
    with pytest.raises(ReleaseError, match=f"so does d1, which is public: release run {run} again"):
        publish(conn, "d2", anyway=True)
    refused(conn, "UPDATE release SET status = 'public', published_at = now() WHERE version = 'd2'", "23505")
    with pytest.raises(ReleaseError, match="no release v9"):
        publish(conn, "v9")


def test_of_drafts_that_follow_none_one_begins_the_line(conn: Connection) -> None:
    """Else the second would be public without a single check; one that was made to begin its own line may."""
    run = run_with(conn)
    for version in ("d1", "d2"):
        freeze(conn, version, run, draft=True)
    freeze(conn, "own", run, draft=True, first=True)
    assert publish(conn, "d2") == []
    with pytest.raises(
        ReleaseError, match=r"^release d1 follows no other, and d2 has become public since: release run"
    ):
        publish(conn, "d1", anyway=True)
    assert not release_record(conn, "d1").public
    assert publish(conn, "own") == []


def test_a_source_keeps_its_identity_whatever_its_name(conn: Connection) -> None:
    freeze(conn, "v1", run_with(conn))
    moved = {0: 0.05, 1: 5.04, 2: 11.0}  # two a little, one by a degree
    freeze(conn, "v2", run_with(conn, glon_deg=moved, keep=np.arange(1, N)))
    freeze(conn, "v3", run_with(conn))
    first, second, third = (identities(conn, v) for v in ("v1", "v2", "v3"))
    assert second[5.0] == first[5.0] == third[5.0]
    assert second[11.0] not in first.values()
    assert third[10.0] not in {*first.values(), *second.values()}  # gone is gone: its place is taken up anew
    assert all(second[x] == first[x] for x in np.round(np.arange(3, N) * SPACING_DEG, 1))
    names = conn.execute(
        text(
            "SELECT count(*) FILTER (WHERE a.source_name <> b.source_name) FROM release_source a"
            " JOIN release_source b USING (source_id) WHERE a.version = 'v1' AND b.version = 'v2'"
        )
    ).scalar_one()
    assert names > 0


def test_splits_and_mergers_are_written_down(conn: Connection) -> None:
    freeze(conn, "one", run_with(conn, keep=np.arange(1, N)))
    near = {0: SPACING_DEG + 0.15}  # beside source 1
    freeze(conn, "two", run_with(conn, glon_deg=near))
    freeze(conn, "three", run_with(conn, keep=np.arange(1, N)))
    one, two = identities(conn, "one"), identities(conn, "two")
    rows = conn.execute(
        text("SELECT version, source_id, previous_id FROM source_relation WHERE NOT inherits")
    ).all()
    assert [tuple(row) for row in rows] == [("two", two[5.2], one[5.0]), ("three", one[5.0], two[5.2])]
    refused(conn, "DELETE FROM source_relation")
    refused(conn, "UPDATE source_relation SET sep_deg = 0")
    refused(conn, "TRUNCATE source_relation")
    refused(conn, "INSERT INTO source_relation SELECT version, source_id, 1, previous_version, 0, 0, false"
                  " FROM source_relation WHERE version = 'two' AND source_id <> 1 LIMIT 1")  # fmt: skip
    (split,) = (r for r in diff(conn, "one", "two").rows if r[0] == "new")
    assert split[COLUMNS.index("note")].startswith("beside ASID J")


def test_diff_lists_each_change_once_and_nothing_else(conn: Connection) -> None:
    before = run_with(conn, keep=np.arange(1, N))
    for run in (before,):
        _classify(conn, run, {})
    now = run_with(
        conn,
        keep=np.delete(np.arange(N), 5),
        glat_deg={2: 0.12},
        flux_cm2_s={3: 2e-10, 4: 0.5e-10, 6: 1.2e-10},
    )
    _classify(conn, now, {7: "psr"})
    freeze(conn, "v1", before)
    freeze(conn, "v2", now)
    by_change = {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in diff(conn, "v1", "v2").rows}
    assert len(diff(conn, "v1", "v2").rows) == len(by_change) == 6
    assert json.loads(json.dumps([row["source_id"] for row in by_change.values()])) == [
        row["source_id"] for row in by_change.values()
    ]  # numbers for other programs too
    places = {change: round(row["glon"] / SPACING_DEG) for change, row in by_change.items()}
    assert places == {"new": 0, "lost": 5, "moved": 2, "brightened": 3, "faded": 4, "reclassified": 7}
    assert by_change["moved"]["now"] == pytest.approx(0.12, abs=1e-6) and by_change["moved"]["sigma"] > 3
    assert by_change["brightened"]["sigma"] == pytest.approx(1e-10 / np.hypot(1e-11, 1e-11))
    assert (by_change["reclassified"]["before"], by_change["reclassified"]["now"]) == ("bll", "psr")
    back = {row[0]: row for row in diff(conn, "v2", "v1").rows}
    assert back["lost"][1] == by_change["new"]["source_id"] and set(back) == set(by_change)
    freeze(conn, "alone", now, first=True)
    unrelated = {row[0]: row[4:] for row in diff(conn, "v1", "alone").rows}
    assert unrelated == {row[0]: row[4:] for row in diff(conn, "v1", "v2").rows}
    assert diff(conn, "v2", "alone").rows == diff(conn, "v2", "v2").rows == []


def _classify(conn: Connection, run_id: int, others: dict[int, str]) -> None:
    """All sources of a run BL Lacs, but for those at some multiples of SPACING_DEG."""
    query = text(
        "INSERT INTO class_probability SELECT d.id, 'full', CASE WHEN round(m.glon_deg / :s) = ANY (:k) THEN 0.1"
        " ELSE 0.7 END, 0.1, CASE WHEN round(m.glon_deg / :s) = ANY (:k) THEN 0.7 ELSE 0.1 END, 0.05, 0.05"
        " FROM detection d JOIN measurement m ON m.detection_id = d.id WHERE d.run_id = :r"
    )
    conn.execute(query, {"r": run_id, "s": SPACING_DEG, "k": list(others)})


def test_releases_of_different_surveys_do_not_compare(conn: Connection) -> None:
    freeze(conn, "v1", run_with(conn))
    run = run_with(conn)
    conn.execute(
        text(
            "INSERT INTO observation (name, survey, irfs, content_sha256, total_counts, manifest, flux_range_gev)"
            " VALUES ('b', 'lat-6band', 'i', repeat('b', 64), 1, '{}', '{1, 100}')"
        )
    )
    conn.execute(
        text("UPDATE run SET observation_id = (SELECT max(id) FROM observation) WHERE id = :r"), {"r": run}
    )
    assert freeze(conn, "v2", run).predecessor is None
    with pytest.raises(ReleaseError, match="v1 is of lat-10gev, v2 of lat-6band"):
        diff(conn, "v1", "v2")
    with pytest.raises(ReleaseError, match="no release v9"):
        diff(conn, "v1", "v9")


def test_a_worse_draft_is_refused_with_the_reason(conn: Connection) -> None:
    freeze(conn, "v1", run_with(conn))
    freeze(conn, "fewer", run_with(conn, keep=np.arange(N - 3)), draft=True)
    freeze(conn, "fainter", run_with(conn, flux_cm2_s=dict.fromkeys(range(N), 0.9e-10)), draft=True)
    for version, why in (
        (
            "fewer",
            r"^release fewer stays a draft: number of sources: 37 sources, at least 95% of 40, failed$",
        ),
        (
            "fainter",
            r"stays a draft: flux scale: median ratio of 40 bright fluxes 0\.900, within 5% of 1, failed$",
        ),
    ):
        with pytest.raises(PublicationRefused, match=why):
            publish(conn, version)
        assert not release_record(conn, version).public
    checks = {check.name: check.passed for check in publish(conn, "fewer", anyway=True)}
    assert not checks.pop("number of sources") and all(checks.values())
    assert release_record(conn, "fewer").public


def test_bright_references_must_still_be_found_and_lie_inside_the_errors(conn: Connection) -> None:
    first, second = finished_run(conn, seed=1), finished_run(conn, seed=2)
    # Both runs against the same catalogue; the second finds fewer of it, and those it finds lie far off.
    conn.execute(text("DELETE FROM association"))

    insert = text(
        "INSERT INTO association SELECT d.id, r.id, 0.1, 0.9, true, true FROM"
        " (SELECT id, row_number() OVER (ORDER BY tile, ordinal) AS k FROM detection WHERE run_id = :run) d"
        " JOIN (SELECT s.id, row_number() OVER (ORDER BY s.id) AS k FROM reference_source s"
        "       JOIN reference_catalog c ON c.id = s.catalog_id WHERE c.name = '4FGL-DR2' LIMIT 60) r USING (k)"
        " WHERE k <= :n"
    )
    conn.execute(text("ALTER TABLE reference_source DISABLE TRIGGER immutable"))
    conn.execute(text("UPDATE reference_source SET signif_avg = 20, conf_95_semimajor_deg = 0.3,"
                      " conf_95_semiminor_deg = 0.3"))  # fmt: skip
    conn.execute(text("ALTER TABLE reference_source ENABLE TRIGGER immutable"))
    conn.execute(text("DELETE FROM coverage"))  # or else only references inside it would count
    conn.execute(insert, {"run": first, "n": 60})
    conn.execute(insert, {"run": second, "n": 30})
    freeze(conn, "v1", first)
    freeze(conn, "v2", second, draft=True)
    with pytest.raises(PublicationRefused) as caught:
        publish(conn, "v2")
    failed = {check.name: check for check in caught.value.failed}
    assert set(failed) == {"recovery of bright references", "position errors"}
    recovery, errors = failed["recovery of bright references"], failed["position errors"]
    assert (recovery.value, recovery.before) == (30 / 120, 60 / 120)
    assert errors.before == 1.0 and errors.value is not None and errors.value < 0.1


def test_references_count_where_both_releases_looked(conn: Connection) -> None:
    finished_run(conn, seed=1)
    conn.execute(text("ALTER TABLE reference_source DISABLE TRIGGER immutable"))
    conn.execute(text("UPDATE reference_source SET signif_avg = 20"))
    rows = conn.execute(
        text(
            "SELECT s.id, s.ra_deg, s.dec_deg, c.sha256 FROM reference_source s"
            " JOIN reference_catalog c ON c.id = s.catalog_id WHERE NOT extended ORDER BY s.dec_deg"
        )
    ).all()
    catalogs = [row.sha256 for row in rows]
    assert bright_references(conn, catalogs, []) == {row.id for row in rows} and len(rows) > 20
    south = MOC.from_cone(Longitude(0 * u.deg), Latitude(-90 * u.deg), radius=90 * u.deg, max_depth=8)
    seen = {row.id for row in rows if row.dec_deg < -1}
    doubtful = {row.id for row in rows if abs(row.dec_deg) <= 1}
    assert bright_references(conn, catalogs, [south]) - doubtful == seen and 0 < len(seen) < len(rows)
    north = south.complement()
    assert bright_references(conn, catalogs, [south, north, south]) == set()
