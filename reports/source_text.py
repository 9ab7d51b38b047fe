"""One source in words and small tables, the same for the terminal and for the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports import digits
from reports.classes import NAMES
from reports.cutouts import stretched
from reports.met import interval_text
from reports.source import Source

SHADES = " ░▒▓█"


@dataclass(frozen=True)
class TextTable:
    """Heads and rows of text."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def facts(source: Source) -> list[tuple[str, str]]:
    """The few things one wants to know first."""
    row, survey = source.row, source.release.survey
    low, high = survey.flux_range_gev
    found = [
        (
            "Position",
            f"RA {row['raj2000']:.4f}°, Dec {row['dej2000']:+.4f}°; l {row['glon']:.4f}°, b {row['glat']:+.4f}°",
        ),
        ("95 % error", _ellipse(source)),
        (
            "Significance",
            f"{row['signif_avg']:.1f} σ, {row['npred']:.0f} photons; Det_Prob {row['det_prob']:.3f}",
        ),
        ("Prob_Real", _number(row.get("prob_real"), ".3f")),
        ("Flux", f"{_flux_alone(row['flux'], row['unc_flux'])} cm⁻² s⁻¹, {low:g} to {high:g} GeV"),
        ("Photon index", digits.with_error(row["pl_index"], row["unc_pl_index"])),
        ("Curvature", _curvature(row)),
        ("Extension", _extension(source)),
        ("Variability", _number(row.get("variability_index"), ".1f")),
        ("Most probable class", _best_class(source)),
        ("Counterpart", _counterpart(source)),
    ]
    return [(name, value) for name, value in found if value]


def _curvature(row: Mapping[str, Any]) -> str:
    if pd.isna(row.get("lp_beta")):
        return ""
    beta = digits.with_error(row["lp_beta"], row["unc_lp_beta"])
    return f"beta {beta}, {row['lp_sigcurv']:.1f} σ; {row['spectrumtype']}"


def tables(source: Source) -> list[tuple[str, TextTable, str]]:
    """Title, table and what to say when it is empty: spectrum, light curve, classes, associations, flags."""
    return [
        ("Fluxes by band", spectrum_table(source), "No band was measured."),
        ("Fluxes by time", light_table(source), "None was measured: no time slices, or a wide source."),
        (
            "Class probabilities",
            class_table(source),
            "No class network says anything of it.",
        ),
        ("Associations", association_table(source), "No reference source lies within 0.5 degrees."),
        ("Flags", flag_table(source), "None is set."),
    ]


def spectrum_table(source: Source) -> TextTable:
    """Band by band: likelihood and networks side by side, in a power of ten that suits the largest flux."""
    power = _power(source.spectrum)
    rows = [
        (
            r["band"], _flux(r, power), f"{r['sqrt_ts']:.1f}", f"{r['npred']:.1f}",
            _network_flux(r["network_flux_cm2_s"], r["unc_network_flux_cm2_s"], power),
        )
        for r in source.spectrum.to_dict("records")
    ]  # fmt: skip
    return TextTable(("band", _flux_head(power), "√TS", "photons", "networks"), rows)


def light_table(source: Source) -> TextTable:
    """Time slice by time slice."""
    power = _power(source.light_curve)
    rows = [
        (
            (interval_text(r["tstart_met_s"], r["tstop_met_s"]) or "").split(" (")[0],
            _flux(r, power), f"{r['sqrt_ts']:.1f}",
        )
        for r in source.light_curve.to_dict("records")
    ]  # fmt: skip
    return TextTable(("interval", _flux_head(power), "√TS"), rows)


def class_table(source: Source) -> TextTable:
    """Class by class, with and without the place."""
    rows = [
        (NAMES[r["class"]], _number(r["full"], ".3f"), _number(r["blind"], ".3f"))
        for r in source.classes.to_dict("records")
    ]
    return TextTable(("class", "with its place", "without"), rows)


def association_table(source: Source) -> TextTable:
    """Candidates, the most probable first."""
    rows = [
        (
            r["catalog"], r["name"], f"{r['sep_deg']:.3f}°", f"{r['prob']:.3f}", "yes" if r["matched"] else "",
            r["source_class"], r["association"],
        )
        for r in source.associations.to_dict("records")
    ]  # fmt: skip
    return TextTable(("catalogue", "name", "sep.", "P", "one to one", "class", "association"), rows)


def flag_table(source: Source) -> TextTable:
    """The bits that are set."""
    return TextTable(("bit", "meaning"), [(str(bit), meaning) for bit, meaning in source.flags])


def shaded(image: NDArray[np.float64], columns: int = 24) -> Sequence[str]:
    """A picture in letters: `stretched` counts in five shades, a letter twice as high as wide."""
    n = image.shape[0]
    rows = columns // 2
    y, x = np.linspace(0, n, rows + 1).astype(int), np.linspace(0, n, columns + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(image, y[:-1], axis=0), x[:-1], axis=1)
    # letters hold unequal numbers of pixels where these are no multiple of them
    mean = sums / (np.diff(y)[:, None] * np.diff(x))
    level = stretched(mean) * (len(SHADES) - 1)
    return ["".join(SHADES[round(float(v))] for v in row) for row in level[::-1]]


def _ellipse(source: Source) -> str:
    row = source.row
    if row["conf_95_semimajor"] is None:
        return "none"
    major, minor, angle = (row[f"conf_95_{name}"] for name in ("semimajor", "semiminor", "posang"))
    return f"{major:.4f}° by {minor:.4f}°, {round(angle)}° east of north"


def _extension(source: Source) -> str:
    row = source.row
    if row.get("ext_radius") is None:
        return ""
    radius = digits.with_error(row["ext_radius"], row["unc_ext_radius"])
    return f"disc of {radius} degrees, TS_ext {row['ts_ext']:.1f}"


def _best_class(source: Source) -> str:
    if source.classes.empty or source.classes["full"].isna().all():
        return ""
    best = max(source.classes.to_dict("records"), key=lambda row: row["full"])
    return f"{NAMES[best['class']]}, {best['full']:.2f}"


def _counterpart(source: Source) -> str:
    matched = source.associations[source.associations["matched"]]
    matched = matched.drop_duplicates("name")  # several catalogues may have a source under one name
    return "; ".join(f"{r['name']} at {r['sep_deg']:.3f}°" for r in matched.to_dict("records")) or "none"


def _power(fluxes: pd.DataFrame) -> int:
    """Power of ten of the largest flux or limit."""
    flux, high = fluxes["flux_cm2_s"], fluxes["unc_high_cm2_s"]
    limited = fluxes["unc_low_cm2_s"].isna()
    return digits.common_power(flux.where(~limited, flux + 2 * high))


def _flux_head(power: int) -> str:
    return f"flux, {digits.power_text(power)} cm⁻² s⁻¹"


def _flux(row: Mapping[Any, Any], power: int) -> str:
    """Flux with its errors, or the 2 sigma limit."""
    flux, low, high = (row[f"{name}_cm2_s"] / 10.0**power for name in ("flux", "unc_low", "unc_high"))
    return digits.with_errors(flux, low, high) if np.isfinite(low) else digits.limit(flux + 2 * high)


def _network_flux(flux: float, error: float, power: int) -> str:
    """In units of the column; one whose error is far below them, with its own power of ten."""
    if not np.isfinite(flux):
        return ""
    if error < 10.0 ** (power - 4):
        return _flux_alone(flux, error)
    return digits.with_error(flux / 10.0**power, error / 10.0**power)


def _flux_alone(flux: float, error: float) -> str:
    """``(1.23 ± 0.04) × 10⁻¹⁰``."""
    power = digits.common_power([flux])
    return f"({digits.with_error(flux / 10.0**power, error / 10.0**power)}) × {digits.power_text(power)}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None or not np.isfinite(value) else f"{value:{form}}"
