"""Headline flux against the reference's flux, where both are given for the same energy range."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.in_range import same_range
from reports.separation import matched_pairs
from reports.statistics import median_and_spread
from reports.style import BLUE, INK, VERMILLION, WIDTH_IN, ReportFigure, panel_note, styled

PULL_EDGES = np.linspace(-6, 6, 49)


CAPTION = """
Photon flux from {low:g} to {high:g} GeV of the {n} point-like pairs within 0.3 degrees, against
{catalog}'s for the same range. Middle: their ratio, with median and 16 to 84 % in bins of the reference
flux. Right: difference over both errors in quadrature, against a unit Gaussian; photons that both lists
share make it narrower, variability between their intervals wider; the outermost bins hold what lies
beyond.
"""


def flux_pairs(
    references: pd.DataFrame,
    associations: pd.DataFrame,
    sources: pd.DataFrame,
    flux_range_gev: tuple[float, float],
) -> pd.DataFrame:
    """Matched point-like pairs (0.3 deg) with fluxes of one energy range.

    Returns
    -------
    DataFrame
        source_name, name, flux_cm2_s, unc_flux_cm2_s, flux_cm2_s_ref, unc_flux_cm2_s_ref, ratio, pull: the
        difference over both errors in quadrature.
    """
    usable = references[same_range(references, flux_range_gev) & ~references["extended"]]
    pairs = matched_pairs(usable, associations, sources, "matched_03")
    pairs = pairs[(pairs["flux_cm2_s"] > 0) & (pairs["flux_cm2_s_ref"] > 0)].reset_index(drop=True)
    error = (pairs["unc_flux_cm2_s"] ** 2 + pairs["unc_flux_cm2_s_ref"] ** 2) ** 0.5
    pairs["ratio"] = pairs["flux_cm2_s"] / pairs["flux_cm2_s_ref"]
    pairs["pull"] = (pairs["flux_cm2_s"] - pairs["flux_cm2_s_ref"]) / error.where(error > 0)
    columns = ["flux_cm2_s", "unc_flux_cm2_s", "flux_cm2_s_ref", "unc_flux_cm2_s_ref", "ratio", "pull"]
    return pairs[["source_name", "name", *columns]]


@styled
def flux_figure(
    catalog: str,
    references: pd.DataFrame,
    associations: pd.DataFrame,
    sources: pd.DataFrame,
    flux_range_gev: tuple[float, float],
) -> ReportFigure | None:
    """Flux against flux, their ratio, and the pulls; None where no pair can be compared."""
    pairs = flux_pairs(references, associations, sources, flux_range_gev)
    if pairs.empty:
        return None
    figure = Figure(figsize=(WIDTH_IN, 3.5))
    scatter, ratio, pulls = figure.subplots(1, 3)
    _scatter(scatter, pairs, catalog)
    _ratio(ratio, pairs, catalog)
    _pulls(pulls, pairs)
    low, high = flux_range_gev
    caption = CAPTION.format(low=low, high=high, n=len(pairs), catalog=catalog)
    key = "flux-" + catalog.lower()
    return ReportFigure(key, f"Flux against {catalog}", caption, figure, pairs)


def _scatter(axes: Axes, pairs: pd.DataFrame, catalog: str) -> None:
    axes.errorbar(
        pairs["flux_cm2_s_ref"], pairs["flux_cm2_s"], pairs["unc_flux_cm2_s"], pairs["unc_flux_cm2_s_ref"],
        fmt="o", ms=2, mew=0, color=BLUE, ecolor="#9dc3dd", elinewidth=0.5, rasterized=True,
    )  # fmt: skip
    both = np.concatenate([pairs["flux_cm2_s_ref"], pairs["flux_cm2_s"]])
    limits = (float(np.percentile(both, 0.1)) / 2, float(both.max()) * 1.6)
    axes.plot(limits, limits, color=INK, lw=0.8)
    axes.set(
        xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal",
        xlabel=rf"{catalog} flux (cm$^{{-2}}$ s$^{{-1}}$)", ylabel=r"release flux (cm$^{-2}$ s$^{-1}$)",
    )  # fmt: skip


def _ratio(axes: Axes, pairs: pd.DataFrame, catalog: str) -> None:
    axes.plot(pairs["flux_cm2_s_ref"], pairs["ratio"], "o", ms=2, mew=0, color="#7fb2d3", rasterized=True)
    axes.axhline(1, color=INK, lw=0.8)
    order = np.argsort(pairs["flux_cm2_s_ref"].to_numpy())
    for part in np.array_split(order, max(1, min(8, len(order) // 25))):
        x = np.median(pairs["flux_cm2_s_ref"].to_numpy()[part])
        low, mid, high = np.percentile(pairs["ratio"].to_numpy()[part], [15.865, 50, 84.135])
        axes.errorbar(x, mid, [[mid - low], [high - mid]], fmt="s", ms=4, color=VERMILLION, elinewidth=1.3)
    axes.set(
        xscale="log", yscale="log", ylim=(0.25, 4),
        xlabel=rf"{catalog} flux (cm$^{{-2}}$ s$^{{-1}}$)", ylabel="flux / reference flux",
    )  # fmt: skip
    axes.set_yticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
    axes.set_yticks([], minor=True)
    beyond = int(((pairs["ratio"] < 0.25) | (pairs["ratio"] > 4)).sum())
    median, spread = median_and_spread(pairs["ratio"])
    panel_note(axes, f"median {median:.3f}, half-width {spread:.3f}\n{beyond} outside the panel")


def _pulls(axes: Axes, pairs: pd.DataFrame) -> None:
    pull = pairs["pull"].dropna().to_numpy()
    width = float(np.diff(PULL_EDGES)[0])
    counts = np.histogram(np.clip(pull, PULL_EDGES[0], PULL_EDGES[-1]), PULL_EDGES)[0]
    axes.stairs(counts, PULL_EDGES, color="#9dc3dd", fill=True)
    fine = np.linspace(-6, 6, 241)
    expected = pull.size * width * np.exp(-(fine**2) / 2) / np.sqrt(2 * np.pi)
    axes.plot(fine, expected, color=INK, lw=1, ls="--")
    axes.set(xlabel=r"pull ($\sigma$)", ylabel=f"pairs in {width:g}", xlim=(-6, 6))
    median, spread = median_and_spread(pull)
    panel_note(axes, f"median {median:+.2f}\nhalf-width {spread:.2f}")
