"""Bright reference sources that the release has not found, each with a reason as far as the data tell one."""

import numpy as np
import pandas as pd

from reports.comparison import side_by_side
from reports.met import year_of
from reports.recovery import recovered
from reports.statistics import nearest_separation

BRIGHT_SIGMA = 10.0
CANDIDATE_DEG = 0.3
NO_REASON = "no reason known"
COLUMNS = (
    "name_ref", "glon_deg", "glat_deg", "signif_avg_ref", "signif_above_ref", "flux_cm2_s_ref",
    "unc_flux_cm2_s_ref", "sep_deg", "class_ref", "association_ref", "reason", "expected",
)  # fmt: skip


def bright_misses(
    references: pd.DataFrame,
    associations: pd.DataFrame,
    sources: pd.DataFrame,
    candidates: pd.DataFrame,
    emin_gev: float,
    interval_met_s: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """Rows of one reference catalogue above 10 sigma without a one-to-one counterpart within 0.3 deg.

    Parameters
    ----------
    references, associations : DataFrame
        Of one reference catalogue.
    sources : DataFrame
        The released sources.
    candidates : DataFrame
        Detections of the run that were not released: glon_deg, glat_deg, det_prob.

    Returns
    -------
    DataFrame
        `COLUMNS`. ``expected``: above 10 sigma in the survey's own energies too, where the catalogue tells, or
        by the catalogue's significance where it does not; these come first. ``sep_deg``: to the nearest released
        source.
    """
    missed = ~recovered(references, associations, 0.3)
    significance = references[["signif_avg", "signif_above"]].max(axis=1).to_numpy()
    bright = references[missed & (significance >= BRIGHT_SIGMA)]
    # Remarks on confusion and brighter neighbours are those of the whole table.
    told = side_by_side(references, associations, sources).set_index("name_ref")
    rows = told.loc[bright["name"]].reset_index()
    own = rows["signif_above_ref"].where(rows["signif_above_ref"].notna(), rows["signif_avg_ref"])
    rows["expected"] = (own >= BRIGHT_SIGMA).to_numpy(dtype=bool)
    peaks = _peaks_outside(bright, interval_met_s)
    below = _below_threshold(rows, bright, candidates)
    rows["glon_deg"], rows["glat_deg"] = bright["glon_deg"].to_numpy(), bright["glat_deg"].to_numpy()
    rows["sep_deg"] = nearest_separation(
        rows["glon_deg"], rows["glat_deg"], sources["glon_deg"], sources["glat_deg"]
    )[0]
    rows["reason"] = [
        "; ".join(filter(None, (_soft(row["signif_above_ref"], emin_gev), row["remark"], peak, near)))
        or NO_REASON
        for row, peak, near in zip(rows.to_dict("records"), peaks, below, strict=True)
    ]
    order = ["expected", "signif_above_ref", "signif_avg_ref"]
    return rows.sort_values(order, ascending=False, ignore_index=True)[list(COLUMNS)]


def _soft(above: float, emin_gev: float) -> str:
    """Words on a source that the survey's energies show little of."""
    if not np.isfinite(above) or above >= BRIGHT_SIGMA:
        return ""
    return f"{above:.1f} sigma only in the reference's bands above {emin_gev:g} GeV"


def _peaks_outside(bright: pd.DataFrame, interval_met_s: tuple[float, float] | None) -> list[str]:
    """Words on a variable source that was brightest when this observation did not look."""
    if interval_met_s is None:
        return [""] * len(bright)
    outside = (bright["peak_met_s"] < interval_met_s[0]) | (bright["peak_met_s"] > interval_met_s[1])
    return [
        f"brightest in {year_of(peak):.1f}, outside this observation" if out else ""
        for peak, out in zip(bright["peak_met_s"], outside, strict=True)
    ]


def _below_threshold(rows: pd.DataFrame, bright: pd.DataFrame, candidates: pd.DataFrame) -> list[str]:
    """Words on the nearest detection that was too improbable to be released."""
    sep, index = nearest_separation(
        bright["glon_deg"], bright["glat_deg"], candidates["glon_deg"], candidates["glat_deg"]
    )
    probability = candidates["det_prob"].to_numpy()
    return [
        f"detected {s:.2f} deg away, below the threshold (P = {probability[i]:.2f})"
        if s <= CANDIDATE_DEG
        else ""
        for s, i, _ in zip(sep, index, range(len(rows)), strict=True)
    ]
