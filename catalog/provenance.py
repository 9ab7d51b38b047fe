"""What a release was made from: inputs, models, reference catalogues, settings, software."""

from typing import Any

from sqlalchemy import Connection, select

from catalog.engine import schema_revision
from catalog.tables import (
    Association,
    Detection,
    InputFile,
    ModelCard,
    Observation,
    ReferenceCatalog,
    ReferenceSource,
    RunModel,
    TimeSlice,
)


def run_provenance(conn: Connection, run: Any) -> dict[str, Any]:
    """Everything that went into a run (its row), with names and checksums, as it is at this moment."""
    observation = conn.execute(
        select(Observation.__table__).where(Observation.id == run.observation_id)
    ).one()
    files = conn.execute(
        select(InputFile.role, InputFile.ordinal, InputFile.file_name, InputFile.sha256, InputFile.bytes)
        .where(InputFile.observation_id == run.observation_id)
        .order_by(InputFile.role, InputFile.ordinal)
    )
    used = (
        select(ReferenceSource.catalog_id)
        .join(Association, Association.reference_source_id == ReferenceSource.id)
        .join(Detection, Detection.id == Association.detection_id)
        .where(Detection.run_id == run.id)
    )
    catalogs = conn.execute(
        select(
            ReferenceCatalog.name,
            ReferenceCatalog.version,
            ReferenceCatalog.file_name,
            ReferenceCatalog.sha256,
            ReferenceCatalog.citation,
        )
        .where(ReferenceCatalog.id.in_(used))
        .order_by(ReferenceCatalog.name, ReferenceCatalog.version)
    )
    slices = (
        select(TimeSlice.tstart_met_s, TimeSlice.tstop_met_s)
        .where(TimeSlice.observation_id == run.observation_id)
        .order_by(TimeSlice.slice)
    )
    models = (
        select(ModelCard.name, ModelCard.sha256)
        .join(RunModel, RunModel.sha256 == ModelCard.sha256)
        .where(RunModel.run_id == run.id)
        .order_by(ModelCard.name, ModelCard.sha256)
    )
    observed = ("name", "survey", "irfs", "content_sha256", "total_counts", "tstart_met_s", "tstop_met_s")
    return {
        "run": {"id": run.id, "detector": run.detector, "seed": run.seed},
        "observation": {name: getattr(observation, name) for name in observed}
        | {"slices_met_s": [list(interval) for interval in conn.execute(slices)]},
        "models": [dict(m._mapping) for m in conn.execute(models)],
        "inputs": [dict(f._mapping) for f in files],
        "references": [dict(c._mapping) for c in catalogs],
        "settings": run.settings,
        "software": run.software,
        "schema_revision": schema_revision(conn),
    }
