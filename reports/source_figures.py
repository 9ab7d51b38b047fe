"""Figures of one source: counts by band, spectrum, light curve, class probabilities."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from models.likelihood.flags import Flags
from reports.classes import NAMES
from reports.cutouts import DEEP, plane_offsets, stretched
from reports.met import year_of
from reports.source import Source
from reports.style import BLUE, GREY, INK, ORANGE, VERMILLION, WIDTH_IN, ReportFigure, styled
from sky.frames import galactic_north_angle_deg

COUNTS_CAPTION = """
Counts by band, smoothed with a Gaussian of one HEALPix pixel: square root of what is over the faintest part, each band
on a scale of its own; galactic north up, longitude growing to the left. Ellipse: the 95 % position error; rings: other
sources of the release; crosses: rows of reference catalogues that may be its counterpart; dashed: the disc that it was
measured as, if it was.
"""
SPECTRUM_CAPTION = """
Energy flux by band, from the photon flux with the line's photon index in the middle of the band. Dots: likelihood, with
1 sigma errors; arrows: 2 sigma upper limits. Squares: the networks, where they say something; shifted a little to be
seen. Line: the likelihood's {form}.
"""
LIGHT_CAPTION = """
Photon flux from {low:g} to {high:g} GeV in the time slices of the observation; arrows: 2 sigma upper limits.
Variability index {index}.
"""
CLASS_CAPTION = """
Class probabilities by the networks: full bars with the place on the sky among what they see, open bars without it.
"""


def source_figures(source: Source) -> list[ReportFigure]:
    """The figures that the source has something for."""
    found = [counts_figure(source), spectrum_figure(source), light_figure(source), class_figure(source)]
    return [figure for figure in found if figure]


@styled
def counts_figure(source: Source) -> ReportFigure | None:
    """Counts around the source in each band; None where the photons are not stored."""
    images = source.images
    if not images:
        return None
    columns = min(len(images), 3)
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(WIDTH_IN, 3.5 * rows))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, image in zip(panels, images, strict=False):
        half = image.width_deg / 2
        extent = (half, -half, -half, half)
        axes.imshow(stretched(image.image), cmap=DEEP, vmin=0, vmax=1, origin="lower", extent=extent)
        axes.set_title(f"{image.label}, {image.photons} photons")
        _marks(axes, source, half)
        axes.set(
            xlim=(half, -half),
            ylim=(-half, half),
            xlabel=r"$\Delta l \cos b$ (deg)",
            ylabel=r"$\Delta b$ (deg)",
        )
        axes.grid(False)
    for axes in panels[len(images) :]:
        axes.axis("off")
    numbers = pd.DataFrame(
        [(i.label, i.width_deg, i.photons) for i in images], columns=["band", "width_deg", "photons"]
    )
    return ReportFigure("counts", "Counts", COUNTS_CAPTION, figure, numbers)


def _marks(axes: Axes, source: Source, half: float) -> None:
    glon, glat = source.row["glon"], source.row["glat"]
    left, up = plane_offsets(source.neighbours["glon_deg"], source.neighbours["glat_deg"], glon, glat)
    axes.scatter(left, up, 90, facecolors="none", edgecolors=ORANGE, linewidths=1.3)
    left, up = plane_offsets(source.associations["glon_deg"], source.associations["glat_deg"], glon, glat)
    axes.plot(
        left,
        up,
        "+",
        color=VERMILLION,
        ms=8,
        mew=1.3,
        path_effects=[withStroke(linewidth=2.6, foreground="w")],
    )
    if any(bit == Flags.DISC for bit, _ in source.flags):
        disc = Circle((0, 0), source.row["ext_radius"], fill=False, ec=INK, lw=1.2, ls="--")
        disc.set_path_effects([withStroke(linewidth=2.6, foreground="w")])
        axes.add_patch(disc)
    major, minor = source.row["conf_95_semimajor"], source.row["conf_95_semiminor"]
    if major is None:
        axes.plot(0, 0, "x", color=INK)
        return
    # The angle is from ICRS north through east; in the picture, from galactic north to the left.
    angle = float(galactic_north_angle_deg(glon, glat)) - source.row["conf_95_posang"]
    ellipse = Ellipse((0, 0), 2 * minor, 2 * major, angle=angle, fill=False, ec=INK, lw=1.4)
    ellipse.set_path_effects([withStroke(linewidth=3, foreground="w")])
    axes.add_patch(ellipse)
    if major < half / 25:
        axes.plot(0, 0, "o", ms=11, mfc="none", mec=INK, mew=0.8)


def band_nufnu(
    flux_cm2_s: ArrayLike, emin_gev: ArrayLike, emax_gev: ArrayLike, index: ArrayLike
) -> NDArray[np.float64]:
    """E^2 dN/dE (GeV cm-2 s-1) at the geometric centre of bands, for a power law of that photon flux and index."""
    flux, low, high, slope = (np.asarray(v, dtype=float) for v in (flux_cm2_s, emin_gev, emax_gev, index))
    log_width = np.log(high / low)
    x = (1 - slope) * log_width / 2
    steepness = np.divide(x, np.sinh(x), out=np.ones_like(x), where=x != 0)
    return np.asarray(flux * np.sqrt(low * high) / log_width * steepness)


def fitted_nufnu(row: Mapping[str, Any], energy_gev: ArrayLike) -> NDArray[np.float64]:
    """E^2 dN/dE (GeV cm-2 s-1) of the spectrum that the catalogue chose: a log-parabola or a power law."""
    density, index, curvature = _chosen(row)
    energy, x = np.asarray(energy_gev, dtype=float), _above_pivot(row, energy_gev)
    return np.asarray(energy**2 * 1000 * density * np.exp(-(index + curvature * x) * x))


def fitted_index(row: Mapping[str, Any], energy_gev: ArrayLike) -> NDArray[np.float64]:
    """Photon index of that spectrum at energies; from 0 to 5, as 4FGL has it inside its bands."""
    _, index, curvature = _chosen(row)
    return np.asarray(np.clip(index + 2 * curvature * _above_pivot(row, energy_gev), 0, 5))


def _chosen(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """Density (cm-2 s-1 MeV-1) and index at the pivot, and curvature."""
    if _curved(row):
        return float(row["lp_flux_density"]), float(row["lp_index"]), float(row["lp_beta"])
    return float(row["pl_flux_density"]), float(row["pl_index"]), 0.0


def _above_pivot(row: Mapping[str, Any], energy_gev: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of energies over the pivot."""
    return np.asarray(np.log(1000 * np.asarray(energy_gev, dtype=float) / float(row["pivot_energy"])))


def _curved(row: Mapping[str, Any]) -> bool:
    return row.get("spectrumtype") == "LogParabola"


@styled
def spectrum_figure(source: Source) -> ReportFigure | None:
    """Energy flux by band, likelihood and networks; None without bands."""
    bands = source.spectrum
    if bands.empty:
        return None
    figure = Figure(figsize=(WIDTH_IN * 0.62, 3.6))
    axes = figure.subplots()
    edges = bands["emin_gev"].to_numpy(), bands["emax_gev"].to_numpy()
    centre = np.sqrt(edges[0] * edges[1])
    index = fitted_index(source.row, centre)

    def nufnu(flux: ArrayLike) -> NDArray[np.float64]:
        return band_nufnu(flux, *edges, index)

    _points(axes, centre, [centre - edges[0], edges[1] - centre], bands, nufnu)
    network = nufnu(bands["network_flux_cm2_s"])
    if np.isfinite(network).any():
        error = nufnu(bands["unc_network_flux_cm2_s"])
        axes.errorbar(centre * 1.08, network, error, fmt="s", color=VERMILLION, mfc="white", label="networks")
    positive = np.concatenate([nufnu(bands["flux_cm2_s"]), nufnu(_limit(bands)), network])
    positive = positive[np.isfinite(positive) & (positive > 0)]
    energy = np.geomspace(edges[0].min(), edges[1].max(), 200)
    axes.plot(energy, fitted_nufnu(source.row, energy), color=GREY, lw=1, zorder=0)
    axes.set(
        xscale="log", yscale="log", xlabel="energy (GeV)", ylabel=r"$E^2\,dN/dE$ (GeV cm$^{-2}$ s$^{-1}$)",
        ylim=(positive.min() / 4, positive.max() * 3),
    )  # fmt: skip
    axes.legend(loc="best")
    caption = SPECTRUM_CAPTION.format(form="log-parabola" if _curved(source.row) else "power law")
    return ReportFigure("spectrum", "Spectrum", caption, figure, bands)


def _limit(frame: pd.DataFrame) -> pd.Series:
    """The 2 sigma limit of a flux without a lower error, as in 4FGL: twice the upper error above it."""
    return frame["flux_cm2_s"] + 2 * frame["unc_high_cm2_s"]


def _points(axes: Axes, x: NDArray[np.float64], x_error: object, frame: pd.DataFrame, scale: object) -> None:
    """Measured fluxes as dots, upper limits as arrows."""
    assert callable(scale)
    measured = frame["unc_low_cm2_s"].notna().to_numpy()
    flux, low, high = (scale(frame[c]) for c in ("flux_cm2_s", "unc_low_cm2_s", "unc_high_cm2_s"))
    error = np.stack([np.nan_to_num(-low), high])
    both = np.asarray(x_error)
    axes.errorbar(
        x[measured],
        flux[measured],
        error[:, measured],
        both[:, measured],
        fmt="o",
        color=BLUE,
        label="likelihood",
    )
    if not measured.all():
        top = scale(_limit(frame))[~measured]
        axes.errorbar(
            x[~measured], top, 0.35 * top, both[:, ~measured], uplims=True, fmt="_", color=BLUE, capsize=2.5
        )


@styled
def light_figure(source: Source) -> ReportFigure | None:
    """Flux in the time slices; None where time is not resolved."""
    slices = source.light_curve
    if slices.empty:
        return None
    figure = Figure(figsize=(WIDTH_IN, 2.9))
    axes = figure.subplots()
    start, stop = (np.array([year_of(t) for t in slices[c]]) for c in ("tstart_met_s", "tstop_met_s"))
    half = (stop - start) / 2
    _points(axes, start + half, [half, half], slices, np.asarray)
    # A constant source would touch the border: its margin is one of the range of its fluxes.
    axes.set(xlabel="year", ylabel=r"flux (cm$^{-2}$ s$^{-1}$)", ylim=(0, 1.1 * axes.get_ylim()[1]))
    low, high = source.release.survey.flux_range_gev
    value = source.row.get("variability_index")
    caption = LIGHT_CAPTION.format(low=low, high=high, index="unknown" if value is None else f"{value:.1f}")
    return ReportFigure("light-curve", "Light curve", caption, figure, slices)


@styled
def class_figure(source: Source) -> ReportFigure | None:
    """Class probabilities with and without the place; None where networks say nothing."""
    classes = source.classes
    if classes.empty:
        return None
    figure = Figure(figsize=(WIDTH_IN * 0.62, 2.5))
    axes = figure.subplots()
    y = np.arange(len(classes))[::-1]
    axes.barh(y + 0.19, classes["full"], 0.34, color=BLUE, label="with the place")
    axes.barh(y - 0.19, classes["blind"], 0.34, fc="none", ec=BLUE, label="without it")
    axes.set_yticks(y, [NAMES[name] for name in classes["class"]])
    axes.set(xlim=(0, 1), xlabel="probability")
    axes.legend(loc="lower right")
    return ReportFigure("classes", "Classes", CLASS_CAPTION, figure, classes)
