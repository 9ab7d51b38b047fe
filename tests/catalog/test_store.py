"""Rows that go in come out again, once, whatever was tried before."""

import numpy as np
import pandas as pd
import psycopg
import pytest
from astropy.coordinates import SkyCoord
from sqlalchemy import Connection, Engine, select, text

from catalog import store
from catalog.tables import Detection, ReferenceSource
from tests.catalog.small_run import new_observation, new_run, some_detections, some_measurements


def stored_detections(conn: Connection, run: int) -> pd.DataFrame:
    """All that the table holds of a run."""
    query = select(Detection.__table__).where(Detection.run_id == run)
    return pd.read_sql_query(query.order_by(Detection.tile, Detection.ordinal), conn)


def test_the_same_content_is_the_same_observation(engine: Engine) -> None:
    with engine.begin() as conn:
        first = new_observation(conn, "a" * 64, "one")
        again = new_observation(conn, "a" * 64, "the-same-recompressed")
        other = new_observation(conn, "b" * 64, "one")
    assert first == again != other


@pytest.mark.parametrize("form", [dict, pd.DataFrame])
def test_detections_come_back_as_they_went_in(engine: Engine, form: type) -> None:
    given = some_detections(np.random.default_rng(1), [3, 4], 40)
    given["disc_deg"][[2, 31]] = 0.8, 2.0
    source = form(given | {"background_sr": list(given["background_sr"])}) if form is pd.DataFrame else given
    with engine.begin() as conn:
        run = new_run(conn)
        assert store.write_detections(conn, run, [3, 4, 5], source) == 40
        frame = stored_detections(conn, run)
        read = store.read_detections(conn, run, 0.4, given["background_sr"].shape[1])
        assert {*read} - {*store.read_detections(conn, run)} == {"background_sr"}
    likely = frame[frame["det_prob"] >= 0.4]
    assert 0 < len(likely) < len(frame)
    order = np.argsort(given["tile"], kind="stable")
    np.testing.assert_array_equal(
        read.pop("disc_deg"), given["disc_deg"][order][frame["det_prob"].to_numpy() >= 0.4]
    )
    for name, values in read.items():
        assert np.array_equal(values, np.stack(likely[name])), name
    for name in ("tile", "ts", "det_prob", "flux_cm2_s", "glat_deg", "glon_deg"):
        np.testing.assert_array_equal(frame[name], given[name][order])
    np.testing.assert_array_equal(np.stack(frame["background_sr"]), given["background_sr"][order])
    icrs = SkyCoord(frame["glon_deg"], frame["glat_deg"], unit="deg", frame="galactic").icrs
    np.testing.assert_allclose(frame[["x", "y", "z"]].T, icrs.cartesian.xyz.value, atol=1e-14)
    np.testing.assert_allclose(frame["dec_deg"], icrs.dec.deg, atol=1e-12)
    assert [*frame["ordinal"]] == [*range((given["tile"] == 3).sum()), *range((given["tile"] == 4).sum())]


def test_a_second_try_replaces_the_first(engine: Engine) -> None:
    rng = np.random.default_rng(2)
    with engine.begin() as conn:
        run = new_run(conn)
        store.write_detections(conn, run, [1], some_detections(rng, [1], 5))
        store.write_detections(conn, run, [2], some_detections(rng, [2], 7))
        store.write_detections(conn, run, [1], some_detections(rng, [1], 3))
        assert store.read_detections(conn, run)["tile"].tolist() == [1] * 3 + [2] * 7


def test_no_detections_at_all(engine: Engine) -> None:
    with engine.begin() as conn:
        run = new_run(conn)
        assert store.write_detections(conn, run, [1], some_detections(np.random.default_rng(0), [1], 0)) == 0
        assert store.read_detections(conn, run, n_planes=6)["background_sr"].shape == (0, 6)
        assert store.write_measurements(conn, [], some_measurements(np.random.default_rng(0), [], [])) == 0


def test_detections_of_foreign_tiles_are_refused(engine: Engine) -> None:
    with engine.begin() as conn, pytest.raises(ValueError, match=r"tiles \[9\]"):
        store.write_detections(conn, new_run(conn), [1], some_detections(np.random.default_rng(0), [9], 2))


def test_measurements_replace_and_keep_what_is_absent(engine: Engine) -> None:
    rng = np.random.default_rng(3)
    with engine.begin() as conn:
        run = new_run(conn)
        store.write_detections(conn, run, [1], some_detections(rng, [1], 20))
        found = store.read_detections(conn, run)
        ids = found["id"]
        store.write_measurements(conn, ids, some_measurements(rng, found["glon_deg"], found["glat_deg"]))
        given = some_measurements(rng, found["glon_deg"], found["glat_deg"])
        store.write_measurements(conn, ids, given)
        frame = store.read_measurements(conn, run)
        bands = store.read_band_fluxes(conn, run)
    for name in ("conf_95_semimajor_deg", "signif_avg", "flux_cm2_s", "index", "flags"):
        np.testing.assert_array_equal(frame[name], given[name])
    assert frame["unc_index"].isna().all()
    np.testing.assert_array_equal(
        bands["unc_low_cm2_s"].to_numpy(float).reshape(-1, 3), given["band_unc_low"]
    )
    np.testing.assert_array_equal(bands["flux_cm2_s"].to_numpy().reshape(-1, 3), given["band_flux"])


def test_nan_where_a_value_is_needed_is_refused(engine: Engine) -> None:
    rng = np.random.default_rng(4)
    with engine.connect() as conn:
        run = new_run(conn)
        bad = some_detections(rng, [1], 3)
        bad["flux_cm2_s"][1] = np.nan
        with pytest.raises(psycopg.errors.CheckViolation, match="ck_detection_flux_not_negative"):
            store.write_detections(conn, run, [1], bad)


def test_associations_replace_those_of_the_run(engine: Engine) -> None:
    rng = np.random.default_rng(5)
    with engine.begin() as conn:
        run = new_run(conn)
        store.write_detections(conn, run, [1], some_detections(rng, [1], 2))
        ids = store.read_detections(conn, run)["id"]
        conn.execute(
            text(
                "INSERT INTO reference_catalog (name, version, sha256, file_name, citation)"
                " VALUES ('4FGL-DR2', 'v27', repeat('a', 64), 'f', 'c')"
            )
        )
        columns = {
            "catalog_id": np.full(2, 1),
            "name": np.array(["A", "B"]),
            "source_class": np.array(["", ""]),
            "association": np.array(["", ""]),
            "extended": np.array([False, False]),
            "flags": np.zeros(2, int),
            "extra": [{}, {"k": [1, None]}],
            **store.position_columns(np.array([1.0, 2.0]), np.array([3.0, 4.0])),
        }
        store.copy_rows(conn, ReferenceSource, columns)
        sources = conn.scalars(text("SELECT id FROM reference_source ORDER BY name")).all()
        for n in (2, 1):
            rows = {
                "detection_id": ids[:n],
                "reference_source_id": np.array(sources[:n]),
                "sep_deg": np.full(n, 0.1),
                "prob": np.full(n, 0.9),
                "matched_03": np.full(n, True),
                "matched_05": np.full(n, True),
            }
            none = {"detection_id": ids, "prob": np.array([0.1 * n, 1.0])}
            assert store.write_associations(conn, run, rows, none) == n
        assert conn.scalar(text("SELECT count(*) FROM association")) == 1
        assert conn.scalars(text("SELECT prob FROM no_counterpart ORDER BY prob")).all() == [0.1, 1.0]
