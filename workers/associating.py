"""The association stage: a run's whole catalogue against all its reference catalogues at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.association import Associations, associate
from catalog.positions import Positions
from catalog.reference_objects import ReferenceRows
from catalog.source_classes import class_groups
from catalog.tables import ReferenceCatalog, ReferenceSource

SIGNIF_STEPS = (5.0, 8.0)
PLANE_DEG = 10.0
ELLIPSE = ("ra_deg", "dec_deg", "conf_95_semimajor_deg", "conf_95_semiminor_deg")
Columns = dict[str, NDArray[Any]]
PER_PAIR = ("sep_deg", "prob", "matched_03", "matched_05")


def read_references(conn: Connection, checksums: Sequence[str]) -> list[pd.DataFrame]:
    """Sources of the catalogues with these checksums: id, place, error ellipse and class."""
    source = ReferenceSource.__table__.c
    names = ["id", *ELLIPSE, "conf_95_posang_deg", "source_class"]
    query = select(*(source[name] for name in names)).join(ReferenceCatalog).order_by(source.id)
    found = (conn.execute(query.where(ReferenceCatalog.sha256 == sha256)).all() for sha256 in checksums)
    return [pd.DataFrame(rows, columns=names) for rows in found]


def associate_run(measured: pd.DataFrame, references: Sequence[pd.DataFrame]) -> tuple[Columns, Columns]:
    """Columns of `association` and of `no_counterpart` for a run's sources, all that can be released.

    Parameters
    ----------
    measured : DataFrame
        Rows of `catalog.store.read_measurements`. One-to-one among what can be released: a likely artefact must
        not take a source's counterpart.
    references : sequence of DataFrame
        From `read_references`.
    """
    found = find_counterparts(measured, references)
    ids = [reference["id"].to_numpy(np.int64) for reference in references]
    starts = np.cumsum([0, *(len(rows) for rows in ids)])
    rows = starts[found.catalogue] + found.reference
    of_detection = measured["detection_id"].to_numpy()
    pairs = {
        "detection_id": of_detection[found.detection],
        "reference_source_id": np.concatenate([np.empty(0, np.int64), *ids])[rows],
        **{name: getattr(found, name) for name in PER_PAIR},
    }
    return pairs, {"detection_id": of_detection, "prob": found.none}


def find_counterparts(measured: pd.DataFrame, references: Sequence[pd.DataFrame]) -> Associations:
    """Candidates, probabilities and matches of the rows of data frames (as `associate_run`)."""
    detections = ellipses(measured, "conf_posang_deg")
    strata = signif_strata(measured["signif_avg"].to_numpy(float), measured["glat_deg"].to_numpy(float))
    return associate(detections, [reference_rows(reference) for reference in references], strata)


def reference_rows(reference: pd.DataFrame) -> ReferenceRows:
    """A catalogue's rows as `catalog.association` takes them."""
    return ReferenceRows(ellipses(reference, "conf_95_posang_deg"), class_groups(reference["source_class"]))


def ellipses(rows: pd.DataFrame, angle: str) -> Positions:
    """Positions with their 95 % error ellipses."""
    ra, dec, major, minor, posang = (rows[name].to_numpy(float) for name in (*ELLIPSE, angle))
    return Positions.from_ellipses(ra, dec, major, minor, posang, containment=0.95)


def signif_strata(signif: NDArray[np.float64], glat_deg: NDArray[np.float64]) -> NDArray[np.int64]:
    """Groups of detections about equally likely to be in a catalogue: by significance, plane or not."""
    plane = np.abs(glat_deg) < PLANE_DEG
    return np.digitize(signif, SIGNIF_STEPS) + (len(SIGNIF_STEPS) + 1) * plane
