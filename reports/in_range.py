"""What a reference catalogue says of a survey's own energies."""

from math import isclose

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Edges of `Sqrt_TS_Band` by number of bands: 4FGL and DR2; DR3 and DR4 (their `EnergyBounds` tables).
BAND_EDGES_GEV = {
    7: (0.05, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 300.0),
    8: (0.05, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0),
}


def same_range(references: pd.DataFrame, flux_range_gev: tuple[float, float]) -> pd.Series:
    """Whether each reference flux is given for the release's own energy range."""
    return references["flux_range_gev"].map(
        lambda r: r is not None and len(r) == 2 and all(map(isclose, r, flux_range_gev))
    )


def signif_above(references: pd.DataFrame, emin_gev: float) -> NDArray[np.float64]:
    """Significance of reference sources in their bands above an energy.

    Parameters
    ----------
    references : DataFrame
        catalog; sqrt_ts_band, a list of the square roots of the TS in the bands of the 4FGL family, or None.

    Returns
    -------
    array, shape (n,)
        Square root of the sum of the TS of all bands that begin at `emin_gev` or above; NaN where a catalogue
        has no such bands or no value in them.
    """
    result = np.full(len(references), np.nan)
    rows = zip(references["catalog"], references["sqrt_ts_band"], strict=True)
    for i, (catalog, bands) in enumerate(rows):
        if catalog.startswith("4FGL") and bands is not None and len(bands) in BAND_EDGES_GEV:
            inside = np.array(BAND_EDGES_GEV[len(bands)][:-1]) >= emin_gev * (1 - 1e-9)
            values = np.array(bands, dtype=float)[inside]
            if inside.any():
                result[i] = np.sqrt(np.sum(values**2))
    return result
