"""The Galactic plane, unrolled in four strips: where sources crowd and the background has structure."""

import healpy as hp
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from reports.significance import is_associated
from reports.skymap import PAPER, draw_rings, log_stretched, marker_area
from reports.style import BLUE, INK, VERMILLION, WIDTH_IN, ReportFigure, styled

HALF_WIDTH_DEG = 8.0
STRIP_DEG = 90.0
PIXEL_DEG = 0.1
SMOOTHING_DEG = 0.2
CAPTION = """
The plane within {half:g} degrees of latitude. Rings as on the sky map; crosses: rows of {missed} without
a one-to-one counterpart within 0.3 degrees.
"""
COUNTS_CAPTION = """
Grey: counts smoothed with a Gaussian of {smoothing:g} degrees, on a logarithmic scale.
"""


def plane_image(counts: ArrayLike) -> NDArray[np.float64]:
    """Counts per square degree near the plane, smoothed, on a plain grid of longitude and latitude.

    Parameters
    ----------
    counts : array, shape (npix,)
        HEALPix map of photon counts, galactic, NESTED.

    Returns
    -------
    array, shape (2 HALF_WIDTH_DEG / PIXEL_DEG, 360 / PIXEL_DEG)
        Latitude ascending, longitude descending from 360 degrees.
    """
    counts = np.asarray(counts, dtype=float)
    nside = hp.npix2nside(len(counts))
    # A map coarser than the picture would show its own pixels.
    sigma = max(SMOOTHING_DEG, float(hp.nside2resol(nside, arcmin=True)) / 60)
    margin = int(np.ceil(4 * sigma / PIXEL_DEG))
    n_glon, n_glat = round(360 / PIXEL_DEG), round(2 * HALF_WIDTH_DEG / PIXEL_DEG) + 2 * margin
    top = PIXEL_DEG * n_glat / 2
    pixel = np.flatnonzero(counts)
    glon, glat = hp.pix2ang(nside, pixel, nest=True, lonlat=True)
    grid = np.histogram2d(glat, -glon, (n_glat, n_glon), ((-top, top), (-360, 0)), weights=counts[pixel])[0]
    row_glat = (np.arange(n_glat) + 0.5) * PIXEL_DEG - top
    density = grid / (PIXEL_DEG**2 * np.cos(np.radians(row_glat)))[:, None]
    return gaussian_filter(density, sigma / PIXEL_DEG, mode=("nearest", "wrap"))[margin:-margin]


@styled
def plane_figure(
    sources: pd.DataFrame,
    associations: pd.DataFrame,
    missed: pd.DataFrame,
    missed_of: str,
    counts: ArrayLike | None = None,
) -> ReportFigure:
    """Four strips of 90 degrees, longitude growing to the left.

    Parameters
    ----------
    missed : DataFrame
        name, glon_deg, glat_deg, signif_avg of the reference sources without counterpart.
    missed_of : str
        Their catalogue.
    """
    near = sources["glat_deg"].abs() <= HALF_WIDTH_DEG
    shown = sources[near].assign(associated=is_associated(sources, associations)[near])
    lost = missed[missed["glat_deg"].abs() <= HALF_WIDTH_DEG]
    image = None if counts is None else log_stretched(plane_image(counts), (5, 99.7))
    figure = Figure(figsize=(WIDTH_IN, 8.3))
    # From the anticentre through the centre and back, as one would walk along the plane.
    starts = (180.0, 90.0, 0.0, -90.0)
    for axes, left in zip(figure.subplots(len(starts), 1), starts, strict=True):
        _strip(axes, left, shown, lost, image)
    axes.set_xlabel("$l$ (deg)")
    columns = ["glon_deg", "glat_deg", "signif_avg"]
    numbers = pd.concat(
        [
            shown[["source_name", *columns]]
            .rename(columns={"source_name": "name"})
            .assign(kind=np.where(shown["associated"], "with counterpart", "without counterpart")),
            lost[["name", *columns]].assign(kind=f"missed from {missed_of}"),
        ],
        ignore_index=True,
    )
    caption = CAPTION.format(half=HALF_WIDTH_DEG, missed=missed_of)
    if counts is not None:
        caption += COUNTS_CAPTION.format(smoothing=SMOOTHING_DEG)
    return ReportFigure("plane", "The Galactic plane", caption, figure, numbers)


def _strip(
    axes: Axes, left: float, shown: pd.DataFrame, lost: pd.DataFrame, image: NDArray[np.float64] | None
) -> None:
    """Sources with longitude from `left` down to ``left - STRIP_DEG``."""
    extent = (left, left - STRIP_DEG, -HALF_WIDTH_DEG, HALF_WIDTH_DEG)
    if image is not None:
        first = round((360 - left) / PIXEL_DEG)
        columns = np.arange(first, first + round(STRIP_DEG / PIXEL_DEG)) % image.shape[1]
        axes.imshow(
            image[:, columns], cmap=PAPER, origin="lower", extent=extent, vmin=image.min(), vmax=image.max(),
            interpolation="bilinear", zorder=0,
        )  # fmt: skip

    def x(frame: pd.DataFrame) -> NDArray[np.float64]:
        return left - (left - frame["glon_deg"].to_numpy()) % 360

    for associated, colour in ((True, BLUE), (False, VERMILLION)):
        part = shown[shown["associated"] == associated]
        area = 1.6 * marker_area(part["signif_avg"])
        draw_rings(axes, x(part), part["glat_deg"].to_numpy(), area, colour)
    axes.scatter(x(lost), lost["glat_deg"], 16, color=INK, marker="x", linewidths=0.8)
    axes.set(xlim=extent[:2], ylim=extent[2:], aspect="equal", ylabel="$b$ (deg)", yticks=[-5, 0, 5])
    ticks = np.arange(left, left - STRIP_DEG - 1, -10)
    axes.set_xticks(ticks, [f"{t % 360:g}" for t in ticks])
    axes.grid(False)
