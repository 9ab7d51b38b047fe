"""Dense centre-direction regression: sources are where the directions of the pixels around point to.

After CeDiRNet (Tabernik, Muhovic and Skocaj 2024, Pattern Recognition 153, 110540), here with the hand-made
localiser; the learned one is a head of the network (`models.unet`).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from models.localise.peaks import Array, Peaks, local_maxima


def direction_field(x_px: Array, y_px: Array, shape: tuple[int, int]) -> Array:
    """Sine and cosine of the angle from every pixel to the nearest centre, [2, ny, nx]; 0 without sources."""
    if len(x_px) == 0:
        return np.zeros((2, *shape))
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    dy, dx = y_px[:, None, None] - rows, x_px[:, None, None] - columns
    nearest = np.argmin(dx**2 + dy**2, axis=0)[None]
    dx, dy = np.take_along_axis(dx, nearest, 0)[0], np.take_along_axis(dy, nearest, 0)[0]
    distance = np.hypot(dx, dy)
    safe = np.where(distance > 0, distance, 1.0)
    return np.stack([dy / safe, dx / safe])


def direction_response(
    sine: NDArray[np.floating],
    cosine: NDArray[np.floating],
    weight: NDArray[np.floating] | None = None,
    radius_px: float = 5.0,
) -> Array:
    """How far the pixels within a radius point to each place: 1 where all do, 0 for a field without a centre.

    Parameters
    ----------
    sine, cosine : array [ny, nx]
        Of the angle to the nearest centre (y to higher rows).
    weight : array [ny, nx], optional
        Trust in each pixel, such as the mask's probability.
    """
    reach = int(np.ceil(radius_px))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(float)
    distance = np.hypot(dx, dy)
    inside = (distance > 0) & (distance <= radius_px)
    safe = np.where(distance > 0, distance, 1.0)
    trust = np.ones(np.shape(sine)) if weight is None else np.asarray(weight, float)
    # fftconvolve turns the kernel round: a pixel at +d meets the kernel's -d, so the signs of "towards"
    # come out right.
    towards_x = signal.fftconvolve(trust * np.asarray(cosine, float), dx / safe * inside, mode="same")
    towards_y = signal.fftconvolve(trust * np.asarray(sine, float), dy / safe * inside, mode="same")
    return (towards_x + towards_y) / inside.sum()


def centre_direction(
    sine: NDArray[np.floating],
    cosine: NDArray[np.floating],
    mask: NDArray[np.floating],
    radius_px: float = 5.0,
    threshold: float = 0.1,
) -> Peaks:
    """Local maxima of the direction response, each pixel weighted with its mask's probability."""
    return local_maxima(direction_response(sine, cosine, mask, radius_px), 0.5 * radius_px, threshold)
