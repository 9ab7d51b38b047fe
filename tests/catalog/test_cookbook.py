"""The cookbook's questions, and those of the README, asked of a small run: they work, and mean what they say."""

import re

import healpy as hp
import numpy as np
import pytest
from sqlalchemy import Engine, text

from catalog.added_references import add_file
from catalog.freezing import freeze
from catalog.query import Answer, read_only
from catalog.store import write_detections, write_measurements
from scripts.cookbook import COOKBOOK, OWN_LIST, README, questions, refill
from sky.frames import icrs_to_galactic, unit_vectors
from tests.catalog.small_run import finished_run, new_run, some_detections, some_measurements

ASKED = questions(COOKBOOK.read_text())
PLACES = np.array(
    [(83.65, 22.0), (166.11, 38.21), (166.5, 38.2), (10.0, -40.0)]
)  # Crab, Mrk 421, near it, nothing


@pytest.fixture(scope="module")
def small_sky(database_server: Engine, template_database: str):
    """Two releases of small runs, the second a draft, and the list of one's own."""
    from catalog.engine import make_engine

    name = f"{template_database}_cookbook"
    with database_server.connect() as server:
        server.execute(text(f"CREATE DATABASE {name} TEMPLATE {template_database}"))
    engine = make_engine(database_server.url.set(database=name), pooled=False)
    with engine.begin() as conn:
        runs = [
            new_run_at(conn, PLACES, seed=1),
            new_run_at(conn, PLACES[:3], seed=2),
            finished_run(conn, 60, seed=3),
        ]
        conn.execute(
            text(
                "INSERT INTO no_counterpart SELECT id, CASE WHEN ordinal = 3 THEN 0.99 ELSE 0.01 END FROM detection"
                " WHERE run_id = :r"
            ),
            {"r": runs[0]},
        )
        freeze_all(conn, runs)
        add_file(conn, *OWN_LIST)
    yield engine
    engine.dispose()
    with database_server.connect() as server:
        server.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def new_run_at(conn, places: np.ndarray, seed: int) -> int:
    rng, n = np.random.default_rng(seed), len(places)
    glon, glat = icrs_to_galactic(*places.T)
    run_id = new_run(conn, seed)
    found = some_detections(rng, [0], n) | {"glon_deg": glon, "glat_deg": glat, "det_prob": np.ones(n)}
    write_detections(conn, run_id, [0], found)
    ids = conn.scalars(
        text("SELECT id FROM detection WHERE run_id = :r ORDER BY ordinal"), {"r": run_id}
    ).all()
    write_measurements(conn, ids, some_measurements(rng, glon, glat))
    return run_id


def freeze_all(conn, runs: list[int]) -> None:
    conn.execute(text("UPDATE run SET status = 'done', finished_at = now()"))
    freeze(conn, "lat-8yr-10gev-1", runs[0])
    freeze(conn, "lat-8yr-10gev-generous", runs[1], draft=True)


def asked(engine: Engine, number: int) -> Answer:
    return read_only(engine, ASKED[number - 1][0])


def test_there_are_ten() -> None:
    assert len(ASKED) == 10 == len(re.findall(r"^## \d+\. ", COOKBOOK.read_text(), re.MULTILINE))


@pytest.mark.parametrize("number", range(1, 11))
def test_a_question_can_be_asked_and_its_answer_has_the_documents_columns(
    small_sky: Engine, number: int
) -> None:
    columns = ASKED[number - 1][1].splitlines()[0].split()
    assert list(asked(small_sky, number).columns) == columns


def test_the_readmes_questions_can_be_asked(small_sky: Engine) -> None:
    found = questions(README.read_text())
    assert len(found) >= 4
    for sql, answer in found:
        assert list(read_only(small_sky, sql).columns) == answer.splitlines()[0].split()


def test_sources_that_no_catalogue_has(small_sky: Engine) -> None:
    (only,) = asked(small_sky, 1).rows
    assert [float(v) for v in only[1:3]] == pytest.approx(
        [float(v) for v in icrs_to_galactic(*PLACES[3])], abs=0.01
    )
    assert float(only[-1]) == 0.99


def test_associations_by_chance(small_sky: Engine) -> None:
    """Both displacements against brute force over all reference sources."""
    with small_sky.connect() as conn:
        query = (
            "SELECT glon_deg, glat_deg FROM reference_source r JOIN reference_catalog k ON k.id = catalog_id"
        )
        references = unit_vectors(
            *zip(*conn.execute(text(query + " WHERE k.name = '4FGL-DR2'")), strict=True)
        )
    glon, glat = icrs_to_galactic(*PLACES.T)
    for (shift, n, near, percent), moved in zip(asked(small_sky, 5).rows, (0, 3), strict=True):
        chord = np.linalg.norm(unit_vectors(glon, glat - moved * np.sign(glat))[:, None] - references, axis=2)
        expected = int(np.any(chord <= 2 * np.sin(np.radians(0.15)), axis=1).sum())
        assert (shift, n, near, float(percent)) == (moved, 4, expected, 25.0 * expected)


def test_sources_of_ones_own_list(small_sky: Engine) -> None:
    rows = asked(small_sky, 7).rows
    found = {row[0]: float(row[2]) for row in rows if row[1] is not None}
    assert found.keys() == {"Crab nebula", "Mrk 421"} and len(rows) == 8
    assert found["Crab nebula"] == pytest.approx(
        60 * np.hypot(0.0169 * np.cos(np.radians(22)), 0.0145), abs=0.06
    )


def test_changes_between_two_releases(small_sky: Engine) -> None:
    """The second has three of the four sources of the first, and none other."""
    assert [row[:2] for row in asked(small_sky, 9).rows] == [("lost", 1), ("same", 3)]


def test_cells_with_most_sources(small_sky: Engine) -> None:
    cells = hp.ang2pix(4, *PLACES.T, nest=True, lonlat=True)
    counts = sorted(
        ((int(n), -int(c)) for c, n in zip(*np.unique(cells, return_counts=True), strict=True)), reverse=True
    )
    rows = asked(small_sky, 10).rows
    assert [(row[1], -row[0]) for row in rows[: len(counts)]] == counts
    assert float(rows[0][3]) == pytest.approx(counts[0][0] / (4 / 192), rel=0.01)


def test_answers_are_filled_in_where_they_belong() -> None:
    document = COOKBOOK.read_text()
    filled = refill(document, lambda sql: f"{len(sql)}\n")
    assert [answer for _, answer in questions(filled)] == [f"{len(sql)}\n" for sql, _ in ASKED]
    assert [sql for sql, _ in questions(filled)] == [sql for sql, _ in ASKED]
    assert refill(filled, dict(ASKED).__getitem__) == document
    readme = README.read_text()
    assert {answer for _, answer in questions(refill(readme, lambda _: "nothing\n"))} == {"nothing\n"}
    assert refill(readme, dict(questions(readme)).__getitem__) == readme
