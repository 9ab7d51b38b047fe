"""Drafts and published releases, their predecessors, and what a source was before; the beat's folder.

Revision ID: 0003
Revises: 0002
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    release_status()
    source_identity()
    coverage()
    watched_folder()
    script = Path(__file__).with_name("0003_releases.sql").read_text()
    op.execute(sa.text(script.replace(":", r"\:")))


def release_status() -> None:
    """Releases made before were public at once, and nobody had said what they follow."""
    op.add_column("release", sa.Column("predecessor", sa.Text()))
    op.add_column(
        "release", sa.Column("n_relations", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column(
        "release", sa.Column("status", sa.Text(), server_default=sa.text("'public'"), nullable=False)
    )
    op.add_column("release", sa.Column("published_at", sa.DateTime(timezone=True)))
    op.add_column("release", sa.Column("checks", postgresql.JSONB()))
    op.execute("ALTER TABLE release DISABLE TRIGGER immutable")
    op.execute("UPDATE release SET published_at = released_at")
    op.execute("ALTER TABLE release ENABLE TRIGGER immutable")
    op.alter_column("release", "status", server_default=sa.text("'draft'"))
    rules = {
        "n_relations_not_negative": "n_relations >= 0",
        "status_known": "status IN ('draft', 'public')",
        "public_has_date": "(status = 'public') = (published_at IS NOT NULL)",
        "predecessor_other": "predecessor <> version",
    }
    for name, rule in rules.items():
        op.create_check_constraint(op.f(f"ck_release_{name}"), "release", rule)
    op.create_foreign_key(
        op.f("fk_release_predecessor_release"),
        "release",
        "release",
        ["predecessor"],
        ["version"],
        ondelete="RESTRICT",
    )
    op.create_index(
        "uq_release_public_successor",
        "release",
        ["predecessor"],
        unique=True,
        postgresql_where=sa.text("status = 'public'"),
    )


def source_identity() -> None:
    """Every source of the releases there are gets an identity of its own."""
    op.add_column("release_source", sa.Column("source_id", sa.BigInteger(), sa.Identity(), nullable=False))
    op.create_unique_constraint(
        op.f("uq_release_source_version_source_id"), "release_source", ["version", "source_id"]
    )
    op.create_table(
        "source_relation",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("previous_id", sa.BigInteger(), nullable=False),
        sa.Column("previous_version", sa.Text(), nullable=False),
        sa.Column("sep_deg", sa.Double(), nullable=False),
        sa.Column("sep_sigma", sa.Double(), nullable=False),
        sa.Column("inherits", sa.Boolean(), nullable=False),
        sa.CheckConstraint("sep_deg BETWEEN 0 AND 180", name=op.f("ck_source_relation_sep_range")),
        sa.CheckConstraint(
            "sep_sigma >= 0 AND sep_sigma < 'Infinity'",
            name=op.f("ck_source_relation_sep_sigma_not_negative"),
        ),
        sa.CheckConstraint(
            "NOT inherits OR source_id = previous_id", name=op.f("ck_source_relation_inherits_identity")
        ),
        sa.ForeignKeyConstraint(
            ["version", "source_id"],
            ["release_source.version", "release_source.source_id"],
            name="fk_source_relation_source",
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["previous_version", "previous_id"],
            ["release_source.version", "release_source.source_id"],
            name="fk_source_relation_previous",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("version", "source_id", "previous_id", name=op.f("pk_source_relation")),
    )
    op.create_index(
        op.f("ix_source_relation_previous_version_previous_id"),
        "source_relation",
        ["previous_version", "previous_id"],
    )


def coverage() -> None:
    op.create_table(
        "coverage",
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("moc", sa.Text(), nullable=False),
        sa.CheckConstraint("moc ~ '^[0-9/, -]*$'", name=op.f("ck_coverage_moc_form")),
        sa.ForeignKeyConstraint(
            ["observation_id"],
            ["observation.id"],
            name=op.f("fk_coverage_observation_id_observation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("observation_id", name=op.f("pk_coverage")),
    )


def watched_folder() -> None:
    op.create_table(
        "watched_observation",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'taken'"), nullable=False),
        sa.Column("run_id", sa.Integer()),
        sa.Column("version", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column(
            "first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_watched_observation_sha256_hex")),
        sa.CheckConstraint(
            "status IN ('taken', 'released', 'broken')", name=op.f("ck_watched_observation_status_known")
        ),
        sa.CheckConstraint(
            "(status = 'broken') = (error IS NOT NULL)", name=op.f("ck_watched_observation_broken_has_error")
        ),
        sa.CheckConstraint(
            "(status = 'released') = (version IS NOT NULL)",
            name=op.f("ck_watched_observation_released_has_version"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_watched_observation_run_id_run"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["version"],
            ["release.version"],
            name=op.f("fk_watched_observation_version_release"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_watched_observation")),
    )
    for column in ("run_id", "version"):
        op.create_index(op.f(f"ix_watched_observation_{column}"), "watched_observation", [column])


def downgrade() -> None:
    raise NotImplementedError("releases would lose their status and sources their identity")
