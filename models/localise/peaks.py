"""Peaks of an image, to a fraction of a pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Peaks:
    """Places in an image, best first.

    Attributes
    ----------
    x, y : array [N]
        Pixel coordinates (column, row), centres of pixels at whole numbers.
    score : array [N]
        Comparable within one localiser only.
    """

    x: Array
    y: Array
    score: Array

    @classmethod
    def sorted(cls, x: Array, y: Array, score: Array) -> "Peaks":
        """Best first; equal scores in the sequence of rows."""
        order = np.lexsort((x, y, -score))
        return cls(x[order], y[order], score[order])

    def select(self, which: NDArray[np.bool_]) -> "Peaks":
        """Some of the peaks."""
        return Peaks(self.x[which], self.y[which], self.score[which])

    def __len__(self) -> int:
        return len(self.x)

    def apart(self, separation_px: float) -> "Peaks":
        """Without those closer to a better one: equal pixels side by side are one peak."""
        keep = np.ones(len(self), bool)
        for first, second in sorted(cKDTree(np.stack([self.x, self.y], axis=-1)).query_pairs(separation_px)):
            keep[second] &= not keep[first]
        return self.select(keep)


def local_maxima(image: NDArray[np.floating], radius_px: float, threshold: float) -> Peaks:
    """Pixels that are the largest within a radius and above a threshold, refined to the top of a parabola.

    Parameters
    ----------
    image : array [ny, nx]
    radius_px : float
        No two peaks are closer than this, but for the refinement.
    threshold : float
    """
    values = np.asarray(image, float)
    reach = int(np.ceil(radius_px))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    highest = ndimage.maximum_filter(
        values, footprint=np.hypot(dx, dy) <= radius_px, mode="constant", cval=-np.inf
    )
    rows, columns = np.nonzero((values == highest) & (values > threshold))
    x, y = refine(values, columns, rows)
    return Peaks.sorted(x, y, values[rows, columns]).apart(radius_px - 1)


def refine(image: Array, x: NDArray[np.intp], y: NDArray[np.intp]) -> tuple[Array, Array]:
    """Top of the least-squares paraboloid through the 3 x 3 pixels round each peak, at most 0.5 off."""
    padded = np.pad(np.asarray(image, float), 1, mode="edge")
    steps = (-1, 0, 1)
    box = np.array([[padded[y + 1 + dy, x + 1 + dx] for dx in steps] for dy in steps])  # [3, 3, N]
    slope_x, slope_y = (box[:, 2] - box[:, 0]).sum(0) / 6.0, (box[2] - box[0]).sum(0) / 6.0
    bend_x = (box[:, 2] - 2 * box[:, 1] + box[:, 0]).sum(0) / 3.0
    bend_y = (box[2] - 2 * box[1] + box[0]).sum(0) / 3.0
    twist = (box[2, 2] - box[2, 0] - box[0, 2] + box[0, 0]) / 4.0
    det = bend_x * bend_y - twist**2
    top = (det > 0) & (bend_x < 0)
    safe = np.where(top, det, 1.0)
    shift_x = np.where(top, (twist * slope_y - bend_y * slope_x) / safe, 0.0)
    shift_y = np.where(top, (twist * slope_x - bend_x * slope_y) / safe, 0.0)
    return x + np.clip(shift_x, -0.5, 0.5), y + np.clip(shift_y, -0.5, 0.5)
