"""The schema of releases: what is frozen, what a source was before, what is public; and the beat's folder."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from catalog.tables_base import Base, one_of

RELEASE_STATUSES = ("draft", "public")
WATCHED_STATUSES = ("taken", "released", "broken")


class Release(Base):
    """A frozen catalogue. A trigger refuses every later change of it and of its rows, but to publish it once.

    A public release has at most one public successor, so the public releases that follow a first one are a line.
    """

    __tablename__ = "release"
    __table_args__ = (
        CheckConstraint("version ~ '^[A-Za-z0-9][A-Za-z0-9._-]*$'", name="version_form"),
        CheckConstraint("n_sources >= 0", name="n_sources_not_negative"),
        CheckConstraint("n_relations >= 0", name="n_relations_not_negative"),
        CheckConstraint(one_of("status", RELEASE_STATUSES), name="status_known"),
        CheckConstraint("(status = 'public') = (published_at IS NOT NULL)", name="public_has_date"),
        CheckConstraint("predecessor <> version", name="predecessor_other"),
        Index(None, "run_id"),
        Index(
            "uq_release_public_successor",
            "predecessor",
            unique=True,
            postgresql_where=text("status = 'public'"),
        ),
    )

    version: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="RESTRICT"))
    n_sources: Mapped[int] = mapped_column(Integer)
    provenance: Mapped[dict[str, Any]]
    released_at: Mapped[datetime]
    predecessor: Mapped[str | None] = mapped_column(ForeignKey("release.version", ondelete="RESTRICT"))
    n_relations: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    status: Mapped[str] = mapped_column(Text, server_default=text("'draft'"))
    published_at: Mapped[datetime | None]
    checks: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))


class ReleaseSource(Base):
    """One source of a release under the name it has there.

    ``source_id`` is the source's identity: it stays when the next release gives the source another name.
    """

    __tablename__ = "release_source"
    __table_args__ = (
        UniqueConstraint("version", "detection_id"),
        UniqueConstraint("version", "source_id"),
        Index(None, "detection_id"),
        CheckConstraint(r"source_name ~ '^ASID J\d{4}\.\d[+-]\d{4}[A-Z]*$'", name="source_name_form"),
        ForeignKeyConstraint(["version"], ["release.version"], ondelete="RESTRICT"),
    )

    version: Mapped[str] = mapped_column(primary_key=True)
    source_name: Mapped[str] = mapped_column(primary_key=True)
    detection_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("detection.id", ondelete="RESTRICT"))
    source_id: Mapped[int] = mapped_column(BigInteger, Identity())


class SourceRelation(Base):
    """A source of a release and one of its predecessor that may be the same, by their places.

    In one row of each of both at most it is the same, and the identity goes on (``inherits``). Another row says that
    a source split off, or that one was merged into another.
    """

    __tablename__ = "source_relation"
    __table_args__ = (
        CheckConstraint("sep_deg BETWEEN 0 AND 180", name="sep_range"),
        CheckConstraint("sep_sigma >= 0 AND sep_sigma < 'Infinity'", name="sep_sigma_not_negative"),
        CheckConstraint("NOT inherits OR source_id = previous_id", name="inherits_identity"),
        ForeignKeyConstraint(
            ["version", "source_id"],
            ["release_source.version", "release_source.source_id"],
            name="fk_source_relation_source",
            ondelete="RESTRICT",
        ),
        ForeignKeyConstraint(
            ["previous_version", "previous_id"],
            ["release_source.version", "release_source.source_id"],
            name="fk_source_relation_previous",
            ondelete="RESTRICT",
        ),
        Index(None, "previous_version", "previous_id"),
    )

    version: Mapped[str] = mapped_column(primary_key=True)
    source_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    previous_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    previous_version: Mapped[str]
    sep_deg: Mapped[float]
    sep_sigma: Mapped[float]
    inherits: Mapped[bool]


class Coverage(Base):
    """Where an observation has exposure: a multi-order coverage map (MOC, ICRS) in its ASCII form."""

    __tablename__ = "coverage"
    __table_args__ = (CheckConstraint("moc ~ '^[0-9/, -]*$'", name="moc_form"),)

    observation_id: Mapped[int] = mapped_column(
        ForeignKey("observation.id", ondelete="CASCADE"), primary_key=True
    )
    moc: Mapped[str]


class WatchedObservation(Base):
    """An observation found in the watched folder, known by the checksum of all its files."""

    __tablename__ = "watched_observation"
    __table_args__ = (
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_hex"),
        CheckConstraint(one_of("status", WATCHED_STATUSES), name="status_known"),
        CheckConstraint("(status = 'broken') = (error IS NOT NULL)", name="broken_has_error"),
        CheckConstraint("(status = 'released') = (version IS NOT NULL)", name="released_has_version"),
        Index(None, "run_id"),
        Index(None, "version"),
    )

    sha256: Mapped[str] = mapped_column(Text, primary_key=True)
    path: Mapped[str]
    status: Mapped[str] = mapped_column(Text, server_default=text("'taken'"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("run.id", ondelete="SET NULL"))
    version: Mapped[str | None] = mapped_column(ForeignKey("release.version", ondelete="RESTRICT"))
    error: Mapped[str | None]
    first_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
