"""How many sources of a catalogue lie around a place by chance."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from catalog.matching import chord

Floats = NDArray[np.float64]

INNER_DEG = 1.0
"""Nearer neighbours are left out: the counterpart itself is one of them."""
OUTER_DEG = 5.0
PSEUDOCOUNT = 2.0
"""Weight, in sources, of the mean density of the sky against the local count."""
SKY_DEG2 = float(4 * np.pi * np.degrees(1) ** 2)


def local_density_deg2(centres: Floats, references: Floats) -> Floats:
    """Density of references around each centre, a square degree, from a ring about it.

    Counts in a ring of some 75 square degrees, drawn to the sky's mean density where they are few.

    Parameters
    ----------
    centres, references : ndarray, shapes (n, 3) and (m, 3)
        Unit vectors; at least one reference.

    Returns
    -------
    ndarray, shape (n,)
    """
    tree = cKDTree(references)
    outer, inner = (
        tree.query_ball_point(centres, float(chord(radius)), return_length=True)
        for radius in (OUTER_DEG, INNER_DEG)
    )
    ring_deg2 = SKY_DEG2 / 4 * float(chord(OUTER_DEG) ** 2 - chord(INNER_DEG) ** 2)
    mean = len(references) / SKY_DEG2
    return np.asarray((outer - inner + PSEUDOCOUNT) / (ring_deg2 + PSEUDOCOUNT / mean))
