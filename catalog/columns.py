"""The one declarative table of columns (``columns.toml``), as Python objects for one survey or one release."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from sky.survey import Survey

CODES = {"text": "U", "real": "f4", "double": "f8", "integer": "i4", "long": "i8"}
EMPTY_SINCE = "0002"
FITS_LETTERS = {"text": "A", "real": "E", "double": "D", "integer": "J", "long": "K"}


@dataclass(frozen=True)
class Column:
    """One column of the catalogue.

    Attributes
    ----------
    name : str
        In files.
    sql_name : str
        In the view `catalogue`, where it is the same for all surveys.
    sql : str
        Its expression in the view; empty where it is not there.
    kind : str
        ``text``, ``real`` (float32), ``double``, ``integer`` (int32) or ``long`` (int64).
    text : str
        What it is, for people.
    ucd, unit, display : str
        UCD1+, FITS unit and FITS display format (TDISP); empty where there is none.
    width : int
        Characters, for text.
    shape : tuple of int
        Of one cell; empty for a scalar.
    low, high : float
        Legal range, bounds included; infinite where open.
    nullable : bool
        Whether NaN, or a blank text, may stand where there is no value.
    energy_gev : tuple of float or None
        Energy range the quantity refers to, where it is one.
    """

    name: str
    sql_name: str
    sql: str
    kind: str
    text: str
    ucd: str
    unit: str
    display: str
    width: int
    shape: tuple[int, ...]
    low: float
    high: float
    nullable: bool
    energy_gev: tuple[float, float] | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy type of a cell, its shape included."""
        return np.dtype((CODES[self.kind] + str(self.width or ""), self.shape))

    @property
    def fits_format(self) -> str:
        """FITS format (TFORM)."""
        repeat = self.width if self.kind == "text" else int(np.prod(self.shape))
        return f"{repeat if repeat > 1 else ''}{FITS_LETTERS[self.kind]}"


@cache
def _declared(kind: str) -> tuple[dict[str, Any], ...]:
    return tuple(tomllib.loads(resources.files("catalog").joinpath("columns.toml").read_text())[kind])


def catalogue_columns(
    survey: Survey, n_slices: int | None = None, revision: str | None = None
) -> tuple[Column, ...]:
    """Columns of the catalogue of one survey, in their order.

    Parameters
    ----------
    survey : Survey
    n_slices : int, optional
        Time slices of the observation; as many as the survey may have where not given.
    revision : str, optional
        Revision of the schema the catalogue was released with; the newest where not given.
    """
    slices = survey.time_slices if n_slices is None else n_slices
    return tuple(
        _column(_as_of(raw, revision), survey, slices)
        for raw in _declared("column")
        if (slices or raw.get("needs") != "slices") and (revision is None or raw.get("since", "") <= revision)
    )


def _as_of(raw: dict[str, Any], revision: str | None) -> dict[str, Any]:
    """A declaration as it was when a release was made: its expression may have changed since."""
    if revision is None or raw.get("sql_since", "") <= revision:
        return raw
    return raw | {"sql": raw["sql_before"]}


def empty_columns(
    columns: tuple[Column, ...], survey: Survey, revision: str | None = None
) -> tuple[Column, ...]:
    """What programs made for 4FGL ask for beside `columns`: without a value, for FITS files alone."""
    present = {c.name for c in columns}
    return tuple(
        _column(raw, survey, 0)
        for raw in _declared("empty")
        if raw["name"] not in present and (revision is None or revision >= EMPTY_SINCE)
    )


def _column(raw: dict[str, Any], survey: Survey, slices: int) -> Column:
    low, high = raw.get("range", (-np.inf, np.inf))
    low_gev, high_gev = survey.flux_range_gev
    words = {
        "flux": survey.flux_column,
        "flux_range": f"{low_gev:g} GeV to {high_gev:g} GeV",
        "bands": ", ".join(band.label for band in survey.bands),
    }
    lengths = {"bands": len(survey.bands), "slices": slices}
    return Column(
        name=raw["name"].format(**words),
        sql_name=raw.get("sql_name", raw["name"].lower()),
        sql=raw.get("sql", ""),
        kind=raw["kind"],
        text=raw["text"].format(**words),
        ucd=raw["ucd"],
        unit=raw.get("unit", ""),
        display=raw.get("display", ""),
        width=raw.get("width", 0),
        shape=tuple(lengths.get(n, n) for n in raw.get("shape", ())),
        low=float(low),
        high=float(high),
        nullable=raw.get("nullable", False),
        energy_gev=survey.flux_range_gev if raw.get("energy") == "flux" else None,
    )


def view_select_list() -> str:
    """The SELECT list of the view `catalogue`, for the migration that makes it."""
    names = ((raw["sql"], raw.get("sql_name", raw["name"].lower())) for raw in _declared("column"))
    return ",\n".join(f"    {sql} AS {name}" for sql, name in names)


def columns_markdown(
    survey: Survey, flags: dict[int, str] | None = None, columns: tuple[Column, ...] | None = None
) -> str:
    """The description of the columns for people (``columns.md``), the bits of `Flags` included."""
    columns = catalogue_columns(survey) if columns is None else columns
    lines = [
        f"# Columns of a {survey.name} catalogue",
        "",
        "| column | format | unit | range | UCD | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for c in columns:
        bounds = [f"{v:g}" if np.isfinite(v) else "" for v in (c.low, c.high)]
        span = " to ".join(bounds).strip() if any(bounds) else ""
        name = f"{c.name}({','.join(map(str, c.shape))})" if c.shape else c.name
        lines.append(f"| `{name}` | {c.fits_format} | {c.unit} | {span} | {c.ucd} | {c.text} |")
    if flags:
        lines += ["", "## Bits of Flags", "", "| value | meaning |", "|---|---|"]
        lines += [f"| {bit} | {text} |" for bit, text in sorted(flags.items())]
    return "\n".join(lines) + "\n"
