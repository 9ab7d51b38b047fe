"""What stands beside a release's catalogue: all that the detector found, and what the sources were before."""

import numpy as np
from astropy.table import Table
from sqlalchemy import Connection

from catalog.bulk_read import Field, read
from catalog.release import release_record

BELOW_THRESHOLD, NOT_MEASURED = "below threshold", "not measured"
_RAW = (
    Field("tile", "d.tile", "integer"),
    Field("ordinal", "d.ordinal", "integer"),
    *(Field(name, f"d.{name}", "double") for name in ("ra_deg", "dec_deg", "glon_deg", "glat_deg")),
    *(Field(name, f"d.{name}", "real") for name in ("det_prob", "ts", "flux_cm2_s")),
    Field("source_name", "s.source_name", "text", 20),
    Field(
        "probable", "d.det_prob >= coalesce((run.settings ->> 'threshold')::double precision, 0)", "logical"
    ),
    Field("measured", "m.detection_id IS NOT NULL", "logical"),
)
_FROM_DETECTION = """
FROM detection d
JOIN run ON run.id = d.run_id
LEFT JOIN measurement m ON m.detection_id = d.id
LEFT JOIN release_source s ON s.detection_id = d.id AND s.version = %s
WHERE d.run_id = %s
ORDER BY d.tile, d.ordinal
"""
_RELATED = (
    Field("source_name", "s.source_name", "text", 20),
    Field("source_id", "s.source_id", "long"),
    Field("previous_name", "p.source_name", "text", 20),
    Field("previous_id", "coalesce(p.source_id, 0)", "long"),
    Field("sep", "r.sep_deg", "real"),
    Field("sigma", "r.sep_sigma", "real"),
    Field("same", "coalesce(r.inherits, false)", "logical"),
)
_FROM_RELATION = """
FROM release_source s
LEFT JOIN source_relation r ON r.version = s.version AND r.source_id = s.source_id
LEFT JOIN release_source p ON p.version = r.previous_version AND p.source_id = r.previous_id
WHERE s.version = %s
ORDER BY s.source_name COLLATE "C", r.sep_deg, p.source_id
"""


def release_detections(conn: Connection, version: str) -> Table:
    """The raw list of the release's run, by tile: each with the source it became, or with why it is none.

    Raises
    ------
    ReleaseError
        If there is no such release.
    """
    record = release_record(conn, version)
    found = read(conn, _RAW, _FROM_DETECTION, (version, record.run_id))
    probable, measured = found.pop("probable"), found.pop("measured")
    rejected = np.where(probable, np.where(measured, "", NOT_MEASURED), BELOW_THRESHOLD)
    found["rejected"] = np.where(found["source_name"] == "", rejected, "").astype("U16")
    return Table(found, copy=False)


def release_relations(conn: Connection, version: str) -> Table:
    """The sources' identities, by name, each with the predecessor's sources that may be the same.

    Raises
    ------
    ReleaseError
        If there is no such release.
    """
    before = release_record(conn, version).predecessor or ""
    found = read(conn, _RELATED, _FROM_RELATION, (version,))
    found["version"] = np.where(found["previous_id"] > 0, before, "")
    order = ("source_name", "source_id", "version", "previous_name", "previous_id", "sep", "sigma", "same")
    return Table({name: found[name] for name in order}, copy=False)
