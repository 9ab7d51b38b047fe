"""Predicted class against the class that a reference catalogue lists."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from catalog.source_classes import GROUPS, class_groups
from catalog.tables_characterisation import CLASSES
from reports.style import INK, WIDTH_IN, ReportFigure, styled

NAMES = {"bll": "BL Lac", "fsrq": "FSRQ", "psr": "pulsar", "pwn_snr": "PWN or SNR", "fake": "not a source"}
LISTED = {
    "bll": "BL Lac", "fsrq": "FSRQ", "agn": "other or unknown AGN", "psr": "pulsar", "pwn_snr": "PWN or SNR",
    "other": "other class", "none": "no class",
}  # fmt: skip
VARIANTS = {"full": "with its place on the sky", "blind": "without its place on the sky"}
CAPTION = """
Pairs with {catalog} within 0.3 degrees: the class it lists (rows) against the most probable class of the release
(columns), with the number of pairs and their part of the row. Bold on the diagonal: fraction of the listed class that
is recovered. Left: the network that sees where a source lies; right: the one that does not, which is the one to
trust where the place must not decide.
"""


def class_table(
    references: pd.DataFrame, associations: pd.DataFrame, classes: pd.DataFrame, variant: str
) -> pd.DataFrame:
    """Number of matched pairs by listed group and predicted class.

    Returns
    -------
    DataFrame
        Index: groups that occur, in the order of `LISTED`; columns: `CLASSES`.
    """
    pairs = associations.loc[associations["matched_03"], ["detection_id", "reference_source_id"]]
    pairs = pairs.merge(classes[classes["variant"] == variant], on="detection_id")
    pairs = pairs.merge(references[["id", "source_class"]], left_on="reference_source_id", right_on="id")
    if pairs.empty:
        return pd.DataFrame(columns=list(CLASSES), dtype=int)
    predicted = np.array(CLASSES)[pairs[list(CLASSES)].to_numpy().argmax(axis=1)]
    listed = np.array(GROUPS)[class_groups(pairs["source_class"])]
    table = pd.crosstab(listed.astype(object), predicted.astype(object))
    rows = [group for group in LISTED if group in table.index]
    return table.reindex(index=rows, columns=list(CLASSES), fill_value=0)


@styled
def class_figure(
    catalog: str, references: pd.DataFrame, associations: pd.DataFrame, classes: pd.DataFrame
) -> ReportFigure | None:
    """Both variants side by side; None where no pair has class probabilities."""
    tables = {variant: class_table(references, associations, classes, variant) for variant in VARIANTS}
    tables = {variant: table for variant, table in tables.items() if len(table)}
    if not tables:
        return None
    rows = max(len(table) for table in tables.values())
    figure = Figure(figsize=(WIDTH_IN, 1.5 + 0.45 * rows))
    panels = figure.subplots(1, len(tables), squeeze=False)[0]
    for axes, (variant, table) in zip(panels, tables.items(), strict=True):
        _matrix(axes, table)
        axes.set_title(f"{VARIANTS[variant]} ({int(table.to_numpy().sum())} pairs)", pad=8)
    panels[0].set_ylabel(f"class in {catalog}")
    numbers = pd.concat(
        [t.rename_axis("listed").reset_index().assign(variant=v) for v, t in tables.items()],
        ignore_index=True,
    )
    caption = CAPTION.format(catalog=catalog)
    return ReportFigure(f"classes-{catalog.lower()}", f"Classes against {catalog}", caption, figure, numbers)


def _matrix(axes: Axes, table: pd.DataFrame) -> None:
    counts = table.to_numpy(dtype=float)
    part = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(part, cmap="Blues", vmin=0, vmax=1.25, aspect="auto")
    for i, group in enumerate(table.index):
        for j, name in enumerate(table.columns):
            axes.text(
                j, i, f"{counts[i, j]:.0f}\n{100 * part[i, j]:.0f} %", ha="center", va="center", fontsize=7.5,
                color="white" if part[i, j] > 0.7 else INK, fontweight="bold" if group == name else "normal",
            )  # fmt: skip
    axes.set_xticks(range(len(table.columns)), [NAMES[c] for c in table.columns])
    axes.set_yticks(range(len(table)), [LISTED[g] for g in table.index])
    axes.set_xlabel("most probable class in the release")
    axes.grid(False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
