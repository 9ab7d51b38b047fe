"""What changed from one release to another: new, lost, moved, brighter, fainter and reclassified sources.

Where one release descends from the other, the same source is the one with the same identity; else sources are the
same by their places, as in `catalog.lineage`. Errors of both releases are taken as independent. Releases of the same
sky share photons, so what is listed has changed by more than it says, and statistics alone lists next to nothing.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection, column, select, table

from catalog.lineage import Relations, places, relate, separation_sigma
from catalog.query import Answer
from catalog.release import ReleaseError, ReleaseRecord, release_record
from catalog.tables import Release, ReleaseSource

MOVED_SIGMA = 3.0
FLUX_SIGMA = 3.0
COLUMNS = (
    "change",
    "source_id",
    "name_before",
    "name_now",
    "glon",
    "glat",
    "before",
    "now",
    "sigma",
    "note",
)
_ELLIPSE = ("raj2000", "dej2000", "conf_95_semimajor", "conf_95_semiminor", "conf_95_posang")
_COMPARED = ("source_name", *_ELLIPSE, "glon", "glat", "signif_avg", "flux", "unc_flux", "class1")

Row = tuple[Any, ...]


def diff(conn: Connection, before: str, now: str) -> Answer:
    """Changes from release `before` to release `now`: by kind, the most significant first.

    ``before`` and ``now`` hold the significance of a lost or new source, the fluxes (cm-2 s-1) of one that became
    brighter or fainter, the classes of one reclassified, and 0 and the separation (degrees) of one that moved.

    Raises
    ------
    ReleaseError
        If there is no such release, or the two are of different surveys.
    """
    records = [release_record(conn, version) for version in (before, now)]
    surveys = [record.survey.name for record in records]
    if surveys[0] != surveys[1]:
        raise ReleaseError(
            f"releases of different surveys do not compare: {before} is of {surveys[0]}, {now} of {surveys[1]}"
        )
    old, new = (compared_sources(conn, version) for version in (before, now))
    by_place = relate(places(old, _ELLIPSE), places(new, _ELLIPSE))
    if _descends(conn, *records) or _descends(conn, *reversed(records)):
        _, i, j = np.intersect1d(old["source_id"], new["source_id"], return_indices=True)
    else:
        i, j = by_place.before[by_place.same], by_place.now[by_place.same]
    rows = [*_came_and_went(old, new, i, j, by_place), *_changed(old.iloc[i], new.iloc[j])]
    return Answer(COLUMNS, rows)


def compared_sources(conn: Connection, version: str) -> pd.DataFrame:
    """What is compared of each source of a release, with its identity."""
    view = table("catalogue", column("version"), column("detection_id"), *(column(c) for c in _COMPARED))
    query = (
        select(ReleaseSource.source_id, *(view.c[name] for name in _COMPARED))
        .join(
            view,
            (view.c.version == ReleaseSource.version) & (view.c.detection_id == ReleaseSource.detection_id),
        )
        .where(ReleaseSource.version == version)
        .order_by(ReleaseSource.source_id)
    )
    return pd.read_sql_query(query, conn)


def _descends(conn: Connection, ancestor: ReleaseRecord, release: ReleaseRecord) -> bool:
    """Whether a release is the ancestor itself or one of its successors."""
    version: str | None = release.version
    while version is not None and version != ancestor.version:
        version = conn.scalar(select(Release.predecessor).where(Release.version == version))
    return version is not None


def _came_and_went(
    old: pd.DataFrame, new: pd.DataFrame, i: NDArray[np.int64], j: NDArray[np.int64], near: Relations
) -> Iterator[Row]:
    came, went = np.ones(len(new), dtype=bool), np.ones(len(old), dtype=bool)
    came[j], went[i] = False, False
    parents = {int(b): int(a) for a, b in zip(near.before[::-1], near.now[::-1], strict=True)}
    heirs = {int(a): int(b) for a, b in zip(near.before[::-1], near.now[::-1], strict=True)}
    for k in _strongest(new["signif_avg"].to_numpy(), came):
        s = new.iloc[k]
        note = f"beside {old['source_name'].iloc[parents[k]]}" if k in parents else ""
        yield (
            "new",
            int(s.source_id),
            None,
            s.source_name,
            s.glon,
            s.glat,
            None,
            s.signif_avg,
            s.signif_avg,
            note,
        )
    for k in _strongest(old["signif_avg"].to_numpy(), went):
        s = old.iloc[k]
        note = f"beside {new['source_name'].iloc[heirs[k]]}" if k in heirs else ""
        yield (
            "lost",
            int(s.source_id),
            s.source_name,
            None,
            s.glon,
            s.glat,
            s.signif_avg,
            None,
            s.signif_avg,
            note,
        )


def _changed(old: pd.DataFrame, new: pd.DataFrame) -> Iterator[Row]:
    """Changes of sources that are in both releases; row k of both is one source."""
    first, second = places(old, _ELLIPSE), places(new, _ELLIPSE)
    moved = separation_sigma(first, second)
    sep_deg = np.degrees(2 * np.arcsin(np.linalg.norm(first.vectors - second.vectors, axis=1) / 2))
    flux, error = ((old[name].to_numpy(float), new[name].to_numpy(float)) for name in ("flux", "unc_flux"))
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.nan_to_num((flux[1] - flux[0]) / np.hypot(*error))
    classes = [frame["class1"].fillna("").to_numpy(str) for frame in (old, new)]
    other = (classes[0] != classes[1]) & (classes[0] != "") & (classes[1] != "")
    zero, none = np.zeros(len(old)), np.full(len(old), np.nan)
    for kind, which, before, now, sigma in (
        ("moved", moved > MOVED_SIGMA, zero, sep_deg, moved),
        ("brightened", change > FLUX_SIGMA, *flux, change),
        ("faded", change < -FLUX_SIGMA, *flux, -change),
        ("reclassified", other, *classes, none),
    ):
        for k in _strongest(np.nan_to_num(sigma), which):
            a, b = old.iloc[k], new.iloc[k]
            shown = None if np.isnan(sigma[k]) else float(sigma[k])
            pair = (before[k].item(), now[k].item())
            yield (kind, int(b.source_id), a.source_name, b.source_name, b.glon, b.glat, *pair, shown, "")


def _strongest(values: NDArray[np.float64], which: NDArray[np.bool_]) -> list[int]:
    """Indices of the rows chosen, the largest value first."""
    order = np.argsort(-values, kind="stable")
    return [int(k) for k in order if which[k]]
