"""What all tables share: the naming of constraints, the types, a position on the sky, checks of numbers."""

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, DateTime, Double, LargeBinary, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

HPX29_CELLS = 12 * 4**29


def one_of(column: str, values: tuple[str, ...]) -> str:
    """Check that a text is one of a few."""
    quoted = ", ".join(f"'{v}'" for v in values)
    return f"{column} IN ({quoted})"


def not_negative(column: str) -> str:
    """Zero or more and finite: to PostgreSQL NaN is above all numbers and would pass a plain comparison."""
    return f"{column} >= 0 AND {column} < 'Infinity'"


class Base(DeclarativeBase):
    """Declarative base with one naming convention for all constraints."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012
        str: Text(),
        float: Double(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(),
        list[float]: ARRAY(Double()),
        bytes: LargeBinary(),
    }


class SkyPosition:
    """Columns of a row with a position on the sky."""

    ra_deg: Mapped[float]
    dec_deg: Mapped[float]
    glon_deg: Mapped[float]
    glat_deg: Mapped[float]
    x: Mapped[float]
    y: Mapped[float]
    z: Mapped[float]
    hpx29: Mapped[int] = mapped_column(BigInteger)


def position_constraints() -> tuple[CheckConstraint, ...]:
    """Checks shared by all tables with a position."""
    return (
        CheckConstraint("ra_deg >= 0 AND ra_deg < 360", name="ra_range"),
        CheckConstraint("dec_deg BETWEEN -90 AND 90", name="dec_range"),
        CheckConstraint("glon_deg >= 0 AND glon_deg < 360", name="glon_range"),
        CheckConstraint("glat_deg BETWEEN -90 AND 90", name="glat_range"),
        CheckConstraint("abs(x * x + y * y + z * z - 1) < 1e-9", name="unit_vector"),
        CheckConstraint(f"hpx29 >= 0 AND hpx29 < {HPX29_CELLS}", name="hpx29_range"),
    )
