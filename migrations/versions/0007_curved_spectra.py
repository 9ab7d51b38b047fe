"""Log-parabolas beside the power laws, and their columns in the catalogue.

Revision ID: 0007
Revises: 0006
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    names = ("pivot_gev", "density_cm2_s_gev", "index", "unc_index", "curvature", "unc_curvature")
    numbers: list[sa.Column[float]] = [
        sa.Column(name, sa.Double(), nullable=False)
        for name in (*names, "cov_index_curvature", "ts_curvature")
    ]
    rules = {
        "pivot_positive": "pivot_gev > 0 AND pivot_gev < 'Infinity'",
        "density_not_negative": "density_cm2_s_gev >= 0 AND density_cm2_s_gev < 'Infinity'",
        "shape_finite": "abs(index) < 'Infinity' AND abs(curvature) < 'Infinity'",
        "unc_index_not_negative": "unc_index >= 0 AND unc_index < 'Infinity'",
        "unc_curvature_not_negative": "unc_curvature >= 0 AND unc_curvature < 'Infinity'",
        "covariance_possible": "cov_index_curvature ^ 2 <= 1.000001 * (unc_index * unc_curvature) ^ 2",
        "ts_curvature_not_negative": "ts_curvature >= 0 AND ts_curvature < 'Infinity'",
    }
    op.create_table(
        "curved_spectrum",
        sa.Column("detection_id", sa.BigInteger(), nullable=False),
        *numbers,
        sa.ForeignKeyConstraint(
            ["detection_id"],
            ["detection.id"],
            name=op.f("fk_curved_spectrum_detection_id_detection"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("detection_id", name=op.f("pk_curved_spectrum")),
        *(sa.CheckConstraint(rule, name=op.f(f"ck_curved_spectrum_{name}")) for name, rule in rules.items()),
    )
    script = Path(__file__).with_name("0007_catalogue.sql").read_text()
    op.execute(sa.text(script.replace(":", r"\:")))


def downgrade() -> None:
    raise NotImplementedError("columns cannot be taken out of a view that others rest on")
