"""How much of a reference catalogue the release finds: against significance, flux and galactic latitude."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.statistics import TRUE_PAIR_DEG, Fraction, binned_fraction, displaced_separation
from reports.style import BLUE, GREY, ORANGE, PALE, WIDTH_IN, ReportFigure, styled

RADII_DEG = (0.3, 0.5)
MATCHED = {0.3: "matched_03", 0.5: "matched_05"}


CAPTION = """
Fraction of {catalog} sources with a one-to-one counterpart in the release, within 0.3 and 0.5 degrees.
Error bars: 68 % Wilson intervals. Small figures: reference sources in the bin. Dotted: fraction by
chance, from reference positions displaced by 3 to 5 degrees along their parallel to sources that have no
pair closer than {true_pair:g} degrees. Panel titles: within 0.3 degrees. Signif_Avg is the reference's
own, over its own energy range, and so is its flux. Bins are drawn equally wide. Pairs are matched iteratively:
the closest first, each source and each row of the reference once.
"""


@dataclass(frozen=True)
class Quantity:
    """An axis along which recovery is shown."""

    column: str
    label: str
    edges: tuple[float, ...]
    unit: float = 1.0
    """The axis shows the quantity divided by this."""


SIGNIFICANCE = Quantity(
    "signif_avg", r"Signif_Avg of the reference ($\sigma$)", (0, 5, 7, 10, 14, 20, 40, 100, np.inf)
)
LATITUDE = Quantity("abs_glat_deg", r"$|b|$ (deg)", (0, 2, 5, 10, 20, 30, 45, 60, 90))

SIGNIF_ABOVE_EDGES = (0, 1, 2, 3, 4, 5, 7, 10, 20, np.inf)

SELECTIONS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "full list": lambda r: pd.Series(True, index=r.index),
    "associated": lambda r: r["association"] != "",
    "without 'c'": lambda r: ~r["name"].str.endswith("c"),
    "Flags = 0": lambda r: r["flags"] == 0,
}


def quantities(references: pd.DataFrame, emin_gev: float) -> tuple[Quantity, ...]:
    """The axes a catalogue allows; significance in the survey's own energies where the catalogue tells."""
    found = [SIGNIFICANCE]
    if references["signif_above"].notna().any():
        label = rf"$\sqrt{{TS}}$ of the reference above {emin_gev:g} GeV"
        found.append(Quantity("signif_above", label, SIGNIF_ABOVE_EDGES))
    flux = references["flux_cm2_s"]
    if (flux > 0).any():
        found.append(_flux_axis(references))
    return (*found, LATITUDE)


def _flux_axis(references: pd.DataFrame) -> Quantity:
    """The reference flux, over the energies it is given for, in a power of ten that keeps the figures short."""
    ranges = {tuple(r) for r in references["flux_range_gev"] if r is not None}
    of = f"{next(iter(ranges))[0]:g}-{next(iter(ranges))[1]:g} GeV, " if len(ranges) == 1 else ""
    edges = flux_edges(references["flux_cm2_s"])
    power = math.floor(math.log10(edges[1]) + 1e-9)
    label = rf"flux, {of}10$^{{{power}}}$ cm$^{{-2}}$ s$^{{-1}}$"
    return Quantity("flux_cm2_s", label, edges, 10.0**power)


def flux_edges(flux: pd.Series) -> tuple[float, ...]:
    """Edges of flux bins: steps of about a factor of two (1, 2, 5, 10), the few faintest and brightest together."""
    low, high = np.percentile(flux[flux > 0], [1, 99])
    steps = [m * 10.0**k for k in range(-16, -4) for m in (1, 2, 5)]
    inner = [s for s in steps if low < s < high]
    return (0.0, *inner, np.inf)


def recovered(references: pd.DataFrame, associations: pd.DataFrame, radius_deg: float) -> NDArray[np.bool_]:
    """Whether each reference source is the one-to-one counterpart of a released source within the radius.

    Parameters
    ----------
    references : DataFrame
        Column ``id``.
    associations : DataFrame
        Columns ``reference_source_id`` and ``matched_03`` or ``matched_05``.
    radius_deg : float
        0.3 or 0.5, the radii at which matches are kept.
    """
    matched = associations.loc[associations[MATCHED[radius_deg]], "reference_source_id"]
    return references["id"].isin(matched).to_numpy()


def selections(references: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The full list, and the selections that leave a part of it out: names and masks."""
    for name, select in SELECTIONS.items():
        mask = select(references).to_numpy(dtype=bool)
        if name == "full list" or (mask.any() and not mask.all()):
            yield name, mask


def recovery_table(
    references: pd.DataFrame, associations: pd.DataFrame, sources: pd.DataFrame, emin_gev: float
) -> pd.DataFrame:
    """Recovered fraction by selection, radius and bin of each quantity.

    Returns
    -------
    DataFrame
        selection, radius_deg, quantity, low, high, n, recovered, fraction, fraction_low, fraction_high
        (Wilson, 68.27 %), by_chance (fraction of displaced positions near a source that has no true pair).
        Rows without limits, of quantity ``all``, stand for the whole selection.
    """
    references = references.assign(abs_glat_deg=references["glat_deg"].abs())
    own = associations["reference_source_id"].isin(references["id"]) & associations["matched_05"]
    claimed = associations.loc[own & (associations["sep_deg"] <= TRUE_PAIR_DEG), "detection_id"]
    displaced = displaced_separation(references, sources[~sources["detection_id"].isin(claimed)])
    parts = []
    for selection, mask in selections(references):
        for radius in RADII_DEG:
            found = recovered(references, associations, radius)[mask]
            by_chance = (displaced[:, mask] <= radius).mean(axis=0)
            total = Fraction.of(found)
            low, high = total.interval
            whole = pd.DataFrame(
                {"low": [np.nan], "high": [np.nan], "n": [total.n], "k": [total.k], "fraction": [total.value]}
                | {"fraction_low": [low], "fraction_high": [high], "by_chance": [by_chance.mean()]}
            )
            parts.append(whole.assign(selection=selection, radius_deg=radius, quantity="all"))
            for quantity in quantities(references, emin_gev):
                value = references.loc[mask, quantity.column].to_numpy(dtype=float)
                bins = binned_fraction(value, found, quantity.edges)
                chance_sum = np.histogram(value, quantity.edges, weights=by_chance)[0]
                bins["by_chance"] = np.where(bins["n"] > 0, chance_sum / np.maximum(bins["n"], 1), np.nan)
                parts.append(bins.assign(selection=selection, radius_deg=radius, quantity=quantity.column))
    table = pd.concat(parts, ignore_index=True).rename(columns={"k": "recovered"})
    first = ["selection", "radius_deg", "quantity"]
    return table[first + [c for c in table.columns if c not in first]]


@styled
def recovery_figure(
    catalog: str,
    references: pd.DataFrame,
    associations: pd.DataFrame,
    sources: pd.DataFrame,
    emin_gev: float,
) -> ReportFigure:
    """One column of panels a selection, one row a quantity, both radii in each."""
    table = recovery_table(references, associations, sources, emin_gev)
    axes_of = quantities(references, emin_gev)
    names = list(dict.fromkeys(table["selection"]))
    # A row of panels a quantity, or all in one row where there are few.
    few = len(axes_of) * len(names) <= 4
    n_rows, n_columns = (1, len(axes_of) * len(names)) if few else (len(axes_of), len(names))
    figure = Figure(figsize=(WIDTH_IN, 0.5 + 2.7 * n_rows))
    panels = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False).ravel()
    drawn = [(quantity, name) for quantity in axes_of for name in names]
    for axes, (quantity, name) in zip(panels, drawn, strict=True):
        along = table[table["quantity"] == quantity.column]
        full = along[along["selection"] == "full list"] if name != "full list" else None
        _panel(axes, quantity, along[along["selection"] == name], full)
        axes.set_title(name, pad=8)
    for axes, name in zip(panels, names, strict=False):
        whole = table[(table["selection"] == name) & (table["quantity"] == "all")]
        n, k = int(whole["n"].iloc[0]), int(whole["recovered"].iloc[0])
        axes.set_title(f"{name}: {k} of {n} ({100 * k / n:.1f} %)", pad=8)
    for axes in panels[::n_columns]:
        axes.set_ylabel("recovered fraction")
    by_label = dict(zip(*reversed(panels[-1].get_legend_handles_labels()), strict=True))
    labels = sorted(by_label, reverse=True)
    handles = [by_label[label] for label in labels]
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), handlelength=1.6)
    caption = CAPTION.format(catalog=catalog, true_pair=TRUE_PAIR_DEG)
    key = "recovery-" + catalog.lower()
    return ReportFigure(key, f"Recovery of {catalog}", caption, figure, table.assign(catalog=catalog))


def _panel(axes: Axes, quantity: Quantity, part: pd.DataFrame, full: pd.DataFrame | None) -> None:
    """Recovered fraction at both radii in one panel; every bin is one unit wide."""
    bins_count = len(quantity.edges) - 1
    centre = np.arange(bins_count) + 0.5
    if full is not None:
        reference = full[full["radius_deg"] == RADII_DEG[0]]
        axes.plot(
            centre,
            reference["fraction"],
            color=PALE,
            lw=3,
            solid_capstyle="round",
            label="full list, 0.3 deg",
        )
    for radius, colour, face in ((0.5, ORANGE, "white"), (0.3, BLUE, BLUE)):
        bins = part[part["radius_deg"] == radius]
        errors = np.stack([bins["fraction"] - bins["fraction_low"], bins["fraction_high"] - bins["fraction"]])
        axes.errorbar(
            centre, bins["fraction"], errors.clip(0), fmt="o-", color=colour, mfc=face, lw=1.1, elinewidth=1,
            label=f"within {radius} deg",
        )  # fmt: skip
        axes.plot(centre, bins["by_chance"], ":", color=colour, lw=1.2, label=f"by chance, {radius} deg")
    for x, n in zip(centre, part.loc[part["radius_deg"] == RADII_DEG[0], "n"], strict=True):
        axes.text(x, 1.06, str(n), ha="center", va="bottom", fontsize=6.5, color=GREY)
    axes.set_xlabel(quantity.label)
    axes.set_xticks(
        np.arange(bins_count + 1),
        [r"$\infty$" if e == np.inf else f"{e / quantity.unit:g}" for e in quantity.edges],
    )
    axes.set_xlim(0, bins_count)
    axes.set_ylim(0, 1.16)
    axes.set_yticks(np.arange(0, 1.01, 0.2))
