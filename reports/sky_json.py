"""What the page's interactive map of the sky draws: points as JSON, the counts behind them as one picture."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from reports.cutouts import indexed_png, png_uri
from reports.significance import is_associated
from reports.skymap import PAPER, log_stretched, smoothed_image

SMOOTHING_DEG = 0.3  # finer than the printed sky's: it is looked at from near
SHADES = 24  # few, so that the picture stays small
PERCENTILES = (2, 99.8)


def map_points(
    sources: pd.DataFrame,
    associations: pd.DataFrame,
    references: pd.DataFrame,
    misses: Mapping[str, pd.DataFrame],
) -> str:
    """Points of the map as JSON, safe inside a script element.

    Parameters
    ----------
    misses : mapping of str to DataFrame
        Bright misses of each reference catalogue (`reports.misses.bright_misses`); those expected are shown.

    Returns
    -------
    str
        ``{"keys": [...], "points": [[kind, name, l, b, sigma, flux, note, catalogue], ...]}``; kind 0: with a
        counterpart, 1: without, 2: missed.
    """
    matched = associations[associations["matched_03"]]
    named = matched.merge(references[["id", "name"]], left_on="reference_source_id", right_on="id")
    counterpart = named.groupby("detection_id")["name"].agg(", ".join).to_dict()
    note = [counterpart.get(detection, "") for detection in sources["detection_id"]]
    kind = np.where(is_associated(sources, associations), 0, 1)
    rows = [
        [int(k), r["source_name"], *_place(r), _round(r["signif_avg"]), _round(r["flux_cm2_s"]), n, ""]
        for k, r, n in zip(kind, sources.to_dict("records"), note, strict=True)
    ]
    for catalog, missed in misses.items():
        for r in missed[missed["expected"]].to_dict("records"):
            measured = _round(r["signif_avg_ref"]), _round(r["flux_cm2_s_ref"])
            rows.append([2, r["name_ref"], *_place(r), *measured, r["reason"], catalog])
    keys = ["kind", "name", "l", "b", "sigma", "flux", "note", "catalogue"]
    text = json.dumps(
        {"keys": keys, "points": rows}, allow_nan=False, ensure_ascii=False, separators=(",", ":")
    )
    return text.replace("<", "\\u003c")


def _place(row: Mapping[Any, Any]) -> tuple[float, float]:
    return round(row["glon_deg"], 4), round(row["glat_deg"], 4)


def _round(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None


def map_background(counts: ArrayLike) -> str:
    """The smoothed sky in Mollweide's projection, edge to edge, as a PNG data URI."""
    image: NDArray[np.float64] = smoothed_image(counts, SMOOTHING_DEG)
    scaled = log_stretched(image, PERCENTILES)
    bottom, top = np.nanmin(scaled), np.nanmax(scaled)
    level = (np.nan_to_num(scaled, nan=bottom) - bottom) / max(top - bottom, 1e-9)
    return png_uri(indexed_png(level, PAPER.resampled(SHADES)))
