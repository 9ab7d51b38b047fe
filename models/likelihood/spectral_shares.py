"""Shares of the headline flux that log-parabolas bring to the planes of a survey."""

import numpy as np
from numpy.typing import NDArray

from sky.survey import Survey

Floats = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


class Shares:
    """Photon flux in each plane over that in the headline range, for dN/dE ~ E^-(index + curvature ln(E / pivot)).

    Attributes
    ----------
    pivot_gev : float
        Geometric mean energy of headline photons of the survey's index: there flux, index and curvature depend
        least on each other.
    """

    def __init__(self, survey: Survey) -> None:
        self.pivot_gev = pivot_gev(survey)
        self._band_of = np.array([band for band, _ in survey.planes])
        edges = [(b.emin_gev, b.emax_gev) for b in survey.bands]
        low, high = np.log(np.array([*edges, survey.flux_range_gev]) / self.pivot_gev).T
        half = 0.5 * (high - low)[:, None]
        self._log_e = (
            0.5 * (low + high)[:, None] + half * _NODES
        )  # [n_bands + 1, n_nodes]; the last is the headline
        self._weight = half * _WEIGHTS * np.exp(self._log_e)

    def __call__(self, index: Floats, curvature: Floats) -> tuple[Floats, Floats]:
        """Shares of spectra [n].

        Returns
        -------
        share : array [n, n_planes]
        tilt : array [n, n_planes, 3]
            Derivatives of ln (photons) in ln (headline flux), index and curvature.
        """
        steepness = index[:, None, None] + curvature[:, None, None] * self._log_e
        density = np.exp(-steepness * self._log_e) * self._weight
        total = density.sum(axis=2)
        share = total[:, :-1] / total[:, -1:]
        falls = [(density * self._log_e**k).sum(axis=2) / total for k in (1, 2)]
        tilt = np.stack([np.ones_like(share), *(f[:, -1:] - f[:, :-1] for f in falls)], axis=-1)
        return share[:, self._band_of], tilt[:, self._band_of]

    def headline_gev(self, index: Floats, curvature: Floats) -> Floats:
        """Headline flux over the flux density at the pivot, [n]."""
        log_e, weight = self._log_e[-1], self._weight[-1]
        steepness = index[:, None] + curvature[:, None] * log_e
        return self.pivot_gev * np.sum(np.exp(-steepness * log_e) * weight, axis=1)


def pivot_gev(survey: Survey) -> float:
    """Geometric mean energy of the headline photons of a power law of the survey's index."""
    low, high = np.log(survey.flux_range_gev)
    log_e = 0.5 * (low + high) + 0.5 * (high - low) * _NODES
    return float(np.exp(np.average(log_e, weights=_WEIGHTS * np.exp((1 - survey.reference_index) * log_e))))
