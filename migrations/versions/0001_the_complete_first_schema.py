"""The complete first schema: tables, sky functions, views, and the triggers that keep a release as it is.

Revision ID: 0001
Revises:
"""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCRIPTS = ("0001_sky.sql", "0001_releases.sql", "0001_catalogue.sql")


def position() -> list[sa.Column[Any]]:
    degrees = ("ra_deg", "dec_deg", "glon_deg", "glat_deg")
    reals: list[sa.Column[Any]] = [
        sa.Column(name, sa.Double(), nullable=False) for name in (*degrees, "x", "y", "z")
    ]
    return [*reals, sa.Column("hpx29", sa.BigInteger(), nullable=False)]


def upgrade() -> None:
    op.create_table(
        "observation",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("irfs", sa.Text(), nullable=False),
        sa.Column("content_sha256", sa.Text(), nullable=False),
        sa.Column("total_counts", sa.BigInteger(), nullable=False),
        sa.Column("tstart_met_s", sa.Double(), nullable=True),
        sa.Column("tstop_met_s", sa.Double(), nullable=True),
        sa.Column("manifest", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "content_sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_observation_content_sha256_hex")
        ),
        sa.CheckConstraint("name ~ '^[A-Za-z0-9._-]+$'", name=op.f("ck_observation_name_form")),
        sa.CheckConstraint("total_counts >= 0", name=op.f("ck_observation_counts_not_negative")),
        sa.CheckConstraint("tstop_met_s > tstart_met_s", name=op.f("ck_observation_interval_order")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observation")),
        sa.UniqueConstraint("content_sha256", name=op.f("uq_observation_content_sha256")),
    )
    op.create_table(
        "reference_catalog",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("citation", sa.Text(), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("name ~ '^[A-Za-z0-9._-]+$'", name=op.f("ck_reference_catalog_name_form")),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_reference_catalog_sha256_hex")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reference_catalog")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_reference_catalog_name_version")),
        sa.UniqueConstraint("sha256", name=op.f("uq_reference_catalog_sha256")),
    )
    op.create_table(
        "input_file",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.SmallInteger(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("role IN ('counts', 'events', 'exposure')", name=op.f("ck_input_file_role_known")),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_input_file_sha256_hex")),
        sa.CheckConstraint("bytes >= 0", name=op.f("ck_input_file_bytes_not_negative")),
        sa.ForeignKeyConstraint(
            ["observation_id"],
            ["observation.id"],
            name=op.f("fk_input_file_observation_id_observation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_input_file")),
        sa.UniqueConstraint(
            "observation_id", "role", "ordinal", name=op.f("uq_input_file_observation_id_role_ordinal")
        ),
    )
    op.create_table(
        "reference_source",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("catalog_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("conf_95_semimajor_deg", sa.Double(), nullable=True),
        sa.Column("conf_95_semiminor_deg", sa.Double(), nullable=True),
        sa.Column("conf_95_posang_deg", sa.Double(), nullable=True),
        sa.Column("signif_avg", sa.Double(), nullable=True),
        sa.Column("flux_cm2_s", sa.Double(), nullable=True),
        sa.Column("unc_flux_cm2_s", sa.Double(), nullable=True),
        sa.Column("flux_range_gev", sa.ARRAY(sa.Double()), nullable=True),
        sa.Column("source_class", sa.Text(), nullable=False),
        sa.Column("association", sa.Text(), nullable=False),
        sa.Column("extended", sa.Boolean(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("extra", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        *position(),
        sa.CheckConstraint(
            "abs(x * x + y * y + z * z - 1) < 1e-9", name=op.f("ck_reference_source_unit_vector")
        ),
        sa.CheckConstraint(
            "conf_95_semimajor_deg >= conf_95_semiminor_deg", name=op.f("ck_reference_source_conf_95_order")
        ),
        sa.CheckConstraint("dec_deg BETWEEN -90 AND 90", name=op.f("ck_reference_source_dec_range")),
        sa.CheckConstraint("glat_deg BETWEEN -90 AND 90", name=op.f("ck_reference_source_glat_range")),
        sa.CheckConstraint("glon_deg >= 0 AND glon_deg < 360", name=op.f("ck_reference_source_glon_range")),
        sa.CheckConstraint(
            "hpx29 >= 0 AND hpx29 < 3458764513820540928", name=op.f("ck_reference_source_hpx29_range")
        ),
        sa.CheckConstraint("ra_deg >= 0 AND ra_deg < 360", name=op.f("ck_reference_source_ra_range")),
        sa.ForeignKeyConstraint(
            ["catalog_id"],
            ["reference_catalog.id"],
            name=op.f("fk_reference_source_catalog_id_reference_catalog"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reference_source")),
        sa.UniqueConstraint("catalog_id", "name", name=op.f("uq_reference_source_catalog_id_name")),
    )
    op.create_index(op.f("ix_reference_source_hpx29"), "reference_source", ["hpx29"], unique=False)
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("detector", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("software", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(status = 'done') = (finished_at IS NOT NULL)", name=op.f("ck_run_done_has_end")),
        sa.CheckConstraint(
            "stage IS NULL OR stage IN ('detect', 'characterise', 'associate')",
            name=op.f("ck_run_stage_known"),
        ),
        sa.CheckConstraint(
            "status IN ('planned', 'running', 'done', 'failed')", name=op.f("ck_run_status_known")
        ),
        sa.CheckConstraint("seed >= 0", name=op.f("ck_run_seed_not_negative")),
        sa.ForeignKeyConstraint(
            ["observation_id"],
            ["observation.id"],
            name=op.f("fk_run_observation_id_observation"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    op.create_table(
        "detection",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("tile", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("det_prob", sa.Double(), nullable=False),
        sa.Column("ts", sa.Double(), nullable=False),
        sa.Column("flux_cm2_s", sa.Double(), nullable=False),
        sa.Column("background_sr", sa.ARRAY(sa.Double()), nullable=False),
        *position(),
        sa.CheckConstraint(
            "flux_cm2_s >= 0 AND flux_cm2_s < 'Infinity'", name=op.f("ck_detection_flux_not_negative")
        ),
        sa.CheckConstraint("ts >= 0 AND ts < 'Infinity'", name=op.f("ck_detection_ts_not_negative")),
        sa.CheckConstraint("abs(x * x + y * y + z * z - 1) < 1e-9", name=op.f("ck_detection_unit_vector")),
        sa.CheckConstraint("dec_deg BETWEEN -90 AND 90", name=op.f("ck_detection_dec_range")),
        sa.CheckConstraint("det_prob BETWEEN 0 AND 1", name=op.f("ck_detection_det_prob_range")),
        sa.CheckConstraint("glat_deg BETWEEN -90 AND 90", name=op.f("ck_detection_glat_range")),
        sa.CheckConstraint("glon_deg >= 0 AND glon_deg < 360", name=op.f("ck_detection_glon_range")),
        sa.CheckConstraint(
            "hpx29 >= 0 AND hpx29 < 3458764513820540928", name=op.f("ck_detection_hpx29_range")
        ),
        sa.CheckConstraint("ra_deg >= 0 AND ra_deg < 360", name=op.f("ck_detection_ra_range")),
        sa.CheckConstraint("tile >= 0", name=op.f("ck_detection_tile_not_negative")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_detection_run_id_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_detection")),
        sa.UniqueConstraint("run_id", "tile", "ordinal", name=op.f("uq_detection_run_id_tile_ordinal")),
    )
    op.create_index(op.f("ix_detection_hpx29"), "detection", ["hpx29"], unique=False)
    op.create_table(
        "release",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("n_sources", sa.Integer(), nullable=False),
        sa.Column("provenance", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("version ~ '^[A-Za-z0-9][A-Za-z0-9._-]*$'", name=op.f("ck_release_version_form")),
        sa.CheckConstraint("n_sources >= 0", name=op.f("ck_release_n_sources_not_negative")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_release_run_id_run"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_release")),
    )
    op.create_index(op.f("ix_release_run_id"), "release", ["run_id"], unique=False)
    op.create_table(
        "work_item",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("tiles", sa.ARRAY(sa.Integer()), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'due'"), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(status = 'failed') = (error IS NOT NULL)", name=op.f("ck_work_item_failed_has_error")
        ),
        sa.CheckConstraint(
            "(status = 'leased') = (lease_until IS NOT NULL)", name=op.f("ck_work_item_lease_has_end")
        ),
        sa.CheckConstraint(
            "cardinality(tiles) > 0 OR stage = 'associate'", name=op.f("ck_work_item_has_tiles")
        ),
        sa.CheckConstraint(
            "stage IN ('detect', 'characterise', 'associate')", name=op.f("ck_work_item_stage_known")
        ),
        sa.CheckConstraint(
            "status IN ('due', 'leased', 'done', 'failed')", name=op.f("ck_work_item_status_known")
        ),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_work_item_attempts_not_negative")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_work_item_run_id_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work_item")),
        sa.UniqueConstraint("run_id", "stage", "batch", name=op.f("uq_work_item_run_id_stage_batch")),
    )
    op.create_index(
        op.f("ix_work_item_run_id_stage_status"), "work_item", ["run_id", "stage", "status"], unique=False
    )
    op.create_table(
        "association",
        sa.Column("detection_id", sa.BigInteger(), nullable=False),
        sa.Column("reference_source_id", sa.BigInteger(), nullable=False),
        sa.Column("sep_deg", sa.Double(), nullable=False),
        sa.Column("prob", sa.Double(), nullable=False),
        sa.Column("matched_03", sa.Boolean(), nullable=False),
        sa.Column("matched_05", sa.Boolean(), nullable=False),
        sa.CheckConstraint("matched_05 OR NOT matched_03", name=op.f("ck_association_match_03_in_05")),
        sa.CheckConstraint("prob BETWEEN 0 AND 1", name=op.f("ck_association_prob_range")),
        sa.CheckConstraint("sep_deg BETWEEN 0 AND 180", name=op.f("ck_association_sep_range")),
        sa.ForeignKeyConstraint(
            ["detection_id"],
            ["detection.id"],
            name=op.f("fk_association_detection_id_detection"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["reference_source_id"],
            ["reference_source.id"],
            name=op.f("fk_association_reference_source_id_reference_source"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("detection_id", "reference_source_id", name=op.f("pk_association")),
    )
    op.create_index(
        op.f("ix_association_reference_source_id"), "association", ["reference_source_id"], unique=False
    )
    op.create_table(
        "band_flux",
        sa.Column("detection_id", sa.BigInteger(), nullable=False),
        sa.Column("band", sa.SmallInteger(), nullable=False),
        sa.Column("flux_cm2_s", sa.Double(), nullable=False),
        sa.Column("unc_low_cm2_s", sa.Double(), nullable=True),
        sa.Column("unc_high_cm2_s", sa.Double(), nullable=False),
        sa.Column("sqrt_ts", sa.Double(), nullable=False),
        sa.Column("npred", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "flux_cm2_s >= 0 AND flux_cm2_s < 'Infinity'", name=op.f("ck_band_flux_flux_not_negative")
        ),
        sa.CheckConstraint("npred >= 0 AND npred < 'Infinity'", name=op.f("ck_band_flux_npred_not_negative")),
        sa.CheckConstraint(
            "sqrt_ts >= 0 AND sqrt_ts < 'Infinity'", name=op.f("ck_band_flux_sqrt_ts_not_negative")
        ),
        sa.CheckConstraint(
            "unc_high_cm2_s >= 0 AND unc_high_cm2_s < 'Infinity'",
            name=op.f("ck_band_flux_unc_high_not_negative"),
        ),
        sa.CheckConstraint(
            "unc_low_cm2_s <= 0 AND unc_low_cm2_s > '-Infinity'", name=op.f("ck_band_flux_unc_low_sign")
        ),
        sa.CheckConstraint("band >= 0", name=op.f("ck_band_flux_band_not_negative")),
        sa.ForeignKeyConstraint(
            ["detection_id"],
            ["detection.id"],
            name=op.f("fk_band_flux_detection_id_detection"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("detection_id", "band", name=op.f("pk_band_flux")),
    )
    op.create_table(
        "measurement",
        sa.Column("detection_id", sa.BigInteger(), nullable=False),
        sa.Column("conf_68_semimajor_deg", sa.Double(), nullable=True),
        sa.Column("conf_68_semiminor_deg", sa.Double(), nullable=True),
        sa.Column("conf_95_semimajor_deg", sa.Double(), nullable=True),
        sa.Column("conf_95_semiminor_deg", sa.Double(), nullable=True),
        sa.Column("conf_posang_deg", sa.Double(), nullable=True),
        sa.Column("signif_avg", sa.Double(), nullable=False),
        sa.Column("flux_cm2_s", sa.Double(), nullable=False),
        sa.Column("unc_flux_cm2_s", sa.Double(), nullable=False),
        sa.Column("index", sa.Double(), nullable=False),
        sa.Column("unc_index", sa.Double(), nullable=True),
        sa.Column("npred", sa.Double(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        *position(),
        sa.CheckConstraint("abs(index) < 'Infinity'", name=op.f("ck_measurement_index_finite")),
        sa.CheckConstraint(
            "flux_cm2_s >= 0 AND flux_cm2_s < 'Infinity'", name=op.f("ck_measurement_flux_not_negative")
        ),
        sa.CheckConstraint(
            "npred >= 0 AND npred < 'Infinity'", name=op.f("ck_measurement_npred_not_negative")
        ),
        sa.CheckConstraint(
            "signif_avg >= 0 AND signif_avg < 'Infinity'", name=op.f("ck_measurement_signif_not_negative")
        ),
        sa.CheckConstraint(
            "unc_flux_cm2_s >= 0 AND unc_flux_cm2_s < 'Infinity'",
            name=op.f("ck_measurement_unc_flux_not_negative"),
        ),
        sa.CheckConstraint(
            "unc_index >= 0 AND unc_index < 'Infinity'", name=op.f("ck_measurement_unc_index_not_negative")
        ),
        sa.CheckConstraint("abs(x * x + y * y + z * z - 1) < 1e-9", name=op.f("ck_measurement_unit_vector")),
        sa.CheckConstraint(
            "conf_68_semimajor_deg <= 180 AND conf_95_semimajor_deg <= 180",
            name=op.f("ck_measurement_axes_finite"),
        ),
        sa.CheckConstraint(
            "conf_68_semimajor_deg >= conf_68_semiminor_deg", name=op.f("ck_measurement_conf_68_order")
        ),
        sa.CheckConstraint(
            "conf_68_semiminor_deg > 0 AND conf_95_semiminor_deg > 0",
            name=op.f("ck_measurement_axes_positive"),
        ),
        sa.CheckConstraint(
            "conf_95_semimajor_deg >= conf_95_semiminor_deg", name=op.f("ck_measurement_conf_95_order")
        ),
        sa.CheckConstraint(
            "conf_posang_deg > -90 AND conf_posang_deg <= 90", name=op.f("ck_measurement_posang_range")
        ),
        sa.CheckConstraint("dec_deg BETWEEN -90 AND 90", name=op.f("ck_measurement_dec_range")),
        sa.CheckConstraint("flags >= 0", name=op.f("ck_measurement_flags_not_negative")),
        sa.CheckConstraint("glat_deg BETWEEN -90 AND 90", name=op.f("ck_measurement_glat_range")),
        sa.CheckConstraint("glon_deg >= 0 AND glon_deg < 360", name=op.f("ck_measurement_glon_range")),
        sa.CheckConstraint(
            "hpx29 >= 0 AND hpx29 < 3458764513820540928", name=op.f("ck_measurement_hpx29_range")
        ),
        sa.CheckConstraint(
            "num_nulls(conf_68_semimajor_deg, conf_68_semiminor_deg, conf_95_semimajor_deg,"
            " conf_95_semiminor_deg, conf_posang_deg) IN (0, 5)",
            name=op.f("ck_measurement_ellipse_complete"),
        ),
        sa.CheckConstraint("ra_deg >= 0 AND ra_deg < 360", name=op.f("ck_measurement_ra_range")),
        sa.ForeignKeyConstraint(
            ["detection_id"],
            ["detection.id"],
            name=op.f("fk_measurement_detection_id_detection"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("detection_id", name=op.f("pk_measurement")),
    )
    op.create_index(op.f("ix_measurement_hpx29"), "measurement", ["hpx29"], unique=False)
    op.create_table(
        "release_source",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("source_name", sa.Text(), nullable=False),
        sa.Column("detection_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "source_name ~ '^ASID J\\d{4}\\.\\d[+-]\\d{4}[A-Z]*$'",
            name=op.f("ck_release_source_source_name_form"),
        ),
        sa.ForeignKeyConstraint(
            ["detection_id"],
            ["detection.id"],
            name=op.f("fk_release_source_detection_id_detection"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["version"],
            ["release.version"],
            name=op.f("fk_release_source_version_release"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("version", "source_name", name=op.f("pk_release_source")),
        sa.UniqueConstraint("version", "detection_id", name=op.f("uq_release_source_version_detection_id")),
    )
    op.create_index(op.f("ix_release_source_detection_id"), "release_source", ["detection_id"], unique=False)
    for name in SCRIPTS:
        op.execute(sa.text(Path(__file__).with_name(name).read_text().replace(":", r"\:")))


def downgrade() -> None:
    raise NotImplementedError("the first schema has none before it; drop the database instead")
