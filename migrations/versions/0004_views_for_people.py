"""Views made for people, with their meaning; matches with any table; the probability of no counterpart.

Revision ID: 0004
Revises: 0003
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCRIPTS = ("0004_no_counterpart.sql", "0004_views.sql", "0004_match.sql", "0004_comments.sql")


def upgrade() -> None:
    op.create_table(
        "no_counterpart",
        sa.Column("detection_id", sa.BigInteger(), nullable=False),
        sa.Column("prob", sa.Double(), nullable=False),
        sa.CheckConstraint("prob BETWEEN 0 AND 1", name=op.f("ck_no_counterpart_prob_range")),
        sa.ForeignKeyConstraint(
            ["detection_id"],
            ["detection.id"],
            name=op.f("fk_no_counterpart_detection_id_detection"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("detection_id", name=op.f("pk_no_counterpart")),
    )
    for name in SCRIPTS:
        op.execute(sa.text(Path(__file__).with_name(name).read_text().replace(":", r"\:")))


def downgrade() -> None:
    raise NotImplementedError("the probabilities of no counterpart would be lost")
