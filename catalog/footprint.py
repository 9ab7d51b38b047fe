"""The covered sky as a multi-order coverage map (MOC 2.0, ICRS): of an observation, and of a release."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mocpy import MOC
from numpy.typing import NDArray
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from catalog.release import ReleaseRecord
from catalog.tables import Coverage, Run
from sky.footprint import FOOTPRINT_ORDER, cells_of_tiles


def write_coverage(conn: Connection, observation_id: int, covered: NDArray[np.bool_]) -> None:
    """Write down where an observation has exposure (`sky.footprint.covered_cells`), if that is not known."""
    text = " ".join(_moc(covered).to_string(format="ascii").split())
    new = insert(Coverage).values(observation_id=observation_id, moc=text)
    conn.execute(new.on_conflict_do_nothing(index_elements=["observation_id"]))


def release_moc(conn: Connection, record: ReleaseRecord) -> MOC | None:
    """Where a release has looked for sources; None if its observation was read before that was written down."""
    query = select(Coverage.moc).join(Run, Run.observation_id == Coverage.observation_id)
    text = conn.scalar(query.where(Run.id == record.run_id))
    if text is None:
        return None
    covered = MOC.from_string(text or f"{FOOTPRINT_ORDER}/", format="ascii")
    tiles: Sequence[int] | None = record.provenance["settings"].get("tiles")
    return covered if tiles is None else covered.intersection(_moc(cells_of_tiles(tiles)))


def write_moc(moc: MOC, path: Path) -> None:
    """Write a MOC as FITS; the same MOC is the same bytes."""
    moc.save(str(path), format="fits")


def _moc(cells: NDArray[np.bool_]) -> MOC:
    numbers = np.flatnonzero(cells).astype(np.uint64)
    return MOC.from_healpix_cells(numbers, np.uint8(FOOTPRINT_ORDER), max_depth=FOOTPRINT_ORDER)
