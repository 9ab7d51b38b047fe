"""Which places of two lists lie near each other, and the iterative one-to-one matching. Unit vectors alone."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def chord(angle_deg: ArrayLike) -> Floats:
    """Length of the chord of an angle on the unit sphere."""
    return np.asarray(2 * np.sin(np.radians(angle_deg) / 2), dtype=np.float64)


def pairs_within(first: Floats, second: Floats, radius_deg: float) -> tuple[Ints, Ints, Floats]:
    """All pairs of unit vectors within a radius (closed), nearest first; ties by first, then second index.

    Parameters
    ----------
    first, second : ndarray, shapes (n, 3) and (m, 3)

    Returns
    -------
    first_index, second_index, sep_deg : ndarray, shape (n_pairs,)
    """
    if len(first) == 0 or len(second) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    lists = cKDTree(second).query_ball_point(first, float(chord(radius_deg)) * (1 + 1e-12))
    i = np.repeat(np.arange(len(first)), [len(found) for found in lists])
    j = np.fromiter((k for found in lists for k in found), dtype=np.int64, count=len(i))
    distance = np.sqrt(np.sum((first[i] - second[j]) ** 2, axis=1))
    near = distance <= chord(radius_deg)
    i, j, distance = i[near], j[near], distance[near]
    order = np.lexsort((j, i, distance))
    sep_deg = np.degrees(2 * np.arcsin(np.minimum(distance / 2, 1)))
    return i[order], j[order], sep_deg[order]


def best_pairs_first(i: Ints, j: Ints) -> NDArray[np.bool_]:
    """Which of the pairs, given best first, stand if each member is taken once, by the first that is free."""
    chosen = np.zeros(len(i), dtype=bool)
    taken_i: set[int] = set()
    taken_j: set[int] = set()
    for k, (a, b) in enumerate(zip(i.tolist(), j.tolist(), strict=True)):
        if a not in taken_i and b not in taken_j:
            chosen[k] = True
            taken_i.add(a)
            taken_j.add(b)
    return chosen


def match_one_to_one(first: Floats, second: Floats, radius_deg: float) -> tuple[Ints, Ints, Floats]:
    """Match two lists of unit vectors, best pair first, each member once.

    Returns
    -------
    first_index, second_index, sep_deg : ndarray, shape (n_matches,)
        Nearest first.
    """
    i, j, sep_deg = pairs_within(first, second, radius_deg)
    chosen = best_pairs_first(i, j)
    return i[chosen], j[chosen], sep_deg[chosen]
