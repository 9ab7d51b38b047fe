"""`match` against brute force, whatever the table: index or none, frame, poles, the first meridian, bad rows."""

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from catalog.freezing import freeze
from catalog.query import read_only
from catalog.store import copy_rows, position_columns, read_detections, write_detections, write_measurements
from catalog.tables import ReferenceSource
from sky.frames import galactic_to_icrs, icrs_to_galactic, unit_vectors
from tests.catalog.small_run import new_run, some_detections, some_measurements

SOURCES = np.array(  # ICRS: poles, their surroundings, both sides of the first meridian, and a few anywhere
    [
        (0, 90),
        (120, 89.9),
        (200, -90),
        (33, -89.95),
        (0.02, 3),
        (359.97, 3),
        (0, -41.8),
        (180, 0),
        (83.6, 22.0),
    ]
    + [(17.3 * k % 360, 85 - 8.7 * k) for k in range(20)]
)


@pytest.fixture
def released(engine: Engine) -> Engine:
    """A public release of sources at known places, and a draft of others that must not be seen."""
    with engine.begin() as conn:
        for version, offset, draft in (("one", 0.0, False), ("two", 0.7, True)):
            dec = np.clip(SOURCES[:, 1] + offset, -90, 90)
            glon, glat = icrs_to_galactic(SOURCES[:, 0], dec)
            rng, n = np.random.default_rng(1), len(SOURCES)
            run_id = new_run(conn)
            found = some_detections(rng, [0], n) | {"glon_deg": glon, "glat_deg": glat}
            write_detections(conn, run_id, [0], found)
            ids = read_detections(conn, run_id)["id"]
            write_measurements(conn, ids, some_measurements(rng, glon, glat))
            conn.execute(
                text("UPDATE run SET status = 'done', finished_at = now() WHERE id = :r"), {"r": run_id}
            )
            freeze(conn, version, run_id, draft=draft)
    return engine


def near_and_far(n: int, spread_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions in clouds around the sources and anywhere; ICRS degrees."""
    rng = np.random.default_rng(3)
    centre = unit_vectors(*SOURCES.T)[rng.integers(0, len(SOURCES), n)]
    vectors = np.concatenate(
        [centre + np.radians(spread_deg) * rng.normal(size=(n, 3)), rng.normal(size=(n, 3))]
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ra = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0]))  # -180 to 180: the table need not be tidy
    return ra, np.degrees(np.arcsin(vectors[:, 2]))


def expected_pairs(ra: np.ndarray, dec: np.ndarray, radius_deg: float) -> dict[tuple[int, int], float]:
    chord = np.linalg.norm(unit_vectors(*SOURCES.T)[:, None] - unit_vectors(ra, dec)[None], axis=2)
    i, j = np.nonzero(chord <= 2 * np.sin(np.radians(radius_deg) / 2))
    sep = np.degrees(2 * np.arcsin(np.minimum(chord[i, j] / 2, 1)))
    return {(a, b): s for a, b, s in zip(i.tolist(), j.tolist(), sep.tolist(), strict=True)}


def found_pairs(conn: Connection, table: str, radius_deg: float) -> dict[tuple[int, int], float]:
    query = text(
        "SELECT m.ra_deg, m.dec_deg, CAST(f.matched ->> 'id' AS integer), f.sep_deg FROM match(:t, :r) f"
        " JOIN measurement m USING (detection_id)"
    )
    rows = conn.execute(query, {"t": table, "r": radius_deg}).all()
    vectors = unit_vectors([r[0] for r in rows], [r[1] for r in rows])
    source = np.argmax(vectors @ unit_vectors(*SOURCES.T).T, axis=1) if rows else []
    pairs = {(int(a), r[2]): r[3] for a, r in zip(source, rows, strict=True)}
    assert len(pairs) == len(rows), "a pair came twice"
    return pairs


def fill(conn: Connection, columns: str, rows: list[tuple[float | None, ...]]) -> None:
    conn.execute(text(f"CREATE TABLE mine (id integer, {columns})"))
    marks = ", ".join(f":c{k}" for k in range(len(rows[0])))
    conn.execute(
        text(f"INSERT INTO mine VALUES (:id, {marks})"),
        [{"id": i, **{f"c{k}": v for k, v in enumerate(row)}} for i, row in enumerate(rows)],
    )


@pytest.mark.parametrize("frame", ["ra float8, dec float8", "l numeric, b numeric"])
def test_any_table_with_positions(released: Engine, frame: str) -> None:
    for radius in (0.0, 0.05, 1.0, 40.0, 180.0):
        with released.connect() as conn:
            compare_with_brute_force(conn, frame, radius)


def compare_with_brute_force(conn: Connection, frame: str, radius: float) -> None:
    ra, dec = near_and_far(100, max(radius, 0.05))
    equatorial = frame.startswith("ra")
    lon, lat = (np.round(values, 9) for values in ((ra, dec) if equatorial else icrs_to_galactic(ra, dec)))
    fill(conn, frame, list(zip(lon.tolist(), lat.tolist(), strict=True)))
    found = found_pairs(conn, "mine", radius)
    expected = expected_pairs(*((lon, lat) if equatorial else galactic_to_icrs(lon, lat)), radius)
    # On the rim rounding decides.
    doubtful = {
        pair for pair in found.keys() ^ expected.keys() if abs({**found, **expected}[pair] - radius) < 1e-7
    }
    assert found.keys() ^ expected.keys() == doubtful
    both = found.keys() & expected.keys()
    assert radius == 0 or len(both) > 20
    np.testing.assert_allclose([found[k] for k in both], [expected[k] for k in both], atol=1e-6)


def test_the_first_meridian_from_both_sides(released: Engine) -> None:
    with released.connect() as conn:
        places = [-1e-17, 0.0, 360.0, -0.01, 359.99, 720.0, -359.99]
        fill(conn, "ra float8, dec float8", [(ra, -41.8) for ra in places])
        found = found_pairs(conn, "mine", 0.02)
    assert sorted(row for source, row in found if source == 6) == list(range(len(places)))


def test_rows_without_a_position_are_passed_over(released: Engine) -> None:
    nan, inf = float("nan"), float("inf")
    rows = [
        (180.0, 0.0),
        (None, 0.0),
        (180.0, None),
        (nan, 0.0),
        (180.0, nan),
        (inf, 0.0),
        (180.0, 91.0),
        (-inf, 1.0),
    ]
    with released.connect() as conn:
        fill(conn, "raj2000 real, dej2000 real", rows)
        assert found_pairs(conn, "mine", 0.5).keys() == {(7, 0)}


def test_an_index_on_the_cell_is_used(released: Engine) -> None:
    ra, dec = near_and_far(2000, 0.3)
    glon, glat = icrs_to_galactic(ra, dec)
    columns = position_columns(glon, glat)
    rows = list(zip(*(columns[name].tolist() for name in ("x", "y", "z", "hpx29")), strict=True))
    scans = text(
        "SELECT coalesce(seq_scan, 0) FROM pg_stat_xact_all_tables WHERE relid = CAST('mine' AS regclass)"
    )
    with released.connect() as conn:
        fill(conn, "x float8, y float8, z float8, hpx29 bigint", rows)
        conn.execute(text("CREATE INDEX ON mine (hpx29)"))
        conn.execute(text("ANALYZE mine"))
        before = conn.scalar(scans)
        found = found_pairs(conn, "mine", 0.3)
        assert conn.scalar(scans) == before
    assert found.keys() == expected_pairs(ra, dec, 0.3).keys()


def test_a_reference_catalogue_by_its_name(released: Engine) -> None:
    """The newest version of the one that is named, though all share a table."""
    with released.begin() as conn:
        for k, (name, version) in enumerate([("my-list", "1"), ("my-list", "2"), ("other", "1")]):
            row = text(
                "INSERT INTO reference_catalog (name, version, sha256, file_name, citation)"
                " VALUES (:n, :v, :s, '', '') RETURNING id"
            )
            catalog = conn.scalar(row, {"n": name, "v": version, "s": f"{k}" * 64})
            plain = {
                "catalog_id": [catalog],
                "name": [f"{name} {version}"],
                "source_class": [""],
                "association": [""],
            }
            plain |= {"extended": [False], "flags": [0], "extra": [{}]}
            copy_rows(conn, ReferenceSource, plain | position_columns(*icrs_to_galactic([83.61], [22.0])))
    answer = read_only(released, "SELECT matched ->> 'name', sep_deg FROM match('my-list', 0.1)")
    assert [row[0] for row in answer.rows] == ["my-list 2"]
    assert answer.rows[0][1] == pytest.approx(0.01 * np.cos(np.radians(22)), rel=1e-3)


@pytest.mark.parametrize(
    ("table", "radius", "fault"),
    [
        ("work_item", 1.0, "work_item has no positions in degrees"),
        ("nowhere", 1.0, 'relation "nowhere" does not exist'),
        ("measurement", -1.0, "0 to 180 degrees"),
        ("measurement", float("nan"), "0 to 180 degrees"),
    ],
)
def test_what_cannot_be_matched_is_said(released: Engine, table: str, radius: float, fault: str) -> None:
    with released.connect() as conn, pytest.raises(DBAPIError, match=fault):
        conn.execute(text("SELECT * FROM match(:t, :r)"), {"t": table, "r": radius})
