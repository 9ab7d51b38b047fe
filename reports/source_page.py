"""One source as one HTML page that needs nothing but itself."""

from pathlib import Path
from typing import Any

from reports.page import asset, embedded, environment
from reports.source import Source
from reports.source_figures import source_figures
from reports.source_text import facts, tables

NOT_WHEN_EMPTY = "Fluxes by time"


def source_page(source: Source) -> str:
    """The page as text; the same source gives the same bytes."""
    return environment().get_template("source.html.j2").render(
        source=source,
        file_stem=source.name.replace(" ", "-"),
        facts=facts(source),
        figures=[embedded(figure) for figure in source_figures(source)],
        tables=[t for t in tables(source) if t[1].rows or t[0] != NOT_WHEN_EMPTY],
        catalogue=_catalogue(source),
        css=asset("page.css"),
    )  # fmt: skip


def write_source_page(source: Source, path: Path) -> None:
    """Write the page to a file, whole or not at all."""
    page = source_page(source)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(page, encoding="utf-8", newline="\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _catalogue(source: Source) -> list[tuple[str, str, str, str]]:
    """Name, value, unit and meaning of every column of the catalogue."""
    return [
        (column.name, _text(source.row.get(column.sql_name)), column.unit, column.text)
        for column in source.release.columns
    ]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "[" + ", ".join(_text(v) or "none" for v in value) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
