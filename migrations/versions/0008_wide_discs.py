"""Discs of the search for wide sources, beside the detections that they are; fluxes of discs are the likelihood's.

Revision ID: 0008
Revises: 0007
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "wide_disc",
        sa.Column("detection_id", sa.BigInteger(), nullable=False),
        sa.Column("radius_deg", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["detection_id"],
            ["detection.id"],
            name=op.f("fk_wide_disc_detection_id_detection"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("detection_id", name=op.f("pk_wide_disc")),
        sa.CheckConstraint("radius_deg > 0 AND radius_deg <= 180", name=op.f("ck_wide_disc_radius_range")),
    )
    op.execute(
        "CREATE TRIGGER no_truncate BEFORE TRUNCATE ON wide_disc"
        " EXECUTE FUNCTION refuse_truncate_of_released()"
    )
    op.execute(
        "CREATE TRIGGER released BEFORE INSERT OR UPDATE OR DELETE ON wide_disc"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change_of_released_run()"
    )
    view = Path(__file__).with_name("0008_catalogue.sql").read_text()
    op.execute(sa.text(view.replace(":", r"\:")))


def downgrade() -> None:
    raise NotImplementedError("wide sources would become points")
