"""The catalogue as a VOTable: ``asid-<VERSION>.vot``."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from astropy.io.votable import from_table
from astropy.io.votable.tree import CooSys, Info, VOTableFile
from astropy.table import Table
from astropy.units import UnitsWarning

from catalog.release import ReleaseRecord

FRAMES = {"RAJ2000": "icrs", "DEJ2000": "icrs", "GLON": "galactic", "GLAT": "galactic"}


def votable(record: ReleaseRecord, table: Table) -> VOTableFile:
    """A release's table with descriptions, UCDs, frames and origin."""
    plain = table.copy()
    plain.convert_unicode_to_bytestring()
    with _units_of_4fgl():
        file = from_table(plain, table_id="catalogue")
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
        field.ucd = by_name[field.name].ucd
        field.ref = FRAMES.get(field.name)
        if len(shape := by_name[field.name].shape) > 1:
            # astropy 8.0 writes the axes of NumPy, but reads the standard's, the fastest first.
            field.arraysize = "x".join(str(n) for n in reversed(shape))
    return file


def write_votable(record: ReleaseRecord, table: Table, path: Path) -> None:
    """Write a release's catalogue (`catalog.release.release_table`) as a VOTable."""
    file = votable(record, table)
    with _units_of_4fgl():
        file.to_xml(str(path))


def header_xml(record: ReleaseRecord, table: Table) -> str:
    """The VOTable without rows, as Parquet files carry it."""
    buffer = BytesIO()
    file = votable(record, table[:0])
    with _units_of_4fgl():
        file.to_xml(buffer)
    return buffer.getvalue().decode()


@contextmanager
def _units_of_4fgl() -> Iterator[None]:
    """4FGL's unit of energy fluxes is erg, which VOTables accept but would rather not have: no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)
        yield
