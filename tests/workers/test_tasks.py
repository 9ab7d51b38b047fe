"""One task: idempotent, fenced, and honest about failures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, text

from catalog import ledger, store
from catalog.ledger import LeasedItem
from sky.ingest import ingest
from sky.observation import load_observation
from sky.tiles import N_TILES
from tests.workers.synthetic import write_observation
from workers import stages
from workers.cubes import cube_folder
from workers.plan import plan
from workers.settings import Settings
from workers.tasks import work_on


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home with the cube of the synthetic sky, and its checksum."""
    folder = tmp_path_factory.mktemp("tasks")
    sky = ingest(load_observation(write_observation(folder / "sky")))
    sky.save(cube_folder(folder, sky.content_sha256))
    return folder, sky.content_sha256


@pytest.fixture
def settings(home: tuple[Path, str], database_url: str) -> Settings:
    return Settings(home=home[0], database_url=database_url, broker_url="memory://", max_attempts=2)


@pytest.fixture
def run_id(engine: Engine, home: tuple[Path, str]) -> int:
    """A run of two tiles, one a batch."""
    with engine.begin() as conn:
        observation = store.register_observation(
            conn,
            name="synthetic",
            survey="lat-10gev",
            irfs="P8R2_SOURCE_V6",
            content_sha256=home[1],
            total_counts=1,
            manifest={},
        )
        run = ledger.create_run(
            conn,
            observation,
            detector="matched-filter",
            seed=1,
            settings={"references": [], "threshold": 0.5},
            software={},
        )
        for stage, batches in plan([(0,), (3,)], np.ones(N_TILES, np.int64)).items():
            ledger.plan_stage(conn, run, stage, batches)
        ledger.advance(conn, run)
    return run


def rows(engine: Engine, query: str) -> list[tuple]:
    with engine.connect() as conn:
        return [tuple(row) for row in conn.execute(text(query))]


def due(engine: Engine, run_id: int) -> list[int]:
    with engine.connect() as conn:
        return ledger.due_items(conn, run_id)


def test_a_run_by_hints_alone(engine: Engine, settings: Settings, run_id: int) -> None:
    """Each task's hints name what became due, until the run is done; doing an item twice does it once."""
    queue = due(engine, run_id)
    assert len(queue) == 2
    while queue:
        item = queue.pop()
        work_on(settings, item, queue.extend)
        work_on(settings, item, queue.extend)
    assert rows(engine, "SELECT status FROM run") == [("done",)]
    assert {attempts for (attempts,) in rows(engine, "SELECT attempts FROM work_item")} == {1}
    query = "SELECT count(*), count(DISTINCT tile) FROM detection WHERE det_prob >= 0.5"
    ((probable, tiles),) = rows(engine, query)
    assert tiles == 2
    assert rows(engine, "SELECT count(*) FROM measurement") == [(probable,)]


def test_a_lost_lease_writes_nothing(
    engine: Engine, settings: Settings, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = due(engine, run_id)[0]
    detect = stages.STAGES["detect"]

    def slow_detect(found: Engine, home: Path, leased: LeasedItem) -> stages.Write:
        write = detect(found, home, leased)
        with engine.begin() as conn:  # meanwhile the lease runs out and another takes the item
            conn.execute(
                text("UPDATE work_item SET lease_until = now() - interval '1 s' WHERE id = :i"), {"i": item}
            )
            assert ledger.lease(conn, item, "another", 60.0) is not None
        return write

    monkeypatch.setitem(stages.STAGES, "detect", slow_detect)
    hints: list[int] = []
    work_on(settings, item, hints.extend)
    assert hints == []
    assert rows(engine, "SELECT count(*) FROM detection") == [(0,)]
    assert rows(engine, f"SELECT status, worker, attempts FROM work_item WHERE id = {item}") == [
        ("leased", "another", 2)
    ]


@pytest.mark.parametrize("where", ["while computing", "while writing"])
def test_failures_are_counted_and_told(
    engine: Engine, settings: Settings, run_id: int, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fails(*_: object) -> Callable[[Connection], object]:
        if where == "while computing":
            np.linalg.inv(np.zeros((2, 2)))
        return lambda conn: conn.execute(text("INSERT INTO detection (run_id) VALUES (1)"))

    monkeypatch.setitem(stages.STAGES, "detect", fails)
    item = due(engine, run_id)[0]
    hints: list[int] = []
    work_on(settings, item, hints.extend)
    assert hints == [item]
    assert rows(engine, f"SELECT status, attempts FROM work_item WHERE id = {item}") == [("due", 1)]
    work_on(settings, item, hints.extend)
    ((status, error),) = rows(engine, "SELECT status, error FROM run")
    assert status == "failed"
    assert error.startswith("detect, batch 0: ")
    assert ("LinAlgError: Singular matrix" if where == "while computing" else "NotNullViolation") in error
    assert rows(engine, "SELECT count(*) FROM detection") == [(0,)]


@pytest.mark.usefixtures("run_id")
def test_an_item_of_a_later_stage_waits(engine: Engine, settings: Settings) -> None:
    ((later,),) = rows(engine, "SELECT id FROM work_item WHERE stage = 'associate'")
    work_on(settings, later, lambda _: pytest.fail("sent hints"))
    assert rows(engine, f"SELECT status, attempts FROM work_item WHERE id = {later}") == [("due", 0)]
