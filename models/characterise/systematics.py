"""Systematic errors from the emission model: what changes when B2 stands in for B1.

B2 is trained on nowhere. Tables by significance and latitude are part of the model cards.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SQRT_TS_EDGES = (0.0, 5.0, 10.0, np.inf)
GLAT_EDGES_DEG = (0.0, 2.5, 10.0, 90.0)


@dataclass(frozen=True, eq=False)
class Table:
    """A shift by square root of the test statistic (rows) and |latitude| (columns); NaN where none was seen."""

    value: Floats

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Table":
        """From a model card."""
        return cls(np.array([[np.nan if v is None else v for v in row] for row in data["value"]], float))

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        rows = [[None if np.isnan(v) else round(float(v), 6) for v in row] for row in self.value]
        return {
            "sqrt_ts": [e for e in SQRT_TS_EDGES if np.isfinite(e)],
            "abs_glat_deg": list(GLAT_EDGES_DEG),
            "value": rows,
        }

    def at(self, sqrt_ts: Floats, glat_deg: Floats) -> Floats:
        """Shift of each source, [n]."""
        return self.value[cells(sqrt_ts, glat_deg)]


def cells(sqrt_ts: Floats, glat_deg: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of each source."""
    row = np.digitize(sqrt_ts, SQRT_TS_EDGES[1:-1])
    return row, np.digitize(np.abs(glat_deg), GLAT_EDGES_DEG[1:-1])


def table(
    statistic: Any, first: tuple[Floats, Floats], second: tuple[Floats, Floats], least: int = 40
) -> Table:
    """`statistic(rows of the first, rows of the second)` cell by cell.

    Parameters
    ----------
    statistic : callable
        Of two index arrays; the shift from the first sample to the second.
    first, second : (sqrt_ts, glat_deg)
        Of the sources on skies with B1 and with B2.
    least : int
        A cell with fewer sources of either takes the row's shift over all latitudes.
    """
    where = [cells(*sample) for sample in (first, second)]
    out = np.full((len(SQRT_TS_EDGES) - 1, len(GLAT_EDGES_DEG) - 1), np.nan)
    for i, j in np.ndindex(out.shape):
        inside = [np.flatnonzero((row == i) & (column == j)) for row, column in where]
        if min(map(len, inside)) < least:
            inside = [np.flatnonzero(row == i) for row, _ in where]
        if min(map(len, inside)) >= least:
            out[i, j] = statistic(*inside)
    return Table(out)
