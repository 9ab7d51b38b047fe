"""Reading a release back, as it was frozen (`catalog.freezing`): its files can be made again, byte for byte."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from astropy.table import Table
from sqlalchemy import Connection, func, select

from catalog.columns import Column, catalogue_columns, empty_columns
from catalog.tables import (
    Association,
    ReferenceCatalog,
    ReferenceSource,
    Release,
    ReleaseSource,
)
from catalog.whole_release import read_release
from sky.survey import Survey, get_survey

VERSION_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ReleaseError(ValueError):
    """A release that cannot be made, or is not there."""


@dataclass(frozen=True)
class ReleaseRecord:
    """A frozen release, without its rows.

    Attributes
    ----------
    predecessor : str or None
        The public release it follows, whose sources its own are related to.
    public : bool
        False for a draft. Nothing in a release's files depends on it.
    """

    version: str
    run_id: int
    n_sources: int
    released_at: datetime
    provenance: dict[str, Any]
    predecessor: str | None
    public: bool

    @property
    def survey(self) -> Survey:
        """The survey that gives the catalogue its columns."""
        return get_survey(self.provenance["observation"]["survey"])

    @property
    def slices_met_s(self) -> list[tuple[float, float]]:
        """Start and stop of the observation's time slices; empty where time is not resolved."""
        return [(start, stop) for start, stop in self.provenance["observation"].get("slices_met_s", ())]

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the catalogue: those there were when it was released, of an observation with such slices."""
        return catalogue_columns(self.survey, len(self.slices_met_s), self.provenance["schema_revision"])

    @property
    def empty_columns(self) -> tuple[Column, ...]:
        """What the FITS table has beside them for programs made for 4FGL."""
        return empty_columns(self.columns, self.survey, self.provenance["schema_revision"])

    @property
    def creator(self) -> str:
        """The program that made the run, with its version."""
        return f"asidcat {self.provenance['software'].get('asidcat', '')}".strip()

    @property
    def date(self) -> str:
        """Date of the release, as FITS writes it (UTC)."""
        return self.released_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def release_record(conn: Connection, version: str) -> ReleaseRecord:
    """A release's date, run and provenance.

    Raises
    ------
    ReleaseError
        If there is no such release.
    """
    found = conn.execute(select(Release.__table__).where(Release.version == version)).one_or_none()
    if found is None:
        raise ReleaseError(f"there is no release {version}")
    return ReleaseRecord(
        version=found.version,
        run_id=found.run_id,
        n_sources=found.n_sources,
        released_at=found.released_at,
        provenance=found.provenance,
        predecessor=found.predecessor,
        public=found.status == "public",
    )


def release_table(conn: Connection, version: str) -> Table:
    """The catalogue of a release, one row a source by right ascension, with the declared columns and units.

    Raises
    ------
    ReleaseError
        If there is no such release.
    """
    columns = release_record(conn, version).columns
    result = Table(read_release(conn, version, columns), copy=False)
    for spec in columns:
        result[spec.name].unit = spec.unit or None
        result[spec.name].description = spec.text
        result[spec.name].meta["ucd"] = spec.ucd
    return result


def release_associations(conn: Connection, version: str) -> Table:
    """All association candidates of a release's sources, by source, catalogue and separation."""
    query = (
        select(
            ReleaseSource.source_name,
            ReferenceCatalog.name,
            ReferenceCatalog.version,
            ReferenceSource.name,
            Association.sep_deg,
            Association.prob,
            Association.matched_03,
            Association.matched_05,
            ReferenceSource.source_class,
        )
        .join(Association, Association.detection_id == ReleaseSource.detection_id)
        .join(ReferenceSource, ReferenceSource.id == Association.reference_source_id)
        .join(ReferenceCatalog, ReferenceCatalog.id == ReferenceSource.catalog_id)
        .where(ReleaseSource.version == version)
        .order_by(
            func.convert_to(ReleaseSource.source_name, "UTF8"),
            ReferenceCatalog.name,
            ReferenceCatalog.version,
            Association.sep_deg,
            ReferenceSource.name,
        )
    )
    names = ("Source_Name", "Ref_Catalog", "Ref_Version", "Ref_Name", "Sep", "Prob", "Match_03", "Match_05")
    types = ("U20", "U16", "U16", "U24", "f8", "f4", "?", "?", "U8")
    rows = conn.execute(query).all()
    result = Table(rows=[tuple(r) for r in rows] or None, names=(*names, "Ref_Class"), dtype=types)
    result["Sep"].unit = "deg"
    return result
