"""Release and reference catalogue side by side, with what was missed, what is new, and why."""

import healpy as hp
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from reports.separation import matched_pairs
from reports.statistics import nearest_separation

NEAR_DEG = 0.5
# Variability_Index that a constant source exceeds in 1 % of all cases, by the number of yearly intervals
# (`VARMIN` in the headers).
VARIABLE_ABOVE = {"4FGL": 18.48, "4FGL-DR2": 21.67}
STATUSES = ("missed", "new", "matched", "matched 0.5")
COLUMNS = (
    "status", "source_name", "name_ref", "glon_deg", "glat_deg",
    "signif_avg", "signif_avg_ref", "signif_above_ref",
    "flux_cm2_s", "unc_flux_cm2_s", "flux_cm2_s_ref", "unc_flux_cm2_s_ref",
    "conf_95_semimajor_deg", "conf_95_semimajor_deg_ref", "sep_deg", "prob",
    "class_ref", "association_ref", "flags", "flags_ref", "remark",
)  # fmt: skip


def side_by_side(references: pd.DataFrame, associations: pd.DataFrame, sources: pd.DataFrame) -> pd.DataFrame:
    """Both lists in one table, each row of either exactly once.

    Parameters
    ----------
    references, associations : DataFrame
        Of one reference catalogue.
    sources : DataFrame
        The released sources.

    Returns
    -------
    DataFrame
        `COLUMNS`; status is ``missed`` (the reference's alone; first those most significant in the
        survey's energies, where the catalogue tells), ``new`` (the release's alone), ``matched`` (within
        0.3 deg) or ``matched 0.5``. The position is the release's where
        it has one; sep_deg of an unmatched row is that to the nearest row of the other list.
    """
    pairs = matched_pairs(references, associations, sources, "matched_05")
    pairs = pairs.rename(columns={"name": "name_ref"}).assign(
        status=np.where(pairs["sep_deg"] <= 0.3, "matched", "matched 0.5"), remark=_ref_remarks(pairs)
    )
    missed = _missed(references[~references["id"].isin(pairs["id"])], pairs, references, sources)
    new = _new(sources[~sources["detection_id"].isin(pairs["detection_id"])], pairs, references)
    parts = [
        missed.sort_values(
            ["signif_above_ref", "signif_avg_ref", "name_ref"], ascending=[False, False, True]
        ),
        new.sort_values(["signif_avg", "source_name"], ascending=[False, True]),
        pairs.sort_values(["signif_avg", "source_name"], ascending=[False, True]),
    ]
    renamed = {
        "source_class": "class_ref",
        "association": "association_ref",
        "signif_above": "signif_above_ref",
    }
    parts = [part.rename(columns=renamed).reindex(columns=list(COLUMNS)) for part in parts]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _ref_remarks(references: pd.DataFrame) -> list[str]:
    """What the reference catalogue itself says of a source that makes it hard to find."""
    limit = references["catalog"].map(VARIABLE_ABOVE).astype(float)
    said = {
        "extended": references["extended"],
        "on a gas clump ('c')": references["name"].str.endswith("c"),
        "variable": references["variability_index"] > limit,
    }
    rows = zip(*said.values(), strict=True)
    return ["; ".join(word for word, true in zip(said, row, strict=True) if true) for row in rows]


def _missed(
    missed: pd.DataFrame, pairs: pd.DataFrame, references: pd.DataFrame, sources: pd.DataFrame
) -> pd.DataFrame:
    """Rows of the reference without a source, with the reasons that the catalogues know."""
    separation, nearest = nearest_separation(
        missed["glon_deg"], missed["glat_deg"], sources["glon_deg"], sources["glat_deg"]
    )
    taken_by = pairs.set_index("detection_id")["name_ref"]
    remarks = _ref_remarks(missed)
    brighter = _nearest_brighter(missed, references)
    for i, (sep, index) in enumerate(zip(separation, nearest, strict=True)):
        found = [remarks[i]] if remarks[i] else []
        if brighter[i]:
            found.append(brighter[i])
        if sep <= NEAR_DEG:
            source = sources.iloc[index]
            found.append(_taken(source["source_name"], sep, taken_by.get(source["detection_id"])))
        remarks[i] = "; ".join(found)
    measured = {"name": "name_ref"} | {
        c: f"{c}_ref"
        for c in (
            "signif_avg",
            "signif_above",
            "flux_cm2_s",
            "unc_flux_cm2_s",
            "conf_95_semimajor_deg",
            "flags",
        )
    }
    return missed.rename(columns=measured).assign(status="missed", sep_deg=separation, remark=remarks)


def _taken(name: str, sep_deg: float, by: str | None) -> str:
    """Words on a near row of the other list, and on what it is paired with."""
    return f"{name} at {sep_deg:.2f} deg" + (f" is paired with {by}" if by else "")


def _nearest_brighter(missed: pd.DataFrame, references: pd.DataFrame) -> list[str]:
    """Words on the nearest more significant row of the same catalogue within `NEAR_DEG`, or none."""
    if missed.empty:
        return []
    tree = cKDTree(
        hp.ang2vec(references["glon_deg"].to_numpy(), references["glat_deg"].to_numpy(), lonlat=True)
    )
    points = hp.ang2vec(missed["glon_deg"].to_numpy(), missed["glat_deg"].to_numpy(), lonlat=True)
    near = tree.query_ball_point(points, 2 * np.sin(np.radians(NEAR_DEG) / 2))
    significance, names = references["signif_avg"].to_numpy(), references["name"].to_numpy()
    words = []
    for point, signif, rows in zip(points, missed["signif_avg"], near, strict=True):
        rows = np.array([row for row in rows if significance[row] > signif], dtype=int)
        if rows.size == 0:
            words.append("")
            continue
        chords = np.linalg.norm(tree.data[rows] - point, axis=1)
        row = rows[np.argmin(chords)]
        sep_deg = np.degrees(2 * np.arcsin(chords.min() / 2))
        words.append(f"{sep_deg:.2f} deg from brighter {names[row]}")
    return words


def _new(new: pd.DataFrame, pairs: pd.DataFrame, references: pd.DataFrame) -> pd.DataFrame:
    """Sources without a row of the reference, with the nearest one where it is near."""
    separation, nearest = nearest_separation(
        new["glon_deg"], new["glat_deg"], references["glon_deg"], references["glat_deg"]
    )
    taken_by = pairs.set_index("id")["source_name"]
    remarks = []
    for sep, index in zip(separation, nearest, strict=True):
        if sep > NEAR_DEG:
            remarks.append("")
            continue
        row = references.iloc[index]
        kind = "extended " if row["extended"] else ""
        remarks.append(kind + _taken(row["name"], sep, taken_by.get(row["id"])))
    return new.assign(status="new", sep_deg=separation, remark=remarks)
