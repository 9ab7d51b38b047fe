"""Tables of the page: which columns, how they are written, and their rows as text or JSON."""

import json
import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class TableColumn:
    """One column as the reader sees it.

    Attributes
    ----------
    key : str
        Column of the frame.
    label, title : str
        Head, and what it means.
    digits : int or None
        Decimals of a number; None for text.
    scale : float
        The number is shown divided by this.
    error : str or None
        Column with the error, shown after it.
    exact : bool
        Keep the decimals of a large number too.
    """

    key: str
    label: str
    title: str
    digits: int | None = None
    scale: float = 1.0
    error: str | None = None
    exact: bool = False

    def text(self, row: Mapping[Any, Any]) -> str:
        """A cell as written in the page; empty where there is no value."""
        value = row[self.key]
        if self.digits is None:
            return "" if _missing(value) else str(value)
        if _missing(value):
            return ""
        scaled = value / self.scale
        # A large number needs no decimals, unless it is a place.
        digits = 0 if abs(scaled) >= 100 and not self.exact else self.digits
        words = f"{scaled:.{digits}f}"
        if self.error and not _missing(row[self.error]):
            words += f" ± {row[self.error] / self.scale:.{digits}f}"
        return words


def _flux(key: str, label: str, title: str) -> TableColumn:
    return TableColumn(key, label, f"{title}, 1e-12 cm-2 s-1", 1, 1e-12, f"unc_{key}")


SIDE_BY_SIDE = (
    TableColumn("status", "", "missed: in the reference alone; new: in the release alone"),
    TableColumn("source_name", "Release", "name in this release"),
    TableColumn("name_ref", "Reference", "name in the reference catalogue"),
    TableColumn("glon_deg", "l", "galactic longitude, deg", 2, exact=True),
    TableColumn("glat_deg", "b", "galactic latitude, deg", 2),
    TableColumn("signif_avg", "σ", "Signif_Avg in this release", 1),
    TableColumn("signif_avg_ref", "σ ref", "Signif_Avg in the reference", 1),
    TableColumn(
        "signif_above_ref", "√TS ref", "the reference's, in its bands above the survey's lowest energy", 1
    ),
    _flux("flux_cm2_s", "Flux", "headline flux of this release"),
    _flux("flux_cm2_s_ref", "Flux ref", "flux in the reference, over its own energy range"),
    TableColumn("conf_95_semimajor_deg", "r95", "long axis of the 95 % error ellipse, deg", 3),
    TableColumn("conf_95_semimajor_deg_ref", "r95 ref", "the same in the reference, deg", 3),
    TableColumn("sep_deg", "Sep.", "separation of the pair, or to the nearest row of the other list, deg", 3),
    TableColumn("prob", "P", "association probability", 2),
    TableColumn("class_ref", "Class", "class in the reference"),
    TableColumn("association_ref", "Association", "counterpart named by the reference"),
    TableColumn("flags", "Flags", "flags in this release", 0),
    TableColumn("flags_ref", "Flags ref", "flags in the reference", 0),
    TableColumn("remark", "Remark", "what the catalogues know of the row"),
)
MISSED = {
    "name_ref", "glon_deg", "glat_deg", "signif_avg_ref", "signif_above_ref", "flux_cm2_s_ref", "sep_deg",
    "class_ref", "association_ref", "remark",
}  # fmt: skip
NEW = {
    "source_name", "glon_deg", "glat_deg", "signif_avg", "flux_cm2_s", "conf_95_semimajor_deg", "sep_deg",
    "flags", "remark",
}  # fmt: skip


def columns_of(frame: pd.DataFrame, keys: Container[str] | None = None) -> list[TableColumn]:
    """The columns with some of the keys, without those that are empty from top to bottom."""
    return [c for c in SIDE_BY_SIDE if (keys is None or c.key in keys) and frame[c.key].notna().any()]


def text_rows(frame: pd.DataFrame, columns: Iterable[TableColumn]) -> list[list[str]]:
    """Cells of a table as text."""
    columns = list(columns)
    return [[column.text(row) for column in columns] for row in frame.to_dict("records")]


def to_json(frame: pd.DataFrame, columns: Iterable[TableColumn]) -> str:
    """Columns and rows as JSON for the page's script; numbers to six digits, safe inside a script element."""
    columns = list(columns)
    keys = list(dict.fromkeys(k for c in columns for k in (c.key, c.error) if k))
    rows = [[_cell(value) for value in row] for row in frame[keys].itertuples(index=False, name=None)]
    text = json.dumps(
        {"columns": [asdict(c) for c in columns], "keys": keys, "rows": rows},
        allow_nan=False, ensure_ascii=False, separators=(",", ":"),
    )  # fmt: skip
    return text.replace("<", "\\u003c")


def _cell(value: Any) -> Any:
    if _missing(value):
        return None
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value))
