"""The catalogue as Parquet: ``asid-<VERSION>.parquet``, its VOTable header inside (IVOA note VOParquet)."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table
from numpy.typing import NDArray

from catalog.formats.votable import header_xml
from catalog.release import ReleaseRecord


def write_parquet(record: ReleaseRecord, table: Table, path: Path) -> None:
    """Write a release's catalogue (`catalog.release.release_table`) as one Parquet file."""
    arrow = arrow_table(table)
    header = header_xml(record, table)
    metadata = {"IVOA.VOTable-Parquet.version": "1.0", "IVOA.VOTable-Parquet.content": header}
    pq.write_table(arrow.replace_schema_metadata(metadata), path, compression="zstd")


def arrow_table(table: Table) -> pa.Table:
    """A catalogue in Arrow's types; cells with a shape become lists of fixed size."""
    return pa.table({name: _arrow(np.asarray(table[name])) for name in table.colnames})


def _arrow(values: NDArray[Any]) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values.tolist() if values.dtype.kind == "U" else values)
    inner = _arrow(values.reshape(-1, *values.shape[2:]))
    return pa.FixedSizeListArray.from_arrays(inner, values.shape[1])
