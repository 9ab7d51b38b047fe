"""Yearly light curves of synthetic sources, after `Flux_History` of 4FGL-DR2."""

import numpy as np
from numpy.typing import NDArray

from sky.population import CLASSES, bright_histories, own_histories

Array = NDArray[np.float64]


def draw_light_curves(class_code: NDArray[np.int64], slices: int, rng: np.random.Generator) -> Array:
    """Flux of each time slice over the mean flux, [N, slices], mean 1.

    A source takes after a bright member of its class (significance above sqrt(1000), where the yearly fluxes
    are hardly noise; what noise there is has been taken out), from a random year on, forwards or backwards:
    so spread and persistence of the real light curves stay together. One slice is constant.
    """
    if slices == 1:
        return np.ones((len(class_code), 1))
    curves = np.empty((len(class_code), slices))
    for code in range(len(CLASSES)):
        own = np.flatnonzero(class_code == code)
        pool = bright_histories(code)
        like = rng.integers(len(pool), size=len(own))
        start = rng.integers(pool.shape[1], size=(len(own), 1))
        step = rng.choice([-1, 1], size=(len(own), 1))
        years = (start + step * np.arange(slices)) % pool.shape[1]
        curves[own] = pool[like[:, None], years]
    return curves / curves.mean(axis=1, keepdims=True)


def own_light_curves(names: NDArray[np.str_], slices: int) -> Array:
    """The same of sources of 4FGL-DR2, each after its own history, from its first year on."""
    curves = own_histories(names)[:, :slices] if slices > 1 else np.ones((len(names), 1))
    return curves / curves.mean(axis=1, keepdims=True)
