"""Every constraint of every table refuses what it should: for each a row that breaks it and nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    CheckConstraint,
    Connection,
    Engine,
    ForeignKeyConstraint,
    UniqueConstraint,
    insert,
    text,
)
from sqlalchemy.exc import IntegrityError

from catalog.engine import make_engine
from catalog.tables import Base
from tests.catalog import characterisation_rows as characterisation

SHA = "a" * 64
POSITION = {
    "ra_deg": 1.0,
    "dec_deg": 0.0,
    "glon_deg": 2.0,
    "glat_deg": 3.0,
    "x": 1.0,
    "y": 0.0,
    "z": 0.0,
    "hpx29": 5,
}
GOOD: dict[str, dict[str, Any]] = {
    "observation": {
        "name": "a",
        "survey": "s",
        "irfs": "i",
        "content_sha256": SHA,
        "total_counts": 1,
        "flux_range_gev": [1.0, 100.0],
        "tstart_met_s": 1.0,
        "tstop_met_s": 2.0,
        "manifest": {},
    },
    "input_file": {
        "observation_id": 1,
        "role": "counts",
        "ordinal": 0,
        "file_name": "f",
        "sha256": SHA,
        "bytes": 1,
    },
    "run": {
        "observation_id": 1,
        "detector": "d",
        "seed": 0,
        "status": "planned",
        "settings": {},
        "software": {},
    },
    "work_item": {"run_id": 1, "stage": "detect", "batch": 0, "tiles": [1]},
    "detection": {
        "run_id": 1,
        "tile": 0,
        "ordinal": 0,
        "det_prob": 0.5,
        "ts": 30.0,
        "flux_cm2_s": 1e-10,
        "background_sr": [1.0],
        **POSITION,
    },
    "measurement": {
        "detection_id": 1,
        "conf_68_semimajor_deg": 0.02,
        "conf_68_semiminor_deg": 0.01,
        "conf_95_semimajor_deg": 0.04,
        "conf_95_semiminor_deg": 0.02,
        "conf_posang_deg": 10.0,
        "signif_avg": 5.0,
        "flux_cm2_s": 1e-10,
        "unc_flux_cm2_s": 1e-11,
        "index": 2.0,
        "unc_index": 0.1,
        "npred": 10.0,
        "flags": 0,
        **POSITION,
    },
    "counts_tile": {"observation_id": 1, "band": 0, "tile": 0, "hpx_order": 10, "counts": b""},
    "band_flux": {
        "detection_id": 1,
        "band": 0,
        "flux_cm2_s": 1e-10,
        "unc_low_cm2_s": -1e-11,
        "unc_high_cm2_s": 1e-11,
        "sqrt_ts": 5.0,
        "npred": 10.0,
    },
    "reference_catalog": {
        "name": "4FGL-DR2",
        "version": "v27",
        "sha256": SHA,
        "file_name": "f",
        "citation": "c",
    },
    "reference_source": {
        "catalog_id": 1,
        "name": "R",
        "conf_95_semimajor_deg": 0.2,
        "conf_95_semiminor_deg": 0.1,
        "source_class": "",
        "association": "",
        "extended": False,
        "flags": 0,
        "extra": {},
        **POSITION,
    },
    "association": {
        "detection_id": 1,
        "reference_source_id": 1,
        "sep_deg": 0.1,
        "prob": 0.9,
        "matched_03": True,
        "matched_05": True,
    },
    "no_counterpart": {"detection_id": 1, "prob": 0.1},
    "release": {
        "version": "v1",
        "run_id": 2,
        "n_sources": 1,
        "provenance": {},
        "released_at": "2026-01-01T00:00:00Z",
    },
    "release_source": {
        "version": "v1",
        "source_name": "ASID J0000.1+0000",
        "detection_id": 3,
        "source_id": 1,
    },
    "source_relation": {
        "version": "v2",
        "source_id": 1,
        "previous_version": "v1",
        "previous_id": 1,
        "sep_deg": 0.01,
        "sep_sigma": 0.5,
        "inherits": True,
    },
    "coverage": {"observation_id": 1, "moc": "0/0-11"},
    "watched_observation": {"sha256": SHA, "path": "a/observation.toml", "run_id": 1},
}
GOOD |= characterisation.GOOD
NAN, INF = float("nan"), float("inf")
POSITION_FAULTS: dict[str, list[dict[str, Any]]] = {
    "ra_range": [{"ra_deg": 360.0}, {"ra_deg": -1e-9}, {"ra_deg": NAN}],
    "dec_range": [{"dec_deg": 90.1}, {"dec_deg": NAN}],
    "glon_range": [{"glon_deg": 360.0}, {"glon_deg": -1.0}],
    "glat_range": [{"glat_deg": -90.1}],
    "unit_vector": [{"x": 1.001}, {"x": NAN}],
    "hpx29_range": [{"hpx29": -1}, {"hpx29": 12 * 4**29}],
}
FAULTS: dict[str, dict[str, list[dict[str, Any]]]] = {
    "observation": {
        "content_sha256_hex": [{"content_sha256": "A" * 64}, {"content_sha256": "a" * 63}],
        "name_form": [{"name": "a b"}, {"name": ""}],
        "counts_not_negative": [{"total_counts": -1}],
        "interval_order": [{"tstop_met_s": 1.0}],
        "flux_range_order": [
            {"flux_range_gev": [1.0]},
            {"flux_range_gev": [0.0, 1.0]},
            {"flux_range_gev": [2.0, 1.0]},
            {"flux_range_gev": [1.0, INF]},
            {"flux_range_gev": [NAN, NAN]},
        ],
    },
    "input_file": {
        "sha256_hex": [{"sha256": "x"}],
        "bytes_not_negative": [{"bytes": -1}],
        "role_known": [{"role": "other"}],
        "fk_input_file_observation_id_observation": [{"observation_id": 99}],
    },
    "run": {
        "status_known": [{"status": "asleep"}],
        "stage_known": [{"stage": "dream"}],
        "done_has_end": [{"status": "done"}, {"finished_at": "2026-01-01T00:00:00Z"}],
        "seed_not_negative": [{"seed": -1}],
        "fk_run_observation_id_observation": [{"observation_id": 99}],
    },
    "work_item": {
        "stage_known": [{"stage": "dream"}],
        "status_known": [{"status": "asleep"}],
        "attempts_not_negative": [{"attempts": -1}],
        "lease_has_end": [{"status": "leased"}, {"lease_until": "2026-01-01T00:00:00Z"}],
        "failed_has_error": [{"status": "failed"}, {"error": "but due"}],
        "has_tiles": [{"tiles": []}],
        "fk_work_item_run_id_run": [{"run_id": 99}],
    },
    "detection": {
        "det_prob_range": [{"det_prob": 1.1}, {"det_prob": NAN}],
        "tile_not_negative": [{"tile": -1}],
        "ts_not_negative": [{"ts": -1.0}, {"ts": NAN}, {"ts": INF}],
        "flux_not_negative": [{"flux_cm2_s": -1e-12}, {"flux_cm2_s": NAN}, {"flux_cm2_s": INF}],
        "fk_detection_run_id_run": [{"run_id": 99}],
        **POSITION_FAULTS,
    },
    "measurement": {
        "conf_68_order": [{"conf_68_semimajor_deg": 0.005}],
        "conf_95_order": [{"conf_95_semimajor_deg": 0.005}],
        "axes_positive": [{"conf_68_semiminor_deg": 0.0}, {"conf_95_semiminor_deg": -1.0}],
        "axes_finite": [{"conf_68_semimajor_deg": 181.0}, {"conf_95_semimajor_deg": NAN}],
        "posang_range": [{"conf_posang_deg": -90.0}, {"conf_posang_deg": 91.0}],
        "ellipse_complete": [{"conf_posang_deg": None}],
        "signif_not_negative": [{"signif_avg": -1.0}, {"signif_avg": NAN}],
        "flux_not_negative": [{"flux_cm2_s": -1.0}, {"flux_cm2_s": INF}],
        "unc_flux_not_negative": [{"unc_flux_cm2_s": -1.0}, {"unc_flux_cm2_s": NAN}],
        "index_finite": [{"index": INF}, {"index": NAN}],
        "unc_index_not_negative": [{"unc_index": -0.1}, {"unc_index": NAN}],
        "npred_not_negative": [{"npred": -1.0}, {"npred": NAN}],
        "flags_not_negative": [{"flags": -1}],
        "fk_measurement_detection_id_detection": [{"detection_id": 99}],
        **POSITION_FAULTS,
    },
    "counts_tile": {
        "band_not_negative": [{"band": -1}],
        "tile_range": [{"tile": -1}, {"tile": 768}],
        "hpx_order_range": [{"hpx_order": 2}, {"hpx_order": 13}],
        "fk_counts_tile_observation_id_observation": [{"observation_id": 99}],
    },
    "band_flux": {
        "band_not_negative": [{"band": -1}],
        "flux_not_negative": [{"flux_cm2_s": -1.0}, {"flux_cm2_s": NAN}],
        "unc_low_sign": [{"unc_low_cm2_s": 1e-12}, {"unc_low_cm2_s": NAN}, {"unc_low_cm2_s": -INF}],
        "unc_high_not_negative": [{"unc_high_cm2_s": -1e-12}, {"unc_high_cm2_s": INF}],
        "sqrt_ts_not_negative": [{"sqrt_ts": -1.0}, {"sqrt_ts": NAN}],
        "npred_not_negative": [{"npred": -1.0}, {"npred": NAN}],
        "fk_band_flux_detection_id_detection": [{"detection_id": 99}],
    },
    "reference_catalog": {"sha256_hex": [{"sha256": "x"}], "name_form": [{"name": "a b"}]},
    "reference_source": {
        "conf_95_order": [{"conf_95_semimajor_deg": 0.05}],
        "fk_reference_source_catalog_id_reference_catalog": [{"catalog_id": 99}],
        **POSITION_FAULTS,
    },
    "association": {
        "sep_range": [{"sep_deg": -0.1}, {"sep_deg": NAN}],
        "prob_range": [{"prob": 1.1}, {"prob": NAN}],
        "match_03_in_05": [{"matched_05": False}],
        "fk_association_detection_id_detection": [{"detection_id": 99}],
        "fk_association_reference_source_id_reference_source": [{"reference_source_id": 99}],
    },
    "no_counterpart": {
        "prob_range": [{"prob": -0.1}, {"prob": NAN}],
        "fk_no_counterpart_detection_id_detection": [{"detection_id": 99}],
    },
    "release": {
        "version_form": [{"version": "../x"}, {"version": ""}, {"version": "-x"}],
        "n_sources_not_negative": [{"n_sources": -1}],
        "n_relations_not_negative": [{"n_relations": -1}],
        "status_known": [{"status": "secret"}],
        "public_has_date": [{"status": "public"}, {"published_at": "2026-01-01T00:00:00Z"}],
        "predecessor_other": [{"predecessor": "v3"}],
        "fk_release_run_id_run": [{"run_id": 99}],
        "fk_release_predecessor_release": [{"predecessor": "v9"}],
    },
    "source_relation": {
        "sep_range": [{"sep_deg": -0.1}, {"sep_deg": NAN}],
        "sep_sigma_not_negative": [{"sep_sigma": -1.0}, {"sep_sigma": NAN}, {"sep_sigma": INF}],
        "inherits_identity": [{"source_id": 2, "inherits": True}],
        "fk_source_relation_source": [{"source_id": 99, "inherits": False}],
        "fk_source_relation_previous": [{"previous_id": 99, "inherits": False}],
    },
    "coverage": {
        "moc_form": [{"moc": "everywhere"}],
        "fk_coverage_observation_id_observation": [{"observation_id": 99}],
    },
    "watched_observation": {
        "sha256_hex": [{"sha256": "x"}],
        "status_known": [{"status": "lost"}],
        "broken_has_error": [{"status": "broken"}, {"error": "but taken"}],
        "released_has_version": [{"status": "released"}, {"version": "v1"}],
        "fk_watched_observation_run_id_run": [{"run_id": 99}],
        "fk_watched_observation_version_release": [{"status": "released", "version": "v9"}],
    },
    "release_source": {
        "source_name_form": [{"source_name": "ASID J00001+0000"}, {"source_name": "3FGL J0000.1+0000"}],
        "fk_release_source_version_release": [{"version": "v9"}],
        "fk_release_source_detection_id_detection": [{"detection_id": 99}],
    },
}
FAULTS |= characterisation.FAULTS
# How the doubled row differs, so that only the one constraint refuses it.
DOUBLES: dict[str, dict[str, Any]] = {
    "uq_observation_content_sha256": {"name": "b"},
    "uq_input_file_observation_id_role_ordinal": {},
    "uq_work_item_run_id_stage_batch": {},
    "uq_detection_run_id_tile_ordinal": {},
    "pk_measurement": {},
    "pk_band_flux": {},
    "pk_counts_tile": {},
    "uq_reference_catalog_name_version": {"sha256": "b" * 64},
    "uq_reference_catalog_sha256": {"version": "v28"},
    "uq_reference_source_catalog_id_name": {},
    "pk_association": {},
    "pk_no_counterpart": {},
    "pk_release": {},
    "pk_release_source": {"detection_id": 4},
    "uq_release_source_version_detection_id": {"source_name": "ASID J0000.1+0000A", "source_id": 2},
    "uq_release_source_version_source_id": {"source_name": "ASID J0000.1+0000A", "detection_id": 4},
    "pk_source_relation": {},
    "pk_coverage": {},
    "pk_watched_observation": {},
}
DOUBLES |= {f"pk_{table}": {} for table in characterisation.GOOD}


def add(conn: Connection, table: str, **changes: Any) -> None:
    conn.execute(insert(Base.metadata.tables[table]).values(**GOOD[table] | changes))


@pytest.fixture(scope="module")
def filled(database_server: Engine, template_database: str) -> Iterator[Connection]:
    """One good row in each table, in a transaction that is never committed.

    Run 1 has detections 1 and 2 and stays open; run 2 has 3 and 4 and is released, with room for more.
    """
    with database_server.connect() as server:
        server.execute(text(f"CREATE DATABASE {template_database}_filled TEMPLATE {template_database}"))
    url = database_server.url.set(database=f"{template_database}_filled")
    engine = make_engine(url, pooled=False)
    with engine.connect() as conn:
        for table in ("observation", "counts_tile", "input_file", "run", "run", "work_item"):
            add(conn, table)
        add(conn, "observation", content_sha256="e" * 64)
        for run, ordinal in ((1, 0), (1, 1), (2, 0), (2, 1)):
            add(conn, "detection", run_id=run, ordinal=ordinal)
        for table in ("measurement", "band_flux", "reference_catalog", "reference_source", "association"):
            add(conn, table)
        add(conn, "no_counterpart")
        for table in characterisation.GOOD:
            add(conn, table)
        add(conn, "model_card", sha256="f" * 64)
        add(conn, "release", n_sources=5, status="public", published_at="2026-01-01T00:00:00Z")
        add(conn, "release_source")
        add(conn, "release", version="v2", n_sources=5, n_relations=5, predecessor="v1")
        add(conn, "release_source", version="v2")
        add(
            conn, "release_source", version="v2", source_name="ASID J0000.2+0000", detection_id=4, source_id=2
        )
        for table in ("source_relation", "coverage", "watched_observation"):
            add(conn, table)
        yield conn
    with database_server.connect() as server:
        server.execute(text(f"DROP DATABASE {template_database}_filled WITH (FORCE)"))


def all_constraints() -> Iterator[tuple[str, str]]:
    for table in Base.metadata.sorted_tables:
        for constraint in table.constraints:
            if isinstance(constraint, CheckConstraint | ForeignKeyConstraint | UniqueConstraint):
                yield table.name, str(constraint.name)


def full_name(table: str, fault: str) -> str:
    return fault if fault.startswith("fk_") else f"ck_{table}_{fault}"


CASES = [
    pytest.param(table, full_name(table, fault), change, id=f"{full_name(table, fault)}-{i}")
    for table, faults in FAULTS.items()
    for fault, changes in faults.items()
    for i, change in enumerate(changes)
]


def test_every_constraint_has_a_case() -> None:
    covered = {(table, full_name(table, fault)) for table, faults in FAULTS.items() for fault in faults}
    names = {name for _, name in covered} | set(DOUBLES)
    assert {name for _, name in all_constraints()} <= names


@pytest.mark.parametrize(("table", "constraint", "change"), CASES)
def test_faulty_rows_are_refused(
    filled: Connection, table: str, constraint: str, change: dict[str, Any]
) -> None:
    fresh = {
        "input_file": {"ordinal": 1},
        "work_item": {"batch": 1},
        "detection": {"ordinal": 7},
        "observation": {"content_sha256": "c" * 64},
        "measurement": {"detection_id": 2},
        "band_flux": {"band": 1},
        "counts_tile": {"band": 1},
        "reference_catalog": {"sha256": "d" * 64, "version": "v28"},
        "reference_source": {"name": "other"},
        "association": {"detection_id": 2},
        "no_counterpart": {"detection_id": 2},
        "release": {"version": "v3"},
        "release_source": {"source_name": "ASID J1111.1+1111", "detection_id": 4, "source_id": 4},
        "source_relation": {"source_id": 2, "inherits": False},
        "coverage": {"observation_id": 2},
        "watched_observation": {"sha256": "e" * 64},
        **characterisation.FRESH,
    }.get(table, {})
    with filled.begin_nested() as savepoint:
        add(filled, table, **fresh)  # the good row is accepted: only the fault is refused below
        savepoint.rollback()
    nested = filled.begin_nested()
    with pytest.raises(IntegrityError) as caught:
        add(filled, table, **fresh | change)
    nested.rollback()
    assert caught.value.orig.diag.constraint_name == constraint


@pytest.mark.parametrize("constraint", DOUBLES)
def test_doubled_rows_are_refused(filled: Connection, constraint: str) -> None:
    table = next(t for t in sorted(GOOD, key=len, reverse=True) if constraint.split("_", 1)[1].startswith(t))
    nested = filled.begin_nested()
    with pytest.raises(IntegrityError) as caught:
        add(filled, table, **DOUBLES[constraint])
    nested.rollback()
    assert caught.value.orig.diag.constraint_name == constraint
