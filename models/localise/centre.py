"""Peaks of the learned localiser's map, scored by how many sources are expected within the match radius."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

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
    reach = int(np.ceil(radius_px)) + 1
    dy, dx = (offset.ravel() for offset in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    column, row = np.rint(peaks.x).astype(int)[:, None] + dx, np.rint(peaks.y).astype(int)[:, None] + dy
    distance = np.hypot(column - peaks.x[:, None], row - peaks.y[:, None])
    height, width = density.shape
    near = (distance < radius_px) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    pixel, peak = (row * width + column)[near], np.nonzero(near)[0]
    # Each pixel counts for the nearest of the peaks that see it.
    order = np.lexsort((distance[near], pixel))
    pixel, peak = pixel[order], peak[order]
    nearest = np.diff(pixel, prepend=-1) > 0
    return np.bincount(peak[nearest], density.ravel()[pixel[nearest]], minlength=len(peaks)).astype(float)
