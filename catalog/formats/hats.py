"""The catalogue as HATS: Parquet files by sky region, as LSDB and its like read them in parallel.

The layout is the Hierarchical Adaptive Tiling Scheme's (IVOA note HATS): a partition is a HEALPix cell (ICRS,
NESTED) of the coarsest order at which it holds no more than `MOST_ROWS` sources.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table
from numpy.typing import NDArray

from catalog.formats.parquet import arrow_table
from catalog.release import ReleaseRecord
from sky.frames import hpx29_icrs

MOST_ROWS = 100_000
INDEX = "_healpix_29"


def write_hats(record: ReleaseRecord, table: Table, folder: Path) -> None:
    """Write a release's catalogue (`catalog.release.release_table`) into a new folder."""
    cells = np.asarray(hpx29_icrs(table["GLON"], table["GLAT"]), dtype=np.int64)
    order = np.argsort(cells, kind="stable")
    cells = cells[order]
    arrow = arrow_table(table[order]).add_column(0, INDEX, pa.array(cells))
    parts: list[pq.FileMetaData] = []
    rows = []
    for depth, cell, first, last in partitions(cells):
        name = f"Norder={depth}/Dir={cell // 10_000 * 10_000}/Npix={cell}.parquet"
        path = folder / "dataset" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(arrow.slice(first, last - first), path, compression="zstd", metadata_collector=parts)
        parts[-1].set_file_path(name)
        rows.append(f"{depth},{cell}\n")
    (folder / "dataset").mkdir(parents=True, exist_ok=True)
    pq.write_metadata(arrow.schema, folder / "dataset" / "_common_metadata")
    pq.write_metadata(arrow.schema, folder / "dataset" / "_metadata", metadata_collector=parts or None)
    (folder / "partition_info.csv").write_text("Norder,Npix\n" + "".join(rows))
    for name in ("hats.properties", "properties"):
        (folder / name).write_text(_properties(record))


def partitions(cells: NDArray[np.int64]) -> Iterator[tuple[int, int, int, int]]:
    """Order, cell, first and past-the-last row of each partition of sorted cells of order 29, by place."""
    waiting = [(0, cell) for cell in reversed(range(12))]
    while waiting:
        depth, cell = waiting.pop()
        shift = 2 * (29 - depth)
        first, last = np.searchsorted(cells, [cell << shift, (cell + 1) << shift])
        if last - first > MOST_ROWS and depth < 29:
            waiting += [(depth + 1, 4 * cell + k) for k in reversed(range(4))]
        elif last > first:
            yield depth, cell, int(first), int(last)


def _properties(record: ReleaseRecord) -> str:
    values = {
        "obs_collection": f"asid-{record.version}",
        "dataproduct_type": "object",
        "hats_nrows": record.n_sources,
        "hats_max_rows": MOST_ROWS,
        "hats_col_ra": "RAJ2000",
        "hats_col_dec": "DEJ2000",
        "hats_col_healpix": INDEX,
        "hats_col_healpix_order": 29,
        "hats_npix_suffix": ".parquet",
        "hats_builder": record.creator,
        "hats_creation_date": record.date,
        "obs_regime": "Gamma-ray",
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())
