"""What a work item of each stage does.

A stage reads what it needs, computes without a transaction open, and hands back the write: a function of the
connection, which the caller runs in the transaction that marks the item done.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, select

from catalog import store
from catalog.ledger import LeasedItem
from catalog.tables import Observation, Run
from models.detectors import make_detector
from models.likelihood import Detections
from sky.response import load_response
from sky.storage import StoredSky, load_sky
from sky.tiles import TileGrid
from workers.associating import associate_run, read_references
from workers.characterising import characterise_rows
from workers.cubes import cube_folder

Write = Callable[[Connection], object]


@dataclass(frozen=True)
class Task:
    """What a stage must know of its run."""

    run_id: int
    detector: str
    seed: int
    content_sha256: str
    settings: dict[str, Any]

    @property
    def references(self) -> list[str]:
        """Checksums of the catalogues to compare with."""
        return list(self.settings["references"])


@lru_cache(maxsize=2)
def stored_sky(folder: Path) -> StoredSky:
    """An observation's cube and exposure, opened once a process."""
    return load_sky(folder)


def _task(engine: Engine, run_id: int) -> Task:
    query = select(Run.id, Run.detector, Run.seed, Observation.content_sha256, Run.settings).join(
        Observation, Observation.id == Run.observation_id
    )
    with engine.connect() as conn:
        return Task(*conn.execute(query.where(Run.id == run_id)).one())


def detect(engine: Engine, home: Path, item: LeasedItem) -> Write:
    """Find the sources whose place lies in the cells of the item's tiles."""
    task = _task(engine, item.run_id)
    sky = stored_sky(cube_folder(home, task.content_sha256))
    detector = make_detector(task.detector, task.settings.get("localiser"))
    response, grid = load_response(sky.irfs), TileGrid(sky.cube.survey, together=tuple(item.tiles))
    detections = detector(sky.cube, sky.exposure, response, grid, item.tiles, task.seed)
    return lambda conn: store.write_detections(conn, item.run_id, item.tiles, detections)


def characterise_tiles(engine: Engine, home: Path, item: LeasedItem) -> Write:
    """Measure the sources of the item's tiles, with all others of the sky as their neighbours.

    Sources are the detections that can be released: what is too improbable stays in the raw list as the detector
    found it, and takes no photons from a neighbour.
    """
    task = _task(engine, item.run_id)
    sky = stored_sky(cube_folder(home, task.content_sha256))
    with engine.connect() as conn:
        columns = store.read_detections(
            conn, item.run_id, task.settings["threshold"], len(sky.cube.survey.planes)
        )
    ids = columns.pop("id")
    detections = Detections(**columns)
    mine = np.flatnonzero(np.isin(detections.tile, item.tiles))
    return characterise_rows(sky, detections, mine, ids[mine], task.seed, task.settings, task.detector)


def associate_catalogue(engine: Engine, home: Path, item: LeasedItem) -> Write:  # noqa: ARG001
    """Find counterparts of the run's whole catalogue in all reference catalogues of the run."""
    task = _task(engine, item.run_id)
    with engine.connect() as conn:
        rows = store.read_measurements(conn, item.run_id)
        references = read_references(conn, task.references)
    pairs, none = associate_run(rows[rows["det_prob"] >= task.settings["threshold"]], references)
    return lambda conn: store.write_associations(conn, item.run_id, pairs, none)


STAGES: dict[str, Callable[[Engine, Path, LeasedItem], Write]] = {
    "detect": detect,
    "characterise": characterise_tiles,
    "associate": associate_catalogue,
}
