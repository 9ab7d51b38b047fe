"""The error ellipses against the known places of the objects behind the sources.

A reference catalogue that names an object seen by radio or optical telescopes gives its place, which is known far
better than any gamma-ray position: the separation then tells of the release's ellipse alone, and no photon is shared.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.separation import K95, NORMALISED_EDGES, error_matrix, matched_pairs, offset_deg, rayleigh_cdf
from reports.statistics import Fraction, binned_fraction
from reports.style import BLUE, GREY, INK, VERMILLION, WIDTH_IN, ReportFigure, styled

WELL_KNOWN_DEG = 0.005
POINT_LIKE = {"bll", "fsrq", "bcu", "agn", "rdg", "psr", "msp", "nlsy1", "ssrq", "css", "sey"}
SIGNIF_EDGES = np.array([0, 4, 5, 7, 10, 15, 25, np.inf])
LEVELS = {0.95: (1.0, BLUE), 0.68: (np.sqrt(np.log(1 - 0.68) / np.log(1 - 0.95)), VERMILLION)}
CAPTION = """
Separation of {n} sources from the known place (better than {known:g} degrees) of the active galaxy or pulsar that
{catalog} has for their counterpart within 0.5 degrees, over the release's own 95 % error in that direction.
Left: distribution; dashed: Rayleigh, as Gaussian errors of the right size give; {beyond} pairs lie beyond the panel.
Right: fraction inside the 95 % and the 68 % ellipse against significance, 68 % Wilson intervals, small figures the
number in the bin. Wrong associations, a per cent or two, lie outside whatever the ellipse.
"""


def counterpart_pairs(
    references: pd.DataFrame, associations: pd.DataFrame, sources: pd.DataFrame
) -> pd.DataFrame:
    """Pairs of a source and a well-placed object: source_name, name, signif_avg, sep_deg, over_r95."""
    known = (
        references["counterpart_ra_deg"].notna()
        & ~(references["unc_counterpart_deg"] > WELL_KNOWN_DEG)
        & references["source_class"].str.lower().isin(POINT_LIKE)
        & ~references["extended"]
    )
    pairs = matched_pairs(references[known], associations, sources, "matched_05")
    pairs = pairs[pairs["conf_95_semimajor_deg"].notna()].reset_index(drop=True)
    offset = offset_deg(
        pairs["ra_deg"], pairs["dec_deg"], pairs["counterpart_ra_deg"], pairs["counterpart_dec_deg"]
    )
    matrix = error_matrix(
        pairs["conf_95_semimajor_deg"], pairs["conf_95_semiminor_deg"], pairs["conf_posang_deg"].fillna(0.0)
    )
    over = np.sqrt(np.einsum("ni,ni->n", offset, np.linalg.solve(matrix, offset[..., None])[..., 0]))
    found = pairs[["source_name", "name", "signif_avg"]]
    return found.assign(sep_deg=np.hypot(*offset.T), over_r95=over)


@styled
def counterpart_figure(
    catalog: str, references: pd.DataFrame, associations: pd.DataFrame, sources: pd.DataFrame
) -> ReportFigure | None:
    """Distribution of the separations over r95, and containment against significance; None without pairs."""
    pairs = counterpart_pairs(references, associations, sources)
    if pairs.empty:
        return None
    figure = Figure(figsize=(WIDTH_IN, 3.5))
    left, right = figure.subplots(1, 2)
    over = pairs["over_r95"].to_numpy()
    _distribution(left, over)
    for level, (limit, colour) in LEVELS.items():
        _containment(right, pairs["signif_avg"], over <= limit, level, colour)
    right.set_xticks(
        np.arange(len(SIGNIF_EDGES)), [r"$\infty$" if e == np.inf else f"{e:g}" for e in SIGNIF_EDGES]
    )
    right.set(xlim=(0, len(SIGNIF_EDGES) - 1), ylim=(0.3, 1.09), xlabel=r"Signif_Avg ($\sigma$)")
    right.set_ylabel("fraction inside")
    right.legend(loc="lower right")
    beyond = int((over > NORMALISED_EDGES[-1]).sum())
    caption = CAPTION.format(n=len(pairs), known=WELL_KNOWN_DEG, catalog=catalog, beyond=beyond)
    key = f"ellipses-{catalog.lower()}"
    return ReportFigure(key, f"Error ellipses against known places ({catalog})", caption, figure, pairs)


def _distribution(axes: Axes, over: NDArray[np.float64]) -> None:
    n = np.histogram(over, NORMALISED_EDGES)[0]
    axes.stairs(n, NORMALISED_EDGES, color="#9dc3dd", fill=True)
    axes.stairs(n, NORMALISED_EDGES, color=BLUE, lw=1.2)
    middle = (NORMALISED_EDGES[1:] + NORMALISED_EDGES[:-1]) / 2
    axes.plot(middle, len(over) * np.diff(rayleigh_cdf(NORMALISED_EDGES)), "--", color=INK, lw=1)
    axes.axvline(1, color=INK, lw=0.6)
    axes.set(xlabel="separation / r95", ylabel="pairs in 0.1", xlim=(0, 3), ylim=(0, None))
    inside = Fraction.of(over <= 1)
    low, high = inside.interval
    median = np.sqrt(np.log(2) / K95)
    axes.text(
        0.97, 0.95, f"{100 * inside.value:.1f} % (68 %: {100 * low:.1f} to {100 * high:.1f}) within r95\n"
        f"median {np.median(over):.2f}, Rayleigh {median:.2f}",
        transform=axes.transAxes, ha="right", va="top", fontsize=8, linespacing=1.5,
    )  # fmt: skip


def _containment(axes: Axes, signif: pd.Series, inside: NDArray[np.bool_], level: float, colour: str) -> None:
    bins = binned_fraction(signif, inside, SIGNIF_EDGES)
    x = np.arange(len(bins)) + 0.5
    errors = np.stack([bins["fraction"] - bins["fraction_low"], bins["fraction_high"] - bins["fraction"]])
    axes.errorbar(
        x, bins["fraction"], errors.clip(0), fmt="o", color=colour, label=f"{100 * level:.0f} % ellipse"
    )
    axes.axhline(level, color=colour, lw=1, ls="--")
    if level == max(LEVELS):
        for at, count in zip(x, bins["n"], strict=True):
            axes.text(at, 1.04, str(count), ha="center", va="bottom", fontsize=6.5, color=GREY)
