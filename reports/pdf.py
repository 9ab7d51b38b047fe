"""The figures of the report as a PDF: one page a figure, as high as it needs, with its words above it."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_pdf import FigureCanvasPdf, PdfPages
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from reports.headline import Headline
from reports.style import GREY, INK, RASTER_DPI, WIDTH_IN, ReportFigure, styled

MARGIN_IN = 0.45
TITLE_IN = 0.5
LINE_IN = 0.19
CHARACTERS = 150
HEADLINE_COLUMNS = 3
HEADLINE_IN = 0.95


@styled
def write_pdf(
    path: Path, title: str, facts: Sequence[tuple[str, str]], headlines: Sequence[Headline],
    figures: Sequence[ReportFigure],
) -> None:  # fmt: skip
    """Write a first page of facts and headlines, and one page a figure; the same bytes for the same release.

    The figures are changed by it: they get their titles and captions.
    """
    undated = {"CreationDate": None, "Creator": None, "Producer": None}
    with PdfPages(path, metadata=undated) as pdf:
        for page in (_front(title, facts, headlines), *map(_page, figures)):
            # `savefig` would draw it twice, the first time for its layout alone.
            FigureCanvasPdf(page).print_pdf(pdf)


def _front(title: str, facts: Sequence[tuple[str, str]], headlines: Sequence[Headline]) -> Figure:
    rows = -(-len(headlines) // HEADLINE_COLUMNS)
    height = 2 * MARGIN_IN + 1.1 + 0.24 * len(facts) + 0.3 + HEADLINE_IN * rows
    page_in = WIDTH_IN + 2 * MARGIN_IN
    figure = Figure(figsize=(page_in, height))

    def write(x_in: float, y_in: float, words: str, size: float, colour: str = INK, **more: Any) -> None:
        figure.text(
            x_in / page_in, 1 - y_in / height, words, fontsize=size, color=colour, va="top", parse_math=False,
            **more,
        )  # fmt: skip

    write(MARGIN_IN, MARGIN_IN, "Catalogue report", 10, GREY)
    write(MARGIN_IN, MARGIN_IN + 0.25, title, 22, fontweight="bold")
    top = MARGIN_IN + 0.95
    for i, (name, value) in enumerate(facts):
        write(MARGIN_IN, top + 0.24 * i, name, 9.5, GREY)
        write(MARGIN_IN + 1.3, top + 0.24 * i, textwrap.shorten(value, CHARACTERS), 9.5)
    top += 0.24 * len(facts) + 0.3
    width = WIDTH_IN / HEADLINE_COLUMNS
    for i, headline in enumerate(headlines):
        x, y = MARGIN_IN + width * (i % HEADLINE_COLUMNS), top + HEADLINE_IN * (i // HEADLINE_COLUMNS)
        write(x, y, headline.value, 17, fontweight="bold")
        write(x, y + 0.29, headline.label, 9.5)
        write(x, y + 0.47, "\n".join(textwrap.wrap(headline.detail, 58)), 7.5, GREY)
    return figure


def _page(report_figure: ReportFigure) -> Figure:
    """The figure itself, grown by a strip above it for its title and its caption."""
    figure = report_figure.figure
    figure.set_dpi(RASTER_DPI)
    lines = textwrap.wrap(" ".join(report_figure.caption.split()), CHARACTERS)
    drawn, width = figure.get_figheight(), figure.get_figwidth() + 2 * MARGIN_IN
    height = drawn + TITLE_IN + LINE_IN * len(lines) + 2 * MARGIN_IN
    figure.set_size_inches(width, height)
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(MARGIN_IN / width, 0.1 / height, 1 - 2 * MARGIN_IN / width, drawn / height))
    left = MARGIN_IN / width
    figure.text(left, 1 - MARGIN_IN / height, report_figure.title, fontsize=15, fontweight="bold", va="top")
    figure.text(
        left, 1 - (MARGIN_IN + TITLE_IN - 0.1) / height, "\n".join(lines), fontsize=9, color=INK, va="top",
        linespacing=1.4, parse_math=False,
    )  # fmt: skip
    return figure
