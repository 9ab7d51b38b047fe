"""The columns of a table from elsewhere, as numbers of a unit, as text, or as JSON."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle
from astropy.table import Column, Table
from numpy.typing import NDArray

from catalog.references import finite_decimals, json_values, stripped_texts

Floats = NDArray[np.float64]


class Columns:
    """The columns of a table, found by name whatever its case, and which of them were interpreted."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.interpreted: set[str] = set()
        self._names = {name.lower(): name for name in reversed(table.colnames)}

    def find(self, *names: str) -> str | None:
        """The first of these columns that there is."""
        return next((self._names[name.lower()] for name in names if name.lower() in self._names), None)

    def numbers(self, name: str, unit: str) -> Floats | None:
        """Values in a unit, which a column without one is taken to be in; None if it is of another kind."""
        column = self.table[name]
        if column.dtype.kind not in "fiu" or column.ndim != 1:
            return None
        factor = conversion(column.unit, u.Unit(unit))
        if factor is None:
            return None
        self.interpreted.add(name)
        real = np.ma.asarray(column).astype(np.promote_types(column.dtype, "f4"))
        values = finite_decimals(np.ma.filled(real, np.nan))
        return values if factor == 1 else values * factor

    def angles(self, name: str, sexagesimal: str) -> Floats | None:
        """Degrees, from numbers, or from text such as ``05 34 31.9`` in a unit; None if it is no angle."""
        column = self.table[name]
        if column.dtype.kind not in "UO":
            return self.numbers(name, "deg")
        try:
            values = np.asarray(Angle(plain_values(column), unit=sexagesimal).deg)
        except (ValueError, TypeError, u.UnitsError):
            return None
        self.interpreted.add(name)
        return values

    def texts(self, names: Iterable[str]) -> list[str] | None:
        """The first of these columns that holds text."""
        found = (name for name in map(self.find, names) if name and self.table[name].dtype.kind in "UO")
        name = next(found, None)
        if name is None:
            return None
        self.interpreted.add(name)
        return plain_values(self.table[name])


def plain_values(column: Column) -> list[Any]:
    """Values as JSON can hold them: `null` for a masked number, empty for masked text."""
    kind = column.dtype.kind
    if kind == "f":
        return json_values(np.ma.filled(np.ma.asarray(column), np.nan))
    if kind in "biu":
        values: list[Any] = np.ma.asarray(column).tolist()  # None where masked
        return values
    return stripped_texts(np.ma.filled(np.ma.asarray(column), ""))


def conversion(unit: Any, target: u.UnitBase) -> float | None:
    """Factor from a unit into another, None if they are of different kinds; counted photons are numbers."""
    if unit is None or unit == target or (str(unit) == "sigma" and target == u.dimensionless_unscaled):
        return 1.0
    if isinstance(unit, u.UnrecognizedUnit):
        # VizieR writes units in the way of the CDS, 10-12ct/s/cm2, also where its format has another.
        unit = u.Unit(str(unit), format="cds", parse_strict="silent")
    for counted in (u.dimensionless_unscaled, u.ph, u.ct):
        try:
            return float((unit / counted).to(target))
        except (u.UnitConversionError, ValueError, TypeError):  # the latter two: no unit that astropy knows
            continue
    return None
