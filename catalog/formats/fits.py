"""The catalogue as FITS: ``asid-<VERSION>.fits``.

The same release always gives the same bytes: the only date in the file is the release's.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from sqlalchemy import Connection

from catalog.columns import Column
from catalog.formats.companions import lineage, raw_list
from catalog.formats.fgl import MET_ZERO, extended_sources, history_start, in_fgl_layout
from catalog.formats.fits_tables import Card, TableColumn, TableHDU, write_tables
from catalog.release import ReleaseRecord, release_associations
from catalog.release_lists import release_detections, release_relations
from sky.survey import Survey

CATALOGUE_HDU = "LAT_Point_Source_Catalog"
MEV_PER_GEV = 1000.0


def write_fits(
    conn: Connection, record: ReleaseRecord, table: Table, path: Path, fgl_path: Path | None = None
) -> None:
    """Write a release as one FITS file.

    Parameters
    ----------
    conn : Connection
        Where the lists beside the catalogue are read from.
    record : ReleaseRecord
    table : Table
        The catalogue (`catalog.release.release_table`).
    path : Path
    fgl_path : Path, optional
        Where to write what 4FGL has of it, in 4FGL's layout.
    """
    version = record.version
    catalogue = _catalogue(record, table)
    # Releases of the first schema know of no extension.
    beside = [extended_sources(table)] if "Extended_Source_Name" in table.colnames else []
    beside.append(_energy_bounds(record.survey))
    if record.slices_met_s:
        beside.append(history_start(record))
    more = [
        raw_list(release_detections(conn, version)),
        _associations(release_associations(conn, version)),
        lineage(release_relations(conn, version)),
        _provenance(record),
    ]
    write_tables(path, _primary(record, path), [catalogue, *beside, *more], record.date)
    if fgl_path is not None:
        tables = [in_fgl_layout(catalogue), *beside, _provenance(record)]
        write_tables(fgl_path, _primary(record, fgl_path), tables, record.date)


def _primary(record: ReleaseRecord, path: Path) -> list[Card]:
    return [
        ("FILENAME", path.name, "Name of this file"),
        ("RELEASE", record.version, "Version of the catalogue"),
        ("DATE", record.date, "Date of the release (UTC)"),
        ("CREATOR", record.creator, "Program that made this file"),
    ]


def _catalogue(record: ReleaseRecord, table: Table) -> TableHDU:
    observation, run = record.provenance["observation"], record.provenance["run"]
    columns = [
        TableColumn(
            c.name, c.fits_format, c.text, c.ucd, _values(c, table), c.unit, c.display, tuple(_limits(c))
        )
        for c in (*record.columns, *record.empty_columns)
    ]
    cards: list[Card] = [
        ("CDS-NAME", "ASID", "Acronym of the catalogue"),
        ("VERSION", record.version, "Version of the catalogue"),
        ("RELEASE", record.version, "Version of the catalogue"),
        ("RUNNAME", str(record.run_id), "Run the release was made from"),
        (
            "PARENTID",
            observation["content_sha256"],
            "",
        ),  # of counts and exposure; leaves no room for a comment
        ("SURVEY", observation["survey"], "Bands and event types"),
        ("OBS_ID", observation["name"], "Observation"),
        ("RSPFUNC", observation["irfs"], "Instrument response functions"),
        ("DETECTOR", run["detector"], "Method of detection"),
        ("CREATOR", record.creator, "Program that made this file"),
        ("PIPEVER", str(record.provenance["software"].get("asidcat", "")), "Version of the program"),
        ("SCHEMAV", str(record.provenance["schema_revision"]), "Revision of the database schema"),
        ("HDUCLASS", "OGIP", "Format follows OGIP"),
        ("HDUCLAS1", "SRCLIST", "Source list"),
        ("RADESYS", "ICRS", "Frame of RAJ2000 and DEJ2000"),
        *MET_ZERO,
        ("TSTART", observation["tstart_met_s"], "Start, mission elapsed time"),
        ("TSTOP", observation["tstop_met_s"], "End, mission elapsed time"),
    ]
    return TableHDU(CATALOGUE_HDU, columns, cards, list(_history(record)))


def _values(column: Column, table: Table) -> NDArray[Any]:
    """A column's values; NaN, blank or 0 where the catalogue has none."""
    if column.name in table.colnames:
        return table[column.name].value
    kind, shape = column.dtype.base, (len(table), *column.dtype.shape)
    return np.broadcast_to(
        np.array({"text": "", "integer": 0, "long": 0}.get(column.kind, np.nan), dtype=kind), shape
    )


def _limits(column: Column) -> Iterator[Card]:
    if np.isfinite(column.low):
        yield "TLMIN", column.low, "Lowest legal value"
    if np.isfinite(column.high):
        yield "TLMAX", column.high, "Highest legal value"
    if column.energy_gev:
        low_gev, high_gev = column.energy_gev
        yield "TEMIN", low_gev * MEV_PER_GEV, "[MeV] Lower edge of the energy range"
        yield "TEMAX", high_gev * MEV_PER_GEV, "[MeV] Upper edge of the energy range"


def _history(record: ReleaseRecord) -> Iterator[str]:
    """One line for each activity and what it used."""
    for file in record.provenance["inputs"]:
        yield f"ingest used {file['role']} {file['file_name']} sha256 {file['sha256']}"
    yield f"detect by {record.provenance['run']['detector']}, seed {record.provenance['run']['seed']}"
    for c in record.provenance["references"]:
        yield f"associate used {c['name']} {c['version']} {c['file_name']} sha256 {c['sha256']}"
    yield f"release {record.version} of run {record.run_id}"


def _energy_bounds(survey: Survey) -> TableHDU:
    """One row for each band and event type, as in 4FGL."""
    bands = [survey.bands[band] for band, _ in survey.planes]
    low_mev, high_mev = ([getattr(b, edge) * MEV_PER_GEV for b in bands] for edge in ("emin_gev", "emax_gev"))
    event_types = [event_type for _, event_type in survey.planes]
    return TableHDU(
        "EnergyBounds",
        [
            TableColumn("LowerEnergy", "E", "Lower edge", "em.energy;stat.min", low_mev, "MeV"),
            TableColumn("UpperEnergy", "E", "Upper edge", "em.energy;stat.max", high_mev, "MeV"),
            TableColumn("EvType", "5A", "Event type", "meta.code", event_types),
            TableColumn(
                "HpxOrder", "J", "HEALPix order of the counts", "meta.number", [b.order for b in bands]
            ),
        ],
    )


def _associations(table: Table) -> TableHDU:
    def column(name: str, form: str, text: str, ucd: str, unit: str = "", display: str = "") -> TableColumn:
        return TableColumn(name, form, text, ucd, table[name].value, unit, display)

    return TableHDU(
        "ReferenceAssociations",
        [
            column("Source_Name", "20A", "Source of this catalogue", "meta.id;meta.main"),
            column("Ref_Catalog", "16A", "Reference catalogue", "meta.id;meta.dataset"),
            column("Ref_Version", "16A", "Version of the reference catalogue's file", "meta.version"),
            column("Ref_Name", "24A", "Candidate counterpart", "meta.id.assoc"),
            column("Sep", "D", "Separation", "pos.angDistance", "deg", "F8.5"),
            column("Prob", "E", "Probability that both are the same source", "stat.probability", "", "F6.4"),
            column("Match_03", "L", "One-to-one match within 0.3 deg, best pair first", "meta.code"),
            column("Match_05", "L", "One-to-one match within 0.5 deg, best pair first", "meta.code"),
            column("Ref_Class", "8A", "Class in the reference catalogue, its case kept", "src.class"),
        ],
    )


def _provenance(record: ReleaseRecord) -> TableHDU:
    rows = [
        (key, value.encode("ascii", "backslashreplace").decode()) for key, value in provenance_rows(record)
    ]
    keys, values = ([row[i] for row in rows] for i in (0, 1))
    key_form, value_form = (f"{max(1, *map(len, column))}A" for column in (keys, values))
    return TableHDU(
        "PROVENANCE",
        [
            TableColumn("Key", key_form, "What it is", "meta.id", keys),
            TableColumn("Value", value_form, "Its value", "meta", values),
        ],
    )


def provenance_rows(record: ReleaseRecord) -> list[tuple[str, str]]:
    """The provenance flattened: paths such as ``inputs.0.sha256`` with their values."""
    release = {"version": record.version, "released_at": record.date, "predecessor": record.predecessor or ""}
    return list(_flatten("", {"release": release, **record.provenance}))


def _flatten(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from _flatten(f"{path}.{key}" if path else str(key), value[key])
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, entry in enumerate(value):
            yield from _flatten(f"{path}.{number}", entry)
    else:
        yield path, value if isinstance(value, str) else json.dumps(value, sort_keys=True)
