"""Reference catalogues that the run was not compared with: matched here, by the same rules, for the report alone."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import sqlalchemy as sa

from catalog.association import associate
from catalog.positions import Positions
from catalog.reference_objects import ReferenceRows
from catalog.source_classes import class_groups
from catalog.tables import ReferenceCatalog

FIELDS = ("name", "version", "file_name", "sha256", "citation")


class ReportError(ValueError):
    """A report that cannot be made; one line."""


def named_catalogs(conn: sa.Connection, names: Sequence[str]) -> list[dict[str, str]]:
    """The reference catalogues of these names, all their versions, as a release's provenance lists them.

    Raises
    ------
    ReportError
        If there is none of a name.
    """
    listed = sa.select(*(ReferenceCatalog.__table__.c[name] for name in FIELDS)).order_by(ReferenceCatalog.id)
    known = [dict(row._mapping) for row in conn.execute(listed)]
    for name in names:
        if all(row["name"] != name for row in known):
            there = ", ".join(sorted({row["name"] for row in known})) or "none"
            raise ReportError(f"there is no reference catalogue {name} in the database; there are: {there}")
    return [row for row in known if row["name"] in names]


def match(sources: pd.DataFrame, references: pd.DataFrame) -> pd.DataFrame:
    """Candidates, matches and probabilities of one catalogue for the released sources.

    Parameters
    ----------
    sources : DataFrame
        The released sources.
    references : DataFrame
        Sources of the catalogue.

    Returns
    -------
    DataFrame
        detection_id, reference_source_id, sep_deg, prob, matched_03, matched_05.
    """
    rows = ReferenceRows(
        _positions(references, "conf_95_posang_deg"), class_groups(references["source_class"])
    )
    found = associate(_positions(sources, "conf_posang_deg"), [rows])
    return pd.DataFrame(
        {
            "detection_id": sources["detection_id"].to_numpy(np.int64)[found.detection],
            "reference_source_id": references["id"].to_numpy(np.int64)[found.reference],
            **{name: getattr(found, name) for name in ("sep_deg", "prob", "matched_03", "matched_05")},
        }
    )


def _positions(frame: pd.DataFrame, angle: str) -> Positions:
    names = ("ra_deg", "dec_deg", "conf_95_semimajor_deg", "conf_95_semiminor_deg", angle)
    ra, dec, major, minor, posang = (frame[name].to_numpy(float) for name in names)
    return Positions.from_ellipses(ra, dec, major, minor, posang, containment=0.95)
