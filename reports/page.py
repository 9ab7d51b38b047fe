"""The report as one HTML page that needs nothing but itself."""

import base64
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from reports.report import Report
from reports.sections import picture_energies
from reports.sky_json import map_background, map_points
from reports.style import ReportFigure, svg
from reports.tables import columns_of, to_json

LISTED = ("inputs", "references")  # parts of the provenance with a table of their own
PDF_ONLY = "misses-"  # the page has tables with pictures instead


def environment() -> jinja2.Environment:
    """Templates of the pages; text is escaped."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"csv_uri": csv_uri, "number": number, "flux": flux}
    return made


def render(report: Report) -> str:
    """The page as text."""
    data = report.data
    return environment().get_template("page.html.j2").render(
        data=data,
        facts=report.facts,
        headlines=report.headlines,
        figures=[embedded(figure) for figure in report.figures if not figure.key.startswith(PDF_ONLY)],
        comparisons=report.comparisons,
        lists={name: Markup(to_json(table, columns_of(table))) for name, table in report.lists.items()},
        new=report.new,
        new_rows=report.new_rows,
        pictured=report.counts is not None,
        energies=picture_energies(data.survey),
        emin_gev=data.survey.bands[0].emin_gev,
        points=Markup(map_points(data.sources, data.associations, data.references, report.misses)),
        background=None if report.counts is None else map_background(report.counts),
        cards=[_card(card) for card in data.cards.to_dict("records")],
        provenance=list(flatten(unlisted(data.release.provenance))),
        css=asset("page.css"),
        scripts=[asset("table.js"), asset("sky.js")],
    )  # fmt: skip


def unlisted(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What of the provenance has no table of its own; the meaning of the flags once, where it is twice."""
    found = {k: v for k, v in provenance.items() if k not in LISTED}
    settings = found.get("settings", {})
    if "flags" in settings and settings["flags"] == found.get("flags"):
        found["settings"] = {k: v for k, v in settings.items() if k != "flags"}
    return found


def flatten(tree: Mapping[str, Any], stem: str = "") -> Iterable[tuple[str, str]]:
    """Names and values of nested mappings and lists, names joined by dots, in order of name; numbers by size."""
    for key in sorted(tree, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name)):
        value, name = tree[key], f"{stem}{key}"
        if isinstance(value, list) and any(isinstance(v, dict | list) for v in value):
            value = {f"{i:0{len(str(len(value)))}d}": v for i, v in enumerate(value, 1)}
        if isinstance(value, dict):
            yield from flatten(value, f"{name}.")
        else:
            yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def number(value: Any, digits: int = 2, scale: float = 1.0) -> str:
    """A number for a table cell; empty where there is none."""
    if value is None or not np.isfinite(value):
        return ""
    return f"{value / scale:.{digits}f}"


def flux(value: Any) -> str:
    """A photon flux in 1e-12 cm-2 s-1 for a table cell; a large one without decimals."""
    return number(value, 0 if value is not None and value >= 1e-10 else 1, 1e-12)


def csv(frame: pd.DataFrame) -> str:
    """A frame as CSV text; numbers to seven digits."""
    return frame.to_csv(index=False, lineterminator="\n", float_format="%.7g")


def csv_uri(frame: pd.DataFrame) -> str:
    """A frame as a data URI of CSV."""
    return "data:text/csv;base64," + base64.b64encode(csv(frame).encode()).decode()


def svg_uri(text: str) -> str:
    """SVG as a data URI; percent-encoded, for base64 of the pictures inside would be base64 twice."""
    return "data:image/svg+xml," + quote(text, safe=" !$()*+,-./:;=?@_~{}|")


def asset(name: str) -> Markup:
    """A file that goes into the page as it is."""
    return Markup(resources.files("reports.templates").joinpath(name).read_text(encoding="utf-8"))


def embedded(figure: ReportFigure) -> dict[str, Any]:
    """A figure as templates take it."""
    return {
        "key": figure.key,
        "title": figure.title,
        "caption": figure.caption,
        "width": f"{figure.figure.get_figwidth() * 100:.0f}",
        "height": f"{figure.figure.get_figheight() * 100:.0f}",
        "image": svg_uri(svg(figure.figure)),
        "numbers": figure.numbers,
    }


def _card(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {"name": row["name"], "sha256": row["sha256"], "rows": list(flatten(row["card"]))}
