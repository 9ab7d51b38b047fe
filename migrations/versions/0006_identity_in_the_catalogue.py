"""A source's identity, the same in all releases, as a column of the catalogue.

Revision ID: 0006
Revises: 0005
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    script = Path(__file__).with_name("0006_catalogue.sql").read_text()
    op.execute(sa.text(script.replace(":", r"\:")))


def downgrade() -> None:
    raise NotImplementedError("columns cannot be taken out of a view that others rest on")
