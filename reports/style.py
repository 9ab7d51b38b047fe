"""The look of every figure: type, line weights, colour-blind-safe colours, and reproducible SVG."""

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Okabe & Ito's palette: told apart with any common colour blindness, and in grey.
BLUE, VERMILLION, ORANGE, GREEN = "#0072B2", "#D55E00", "#E69F00", "#009E73"
INK, GREY, PALE = "#1d2129", "#7a808a", "#d5d8dd"

WIDTH_IN = 10.6
RASTER_DPI = 130
STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#4a4f57",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "errorbar.capsize": 0,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs everywhere
    "font.size": 8.5,
    "grid.color": "#e8eaed",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "mathtext.fontset": "dejavusans",
    "svg.fonttype": "path",
    "svg.hashsalt": "asidcat",
    "text.color": INK,
    "xtick.color": "#4a4f57",
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.color": "#4a4f57",
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
}

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class ReportFigure:
    """One figure of the report with its words and its numbers.

    Attributes
    ----------
    key : str
        Anchor in the page and stem of the CSV file.
    title, caption : str
        Plain text.
    figure : matplotlib.figure.Figure
    numbers : DataFrame
        What the figure shows, to be downloaded as CSV.
    """

    key: str
    title: str
    caption: str
    figure: Figure
    numbers: pd.DataFrame


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that draws so that all it makes has the report's style."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        with mpl.rc_context():
            mpl.rcdefaults()  # whatever matplotlibrc a machine has
            mpl.rcParams.update(STYLE)  # type: ignore[arg-type]
            return draw(*args, **kwargs)

    return wrapper


@styled
def svg(figure: Figure) -> str:
    """Figure as SVG text: the same text for the same figure, whenever it is drawn."""
    figure.set_dpi(RASTER_DPI)  # of what is drawn in pixels inside the SVG
    text = io.StringIO()
    FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})
    return text.getvalue()


def panel_note(axes: Axes, text: str, *, right: bool = True, top: bool = True) -> None:
    """A few words in a corner of a panel."""
    x, y = (0.97 if right else 0.03), (0.97 if top else 0.03)
    axes.text(
        x, y, text, transform=axes.transAxes, fontsize=8, linespacing=1.5, zorder=9,
        bbox={"boxstyle": "square,pad=0.25", "fc": "white", "ec": "none", "alpha": 0.85},
        ha="right" if right else "left", va="top" if top else "bottom",
    )  # fmt: skip
