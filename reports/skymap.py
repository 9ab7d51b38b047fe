"""The sky with the sources found, in galactic coordinates."""

import healpy as hp
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from reports.significance import is_associated
from reports.style import BLUE, GREY, VERMILLION, WIDTH_IN, ReportFigure, styled

SMOOTHING_DEG = 0.5
NSIDE_SHOWN = 256
PIXELS_WIDE = 1600
# Few shades of grey: the eye sees no more, and the picture compresses to half.
PAPER = LinearSegmentedColormap.from_list("paper", ["#ffffff", "#c9c9c9", "#6e6e6e", "#2b2b2b"], N=40)


COUNTS_CAPTION = """
Grey: counts per square degree, smoothed with a Gaussian of {smoothing:g} degrees, on a logarithmic scale.
"""
CAPTION = """
Sources of the release in galactic coordinates (Mollweide, l = 0 in the middle, longitude growing to the
left): blue with a one-to-one counterpart within 0.3 degrees in a reference catalogue, red without. The
area of a ring grows with the logarithm of the significance.
"""


def mollweide(glon_deg: ArrayLike, glat_deg: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mollweide projection: x in (-2, 2), longitude growing to the left, l = 0 at x = 0; y in (-1, 1)."""
    x, y = hp.projector.MollweideProj().ang2xy(np.asarray(glon_deg), np.asarray(glat_deg), lonlat=True)
    return np.asarray(x), np.asarray(y)


def marker_area(significance: ArrayLike) -> NDArray[np.float64]:
    """Marker area (points squared): grows with the logarithm of the significance, in 13 steps."""
    return 4.0 + 4 * np.round(6 * np.log10(np.clip(np.asarray(significance, dtype=float), 3, 300) / 3))


def smoothed_image(counts: ArrayLike, sigma_deg: float = SMOOTHING_DEG) -> NDArray[np.float64]:
    """Counts per square degree, Gaussian-smoothed, as an image of the Mollweide plane.

    Parameters
    ----------
    counts : array, shape (npix,)
        HEALPix map of photon counts, galactic, NESTED, any NSIDE.

    Returns
    -------
    array, shape (PIXELS_WIDE / 2, PIXELS_WIDE)
        NaN outside the projection.
    """
    nside = hp.npix2nside(len(np.asarray(counts)))
    shown = min(nside, NSIDE_SHOWN)
    ring = hp.ud_grade(np.asarray(counts, dtype=float), shown, order_in="NESTED", order_out="RING", power=-2)
    density = hp.smoothing(ring, sigma=np.radians(sigma_deg), iter=1) / hp.nside2pixarea(shown, degrees=True)
    # Between the centres of the map's pixels, so that they do not show from near.
    n = PIXELS_WIDE
    x = (np.arange(n)[None, :] + 0.5) / n * 4 - 2
    y = (np.arange(n // 2)[:, None] + 0.5) / (n // 2) * 2 - 1
    glon, glat = mollweide_to_sky(*np.broadcast_arrays(x, y))
    inside = np.isfinite(glon)
    image = np.full(inside.shape, np.nan)
    image[inside] = hp.get_interp_val(density, glon[inside], glat[inside], lonlat=True)
    return image


def mollweide_to_sky(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude in (-180, 180) and latitude (deg) of places of `mollweide`'s plane; NaN outside the ellipse."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    angle = np.arcsin(np.where(np.abs(y) <= 1, y, np.nan))
    lon = -90 * x / np.cos(angle)
    lat = np.degrees(np.arcsin((2 * angle + np.sin(2 * angle)) / np.pi))
    outside = ~(np.abs(lon) <= 180)
    return np.where(outside, np.nan, lon), np.where(outside, np.nan, lat)


@styled
def sky_figure(
    sources: pd.DataFrame, associations: pd.DataFrame, counts: ArrayLike | None = None
) -> ReportFigure:
    """All sources on the sky, those with a counterpart and those without in two colours."""
    figure = Figure(figsize=(WIDTH_IN, 5.75))
    axes = figure.subplots()
    axes.set(xlim=(-2.04, 2.04), ylim=(-1.06, 1.06), aspect="equal")
    axes.axis("off")
    border = Ellipse((0, 0), 4, 2, fill=False, ec="#4a4f57", lw=0.8, zorder=5)
    axes.add_patch(border)
    if counts is not None:
        _counts_behind(axes, smoothed_image(counts), border)
    _graticule(axes)
    associated = is_associated(sources, associations)
    x, y = mollweide(sources["glon_deg"], sources["glat_deg"])
    area = marker_area(sources["signif_avg"])
    for mask, colour, label in (
        (associated, BLUE, "with counterpart"),
        (~associated, VERMILLION, "without counterpart"),
    ):
        draw_rings(axes, x[mask], y[mask], area[mask], colour)
        axes.scatter([], [], 20, facecolors="none", edgecolors=colour, label=f"{label} ({mask.sum()})")
    _legends(axes)
    caption = CAPTION
    if counts is not None:
        caption += COUNTS_CAPTION.format(smoothing=SMOOTHING_DEG)
    columns = ["source_name", "glon_deg", "glat_deg", "signif_avg"]
    numbers = sources[columns].assign(associated=associated.astype(int)).reset_index(drop=True)
    return ReportFigure("sky", "The sky", caption, figure, numbers)


def draw_rings(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], area: NDArray[np.float64], colour: str
) -> None:
    """Rings of given areas (points squared); one call a size, so that the SVG holds each ring only once."""
    for size in np.unique(area):
        at = area == size
        axes.scatter(x[at], y[at], size, facecolors="none", edgecolors=colour, linewidths=0.8)


def log_stretched(image: NDArray[np.float64], percentiles: tuple[float, float]) -> NDArray[np.float64]:
    """Logarithm of a density between two of its percentiles; of one without photons, the same everywhere."""
    low, high = np.nanpercentile(image, percentiles)
    low = max(low, 1e-3)
    return np.asarray(np.log(np.clip(image, low, max(low, high))))


def _counts_behind(axes: Axes, image: NDArray[np.float64], border: Ellipse) -> None:
    picture = axes.imshow(
        log_stretched(image, (2, 99.8)),
        cmap=PAPER,
        origin="lower",
        extent=(-2, 2, -1, 1),
        interpolation="bilinear",
        zorder=0,
    )
    picture.set_clip_path(border)


def _graticule(axes: Axes) -> None:
    fine = np.linspace(-90, 90, 181)
    for glon in range(-150, 180, 30):
        axes.plot(*mollweide(np.full(fine.size, glon), fine), color=GREY, lw=0.35, alpha=0.6, zorder=1)
    for glat in range(-60, 90, 30):
        glon_fine = np.linspace(-179.999, 179.999, 181)
        axes.plot(
            *mollweide(glon_fine, np.full(glon_fine.size, glat)), color=GREY, lw=0.35, alpha=0.6, zorder=1
        )
        x, y = mollweide(179.999, glat)
        axes.text(
            float(x) - 0.03,
            float(y),
            f"{glat:+d}°".replace("-", "−") if glat else "0°",
            ha="right",
            va="center",
            fontsize=7,
            color=GREY,
        )
    halo = [withStroke(linewidth=2.2, foreground="white")]
    for glon in range(-120, 180, 60):
        x, y = mollweide(glon, -8.0)
        axes.text(
            float(x),
            float(y),
            f"{glon % 360}°",
            ha="center",
            va="top",
            fontsize=7,
            zorder=6,
            path_effects=halo,
        )


def _legends(axes: Axes) -> None:
    by_colour = axes.legend(loc="upper left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0, handletextpad=0.2)
    axes.add_artist(by_colour)
    levels = (5, 20, 100)
    handles = [
        axes.scatter(
            [], [], marker_area([s])[0], facecolors="none", edgecolors=GREY, linewidths=0.8, label=f"{s} σ"
        )
        for s in levels
    ]
    axes.legend(
        handles=handles, loc="upper right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0, handletextpad=0.2,
    )  # fmt: skip
