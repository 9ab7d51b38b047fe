"""Freezing a finished run as a release.

A release holds the measured detections of its run from the run's threshold on, under the names they get there; the
less probable ones stay in the database. Its sources get the identities of its predecessor's where they are the
same (`catalog.lineage`). The database refuses every later change of it but its publication
(migrations/versions/0001_releases.sql, 0003_releases.sql).
"""

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection, exists, func, insert, select, text
from sqlalchemy.orm import aliased

from catalog.lineage import Relations, places, relate
from catalog.locks import lock_table
from catalog.names import release_names
from catalog.provenance import run_provenance
from catalog.release import ReleaseError, ReleaseRecord, release_record
from catalog.store import copy_rows
from catalog.tables import Detection, Measurement, Release, ReleaseSource, Run, SourceRelation

VERSION_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PLACE = (
    Measurement.ra_deg,
    Measurement.dec_deg,
    Measurement.conf_95_semimajor_deg,
    Measurement.conf_95_semiminor_deg,
    Measurement.conf_posang_deg,
)


def freeze(
    conn: Connection,
    version: str,
    run_id: int,
    *,
    flags: Mapping[int, str] | None = None,
    released_at: datetime | None = None,
    predecessor: str | None = None,
    first: bool = False,
    draft: bool = False,
    simulated: str | None = None,
) -> ReleaseRecord:
    """Make a finished run a release; the same run and version again is the same release.

    Parameters
    ----------
    version : str
        Letters, digits, '.', '_' and '-'.
    flags : mapping of int to str, optional
        What each bit of `Flags` means, for the catalogue's description.
    released_at : datetime, optional
        Date of the release; by default SOURCE_DATE_EPOCH where that is set, else now.
    predecessor : str, optional
        The public release this one follows; by default the last one of the same survey.
    first : bool
        It follows none.
    draft : bool
        Not public yet (see `catalog.publishing`).
    simulated : str, optional
        Release of a simulated sky of the same survey, for the report's completeness and purity.

    Raises
    ------
    ReleaseError
        If the version's name is bad or held by another run, the run is unknown or not finished, or the
        predecessor cannot have this successor, or `simulated` is of another survey.
    """
    if not VERSION_FORM.fullmatch(version):
        raise ReleaseError(f"bad version '{version}': letters, digits, '.', '_' and '-' only")
    one_at_a_time(conn)
    # The lock waits for all who write rows of the run.
    run = conn.execute(select(Run.__table__).where(Run.id == run_id).with_for_update()).one_or_none()
    if run is None:
        raise ReleaseError(f"there is no run {run_id}")
    held_by = conn.scalar(select(Release.run_id).where(Release.version == version))
    if held_by == run_id:
        return release_record(conn, version)
    if held_by is not None:
        raise ReleaseError(f"version {version} is already the release of run {held_by}")
    if run.status != "done":
        raise ReleaseError(f"run {run_id} is not finished ({run.status}) and cannot be released")
    provenance = run_provenance(conn, run) | {"flags": {str(b): t for b, t in (flags or {}).items()}}
    if simulated is not None:
        _require_survey(release_record(conn, simulated), provenance["observation"]["survey"])
        provenance["simulated"] = simulated
    if first:
        provenance["first"] = True  # and not for want of a public one: `publish` asks
    before = None if first else _predecessor(conn, predecessor, provenance["observation"]["survey"], draft)
    sources = _sources_of_run(conn, run)
    earlier = _sources_of_release(conn, before)
    relations = relate(*(places(frame, [c.key for c in _PLACE]) for frame in (earlier, sources)))
    conn.execute(
        insert(Release).values(
            version=version,
            run_id=run_id,
            n_sources=len(sources),
            provenance=provenance,
            released_at=released_at or _now(),
            predecessor=before,
            n_relations=len(relations.now),
            status="draft" if draft else "public",
            published_at=None if draft else func.clock_timestamp(),
        )
    )
    _write_sources(conn, version, sources, before, earlier["source_id"].to_numpy(np.int64), relations)
    conn.execute(text("ANALYZE release_source"))  # files and report are made from it at once
    return release_record(conn, version)


def one_at_a_time(conn: Connection) -> None:
    """Wait until no other transaction makes or publishes a release."""
    lock_table(conn, "release")


def last_public(conn: Connection, survey: str) -> str | None:
    """The last public release of a survey; None if there is none."""
    successor = aliased(Release)
    followed = exists().where(successor.predecessor == Release.version, successor.status == "public")
    query = (
        select(Release.version)
        .where(Release.status == "public", ~followed)
        .where(Release.provenance["observation"]["survey"].astext == survey)
        .order_by(Release.published_at.desc(), Release.released_at.desc(), Release.version.desc())
    )
    return conn.scalar(query.limit(1))


def public_successor(conn: Connection, version: str | None) -> str | None:
    """The public release that follows one; None if there is none."""
    if version is None:
        return None
    query = select(Release.version).where(Release.predecessor == version, Release.status == "public")
    return conn.scalar(query)


def _predecessor(conn: Connection, wanted: str | None, survey: str, draft: bool) -> str | None:
    if wanted is None:
        return last_public(conn, survey)
    record = release_record(conn, wanted)
    if not record.public:
        raise ReleaseError(f"release {wanted} is a draft and has no successors: publish it first")
    _require_survey(record, survey)
    if not draft and (other := public_successor(conn, wanted)) is not None:
        raise ReleaseError(f"release {wanted} is followed by {other} already")
    return wanted


def _require_survey(record: ReleaseRecord, survey: str) -> None:
    if record.survey.name != survey:
        raise ReleaseError(f"release {record.version} is of survey {record.survey.name}, not {survey}")


def _sources_of_run(conn: Connection, run: Any) -> pd.DataFrame:
    query = (
        select(Detection.id.label("detection_id"), Measurement.signif_avg, *_PLACE)
        .join(Measurement, Measurement.detection_id == Detection.id)
        .where(Detection.run_id == run.id, Detection.det_prob >= run.settings.get("threshold", 0.0))
        .order_by(Detection.tile, Detection.ordinal)
    )
    return pd.read_sql_query(query, conn)


def _sources_of_release(conn: Connection, version: str | None) -> pd.DataFrame:
    query = (
        select(ReleaseSource.source_id, *_PLACE)
        .join(Measurement, Measurement.detection_id == ReleaseSource.detection_id)
        .where(ReleaseSource.version == version)
        .order_by(ReleaseSource.source_id)
    )
    return pd.read_sql_query(query, conn)


def _write_sources(
    conn: Connection,
    version: str,
    sources: pd.DataFrame,
    before: str | None,
    earlier_ids: NDArray[np.int64],
    relations: Relations,
) -> None:
    """Give each source its name and identity, and write down the relations."""
    ids = np.zeros(len(sources), dtype=np.int64)
    ids[relations.now[relations.same]] = earlier_ids[relations.before[relations.same]]
    ids[ids == 0] = _new_identities(conn, int(np.count_nonzero(ids == 0)))
    measured = (sources[name].to_list() for name in ("ra_deg", "dec_deg", "signif_avg"))
    rows: dict[str, Any] = {
        "version": [version] * len(sources),
        "source_name": release_names(*measured),
        "detection_id": sources["detection_id"].to_numpy(np.int64),
        "source_id": ids,
    }
    copy_rows(conn, ReleaseSource, rows)
    pairs: dict[str, Any] = {
        "version": [version] * len(relations.now),
        "source_id": ids[relations.now],
        "previous_id": earlier_ids[relations.before],
        "previous_version": [before] * len(relations.now),
        "sep_deg": relations.sep_deg,
        "sep_sigma": relations.sep_sigma,
        "inherits": relations.same,
    }
    copy_rows(conn, SourceRelation, pairs)


def _new_identities(conn: Connection, n: int) -> NDArray[np.int64]:
    sequence = "pg_get_serial_sequence('release_source', 'source_id')"
    query = text(f"SELECT nextval({sequence}) FROM generate_series(1, :n)")
    return np.array(conn.scalars(query, {"n": n}).all(), dtype=np.int64)


def _now() -> datetime:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC).replace(microsecond=0)
