"""What a table from elsewhere says: name, place, 95 % error ellipse, significance, flux, class.

Gamma-ray catalogues tell the same under different names: in the LAT team's files (``Conf_95_SemiMajor``), at
HEASARC (``semi_major_axis_95``) and at VizieR, where each table has names of its own and explains them by
descriptions and UCDs (IVOA UCD1+ 1.5). A column whose meaning or unit is in doubt is not interpreted.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import Table

from catalog.foreign_columns import Columns, Floats, plain_values
from catalog.store import position_columns
from sky.frames import icrs_to_galactic

EQUATORIAL = (("RA_ICRS", "DE_ICRS"), ("RAJ2000", "DEJ2000"), ("_RAJ2000", "_DEJ2000"), ("RA", "DEC"))
GALACTIC = (("GLON", "GLAT"), ("lii", "bii"))
COMPUTED = {"_RAJ2000", "_DEJ2000"}
NAMES = ("Source_Name", "Name")
ACRONYM = re.compile(r"_?\d(?:FGL|FHL)")
DESIGNATION = re.compile(r"J\d{4}")
AXES = {
    "semimajor": re.compile(r"semi.?major|smajaxis"),
    "semiminor": re.compile(r"semi.?minor|sminaxis"),
    "posang": re.compile(r"pos.?ang|position.?angle"),
}
LEVEL_95 = re.compile(r"(?<!\d)95(?!\d)")
SIGNIFICANCE = ("Signif_Avg", "Signi", "significance", "detection_significance")
FLUXES = (
    ("Flux10000", "Unc_Flux10000", (10.0, 1000.0)),
    ("Flux1000", "Unc_Flux1000", (1.0, 100.0)),
    ("Flux1000", "e_Flux1000", (1.0, 100.0)),
    ("flux_1000", "flux_1000_error", (1.0, 100.0)),
    ("flux_1_100_gev", "flux_1_100_gev_error", (1.0, 100.0)),
)
FLUXES_3FHL = tuple(("Flux", error, (10.0, 1000.0)) for error in ("Unc_Flux", "e_Flux", "flux_error"))
CLASS = ("CLASS1", "class_1", "Class")
ASSOCIATION = ("ASSOC1", "assoc_name_1", "Assoc")
EXTENDED = ("Extended_Source_Name",)


class CatalogueError(ValueError):
    """A table that cannot serve as a reference catalogue; the message names the table and the fault."""


def has_positions(table: Table) -> bool:
    """True if some of its columns are known as positions."""
    columns = Columns(table)
    return any(columns.find(lon) and columns.find(lat) for lon, lat in EQUATORIAL + GALACTIC)


def reference_columns(table: Table, source: str) -> Mapping[str, Any]:
    """Columns of `reference_source`, all of one length, from any table of positions.

    Parameters
    ----------
    table : Table
        Plain columns, text as text; FK5 J2000 is taken as ICRS, from which it differs by 0.02 arcsec.
    source : str
        What the table is called in error messages, and sources that have no names are called after.

    Raises
    ------
    CatalogueError
        If it has no rows, no positions, a position that is none, or two sources of one name.
    """
    if not len(table):
        raise CatalogueError(f"{source}: no rows")
    columns = Columns(table)
    position = _position(columns, source)
    names = _names(columns, source)
    flux, unc_flux, flux_range = _flux(columns, names)
    significance = columns.find(*SIGNIFICANCE)
    signif = columns.numbers(significance, "") if significance else None
    blank = [""] * len(table)
    found = {
        "name": names,
        **position,
        **_ellipse(columns, source),
        "signif_avg": _none(table) if signif is None else signif,
        "flux_cm2_s": flux,
        "unc_flux_cm2_s": unc_flux,
        "flux_range_gev": np.tile(flux_range, (len(table), 1)) if flux_range else [None] * len(table),
        "source_class": columns.texts(CLASS) or blank,
        "association": columns.texts(ASSOCIATION) or blank,
        "extended": [text != "" for text in columns.texts(EXTENDED) or blank],
        "flags": _flags(columns),
    }
    kept = [name for name in table.colnames if name not in columns.interpreted | COMPUTED]
    extra = zip(*(plain_values(table[name]) for name in kept), strict=True) if kept else [()] * len(table)
    return {**found, "extra": [dict(zip(kept, row, strict=True)) for row in extra]}


def _position(columns: Columns, source: str) -> dict[str, Any]:
    for pair in EQUATORIAL + GALACTIC:
        lon, lat = (columns.find(name) for name in pair)
        if lon is None or lat is None:
            continue
        lon_deg, lat_deg = columns.angles(lon, "hourangle"), columns.angles(lat, "deg")
        if lon_deg is None or lat_deg is None:
            continue
        good = (lon_deg >= -180) & (lon_deg <= 360) & (np.abs(lat_deg) <= 90)
        if not good.all():
            row = int(np.argmin(good)) + 1
            raise CatalogueError(f"{source}: row {row} has no position ({lon}, {lat})")
        if pair in EQUATORIAL:
            lon_deg, lat_deg = icrs_to_galactic(lon_deg, lat_deg)
        return position_columns(lon_deg, lat_deg)
    known = ", ".join("/".join(pair) for pair in EQUATORIAL + GALACTIC)
    raise CatalogueError(f"{source}: no positions (columns {known})")


def _names(columns: Columns, source: str) -> list[str]:
    table = columns.table
    main = [n for n in table.colnames if str(table[n].meta.get("ucd", "")).lower() == "meta.id;meta.main"]
    column = next((n for n in [*main, *table.colnames] if n in main or ACRONYM.fullmatch(n)), None)
    column = column or columns.find(*NAMES)
    if column is None:
        return [f"{source} {row}" for row in range(1, len(table) + 1)]
    columns.interpreted.add(column)
    names = [str(value) for value in plain_values(table[column])]
    if column not in NAMES:
        # VizieR heads the column with the acronym and leaves it out of the designations.
        names = [f"{column.lstrip('_')} {n}" if DESIGNATION.match(n) else n for n in names]
    seen: set[str] = set()
    for row, name in enumerate(names, start=1):
        if name in ("", "None"):
            raise CatalogueError(f"{source}: row {row} has no name ({column})")
        if name in seen:
            raise CatalogueError(f"{source}: row {row} has the name of another, '{name}' ({column})")
        seen.add(name)
    return names


def _ellipse(columns: Columns, source: str) -> dict[str, Floats]:
    """The 95 % error ellipse in degrees; NaN where the table has none."""
    table = columns.table
    axes = {axis: _none(table) for axis in AXES}
    for name in reversed(table.colnames):
        column = table[name]
        text = " ".join([name, column.description or "", str(column.meta.get("ucd", ""))]).lower()
        axis = next((axis for axis, pattern in AXES.items() if pattern.search(text)), None)
        if axis is None or not LEVEL_95.search(text):
            continue
        values = columns.numbers(name, "deg")
        axes[axis] = axes[axis] if values is None else values
    inverted = axes["semiminor"] > axes["semimajor"]
    if inverted.any():
        row = int(np.argmax(inverted)) + 1
        raise CatalogueError(f"{source}: row {row} has an error ellipse with its axes interchanged")
    return {f"conf_95_{axis}_deg": values for axis, values in axes.items()}


def _flux(columns: Columns, names: list[str]) -> tuple[Floats, Floats, tuple[float, float] | None]:
    """Photon flux and its error where the column says of which energies, and these energies."""
    known = FLUXES + (FLUXES_3FHL if all(name.startswith("3FHL ") for name in names) else ())
    for flux_name, error_name, energies_gev in known:
        flux, error = columns.find(flux_name), columns.find(error_name)
        if flux is None or error is None:
            continue
        values, errors = columns.numbers(flux, "cm-2 s-1"), columns.numbers(error, "cm-2 s-1")
        if values is not None and errors is not None:
            return values, errors, energies_gev
    # The truth of a simulated sky has no errors; there the flux stays under its own name too.
    for flux_name, _, energies_gev in known:
        flux = columns.find(flux_name)
        values = None if flux is None else columns.numbers(flux, "cm-2 s-1")
        if flux is not None and values is not None:
            columns.interpreted.discard(flux)
            return values, _none(columns.table), energies_gev
    return _none(columns.table), _none(columns.table), None


def _flags(columns: Columns) -> list[int]:
    name = columns.find("Flags")
    if name is None or columns.table[name].dtype.kind not in "iu":
        return [0] * len(columns.table)
    columns.interpreted.add(name)
    return [int(value or 0) for value in plain_values(columns.table[name])]


def _none(table: Table) -> Floats:
    return np.full(len(table), np.nan)
