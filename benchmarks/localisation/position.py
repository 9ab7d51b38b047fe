"""How near a place can be known at all: the information that the photons hold about it."""

import numpy as np
from numpy.typing import NDArray

from models.likelihood.optics import SEPARATIONS_DEG, PointSpread

Array = NDArray[np.float64]

# Median distance from the truth, of a Gaussian with standard deviation 1 on each axis.
MEDIAN = float(np.sqrt(2 * np.log(2)))


def efficient_error_deg(spread: PointSpread, counts: Array, background_sr: Array) -> Array:
    """Median error of an efficient estimator of each source's place, all else known, [n].

    Photons of density s(r) on a background b hold the information, on each axis and summed over the planes,

        integral s'(r)^2 / (s(r) + b) pi r dr,

    whose inverse no unbiased estimator's variance is below (Rao 1945, Bull. Calcutta Math. Soc. 37, 81). A likelihood
    reaches it where photons are many.

    Parameters
    ----------
    spread : PointSpread
    counts : array [n, n_planes]
        Expected photons of each source.
    background_sr : array [n, n_planes]
        Expected photons per sr of all else.
    """
    separation = np.radians(SEPARATIONS_DEG)
    density = spread.density_per_sr[0]
    slope = np.gradient(density, separation, axis=-1)
    information = np.zeros(len(counts))
    for plane in range(density.shape[0]):
        photons, floor = counts[:, plane, None], np.maximum(background_sr[:, plane, None], 1e-9)
        local = (photons * slope[plane]) ** 2 / (photons * density[plane] + floor)
        information += np.trapezoid(local * np.pi * separation, separation, axis=-1)
    return np.degrees(MEDIAN / np.sqrt(np.maximum(information, 1e-12)))
