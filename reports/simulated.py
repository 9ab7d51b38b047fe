"""Completeness, purity and honesty of the score, measured on a simulated sky whose sources are known.

The truth of `asidcat simulate` is added as a reference catalogue (`asidcat reference add truth --file truth.fits`)
before the sky is run; every number here is one-to-one within 0.3 degrees of it.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from reports.recovery import flux_edges, recovered
from reports.statistics import TRUE_PAIR_DEG, Fraction, binned_fraction, displaced_separation
from reports.style import BLUE, GREY, INK, VERMILLION, WIDTH_IN, ReportFigure, styled

MATCH_DEG = 0.3
FLUX_UNIT = 1e-12
SIGNIF_EDGES = np.array([0, 3, 4, 5, 6, 8, 12, 20, np.inf])
SCORE_EDGES = np.linspace(0.0, 1.0, 11)
LATITUDES = {"|b| > 10°": (10.0, 90.0), "|b| ≤ 10°": (0.0, 10.0)}
CAPTION = """
A sky simulated with known sources ({truth}, {n_true} of them, most too faint for anyone) and run through the same
program. Left: fraction of the true sources found, against their true flux from {low:g} to {high:g} GeV; middle:
fraction of the detections that are true sources, against significance; both one to one within 0.3 degrees, 68 %
Wilson intervals, small figures the number in the bin. Dotted: detections that would have a true source that near by
chance, from displaced positions. Right: the same fraction against the score that the catalogue gives; on the
diagonal a score of 0.9 is right nine times in ten.
"""


def truth_tables(
    truth: pd.DataFrame, associations: pd.DataFrame, sources: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Completeness by true flux and latitude; purity by significance; purity by score.

    Returns
    -------
    completeness, purity, reliability : DataFrame
        low, high, n, k, fraction, fraction_low, fraction_high; completeness also ``latitude``, purity also
        ``by_chance``, reliability ``score`` (mean of the bin).
    """
    found = recovered(truth, associations, MATCH_DEG)
    flux = truth["true_flux_cm2_s"].to_numpy(dtype=float)
    edges = _visible_edges(truth["true_flux_cm2_s"], found)
    parts = []
    for name, (low, high) in LATITUDES.items():
        here = _between(truth["glat_deg"].abs(), low, high)
        bins = binned_fraction(flux[here], found[here], edges)
        parts.append(bins.assign(latitude=name))
    own = associations["reference_source_id"].isin(truth["id"]) & associations["matched_03"]
    real = sources["detection_id"].isin(associations.loc[own, "detection_id"]).to_numpy()
    purity = binned_fraction(sources["signif_avg"], real, SIGNIF_EDGES)
    purity["by_chance"] = _by_chance(truth, associations[own], sources)
    score = sources["prob_real"].fillna(sources["det_prob"]).to_numpy()
    reliability = binned_fraction(score, real, SCORE_EDGES)
    sums = np.histogram(score, SCORE_EDGES, weights=score)[0]
    n = reliability["n"].to_numpy()
    reliability["score"] = np.divide(sums, n, out=np.full(len(n), np.nan), where=n > 0)
    return pd.concat(parts, ignore_index=True), purity, reliability


def _visible_edges(flux: pd.Series, found: NDArray[np.bool_]) -> tuple[float, ...]:
    """Flux bins down to a third of what nearly all that is found exceeds; all fainter sources in one bin."""
    faintest = np.percentile(flux[found], 2) / 3 if found.any() else 0.0
    first, *inner = flux_edges(flux)
    return (first, *(edge for edge in inner if edge >= faintest))


def _between(values: ArrayLike, low: float, high: float) -> NDArray[np.bool_]:
    values = np.asarray(values)
    return (values > low) & (values <= high) if low > 0 else values <= high


def _by_chance(truth: pd.DataFrame, pairs: pd.DataFrame, sources: pd.DataFrame) -> NDArray[np.float64]:
    """Fraction of displaced detections near a true source that is not already a close pair."""
    close = pairs.loc[pairs["sep_deg"] <= TRUE_PAIR_DEG, "reference_source_id"]
    near = (displaced_separation(sources, truth[~truth["id"].isin(close)]) <= MATCH_DEG).mean(axis=0)
    signif = sources["signif_avg"].to_numpy()
    n = np.histogram(signif, SIGNIF_EDGES)[0]
    sums = np.histogram(signif, SIGNIF_EDGES, weights=near)[0]
    return np.divide(sums, n, out=np.full(len(n), np.nan), where=n > 0)


@styled
def simulated_figure(
    label: str,
    truth: pd.DataFrame,
    associations: pd.DataFrame,
    sources: pd.DataFrame,
    flux_range_gev: tuple[float, float],
    release: str = "",
) -> ReportFigure:
    """Completeness, purity and reliability of the score against the truth of a simulated sky.

    ``release`` names the simulated sky's release where that is another than the report's.
    """
    completeness, purity, reliability = truth_tables(truth, associations, sources)
    figure = Figure(figsize=(WIDTH_IN, 3.6))
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
    for (name, bins), colour in zip(
        completeness.groupby("latitude", sort=False), (BLUE, VERMILLION), strict=True
    ):
        centre = np.arange(len(bins)) + 0.5
        _points(left, centre, bins, colour, str(name))
    edges = [*completeness.loc[completeness["latitude"] == next(iter(LATITUDES)), "low"], np.inf]
    _edges(left, [e / FLUX_UNIT for e in edges])
    left.set(xlabel=r"true flux (10$^{-12}$ cm$^{-2}$ s$^{-1}$)", ylabel="completeness")
    left.legend(loc="upper left", bbox_to_anchor=(0, 0.93))
    centre = np.arange(len(purity)) + 0.5
    _points(middle, centre, purity, BLUE, "true")
    middle.plot(centre, purity["by_chance"], ":", color=GREY, label="by chance")
    _counts(middle, centre, purity["n"])
    _edges(middle, list(SIGNIF_EDGES))
    middle.set(xlabel=r"Signif_Avg ($\sigma$)", ylabel="purity")
    middle.legend(loc="center right")
    some = reliability[reliability["n"] > 0]
    right.plot([0, 1], [0, 1], "--", color=INK, lw=0.8)
    _points(right, some["score"].to_numpy(), some, BLUE, "")
    right.set(
        xlabel="score (Prob_Real, or Det_Prob)", ylabel="fraction that is true", xlim=(0, 1.03), ylim=(0, 1.1)
    )
    name = f"{label} of release {release}" if release else label
    caption = CAPTION.format(truth=name, n_true=len(truth), low=flux_range_gev[0], high=flux_range_gev[1])
    numbers = pd.concat(
        [
            completeness.assign(quantity="completeness"),
            purity.assign(quantity="purity"),
            reliability.assign(quantity="reliability"),
        ],
        ignore_index=True,
    )
    return ReportFigure(
        f"simulated-{(release or label).lower()}",
        "Completeness and purity on a simulated sky",
        caption,
        figure,
        numbers,
    )


def overall(truth: pd.DataFrame, associations: pd.DataFrame, sources: pd.DataFrame) -> Fraction:
    """Purity of the whole release."""
    own = associations["reference_source_id"].isin(truth["id"]) & associations["matched_03"]
    return Fraction.of(sources["detection_id"].isin(associations.loc[own, "detection_id"]))


def _points(axes: Axes, x: NDArray[Any], bins: pd.DataFrame, colour: str, label: str) -> None:
    errors = np.stack([bins["fraction"] - bins["fraction_low"], bins["fraction_high"] - bins["fraction"]])
    axes.errorbar(
        x, bins["fraction"], errors.clip(0), fmt="o-", color=colour, lw=1.1, elinewidth=1, label=label
    )


def _counts(axes: Axes, x: NDArray[Any], n: pd.Series) -> None:
    for at, count in zip(x, n, strict=True):
        axes.text(at, 1.04, str(count), ha="center", va="bottom", fontsize=6.5, color=GREY)


def _edges(axes: Axes, edges: list[float]) -> None:
    axes.set_xticks(np.arange(len(edges)), [r"$\infty$" if e == np.inf else f"{e:g}" for e in edges])
    axes.set(xlim=(0, len(edges) - 1), ylim=(0, 1.14))
    axes.set_yticks(np.arange(0, 1.01, 0.2))
