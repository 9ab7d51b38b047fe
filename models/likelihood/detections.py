"""What a detector finds: the one table that all of them make."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.likelihood.rows import Rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Detections(Rows):
    """Detected sources; arrays [N] unless said otherwise.

    Attributes
    ----------
    tile : array of int
    glon_deg, glat_deg : array
    ts : array
        Likelihood-ratio test statistic of a power law of the survey's index against no source here.
    det_prob : array
        Posterior probability that the counts need a point source here (`evidence`).
    flux_cm2_s : array
        In the survey's headline range, for the survey's index.
    background_sr : array [N, n_planes]
        Expected counts per sr at the position, the wings of neighbours not included.
    disc_deg : array
        Radius of the disc that the search for wide sources found (`wide_search`); 0 of all others.
    """

    tile: Ints
    glon_deg: Floats
    glat_deg: Floats
    ts: Floats
    det_prob: Floats
    flux_cm2_s: Floats
    background_sr: Floats
    disc_deg: Floats

    def __len__(self) -> int:
        return len(self.tile)

    def points(self) -> Self:
        """All but the wide sources."""
        return self.select(self.disc_deg == 0)

    def by_probability(self) -> Self:
        """The same by falling `det_prob`."""
        return self.select(np.argsort(-self.det_prob, kind="stable"))
