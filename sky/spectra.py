"""Source spectra: power law, log-parabola, exponentially cut-off power law.

The forms and parameter names are those of 4FGL and 4FGL-DR2 (Abdollahi et al. 2020, ApJS 247, 33,
section 3.3). A spectrum object holds the parameters of N sources as arrays of shape [N].
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

ERG_PER_GEV = 1.602176634e-3
# Gauss-Legendre nodes a band: curved spectra over a factor 1000 in energy come out to better than 1e-4.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


class Spectrum(ABC):
    """Differential photon flux of N sources: what all forms share."""

    @abstractmethod
    def dnde(self, energy_gev: ArrayLike) -> Array:
        """Differential flux, cm-2 s-1 GeV-1, [N, n_energies]."""

    def select(self, which: Any) -> Self:
        """The sources of an index array, slice or mask."""
        return type(self)(**{f.name: getattr(self, f.name)[which] for f in fields(self)})  # type: ignore[arg-type]

    def photon_flux(self, emin_gev: ArrayLike, emax_gev: ArrayLike) -> Array:
        """Photon flux in n bands, cm-2 s-1, [N, n]."""
        return self._integral(emin_gev, emax_gev, 0)

    def energy_flux(self, emin_gev: ArrayLike, emax_gev: ArrayLike) -> Array:
        """Energy flux in n bands, erg cm-2 s-1, [N, n]."""
        return ERG_PER_GEV * self._integral(emin_gev, emax_gev, 1)

    def index_at(self, energy_gev: ArrayLike) -> Array:
        """Local photon index -dlnN/dlnE, [N, n]."""
        energy = np.asarray(energy_gev, float)
        step = 1e-3
        return -(np.log(self.dnde(energy * (1 + step))) - np.log(self.dnde(energy * (1 - step)))) / (
            np.log1p(step) - np.log1p(-step)
        )

    def _integral(self, emin_gev: ArrayLike, emax_gev: ArrayLike, power: int) -> Array:
        low, high = np.log(np.atleast_1d(emin_gev)), np.log(np.atleast_1d(emax_gev))
        log_e = 0.5 * (low + high)[:, None] + 0.5 * (high - low)[:, None] * _NODES
        energy = np.exp(log_e)
        dnde = self.dnde(energy.ravel()).reshape(-1, *energy.shape)
        return np.sum(dnde * energy ** (1 + power) * _WEIGHTS, axis=-1) * 0.5 * (high - low)


@dataclass(frozen=True, eq=False)
class PowerLaw(Spectrum):
    """dN/dE = K (E / E0)^-index.

    Attributes
    ----------
    k : array [N]
        Differential flux at the pivot energy, cm-2 s-1 GeV-1.
    pivot_gev : array [N]
    index : array [N]
    """

    k: Array
    pivot_gev: Array
    index: Array

    def dnde(self, energy_gev: ArrayLike) -> Array:
        """Differential flux, cm-2 s-1 GeV-1, [N, n_energies]."""
        log_x = _log_ratio(energy_gev, self.pivot_gev)
        return _column(self.k) * np.exp(-_column(self.index) * log_x)


@dataclass(frozen=True, eq=False)
class LogParabola(Spectrum):
    """dN/dE = K (E / E0)^-(alpha + beta ln(E / E0)).

    Attributes
    ----------
    k : array [N]
        Differential flux at the pivot energy, cm-2 s-1 GeV-1.
    pivot_gev : array [N]
    alpha, beta : array [N]
    """

    k: Array
    pivot_gev: Array
    alpha: Array
    beta: Array

    def dnde(self, energy_gev: ArrayLike) -> Array:
        """Differential flux, cm-2 s-1 GeV-1, [N, n_energies]."""
        log_x = _log_ratio(energy_gev, self.pivot_gev)
        return _column(self.k) * np.exp(-(_column(self.alpha) + _column(self.beta) * log_x) * log_x)


@dataclass(frozen=True, eq=False)
class PLSuperExpCutoff(Spectrum):
    """dN/dE = K (E / E0)^-index exp(a (E0^b - E^b)), 4FGL's form; energies in MeV in the exponent.

    Attributes
    ----------
    k : array [N]
        Differential flux at the pivot energy, cm-2 s-1 GeV-1.
    pivot_gev : array [N]
    index : array [N]
    expfactor : array [N]
        a, for energies in MeV as in the catalogue (MeV^-b).
    exp_index : array [N]
        b.
    """

    k: Array
    pivot_gev: Array
    index: Array
    expfactor: Array
    exp_index: Array

    def dnde(self, energy_gev: ArrayLike) -> Array:
        """Differential flux, cm-2 s-1 GeV-1, [N, n_energies]."""
        log_x = _log_ratio(energy_gev, self.pivot_gev)
        b, pivot_mev = _column(self.exp_index), 1e3 * _column(self.pivot_gev)
        cutoff = _column(self.expfactor) * pivot_mev**b * -np.expm1(b * log_x)
        return _column(self.k) * np.exp(cutoff - _column(self.index) * log_x)


@dataclass(frozen=True, eq=False)
class CurvedSpectrum(Spectrum):
    """All three forms in one, so that a whole sky is one object: a log-parabola times an exponential cut-off.

    Attributes
    ----------
    k : array [N]
        Differential flux at the pivot energy, cm-2 s-1 GeV-1.
    pivot_gev, alpha, beta : array [N]
        As in `LogParabola`; beta = 0 without curvature.
    expfactor, exp_index : array [N]
        As in `PLSuperExpCutoff`; expfactor = 0 without cut-off.
    """

    k: Array
    pivot_gev: Array
    alpha: Array
    beta: Array
    expfactor: Array
    exp_index: Array

    def dnde(self, energy_gev: ArrayLike) -> Array:
        """Differential flux, cm-2 s-1 GeV-1, [N, n_energies]."""
        parabola = LogParabola(self.k, self.pivot_gev, self.alpha, self.beta)
        cutoff = PLSuperExpCutoff(
            np.ones_like(self.k), self.pivot_gev, np.zeros_like(self.k), self.expfactor, self.exp_index
        )
        return parabola.dnde(energy_gev) * cutoff.dnde(energy_gev)


def _column(parameter: ArrayLike) -> Array:
    return np.atleast_1d(np.asarray(parameter, float))[:, None]


def _log_ratio(energy_gev: ArrayLike, pivot_gev: ArrayLike) -> Array:
    return np.log(np.atleast_1d(np.asarray(energy_gev, float)) / _column(pivot_gev))
