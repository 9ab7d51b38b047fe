"""Poisson likelihood of the amplitudes of many sources in many time slices.

For the amplitude of a source its pixels differ only in the ratio of its mean signal to all else there. Their photons
are sorted into narrow steps of that ratio, and the likelihood of each slice is a sum over some tens of steps:

    ln L(a) = sum_steps n ln(1 + a r) - a * gain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, cast

import numpy as np
from numpy.typing import NDArray

from models.likelihood.neighbourhood import Neighbourhoods

Floats = NDArray[np.float64]

# Steps of ln r; photons of a step share its mean ln r, which leaves an error of STEP^2 / 96 in ln L a photon at most.
STEP, N_STEPS, LEAST_LOG_RATIO = 0.2, 128, -10.0
NEWTON_STEPS, CLOSE_ENOUGH = 25, 1e-9
LEAST_AMPLITUDE = 1e-4


@dataclass(frozen=True, eq=False)
class SliceLikelihood:
    """Log-likelihood of amplitudes [n, n_slices], 1 the mean, up to a constant.

    Attributes
    ----------
    photons : array [n, n_slices, n_steps]
        Of the steps that have any.
    ratio : array [n, n_slices, n_steps]
        Signal over all else, the photons' geometric mean.
    gain : array [n, n_slices]
        Photons expected for an amplitude of 1.
    """

    photons: Floats
    ratio: Floats
    gain: Floats

    @classmethod
    def of(cls, near: Neighbourhoods, counts: Floats, signal: Floats, rest: Floats, gain: Floats) -> Self:
        """Sort photons by ratio.

        Parameters
        ----------
        near : Neighbourhoods
        counts : array [n_pairs, n_slices]
        signal : array [n_pairs]
            Of an amplitude of 1, per sr and the whole exposure.
        rest : array [n_pairs, 1 or n_slices]
            Likewise, of all else.
        gain : array [n, n_slices]
        """
        log_ratio = np.log(np.maximum(signal, 1e-300))[:, None] - np.log(rest)
        step = np.clip((log_ratio - LEAST_LOG_RATIO) / STEP, 0, N_STEPS - 1).astype(np.int64)
        key, size = near.owner[:, None] * N_STEPS + step, near.n * N_STEPS

        def sums(t: int, weights: Floats) -> Floats:
            flat = cast(Floats, np.bincount(key[:, t % key.shape[1]], weights, size))
            return flat.reshape(near.n, N_STEPS)

        slices = range(counts.shape[1])
        photons = np.stack([sums(t, counts[:, t]) for t in slices], axis=1)
        column = [log_ratio[:, t % key.shape[1]] for t in slices]
        total = np.stack([sums(t, counts[:, t] * column[t]) for t in slices], axis=1)
        some = photons.any(axis=(0, 1))  # every call goes through all steps that are kept
        photons, total = photons[..., some], total[..., some]
        return cls(photons, np.exp(total / np.maximum(photons, 1e-300)), gain)

    def __call__(self, amplitude: Floats) -> Floats:
        """Log-likelihood, [n, n_slices]."""
        return (
            np.sum(self.photons * np.log1p(amplitude[..., None] * self.ratio), axis=-1)
            - amplitude * self.gain
        )

    def best(self) -> Floats:
        """Amplitudes of highest likelihood, not negative, [n, n_slices]."""
        amplitude = _climbed(np.ones_like(self.gain), self._slopes)
        nothing = (amplitude <= LEAST_AMPLITUDE) | (self.gain <= 0)
        return np.where(nothing, 0.0, amplitude)

    def best_constant(self) -> Floats:
        """The one amplitude for all slices of highest likelihood, [n, 1]."""

        def slopes(amplitude: Floats) -> tuple[Floats, Floats]:
            slope, bend = self._slopes(amplitude)
            return slope.sum(axis=1, keepdims=True), bend.sum(axis=1, keepdims=True)

        return _climbed(np.ones((len(self.gain), 1)), slopes)

    def _slopes(self, amplitude: Floats) -> tuple[Floats, Floats]:
        """First derivative and minus the second in the amplitude, [n, n_slices]."""
        share = self.ratio / (1 + amplitude[..., None] * self.ratio)
        slope = np.sum(self.photons * share, axis=-1) - self.gain
        return slope, np.sum(self.photons * share**2, axis=-1)


def _climbed(amplitude: Floats, slopes: Callable[[Floats], tuple[Floats, Floats]]) -> Floats:
    """Amplitudes of highest likelihood, from its first derivative and minus the second at any."""
    for _ in range(NEWTON_STEPS):
        slope, bend = slopes(amplitude)
        # the slope is convex: from below Newton's steps never pass the maximum, from above they may
        step = np.maximum(slope / np.maximum(bend, 1e-12), -0.9 * amplitude)
        before, amplitude = amplitude, np.maximum(amplitude + step, LEAST_AMPLITUDE)
        if (np.abs(amplitude - before) <= CLOSE_ENOUGH * before).all():
            break
    return amplitude
