"""The schema of association, beside its candidates: detections that no reference catalogue has."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from catalog.tables_base import Base


class NoCounterpart(Base):
    """Probability that one detection has no counterpart in any reference catalogue of its run."""

    __tablename__ = "no_counterpart"
    __table_args__ = (CheckConstraint("prob BETWEEN 0 AND 1", name="prob_range"),)

    detection_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("detection.id", ondelete="CASCADE"), primary_key=True
    )
    prob: Mapped[float]
