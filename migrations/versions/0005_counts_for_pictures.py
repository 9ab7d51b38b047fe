"""The sky's photons beside its sources, so that every picture can be made again from the database.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "counts_tile",
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("band", sa.SmallInteger(), nullable=False),
        sa.Column("tile", sa.SmallInteger(), nullable=False),
        sa.Column("hpx_order", sa.SmallInteger(), nullable=False),
        sa.Column("counts", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("band >= 0", name=op.f("ck_counts_tile_band_not_negative")),
        sa.CheckConstraint("tile BETWEEN 0 AND 767", name=op.f("ck_counts_tile_tile_range")),
        sa.CheckConstraint("hpx_order BETWEEN 3 AND 12", name=op.f("ck_counts_tile_hpx_order_range")),
        sa.ForeignKeyConstraint(
            ["observation_id"],
            ["observation.id"],
            name=op.f("fk_counts_tile_observation_id_observation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("observation_id", "band", "tile", name=op.f("pk_counts_tile")),
    )
    # Compressed already: PostgreSQL need not try again.
    op.execute("ALTER TABLE counts_tile ALTER COLUMN counts SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.drop_table("counts_tile")
