"""An observation's photons as rows of the database: what pictures of the sky and of its sources are made from.

One row a band and HEALPix cell of order 3, event types and time slices added up: a picture of one place reads
the few cells around it, one of the whole sky reads all. The counts cubes that the detectors work on stay in
files (`sky.storage`); a report must be possible long after they are gone.
"""

import functools
import operator
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import healpy as hp
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.store import copy_rows
from catalog.tables import CountsTile
from sky.counts import CountsCube, HealpixCounts, npix_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
CELL_ORDER = 3
N_CELLS = 12 << (2 * CELL_ORDER)
LEVEL = 1  # of zlib: counts are mostly zeros, which the fastest level packs as well as the slowest


def write_counts(conn: Connection, observation_id: int, cube: CountsCube) -> None:
    """Store the photons of an observation; nothing if they are there already."""
    if has_counts(conn, observation_id):
        return
    for band in range(len(cube.survey.bands)):
        cells = _band_map(cube, band).dense().astype("<i4").reshape(N_CELLS, -1)
        columns: dict[str, Any] = {
            "observation_id": np.full(N_CELLS, observation_id),
            "band": np.full(N_CELLS, band),
            "tile": np.arange(N_CELLS),
            "hpx_order": np.full(N_CELLS, cube.survey.bands[band].order),
            "counts": [zlib.compress(cell.tobytes(), LEVEL) for cell in cells],
        }
        copy_rows(conn, CountsTile, columns)


def _band_map(cube: CountsCube, band: int) -> HealpixCounts:
    """All photons of a band in one map."""
    planes = [cube.plane(i) for i, (of_band, _) in enumerate(cube.survey.planes) if of_band == band]
    return functools.reduce(operator.add, planes)


def has_counts(conn: Connection, observation_id: int) -> bool:
    """Whether the photons of an observation are stored."""
    query = select(CountsTile.band).where(CountsTile.observation_id == observation_id).limit(1)
    return conn.scalar(query) is not None


def sky_map(
    conn: Connection, observation_id: int, order: int, bands: Sequence[int] | None = None
) -> Floats | None:
    """Photons of some bands together (all of them by default), NESTED galactic.

    A band coarser than the map is spread evenly over the pixels that it cannot tell apart.

    Returns
    -------
    array, shape (npix,), or None
        None where the photons of the observation are not stored.
    """
    total = np.zeros((N_CELLS, npix_of(order) // N_CELLS))
    some = False
    for _, tile, found, values in _cells(conn, observation_id, bands, None):
        coarse = min(order, found)
        share = 4 ** (order - coarse)
        total[tile] += np.repeat(values.reshape(-1, 4 ** (found - coarse)).sum(axis=1) / share, share)
        some = True
    return total.ravel() if some else None


def counts_around(
    conn: Connection, observation_id: int, band: int, glon_deg: float, glat_deg: float, radius_deg: float
) -> HealpixCounts | None:
    """Photons of a band in the cells that a circle touches; empty elsewhere. None where none are stored."""
    centre = hp.ang2vec(glon_deg, glat_deg, lonlat=True)
    cells = hp.query_disc(1 << CELL_ORDER, centre, np.radians(radius_deg), inclusive=True, nest=True)
    found = list(_cells(conn, observation_id, [band], [int(cell) for cell in cells]))
    if not found:
        return None
    order = found[0][2]
    first = 4 ** (order - CELL_ORDER)
    pixels = np.concatenate([tile * first + np.arange(first) for _, tile, _, _ in found])
    return HealpixCounts.from_pixels(order, pixels, np.concatenate([values for *_, values in found]))


def _cells(
    conn: Connection, observation_id: int, bands: Sequence[int] | None, cells: Sequence[int] | None
) -> Iterator[tuple[int, int, int, Ints]]:
    """Band, cell, order and counts of the stored cells."""
    query = select(CountsTile.band, CountsTile.tile, CountsTile.hpx_order, CountsTile.counts)
    query = query.where(CountsTile.observation_id == observation_id)
    if bands is not None:
        query = query.where(CountsTile.band.in_(bands))
    if cells is not None:
        query = query.where(CountsTile.tile.in_(cells))
    for band, tile, order, packed in conn.execute(query.order_by(CountsTile.band, CountsTile.tile)):
        yield band, tile, order, np.frombuffer(zlib.decompress(packed), "<i4").astype(np.int64)
