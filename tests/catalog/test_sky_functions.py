"""The sky in SQL against healpy, astropy and brute force: poles, faces' borders and far sides included."""

import astropy.units as u
import healpy as hp
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DataError

from catalog.store import POSITION, position_columns

PROPERTIES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

longitudes = st.floats(0, 360, exclude_max=True) | st.sampled_from(
    [0.0, 45.0, 90.0, 180.0, 270.0, 359.9999999]
)
latitudes = st.floats(-90, 90) | st.sampled_from([-90.0, 90.0, 0.0, 41.8103148957786, -41.8103148957786])
radii = st.sampled_from([0.0, 1e-9, 1e-5, 0.1, 1.0, 30.0, 89.9, 90.0, 140.0, 180.0]) | st.floats(0, 180)


def special_vectors() -> np.ndarray:
    """Poles, cell centres and corners of several orders, faces' borders, and random points."""
    rng = np.random.default_rng(11)
    parts = [np.array([[0, 0, 1], [0, 0, -1], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], dtype=float)]
    for order in (0, 1, 3, 8):
        cells = rng.choice(hp.order2npix(order), min(48, hp.order2npix(order)), replace=False)
        parts.append(np.stack(hp.pix2vec(1 << order, cells, nest=True), axis=1))
        parts.append(hp.boundaries(1 << order, cells, nest=True).transpose(0, 2, 1).reshape(-1, 3))
    near_pole = rng.normal(size=(50, 3)) * 1e-7 + [0, 0, 1]
    parts += [near_pole, -near_pole, rng.normal(size=(1000, 3))]
    vectors = np.concatenate(parts)
    return vectors / np.linalg.norm(vectors, axis=1)[:, None]


@pytest.mark.parametrize("order", [0, 1, 2, 7, 13, 29])
def test_cells_are_healpys(engine: Engine, order: int) -> None:
    vectors = special_vectors()
    query = text(
        "SELECT healpix_nested(:order, x, y, z) FROM unnest(CAST(:x AS float8[]), CAST(:y AS float8[]),"
        " CAST(:z AS float8[])) WITH ORDINALITY AS t (x, y, z, n) ORDER BY n"
    )
    x, y, z = vectors.T.tolist()
    with engine.connect() as conn:
        found = np.array(conn.scalars(query, {"order": order, "x": x, "y": y, "z": z}).all())
    expected = hp.vec2pix(1 << order, *vectors.T, nest=True)
    # On a border rounding decides which side a point falls on; the cell must touch the point all the same.
    differ = np.flatnonzero(found != expected)
    assert len(differ) < 0.2 * len(vectors)
    centres = np.stack(hp.pix2vec(1 << order, found[differ], nest=True), axis=1)
    reach = np.linalg.norm(centres - vectors[differ], axis=1)
    assert np.all(reach <= 2 * np.sin(hp.max_pixrad(1 << order) / 2) * (1 + 1e-6))
    inside = np.arange(len(vectors)) >= len(vectors) - 1000  # the random points lie on no border
    assert not np.any(inside[differ])


@PROPERTIES
@given(glon=longitudes, glat=latitudes)
def test_galactic_to_icrs_is_astropys(engine: Engine, glon: float, glat: float) -> None:
    with engine.connect() as conn:
        found = conn.execute(text("SELECT * FROM galactic_to_icrs(:l, :b)"), {"l": glon, "b": glat}).one()
    expected = SkyCoord(glon * u.deg, glat * u.deg, frame="galactic").icrs.cartesian.xyz.value
    np.testing.assert_allclose(found, expected, atol=2e-15)


@PROPERTIES
@given(glon=longitudes, glat=latitudes, radius=radii)
def test_ranges_cover_their_cone(engine: Engine, glon: float, glat: float, radius: float) -> None:
    centre = unit_vector(glon, glat)
    rng = np.random.default_rng(5)
    # Points of the disc, its rim the most: that is where a cover fails.
    distance = np.radians(radius) * np.concatenate([np.sqrt(rng.uniform(size=300)), np.full(300, 1 - 1e-12)])
    angle = rng.uniform(0, 2 * np.pi, 600)
    east = np.cross(centre, [0, 0, 1] if abs(centre[2]) < 0.9 else [1, 0, 0])
    east /= np.linalg.norm(east)
    north = np.cross(centre, east)
    points = np.cos(distance)[:, None] * centre + np.sin(distance)[:, None] * (
        np.cos(angle)[:, None] * east + np.sin(angle)[:, None] * north
    )
    cells = hp.vec2pix(1 << 29, *points.T, nest=True)
    query = text("SELECT lo, hi FROM cone_ranges(:x, :y, :z, :r) ORDER BY lo")
    with engine.connect() as conn:
        x, y, z = centre.tolist()
        ranges = np.array(conn.execute(query, {"x": x, "y": y, "z": z, "r": radius}).all())
    assert 1 <= len(ranges) <= 24
    assert np.all(ranges[1:, 0] >= ranges[:-1, 1]), "ranges overlap"
    place = np.searchsorted(ranges[:, 0], cells, side="right") - 1
    assert np.all((place >= 0) & (cells < ranges[place, 1]))


def unit_vector(glon: float, glat: float) -> np.ndarray:
    return SkyCoord(glon * u.deg, glat * u.deg, frame="galactic").icrs.cartesian.xyz.value


def fill(conn: Connection, table: str, glon: np.ndarray, glat: np.ndarray) -> np.ndarray:
    columns = position_columns(glon, glat)
    conn.execute(
        text(
            f"CREATE TEMP TABLE {table} (id bigint, x float8, y float8, z float8, hpx29 bigint);"
            f"CREATE INDEX ON {table} (hpx29)"
        )
    )
    rows = [columns[name].tolist() for name in POSITION[4:]]
    with conn.connection.driver_connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
        for i, row in enumerate(zip(*rows, strict=True)):
            copy.write_row((i, *row))
    conn.execute(text(f"ANALYZE {table}"))
    return np.stack([columns[name] for name in ("x", "y", "z")], axis=1)


def sky_points(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random points; some crowd around the poles of both frames and one direction."""
    rng = np.random.default_rng(seed)
    glon, glat = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    for k, (l0, b0) in enumerate([(122.932, 27.128), (302.932, -27.128), (10.0, 90.0), (0.0, 0.0)]):
        part = slice(k * n // 10, (k + 1) * n // 10)
        glat[part] = np.clip(b0 + rng.normal(0, 1.0, n // 10), -90, 90)
        glon[part] = (l0 + rng.normal(0, 1.5, n // 10)) % 360
    return glon, glat


@pytest.fixture(scope="module")
def points() -> tuple[np.ndarray, np.ndarray]:
    return sky_points(2500, 7)


@pytest.mark.parametrize("radius", [0.0, 0.01, 1.0, 20.0, 95.0, 180.0])
def test_cone_search_is_brute_force(engine: Engine, points, radius: float) -> None:
    glon, glat = points
    rng = np.random.default_rng(8)
    query = text("SELECT id, sep_deg FROM cone_search('stars', :l, :b, :r)")
    with engine.connect() as conn:
        fill(conn, "stars", glon, glat)
        everything = SkyCoord(glon * u.deg, glat * u.deg, frame="galactic")
        poles = [(122.93192, 27.12825), (302.93192, -27.12825), (0.0, 90.0)]
        for l0, b0 in [
            *poles,
            *zip(glon[rng.integers(0, 2500, 12)], glat[:12], strict=True),
            (glon[3], glat[3]),
        ]:
            found = conn.execute(query, {"l": float(l0), "b": float(b0), "r": radius}).all()
            sep = SkyCoord(l0 * u.deg, b0 * u.deg, frame="galactic").separation(everything).deg
            clear = np.abs(sep - radius) > 1e-10  # a point on the rim may fall either way
            got = np.zeros(len(glon), dtype=bool)
            got[[row.id for row in found]] = True
            assert len(found) == got.sum(), "a row came twice"
            np.testing.assert_array_equal(got[clear], (sep <= radius)[clear])
            np.testing.assert_allclose([r.sep_deg for r in found], sep[[r.id for r in found]], atol=3e-7)
            assert [r.sep_deg for r in found] == sorted(r.sep_deg for r in found)


@pytest.mark.parametrize("radius", [0.3, 1.5])
def test_crossmatch_is_brute_force(engine: Engine, points, radius: float) -> None:
    few = sky_points(200, 9)
    with engine.connect() as conn:
        a, b = fill(conn, "few", *few), fill(conn, "many", *points)
        rows = conn.execute(text("SELECT * FROM crossmatch('few', 'many', :r)"), {"r": radius}).all()
        swapped = conn.execute(text("SELECT * FROM crossmatch('many', 'few', :r)"), {"r": radius}).all()
    chord = np.linalg.norm(a[:, None] - b[None], axis=2)
    expected = set(zip(*np.nonzero(chord <= 2 * np.sin(np.radians(radius) / 2)), strict=True))
    assert len(rows) == len(expected) > 100
    assert {(r.few_id, r.many_id) for r in rows} == expected
    assert {(r.many_id, r.few_id) for r in swapped} == expected
    sep = np.degrees(2 * np.arcsin(chord / 2))
    np.testing.assert_allclose(
        [r.sep_deg for r in rows], [sep[r.few_id, r.many_id] for r in rows], atol=1e-12
    )


def test_the_index_is_used(engine: Engine) -> None:
    scans = text("SELECT seq_scan, idx_scan FROM pg_stat_xact_all_tables WHERE relid = CAST(:t AS regclass)")
    with engine.connect() as conn:
        fill(conn, "few", *sky_points(50, 12))
        fill(conn, "stars", *sky_points(50_000, 10))
        before = conn.execute(scans, {"t": "stars"}).one()
        conn.execute(text("SELECT * FROM cone_search('stars', 100, 60, 1)")).all()
        conn.execute(text("SELECT * FROM crossmatch('few', 'stars', 0.1)")).all()
        after = conn.execute(scans, {"t": "stars"}).one()
    assert after.seq_scan == before.seq_scan
    assert 51 <= after.idx_scan - before.idx_scan <= 51 * 24


@pytest.mark.parametrize("radius", [-1.0, 180.1, float("nan")])
def test_an_impossible_radius_is_refused(engine: Engine, radius: float) -> None:
    with engine.connect() as conn, pytest.raises(DataError, match="0 to 180 degrees"):
        conn.execute(
            text("SELECT * FROM cone_search('measurement', 0, 0, :r, 'detection_id')"), {"r": radius}
        )
