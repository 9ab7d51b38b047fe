"""The SQL of the report: one function a kind of row, each a SELECT."""

from typing import Any

import pandas as pd
import sqlalchemy as sa

from catalog.tables import (
    Association,
    ClassProbability,
    Detection,
    Measurement,
    ModelCard,
    NetworkMeasurement,
    ReferenceSource,
    ReleaseSource,
    RunModel,
)


def frame(conn: sa.Connection, query: sa.Select) -> pd.DataFrame:
    """Query result with its column names; numbers and booleans keep their type in an empty result."""
    result = conn.execute(query)
    found = pd.DataFrame(result.fetchall(), columns=list(result.keys()))
    for column in query.selected_columns:
        if isinstance(column.type, sa.Float):
            found[column.name] = found[column.name].astype(float)
        elif isinstance(column.type, sa.Boolean):
            found[column.name] = found[column.name].astype(bool)
    return found


def columns(table: Any, names: str) -> list[sa.ColumnElement[Any]]:
    """Columns of a mapped table by name."""
    return [table.__table__.c[name] for name in names.split()]


def sources(version: str) -> sa.Select:
    """The released sources with what was measured of them."""
    measured = columns(
        Measurement,
        "ra_deg dec_deg glon_deg glat_deg conf_95_semimajor_deg conf_95_semiminor_deg conf_posang_deg "
        "signif_avg flux_cm2_s unc_flux_cm2_s index npred flags",
    )
    networks = [
        NetworkMeasurement.prob_real,
        NetworkMeasurement.flux_cm2_s.label("network_flux_cm2_s"),
        NetworkMeasurement.unc_flux_cm2_s.label("unc_network_flux_cm2_s"),
    ]
    return (
        sa.select(
            ReleaseSource.source_name, ReleaseSource.detection_id, Detection.det_prob, Detection.ts,
            *measured, *networks,
        )
        .join(Detection, Detection.id == ReleaseSource.detection_id)
        .join(Measurement, Measurement.detection_id == ReleaseSource.detection_id)
        .outerjoin(NetworkMeasurement, NetworkMeasurement.detection_id == ReleaseSource.detection_id)
        .where(ReleaseSource.version == version)
    )  # fmt: skip


def candidates(version: str, run_id: int) -> sa.Select:
    """Detections of the run that were not released."""
    released = sa.select(ReleaseSource.detection_id).where(ReleaseSource.version == version)
    return sa.select(*columns(Detection, "id glon_deg glat_deg det_prob ts")).where(
        Detection.run_id == run_id, Detection.id.not_in(released)
    )


def references(catalog_ids: list[int], flux_column: str) -> sa.Select:
    """Reference sources; of a simulated sky's truth also its photons and its flux in the survey's range."""
    described = columns(
        ReferenceSource,
        "id catalog_id name ra_deg dec_deg glon_deg glat_deg conf_95_semimajor_deg conf_95_semiminor_deg "
        "conf_95_posang_deg signif_avg flux_cm2_s unc_flux_cm2_s flux_range_gev source_class association "
        "extended flags",
    )
    extra = ReferenceSource.extra
    described += [
        extra["Sqrt_TS_Band"].label("sqrt_ts_band"),
        extra["Variability_Index"].as_float().label("variability_index"),
        extra["Time_Peak"].as_float().label("peak_met_s"),
        extra["RA_Counterpart"].as_float().label("counterpart_ra_deg"),
        extra["DEC_Counterpart"].as_float().label("counterpart_dec_deg"),
        extra["Unc_Counterpart"].as_float().label("unc_counterpart_deg"),
        extra["Npred_Band"].label("true_npred_band"),
        extra[flux_column].as_float().label("true_flux_cm2_s"),
    ]
    return (
        sa.select(*described)
        .where(ReferenceSource.catalog_id.in_(catalog_ids))
        .order_by(ReferenceSource.name)
    )


def associations(version: str) -> sa.Select:
    """All candidates for counterparts of the released sources."""
    candidate = columns(Association, "detection_id reference_source_id sep_deg prob matched_03 matched_05")
    return (
        sa.select(*candidate, ReferenceSource.catalog_id)
        .join(ReferenceSource, ReferenceSource.id == Association.reference_source_id)
        .join(ReleaseSource, ReleaseSource.detection_id == Association.detection_id)
        .where(ReleaseSource.version == version)
    )


def class_probabilities(version: str) -> sa.Select:
    """Class probabilities of the released sources, both variants."""
    return (
        sa.select(*columns(ClassProbability, "detection_id variant bll fsrq psr pwn_snr fake"))
        .join(ReleaseSource, ReleaseSource.detection_id == ClassProbability.detection_id)
        .where(ReleaseSource.version == version)
    )


def model_cards(run_id: int) -> sa.Select:
    """Weights that a run used, with their cards."""
    return (
        sa.select(ModelCard.name, ModelCard.sha256, ModelCard.card)
        .join(RunModel, RunModel.sha256 == ModelCard.sha256)
        .where(RunModel.run_id == run_id)
    )
