"""Peaks of the learned localiser's map, scored by how many sources are expected within the match radius."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from models.localise.peaks import Array, Peaks, local_maxima

# The map is taught a Gaussian of this width on every source (`models.stream`).
TAUGHT_SIGMA_PX = 1.0


def centre(
    probability: NDArray[np.floating],
    match_radius_px: float = 3.84,
    separation_px: float = 2.5,
    threshold: float = 0.03,
) -> Peaks:
    """Places where the expected density of sources peaks.

    The map is the expectation of a unit Gaussian on every source; over the Gaussian's integral it is a
    density of sources. A peak's score is the density summed over its pixels: those within `match_radius_px`
    (0.3 degrees) and nearer to it than to any other peak. It is at most 1.

    Parameters
    ----------
    probability : array [ny, nx]
    separation_px : float
        Peaks are no closer than this.
    threshold : float
        Lowest score.
    """
    density = np.asarray(probability, float) / (2.0 * np.pi * TAUGHT_SIGMA_PX**2)
    smooth = ndimage.gaussian_filter(density, TAUGHT_SIGMA_PX, mode="constant")
    # No score above the threshold has a peak lower than this: its disc would be filled with less.
    peaks = local_maxima(smooth, separation_px, threshold / (np.pi * match_radius_px**2))
    score = np.minimum(_sum_near(density, peaks, match_radius_px), 1.0)
    kept = score >= threshold
    return Peaks.sorted(peaks.x[kept], peaks.y[kept], score[kept])


def _sum_near(density: Array, peaks: Peaks, radius_px: float) -> Array:
    if not len(peaks):
        return np.empty(0)
    rows, columns = np.indices(density.shape)
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=-1)
    distance, nearest = cKDTree(np.stack([peaks.x, peaks.y], axis=-1)).query(
        pixels, distance_upper_bound=radius_px
    )
    near = np.isfinite(distance)
    return np.bincount(nearest[near], density.ravel()[near], minlength=len(peaks)).astype(float)
