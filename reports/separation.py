"""Positions: separation from the reference sources, and what it is in units of the errors."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from reports.statistics import TRUE_PAIR_DEG, Fraction, displaced_separation
from reports.style import BLUE, GREEN, INK, ORANGE, VERMILLION, WIDTH_IN, ReportFigure, panel_note, styled

K95 = float(
    np.log(20)
)  # -ln 0.05: a 2-D Gaussian holds 95 % within r95, so P(x) = 1 - exp(-K95 x^2), x = r / r95
SEPARATION_EDGES_DEG = np.linspace(0, 0.5, 51)
NORMALISED_EDGES = np.linspace(0, 3, 31)
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE)


CAPTION = """
Left: separations of one-to-one pairs within 0.5 degrees; dotted: expected by chance, from the reference
positions without a pair within {true_pair:g} degrees, displaced, to the sources without one. Right:
separation over the 95 % error in its direction, both ellipses added, pairs within 0.3 degrees; dashed:
the Rayleigh distribution expected of Gaussian errors. Lists made from the same photons share part of
their errors, so they may lie closer than that.
"""


def rayleigh_cdf(x: ArrayLike) -> NDArray[np.float64]:
    """Fraction of separations below x = separation / r95, for Gaussian position errors."""
    return -np.expm1(-K95 * np.asarray(x, dtype=float) ** 2)


def error_matrix(
    semimajor_deg: ArrayLike, semiminor_deg: ArrayLike, posang_deg: ArrayLike
) -> NDArray[np.float64]:
    """Quadratic form of error ellipses in (east, north), shape (n, 2, 2), deg2; the angle is east of north.

    For one ellipse E and an offset d on its border, ``d @ inv(E) @ d`` is 1.
    """
    angle = np.radians(np.asarray(posang_deg, dtype=float))
    major = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    minor = np.stack([np.cos(angle), -np.sin(angle)], axis=-1)
    a2, b2 = np.square(np.asarray(semimajor_deg, float)), np.square(np.asarray(semiminor_deg, float))
    return (
        a2[:, None, None] * major[:, :, None] * major[:, None, :]
        + b2[:, None, None] * minor[:, :, None] * minor[:, None, :]
    )


def offset_deg(
    ra_deg: ArrayLike, dec_deg: ArrayLike, to_ra_deg: ArrayLike, to_dec_deg: ArrayLike
) -> NDArray[np.float64]:
    """Offset (east, north) of the second positions from the first, deg, shape (n, 2); for small angles."""
    ra, dec, to_ra, to_dec = (
        np.radians(np.asarray(v, float)) for v in (ra_deg, dec_deg, to_ra_deg, to_dec_deg)
    )
    east = np.cos(to_dec) * np.sin(to_ra - ra)
    north = np.sin(to_dec) * np.cos(dec) - np.cos(to_dec) * np.sin(dec) * np.cos(to_ra - ra)
    return np.degrees(np.stack([east, north], axis=-1))


def matched_pairs(
    references: pd.DataFrame, associations: pd.DataFrame, sources: pd.DataFrame, match: str
) -> pd.DataFrame:
    """One row a matched pair: the source's columns, the reference's with suffix ``_ref``, sep_deg, prob."""
    pairs = associations.loc[associations[match], ["detection_id", "reference_source_id", "sep_deg", "prob"]]
    pairs = pairs.merge(sources, on="detection_id").merge(
        references, left_on="reference_source_id", right_on="id", suffixes=("", "_ref")
    )
    return pairs.sort_values(["source_name", "catalog"], ignore_index=True)


def normalised_separation(pairs: pd.DataFrame) -> NDArray[np.float64]:
    """Separation over the 95 % error in its direction, both ellipses added; NaN where one is missing."""
    reference_posang = pairs["conf_95_posang_deg"].fillna(0.0)  # a circle has none
    matrix = error_matrix(
        pairs["conf_95_semimajor_deg"], pairs["conf_95_semiminor_deg"], pairs["conf_posang_deg"].fillna(0.0)
    ) + error_matrix(pairs["conf_95_semimajor_deg_ref"], pairs["conf_95_semiminor_deg_ref"], reference_posang)
    offset = offset_deg(pairs["ra_deg"], pairs["dec_deg"], pairs["ra_deg_ref"], pairs["dec_deg_ref"])
    result = np.full(len(pairs), np.nan)
    known = np.isfinite(matrix).all(axis=(1, 2))
    solved = np.linalg.solve(matrix[known], offset[known, :, None])[:, :, 0]
    result[known] = np.sqrt(np.sum(offset[known] * solved, axis=1))
    return result


@styled
def separation_figure(
    references: pd.DataFrame, associations: pd.DataFrame, sources: pd.DataFrame
) -> ReportFigure | None:
    """Histograms of the separations and of the separations over r95; None where there is no pair."""
    if not associations["matched_05"].any():
        return None
    figure = Figure(figsize=(WIDTH_IN, 3.5))
    left, right = figure.subplots(1, 2)
    numbers, notes = [], []
    for catalog, colour in zip(references["catalog"].unique(), COLOURS * 8, strict=False):
        listed = references[references["catalog"] == catalog]
        pairs = matched_pairs(listed, associations, sources, "matched_05")
        x = normalised_separation(pairs)
        close = pairs[pairs["sep_deg"] <= TRUE_PAIR_DEG]
        displaced = displaced_separation(
            listed[~listed["id"].isin(close["id"])],
            sources[~sources["detection_id"].isin(close["detection_id"])],
        )
        by_chance = np.histogram(displaced, SEPARATION_EDGES_DEG)[0] / len(displaced)
        n_sep = np.histogram(pairs["sep_deg"], SEPARATION_EDGES_DEG)[0]
        left.stairs(n_sep, SEPARATION_EDGES_DEG, color=colour, lw=1.4, label=f"{catalog} ({len(pairs)})")
        left.stairs(by_chance, SEPARATION_EDGES_DEG, color=colour, lw=1.2, ls=":", baseline=None)
        good = x[np.isfinite(x) & (pairs["sep_deg"].to_numpy() <= 0.3)]
        n_x = np.histogram(good, NORMALISED_EDGES)[0]
        _density(right, n_x, good.size, colour, catalog)
        inside = Fraction.of(good <= 1)
        if good.size:
            notes.append(f"{catalog}: {100 * inside.value:.1f} % within r95, median {np.median(good):.2f}")
        numbers += [
            _rows(catalog, "separation_deg", SEPARATION_EDGES_DEG, n_sep, by_chance),
            _rows(
                catalog,
                "separation_over_r95",
                NORMALISED_EDGES,
                n_x,
                good.size * np.diff(rayleigh_cdf(NORMALISED_EDGES)),
            ),
        ]
    fine = np.linspace(0, 3, 301)
    right.plot(fine, 2 * K95 * fine * np.exp(-K95 * fine**2), color=INK, lw=1, ls="--", label="Rayleigh")
    right.axvline(1, color=INK, lw=0.6)
    left.set(
        xlabel="separation (deg)",
        ylabel="matched pairs in 0.01 deg",
        xlim=(0, 0.5),
        yscale="log",
        ylim=(0.5, None),
    )
    right.set(xlabel="separation / r95 (both errors)", ylabel="density", xlim=(0, 3), ylim=(0, None))
    left.legend(loc="upper right")
    right.legend(loc="center right")
    panel_note(right, "\n".join(notes))
    caption = CAPTION.format(true_pair=TRUE_PAIR_DEG)
    return ReportFigure("separation", "Positions", caption, figure, pd.concat(numbers, ignore_index=True))


def _density(axes: Axes, counts: NDArray[np.int64], total: int, colour: str, label: str) -> None:
    """Histogram as a density over all pairs, those beyond the last bin included."""
    axes.stairs(
        counts / max(total, 1) / np.diff(NORMALISED_EDGES),
        NORMALISED_EDGES,
        color=colour,
        lw=1.4,
        label=label,
    )


def _rows(
    catalog: str,
    quantity: str,
    edges: NDArray[np.float64],
    n: NDArray[np.int64],
    expected: NDArray[np.float64],
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "catalog": catalog,
            "quantity": quantity,
            "low": edges[:-1],
            "high": edges[1:],
            "n": n,
            "expected": expected,
        }
    )
