"""The schema of the photons that pictures are made from."""

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from catalog.tables_base import Base


class CountsTile(Base):
    """Photons of one band in one HEALPix cell of order 3 (galactic, NESTED), for pictures.

    ``counts``: the cell's pixels of order ``hpx_order``, NESTED, as little-endian int32, packed with zlib.
    """

    __tablename__ = "counts_tile"
    __table_args__ = (
        CheckConstraint("band >= 0", name="band_not_negative"),
        CheckConstraint("tile BETWEEN 0 AND 767", name="tile_range"),
        CheckConstraint("hpx_order BETWEEN 3 AND 12", name="hpx_order_range"),
    )

    observation_id: Mapped[int] = mapped_column(
        ForeignKey("observation.id", ondelete="CASCADE"), primary_key=True
    )
    band: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    tile: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    hpx_order: Mapped[int] = mapped_column(SmallInteger)
    counts: Mapped[bytes]
