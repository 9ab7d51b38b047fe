"""Blobs of a segmented image: by a disc kernel with rising threshold, or by the Laplacian of Gaussian."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from models.localise.peaks import Array, Peaks, refine

REACH_PX = 2  # of a maximum in the Laplacian of Gaussian
WIDTH_PX = 2 * REACH_PX + 1


def disc_kernel(radius_px: float) -> Array:
    """Ones within a radius, zeros outside, [2 r + 1, 2 r + 1]."""
    reach = int(np.ceil(radius_px))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return (np.hypot(dx, dy) <= radius_px).astype(float)


def disk(
    mask: NDArray[np.floating],
    radius_px: float = 5.0,
    threshold: float = 30.0,
    step: float = 10.0,
    max_pixels: int = 5,
) -> Peaks:
    """The founding localiser: mask summed over a disc, cut ever higher until every group is small.

    A group of more than `max_pixels` connected pixels is cut again `step` higher; one that would vanish
    stays as it is. The position is the group's centroid, the score its highest sum over the area of the disc.

    Parameters
    ----------
    mask : array [ny, nx]
        Probability that a pixel belongs to a source's disc.
    """
    kernel = disc_kernel(radius_px)
    summed = signal.fftconvolve(np.asarray(mask, float), kernel, mode="same")
    groups: list[tuple[float, float, float]] = []
    pending = [(threshold, summed)]
    while pending:
        level, image = pending.pop()
        labels = ndimage.label(image > level, structure=np.ones((3, 3)))[0]
        for label, box in enumerate(ndimage.find_objects(labels), start=1):
            inside = labels[box] == label
            values = np.where(inside, summed[box], 0.0)
            if inside.sum() > max_pixels and values.max() > level + step:
                island = np.zeros_like(summed)
                island[box] = values
                pending.append((level + step, island))
            else:
                excess = np.where(inside, values - level, 0.0)
                row, column = ndimage.center_of_mass(excess)
                groups.append((column + box[1].start, row + box[0].start, values.max() / kernel.sum()))
    x, y, score = np.array(groups, float).reshape(-1, 3).T
    return Peaks.sorted(x, y, score)


def log(
    mask: NDArray[np.floating],
    sigmas_px: tuple[float, ...] = (1.5, 2.2, 3.3),
    threshold: float = 0.05,
) -> Peaks:
    """Maxima in place and scale of the normalised Laplacian of Gaussian, -sigma^2 LoG (Lindeberg 1998, IJCV
    30, 79).

    Parameters
    ----------
    mask : array [ny, nx]
    sigmas_px : tuple of float
        A disc of radius r answers best at sigma = r / sqrt(2).
    threshold : float
        Lowest response; a full disc gives about 0.74 at its own scale.
    """
    image = np.asarray(mask, float)
    scales = np.array([-(s**2) * ndimage.gaussian_laplace(image, s) for s in sigmas_px])
    highest = ndimage.maximum_filter(
        scales, size=(len(sigmas_px), WIDTH_PX, WIDTH_PX), mode="constant", cval=-np.inf
    )
    scale, row, column = np.nonzero((scales == highest) & (scales > threshold))
    x, y = np.empty(len(row)), np.empty(len(row))
    for k in range(len(sigmas_px)):
        here = scale == k
        x[here], y[here] = refine(scales[k], column[here], row[here])
    return Peaks.sorted(x, y, scales[scale, row, column]).apart(REACH_PX - 1)
