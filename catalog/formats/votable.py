"""The catalogue as a VOTable: ``asid-<VERSION>.vot``.

astropy writes what is for people to read. The rows, in the format BINARY2, go to the file as arrays: astropy would
turn every value into text, or bytes, by itself.
"""

import math
import warnings
from binascii import b2a_base64
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from astropy.io.votable import from_table
from astropy.io.votable.tree import CooSys, Info
from astropy.table import Table
from astropy.units import UnitsWarning

from catalog.formats.binary_rows import binary_rows
from catalog.release import ReleaseRecord

TABLE_END = "  </TABLE>"
DATA_BEGIN, DATA_END = '   <DATA><BINARY2><STREAM encoding="base64">', "</STREAM></BINARY2></DATA>\n"
VALUES = {"text": "S", "integer": ">i4", "long": ">i8", "real": ">f4", "double": ">f8"}
FRAMES = {"RAJ2000": "icrs", "DEJ2000": "icrs", "GLON": "galactic", "GLAT": "galactic"}


def write_votable(record: ReleaseRecord, table: Table, path: Path) -> None:
    """Write a release's catalogue (`catalog.release.release_table`) as a VOTable."""
    before, after = header_xml(record, table).rsplit(TABLE_END, 1)
    kinds = [VALUES[c.kind] + str(c.width or "") for c in record.columns]
    columns = [table[c.name].value for c in record.columns]
    # Before each row a bit for each column that has no value: none, there NaN and blanks stand for it.
    no_nulls_bytes = math.ceil(len(columns) / 8)
    with path.open("wb") as stream:
        stream.write(f"{before}{DATA_BEGIN}".encode())
        for rows in binary_rows(kinds, columns, no_nulls_bytes):
            stream.write(b2a_base64(rows, newline=False))
        stream.write(f"{DATA_END}{TABLE_END}{after}".encode())


def header_xml(record: ReleaseRecord, table: Table) -> str:
    """The VOTable without rows, as Parquet files carry it: descriptions, UCDs, frames and origin."""
    with _units_of_4fgl():
        file = from_table(table[:0], table_id="catalogue")
    file.version = "1.4"
    resource = file.resources[0]
    for name, system in (("icrs", "ICRS"), ("galactic", "galactic")):
        resource.coordinate_systems.append(CooSys(ID=name, system=system))
    observation = record.provenance["observation"]
    origin = {
        "version": record.version,
        "request_date": record.date,
        "creator": record.creator,
        "observation": observation["name"],
        "survey": observation["survey"],
        "content_sha256": observation["content_sha256"],
    }
    resource.infos.extend(Info(name=name, value=value) for name, value in origin.items())
    first = file.get_first_table()
    first.name = "LAT_Point_Source_Catalog"
    by_name = {spec.name: spec for spec in record.columns}
    for field in first.fields:
        spec = by_name[field.name]
        field.ucd = spec.ucd
        field.ref = FRAMES.get(field.name)
        if spec.kind == "text":
            field.datatype, field.arraysize = "char", str(spec.width)
        elif len(spec.shape) > 1:
            # astropy 8.0 writes the axes of NumPy, but reads the standard's, the fastest first.
            field.arraysize = "x".join(str(n) for n in reversed(spec.shape))
    buffer = BytesIO()
    with _units_of_4fgl():
        file.to_xml(buffer)
    return buffer.getvalue().decode()


@contextmanager
def _units_of_4fgl() -> Iterator[None]:
    """4FGL's unit of energy fluxes is erg, which VOTables accept but would rather not have: no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)
        yield
