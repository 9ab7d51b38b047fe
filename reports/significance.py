"""How the sources are distributed in significance and in galactic latitude."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.style import BLUE, VERMILLION, WIDTH_IN, ReportFigure, styled

LATITUDE_EDGES_DEG = np.array(
    [-90, -60, -45, -30, -20, -10, -5, -2, 0, 2, 5, 10, 20, 30, 45, 60, 90], dtype=float
)


CAPTION = """
Left: significances of the sources with and without a counterpart within 0.3 degrees. Right: their density
over galactic latitude, on an axis of equal areas.
"""


def is_associated(sources: pd.DataFrame, associations: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each source has a one-to-one counterpart within 0.3 deg in any reference catalogue."""
    matched = associations.loc[associations["matched_03"], "detection_id"]
    return sources["detection_id"].isin(matched).to_numpy()


def significance_edges(significance: pd.Series) -> NDArray[np.float64]:
    """Twenty logarithmic bins a decade, from the power of ten or half of it below the smallest value."""
    positive = significance[significance > 0]
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (1.0, 10.0)
    return 10 ** (np.arange(np.floor(20 * np.log10(low)), np.floor(20 * np.log10(high)) + 2) / 20)


@styled
def significance_figure(sources: pd.DataFrame, associations: pd.DataFrame) -> ReportFigure:
    """Histograms of significance and density over latitude, sources with and without counterpart apart."""
    associated = is_associated(sources, associations)
    figure = Figure(figsize=(WIDTH_IN, 3.2))
    left, right = figure.subplots(1, 2)
    edges = significance_edges(sources["signif_avg"])
    by_signif = _split(sources["signif_avg"].to_numpy(), associated, edges, "signif_avg")
    _steps(left, by_signif, edges, np.ones(len(edges) - 1))
    left.set(xscale="log", xlabel=r"Signif_Avg ($\sigma$)", ylabel="sources in 0.05 dex")
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500) if edges[0] <= t <= edges[-1]]
    left.set_xticks(ticks, [f"{t:g}" for t in ticks])
    left.set_xticks([], minor=True)
    left.legend(loc="upper right")
    by_latitude = _split(sources["glat_deg"].to_numpy(), associated, LATITUDE_EDGES_DEG, "glat_deg")
    sine = np.sin(np.radians(LATITUDE_EDGES_DEG))
    area_deg2 = 360 * np.degrees(np.diff(sine))
    _steps(right, by_latitude, sine, area_deg2)
    shown = np.array([-90, -45, -30, -20, -10, 0, 10, 20, 30, 45, 90])
    right.set_xticks(np.sin(np.radians(shown)), [f"{b:d}" for b in shown])
    right.set(xlabel=r"$b$ (deg), equal areas", ylabel=r"sources per deg$^2$", xlim=(-1, 1))
    caption = CAPTION
    numbers = pd.concat([by_signif, by_latitude.assign(area_deg2=area_deg2)], ignore_index=True)
    return ReportFigure("significance", "Significance and latitude", caption, figure, numbers)


def _split(
    value: NDArray[np.float64], associated: NDArray[np.bool_], edges: NDArray[np.float64], quantity: str
) -> pd.DataFrame:
    counts = {
        "associated": np.histogram(value[associated], edges)[0],
        "unassociated": np.histogram(value[~associated], edges)[0],
    }
    return pd.DataFrame({"quantity": quantity, "low": edges[:-1], "high": edges[1:], **counts})


def _steps(axes: Axes, split: pd.DataFrame, edges: NDArray[np.float64], per: NDArray[np.float64]) -> None:
    for name, colour in (("associated", BLUE), ("unassociated", VERMILLION)):
        label = f"{'with' if name == 'associated' else 'without'} counterpart ({split[name].sum()})"
        axes.stairs(split[name] / per, edges, color=colour, lw=1.4, label=label)
        axes.stairs(split[name] / per, edges, color=colour, alpha=0.12, fill=True)
