"""What stands beside a release's catalogue: all that the detector found, and what the sources were before."""

from typing import Any

import numpy as np
from astropy.table import Table
from sqlalchemy import Connection, Select, func, select

from catalog.release import release_record
from catalog.tables import Detection, Measurement, ReleaseSource, Run, SourceRelation

BELOW_THRESHOLD, NOT_MEASURED = "below threshold", "not measured"


def release_detections(conn: Connection, version: str) -> Table:
    """The raw list of the release's run, by tile: each with the source it became, or with why it is none.

    Raises
    ------
    ReleaseError
        If there is no such release.
    """
    record = release_record(conn, version)
    threshold = float(record.provenance["settings"].get("threshold", 0.0))
    source = select(ReleaseSource).where(ReleaseSource.version == version).subquery()
    query = (
        select(
            Detection.tile,
            Detection.ordinal,
            Detection.ra_deg,
            Detection.dec_deg,
            Detection.glon_deg,
            Detection.glat_deg,
            Detection.det_prob,
            Detection.ts,
            Detection.flux_cm2_s,
            func.coalesce(source.c.source_name, "").label("source_name"),
            (Detection.det_prob >= threshold).label("probable"),
            Measurement.detection_id.is_not(None).label("measured"),
        )
        .join(Run, Run.id == Detection.run_id)
        .outerjoin(Measurement, Measurement.detection_id == Detection.id)
        .outerjoin(source, source.c.detection_id == Detection.id)
        .where(Run.id == record.run_id)
        .order_by(Detection.tile, Detection.ordinal)
    )
    found = _columns(conn, query, ("i4", "i4", "f8", "f8", "f8", "f8", "f4", "f4", "f4", "U20", "?", "?"))
    probable, measured = found.pop("probable"), found.pop("measured")
    rejected = np.where(probable, np.where(measured, "", NOT_MEASURED), BELOW_THRESHOLD)
    found["rejected"] = np.where(found["source_name"] == "", rejected, "").astype("U16")
    return Table(found, copy=False)


def release_relations(conn: Connection, version: str) -> Table:
    """The sources' identities, by name, each with the predecessor's sources that may be the same."""
    previous = select(ReleaseSource).subquery()
    query = (
        select(
            ReleaseSource.source_name,
            ReleaseSource.source_id,
            func.coalesce(previous.c.version, ""),
            func.coalesce(previous.c.source_name, ""),
            func.coalesce(previous.c.source_id, 0),
            SourceRelation.sep_deg,
            SourceRelation.sep_sigma,
            func.coalesce(SourceRelation.inherits, False),
        )
        .outerjoin(
            SourceRelation,
            (SourceRelation.version == ReleaseSource.version)
            & (SourceRelation.source_id == ReleaseSource.source_id),
        )
        .outerjoin(
            previous,
            (previous.c.version == SourceRelation.previous_version)
            & (previous.c.source_id == SourceRelation.previous_id),
        )
        .where(ReleaseSource.version == version)
        .order_by(
            func.convert_to(ReleaseSource.source_name, "UTF8"), SourceRelation.sep_deg, previous.c.source_id
        )
    )
    names = ("source_name", "source_id", "version", "previous_name", "previous_id", "sep", "sigma", "same")
    found = _columns(conn, query, ("U20", "i8", "U64", "U20", "i8", "f4", "f4", "?"))
    return Table(dict(zip(names, found.values(), strict=True)), copy=False)


def _columns(conn: Connection, query: Select[*tuple[Any, ...]], types: tuple[str, ...]) -> dict[str, Any]:
    """Rows as one array a column; NULL becomes NaN."""
    result = conn.execute(query)
    names = list(result.keys())
    rows = result.all()
    values = zip(*rows, strict=True) if rows else ([] for _ in names)
    return {name: np.array(v, dtype=t) for name, v, t in zip(names, values, types, strict=True)}
