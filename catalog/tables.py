"""The schema: every table of the database, typed, with its constraints named.

Positions are stored three ways in each row that has one: degrees (ICRS and galactic), the ICRS unit vector
(`x`, `y`, `z`), and `hpx29`, the ICRS HEALPix cell, NESTED, order 29, whose B-tree serves the cone searches.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from catalog.tables_association import NoCounterpart
from catalog.tables_base import Base, SkyPosition, not_negative, one_of, position_constraints
from catalog.tables_characterisation import (
    ClassProbability,
    CurvedSpectrum,
    EnergyBand,
    Extension,
    ModelCard,
    NetworkBandFlux,
    NetworkMeasurement,
    RunModel,
    SliceFlux,
    TimeSlice,
    Variability,
    WideDisc,
)
from catalog.tables_counts import CountsTile
from catalog.tables_releases import Coverage, Release, ReleaseSource, SourceRelation, WatchedObservation

__all__ = [
    "Association",
    "BandFlux",
    "Base",
    "ClassProbability",
    "CountsTile",
    "Coverage",
    "CurvedSpectrum",
    "Detection",
    "EnergyBand",
    "Extension",
    "InputFile",
    "Measurement",
    "ModelCard",
    "NetworkBandFlux",
    "NetworkMeasurement",
    "NoCounterpart",
    "Observation",
    "ReferenceCatalog",
    "ReferenceSource",
    "Release",
    "ReleaseSource",
    "Run",
    "RunModel",
    "SliceFlux",
    "SourceRelation",
    "TimeSlice",
    "Variability",
    "WatchedObservation",
    "WideDisc",
    "WorkItem",
]

STAGES = ("detect", "characterise", "associate")
RUN_STATUSES = ("planned", "running", "done", "failed")
ITEM_STATUSES = ("due", "leased", "done", "failed")
EVENT_TYPES = ("FRONT", "BACK", "BOTH")


class Observation(Base):
    """One ingested sky, known by the checksum of its content."""

    __tablename__ = "observation"
    __table_args__ = (
        UniqueConstraint("content_sha256"),
        CheckConstraint("content_sha256 ~ '^[0-9a-f]{64}$'", name="content_sha256_hex"),
        CheckConstraint("name ~ '^[A-Za-z0-9._-]+$'", name="name_form"),
        CheckConstraint("total_counts >= 0", name="counts_not_negative"),
        CheckConstraint("tstop_met_s > tstart_met_s", name="interval_order"),
        CheckConstraint(
            "cardinality(flux_range_gev) = 2 AND flux_range_gev[1] > 0"
            " AND flux_range_gev[2] > flux_range_gev[1] AND flux_range_gev[2] < 'Infinity'",
            name="flux_range_order",
        ),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    name: Mapped[str]
    survey: Mapped[str]
    irfs: Mapped[str]
    content_sha256: Mapped[str]
    total_counts: Mapped[int] = mapped_column(BigInteger)
    tstart_met_s: Mapped[float | None]
    tstop_met_s: Mapped[float | None]
    flux_range_gev: Mapped[list[float]]
    manifest: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class InputFile(Base):
    """One file an observation was read from."""

    __tablename__ = "input_file"
    __table_args__ = (
        UniqueConstraint("observation_id", "role", "ordinal"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_hex"),
        CheckConstraint("bytes >= 0", name="bytes_not_negative"),
        CheckConstraint(one_of("role", ("counts", "events", "exposure")), name="role_known"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    observation_id: Mapped[int] = mapped_column(ForeignKey("observation.id", ondelete="CASCADE"))
    role: Mapped[str]
    ordinal: Mapped[int] = mapped_column(SmallInteger)
    file_name: Mapped[str]
    sha256: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)


class Run(Base):
    """One pass over an observation. Never changed after it is done; a re-run is a new run."""

    __tablename__ = "run"
    __table_args__ = (
        CheckConstraint(one_of("status", RUN_STATUSES), name="status_known"),
        CheckConstraint(f"stage IS NULL OR {one_of('stage', STAGES)}", name="stage_known"),
        CheckConstraint("(status = 'done') = (finished_at IS NOT NULL)", name="done_has_end"),
        CheckConstraint("seed >= 0", name="seed_not_negative"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    observation_id: Mapped[int] = mapped_column(ForeignKey("observation.id", ondelete="RESTRICT"))
    detector: Mapped[str]
    seed: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str]
    stage: Mapped[str | None]
    settings: Mapped[dict[str, Any]]
    software: Mapped[dict[str, Any]]
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class WorkItem(Base):
    """The ledger: one row for each piece of work, written down before any of it is done."""

    __tablename__ = "work_item"
    __table_args__ = (
        UniqueConstraint("run_id", "stage", "batch"),
        CheckConstraint(one_of("stage", STAGES), name="stage_known"),
        CheckConstraint(one_of("status", ITEM_STATUSES), name="status_known"),
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
        CheckConstraint("(status = 'leased') = (lease_until IS NOT NULL)", name="lease_has_end"),
        CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="failed_has_error"),
        CheckConstraint("cardinality(tiles) > 0 OR stage = 'associate'", name="has_tiles"),
        Index(None, "run_id", "stage", "status"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))
    stage: Mapped[str]
    batch: Mapped[int] = mapped_column(Integer)
    tiles: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    status: Mapped[str] = mapped_column(server_default=text("'due'"))
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    lease_until: Mapped[datetime | None]
    worker: Mapped[str | None]
    seconds: Mapped[float | None]
    error: Mapped[str | None]


class Detection(SkyPosition, Base):
    """What the detector found: one row per peak, owned by the one tile whose cell holds it."""

    __tablename__ = "detection"
    __table_args__ = (
        UniqueConstraint("run_id", "tile", "ordinal"),
        CheckConstraint("det_prob BETWEEN 0 AND 1", name="det_prob_range"),
        CheckConstraint("tile >= 0", name="tile_not_negative"),
        CheckConstraint(not_negative("ts"), name="ts_not_negative"),
        CheckConstraint(not_negative("flux_cm2_s"), name="flux_not_negative"),
        *position_constraints(),
        Index(None, "hpx29"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))
    tile: Mapped[int] = mapped_column(Integer)
    ordinal: Mapped[int] = mapped_column(Integer)
    det_prob: Mapped[float]
    ts: Mapped[float]
    flux_cm2_s: Mapped[float]
    background_sr: Mapped[list[float]]


class Measurement(SkyPosition, Base):
    """The characterisation of one detection: refined position, significance, headline flux."""

    __tablename__ = "measurement"
    __table_args__ = (
        CheckConstraint("conf_68_semimajor_deg >= conf_68_semiminor_deg", name="conf_68_order"),
        CheckConstraint("conf_95_semimajor_deg >= conf_95_semiminor_deg", name="conf_95_order"),
        CheckConstraint("conf_68_semiminor_deg > 0 AND conf_95_semiminor_deg > 0", name="axes_positive"),
        CheckConstraint("conf_68_semimajor_deg <= 180 AND conf_95_semimajor_deg <= 180", name="axes_finite"),
        CheckConstraint("conf_posang_deg > -90 AND conf_posang_deg <= 90", name="posang_range"),
        CheckConstraint(
            "num_nulls(conf_68_semimajor_deg, conf_68_semiminor_deg, conf_95_semimajor_deg,"
            " conf_95_semiminor_deg, conf_posang_deg) IN (0, 5)",
            name="ellipse_complete",
        ),
        CheckConstraint(not_negative("signif_avg"), name="signif_not_negative"),
        CheckConstraint(not_negative("flux_cm2_s"), name="flux_not_negative"),
        CheckConstraint(not_negative("unc_flux_cm2_s"), name="unc_flux_not_negative"),
        CheckConstraint("abs(index) < 'Infinity'", name="index_finite"),
        CheckConstraint(not_negative("unc_index"), name="unc_index_not_negative"),
        CheckConstraint(not_negative("npred"), name="npred_not_negative"),
        CheckConstraint("flags >= 0", name="flags_not_negative"),
        *position_constraints(),
        Index(None, "hpx29"),
    )

    detection_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("detection.id", ondelete="CASCADE"), primary_key=True
    )
    conf_68_semimajor_deg: Mapped[float | None]
    conf_68_semiminor_deg: Mapped[float | None]
    conf_95_semimajor_deg: Mapped[float | None]
    conf_95_semiminor_deg: Mapped[float | None]
    conf_posang_deg: Mapped[float | None]
    signif_avg: Mapped[float]
    flux_cm2_s: Mapped[float]
    unc_flux_cm2_s: Mapped[float]
    index: Mapped[float]
    unc_index: Mapped[float | None]
    npred: Mapped[float]
    flags: Mapped[int] = mapped_column(Integer)


class BandFlux(Base):
    """Photon flux of one detection in one band of the survey; no lower error where it is an upper limit."""

    __tablename__ = "band_flux"
    __table_args__ = (
        CheckConstraint("band >= 0", name="band_not_negative"),
        CheckConstraint(not_negative("flux_cm2_s"), name="flux_not_negative"),
        CheckConstraint("unc_low_cm2_s <= 0 AND unc_low_cm2_s > '-Infinity'", name="unc_low_sign"),
        CheckConstraint(not_negative("unc_high_cm2_s"), name="unc_high_not_negative"),
        CheckConstraint(not_negative("sqrt_ts"), name="sqrt_ts_not_negative"),
        CheckConstraint(not_negative("npred"), name="npred_not_negative"),
    )

    detection_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("detection.id", ondelete="CASCADE"), primary_key=True
    )
    band: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    flux_cm2_s: Mapped[float]
    unc_low_cm2_s: Mapped[float | None]
    unc_high_cm2_s: Mapped[float]
    sqrt_ts: Mapped[float]
    npred: Mapped[float]


class ReferenceCatalog(Base):
    """One version of a published catalogue, known by its content."""

    __tablename__ = "reference_catalog"
    __table_args__ = (
        UniqueConstraint("name", "version"),
        UniqueConstraint("sha256"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_hex"),
        CheckConstraint("name ~ '^[A-Za-z0-9._-]+$'", name="name_form"),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    name: Mapped[str]
    version: Mapped[str]
    sha256: Mapped[str]
    file_name: Mapped[str]
    citation: Mapped[str]
    loaded_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ReferenceSource(SkyPosition, Base):
    """One row of a published catalogue; `extra` keeps what only that catalogue has."""

    __tablename__ = "reference_source"
    __table_args__ = (
        UniqueConstraint("catalog_id", "name"),
        CheckConstraint("conf_95_semimajor_deg >= conf_95_semiminor_deg", name="conf_95_order"),
        *position_constraints(),
        Index(None, "hpx29"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    catalog_id: Mapped[int] = mapped_column(ForeignKey("reference_catalog.id", ondelete="CASCADE"))
    name: Mapped[str]
    conf_95_semimajor_deg: Mapped[float | None]
    conf_95_semiminor_deg: Mapped[float | None]
    conf_95_posang_deg: Mapped[float | None]
    signif_avg: Mapped[float | None]
    flux_cm2_s: Mapped[float | None]
    unc_flux_cm2_s: Mapped[float | None]
    flux_range_gev: Mapped[list[float] | None]
    source_class: Mapped[str]
    association: Mapped[str]
    extended: Mapped[bool]
    flags: Mapped[int] = mapped_column(Integer)
    extra: Mapped[dict[str, Any]]


class Association(Base):
    """A reference source that may be the counterpart of a detection; all candidates, not only the best."""

    __tablename__ = "association"
    __table_args__ = (
        CheckConstraint("sep_deg BETWEEN 0 AND 180", name="sep_range"),
        CheckConstraint("prob BETWEEN 0 AND 1", name="prob_range"),
        CheckConstraint("matched_05 OR NOT matched_03", name="match_03_in_05"),
        Index(None, "reference_source_id"),
    )

    detection_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("detection.id", ondelete="CASCADE"), primary_key=True
    )
    reference_source_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("reference_source.id", ondelete="RESTRICT"), primary_key=True
    )
    sep_deg: Mapped[float]
    prob: Mapped[float]
    matched_03: Mapped[bool]
    matched_05: Mapped[bool]
