"""Reference catalogues that a user adds: any file with positions, or a table of VizieR.

A catalogue is known by its content: adding the same again changes nothing, other content under a known name
is refused. A file that is one of the LAT team's own catalogues is loaded as such.
"""

import hashlib
import json
import re
from pathlib import Path

from astropy.table import Table
from sqlalchemy import Connection, func, select

from catalog.foreign_columns import plain_values
from catalog.query import Answer
from catalog.recognition import CatalogueError, reference_columns
from catalog.references import TABLE, catalogue_name, load_reference, write_catalogue
from catalog.table_files import read_table
from catalog.tables import ReferenceCatalog, ReferenceSource
from catalog.vizier import VizierTable
from sky.readers.files import InputError, open_fits

NAME = re.compile(r"[A-Za-z0-9._-]+")


def add_file(conn: Connection, name: str, path: Path, citation: str = "") -> int:
    """Add a FITS, VOTable or ECSV file as a catalogue; its id.

    Raises
    ------
    InputError, CatalogueError
        One line; the database is as it was.
    """
    require_name(name)
    published = published_name(path)
    if published is None:
        return add_table(conn, name, read_table(path), source=path.name, citation=citation)
    if published != name:
        raise CatalogueError(f"{path}: this is {published}; add it under that name")
    return load_reference(conn, path)


def add_vizier(conn: Connection, name: str, found: VizierTable, citation: str = "") -> int:
    """Add a table of VizieR as a catalogue; its id. Raises as `add_file`."""
    citation = citation or f"{found.description} (VizieR {found.name})"
    return add_table(conn, name, found.table, source=found.name, citation=citation)


def add_table(conn: Connection, name: str, table: Table, *, source: str, citation: str) -> int:
    """Add a table as a catalogue whose version is its source; its id. Raises as `add_file`."""
    require_name(name)
    columns = reference_columns(table, source)
    sha256 = content_sha256(table)
    known = conn.execute(
        select(ReferenceCatalog.id, ReferenceCatalog.name, ReferenceCatalog.version, ReferenceCatalog.sha256)
        .where((ReferenceCatalog.name == name) | (ReferenceCatalog.sha256 == sha256))
        .order_by(ReferenceCatalog.sha256 != sha256)
    ).first()
    if known is not None and (known.name, known.sha256) == (name, sha256):
        return int(known.id)
    if known is not None and known.name == name:
        raise CatalogueError(
            f"{source}: a catalogue {name} with other content ({known.version}) is there already"
        )
    if known is not None:
        raise CatalogueError(f"{source}: the same content is there already as {known.name}")
    identity = {"name": name, "version": source, "sha256": sha256, "file_name": source, "citation": citation}
    return write_catalogue(conn, columns, **identity)


def require_name(name: str) -> None:
    """Check the name of a catalogue."""
    if not NAME.fullmatch(name):
        raise CatalogueError(f"'{name}' is no name of a catalogue: letters, digits, '-', '_' and '.' alone")


def published_name(path: Path) -> str | None:
    """Name of the LAT team's catalogue in a file; None if it is another table."""
    try:
        with open_fits(path) as hdus:
            tables = [hdu for hdu in hdus if hdu.name.upper() == TABLE.upper()]
            return catalogue_name(path, tables[0]) if tables else None
    except InputError:
        return None


def content_sha256(table: Table) -> str:
    """Checksum of what a table says, whatever its format and the order of its rows and columns."""
    names = sorted(table.colnames)
    units = [str(table[name].unit or "") for name in names]
    rows = zip(*(plain_values(table[name]) for name in names), strict=True)
    lines = [json.dumps([names, units]), *sorted(json.dumps(row) for row in rows)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def list_references(conn: Connection) -> Answer:
    """All catalogues of the database, oldest first, with the number of their sources."""
    query = (
        select(
            ReferenceCatalog.name,
            ReferenceCatalog.version,
            func.count(ReferenceSource.id).label("sources"),
            ReferenceCatalog.loaded_at,
            ReferenceCatalog.citation,
            ReferenceCatalog.sha256,
        )
        .outerjoin(ReferenceSource, ReferenceSource.catalog_id == ReferenceCatalog.id)
        .group_by(ReferenceCatalog.id)
        .order_by(ReferenceCatalog.id)
    )
    result = conn.execute(query)
    return Answer(tuple(result.keys()), [tuple(row) for row in result])
