"""Recovery by the significance classes of the founding papers (Panes et al. 2021, A&A 656, A62), in one table.

The papers matched iteratively: the closest pair first, each source and each reference row once. Beside that stands
what a looser rule gives, by which any source within the radius will do.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from reports.recovery import RADII_DEG, recovered
from reports.statistics import Fraction, nearest_separation

Select = Callable[[pd.DataFrame], "pd.Series[bool]"]
HIGH_LATITUDE_DEG = 20.0


def _between(frame: pd.DataFrame, low: float, high: float) -> "pd.Series[bool]":
    return (frame["signif_avg"] >= low) & (frame["signif_avg"] < high)


SIGNIFICANCE_CLASSES: dict[str, Select] = {
    "all": lambda r: pd.Series(True, index=r.index),
    "above 20 σ": lambda r: r["signif_avg"] >= 20,
    "10 to 20 σ, |b| > 20°": lambda r: _between(r, 10, 20) & (r["glat_deg"].abs() > HIGH_LATITUDE_DEG),
    "10 to 20 σ, |b| ≤ 20°": lambda r: _between(r, 10, 20) & (r["glat_deg"].abs() <= HIGH_LATITUDE_DEG),
    "below 10 σ": lambda r: r["signif_avg"] < 10,
    "below 10 σ, associated": lambda r: (r["signif_avg"] < 10) & (r["association"] != ""),
}


def founding_table(
    references: pd.DataFrame, associations: pd.DataFrame, sources: pd.DataFrame
) -> pd.DataFrame:
    """Recovered fractions of one reference catalogue by class, radius and matching rule.

    Returns
    -------
    DataFrame
        selection, radius_deg, matching (``iterative`` or ``any within``), n, recovered, fraction, fraction_low,
        fraction_high (Wilson, 68.27 %). Classes without rows are left out.
    """
    nearest = nearest_separation(
        references["glon_deg"], references["glat_deg"], sources["glon_deg"], sources["glat_deg"]
    )[0]
    rows = []
    for name, select in SIGNIFICANCE_CLASSES.items():
        mask = select(references).to_numpy(dtype=bool)
        for radius in RADII_DEG if mask.any() else ():
            found = {
                "iterative": recovered(references, associations, radius),
                "any within": nearest <= radius,
            }
            for matching, which in found.items():
                part = Fraction.of(which[mask])
                low, high = part.interval
                rows.append((name, radius, matching, part.n, part.k, part.value, low, high))
    columns = ["selection", "radius_deg", "matching", "n", "recovered"]
    return pd.DataFrame(rows, columns=[*columns, "fraction", "fraction_low", "fraction_high"])


def founding_rows(table: pd.DataFrame) -> list[dict[str, str]]:
    """The table as the page shows it: one row a class, one column a radius and rule."""
    rows = []
    for name, part in table.groupby("selection", sort=False):
        row = {"selection": str(name), "n": f"{int(part['n'].iloc[0]):,}"}
        for r in part.to_dict("records"):
            half = 50 * (r["fraction_high"] - r["fraction_low"])
            error = f" ± {half:.1f}" if np.isfinite(half) else ""
            row[f"{r['matching']} {r['radius_deg']:g}"] = f"{100 * r['fraction']:.1f}{error}"
        rows.append(row)
    return rows
