"""What the LAT does to a photon: effective area and point-spread function.

The functional forms are those of the Fermi Cicerone (IRF_PSF, IRF_EA); the parameters are the CALDB's, kept
in `sky/tables/irfs_*.npz` (made by `scripts/derive_irfs.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sky.psf import SEPARATION_DEG, RadialPSF

Array = NDArray[np.float64]

EVENT_TYPES = ("FRONT", "BACK")
IRF_NAMES = ("P8R2_SOURCE_V6", "P8R2_ULTRACLEANVETO_V6", "P8R3_SOURCE_V3", "P8R3_ULTRACLEANVETO_V3")
# Steps of a band, enough for its PSF to be stable to 1e-3 over a factor 50 in energy.
BAND_STEPS = 48


class ResponseError(ValueError):
    """Instrument response functions or an event type that do not exist."""


@dataclass(frozen=True, eq=False)
class EventTypeResponse:
    """Response of one event type; arrays are [cos theta, energy] unless said otherwise.

    Attributes
    ----------
    aeff_cm2 : array [32, 74]
    aeff_energy_gev, aeff_cos_theta : array
        Bin edges.
    profile : array [23, n_x]
        PSF in the scaled angle x, averaged over inclination, per unit of x squared; [energy, x].
    psf_energy_gev : array [23]
        Energies of the profiles (bin centres).
    psf_scale : array [3]
        c0, c1 (rad) and the exponent of the scaling S_P(E).
    """

    aeff_cm2: Array
    aeff_energy_gev: Array
    aeff_cos_theta: Array
    profile: Array
    psf_energy_gev: Array
    psf_scale: Array

    def acceptance_cm2_sr(self, energy_gev: Array) -> Array:
        """Effective area integrated over the field of view."""
        total = 2.0 * np.pi * np.diff(self.aeff_cos_theta) @ self.aeff_cm2
        return np.interp(np.log(energy_gev), np.log(_centres(self.aeff_energy_gev)), total)

    def effective_area_cm2(self, energy_gev: Array, cos_theta: Array) -> Array:
        """Bilinear in log E and cos theta between the bins' centres; 0 outside the field of view."""
        mid_cos = 0.5 * (self.aeff_cos_theta[1:] + self.aeff_cos_theta[:-1])
        log_e = np.log(_centres(self.aeff_energy_gev))
        i, u = _bracket(mid_cos, cos_theta)
        j, v = _bracket(log_e, np.log(energy_gev))
        a = self.aeff_cm2
        low, high = (1 - v) * a[i, j] + v * a[i, j + 1], (1 - v) * a[i + 1, j] + v * a[i + 1, j + 1]
        return np.where(cos_theta >= self.aeff_cos_theta[0], (1 - u) * low + u * high, 0.0)

    def scale_rad(self, energy_gev: float) -> float:
        """S_P(E), by which separations are divided."""
        c0, c1, exponent = self.psf_scale
        return float(np.hypot(c0 * (energy_gev / 0.1) ** exponent, c1))

    def psf_density(self, energy_gev: float) -> Array:
        """PSF per sr on `SEPARATION_DEG`, not yet normalised on the sphere.

        Between the table's energies the *scaled* profile is interpolated linearly in log E; the scaling
        S_P(E) takes out nearly all of the change with energy.
        """
        scale = self.scale_rad(energy_gev)
        j, v = _bracket(np.log(self.psf_energy_gev), np.log(np.array(energy_gev)))
        profile = (1 - v) * self.profile[j] + v * self.profile[j + 1]
        return np.interp(np.radians(SEPARATION_DEG) / scale, SCALED_ANGLE, profile) / scale**2


# Scaled angles of the profiles: up to 180 deg at the highest energies, where S_P is about 1e-3 rad.
SCALED_ANGLE: Array = 0.02 * np.sinh(np.linspace(0.0, np.arcsinh(5000.0 / 0.02), 1501))


@dataclass(frozen=True, eq=False)
class Response:
    """Response of an event class; `event_type` is FRONT, BACK or BOTH, energies are of any shape, in GeV."""

    irfs: str
    types: Mapping[str, EventTypeResponse]

    def _parts(self, event_type: str) -> tuple[EventTypeResponse, ...]:
        if event_type != "BOTH" and event_type not in self.types:
            raise ResponseError(f"unknown event type '{event_type}'; known: FRONT, BACK, BOTH")
        return tuple(self.types.values()) if event_type == "BOTH" else (self.types[event_type],)

    def effective_area_cm2(self, event_type: str, energy_gev: ArrayLike, cos_theta: ArrayLike) -> Array:
        """Effective area; energies and cosines of the inclination broadcast against each other."""
        energy, cosine = np.broadcast_arrays(np.asarray(energy_gev, float), np.asarray(cos_theta, float))
        return np.sum([part.effective_area_cm2(energy, cosine) for part in self._parts(event_type)], axis=0)

    def acceptance_cm2_sr(self, event_type: str, energy_gev: ArrayLike) -> Array:
        """Effective area integrated over the field of view."""
        energy = np.asarray(energy_gev, float)
        return np.sum([part.acceptance_cm2_sr(energy) for part in self._parts(event_type)], axis=0)

    def psf(self, event_type: str, energy_gev: float) -> RadialPSF:
        """PSF at one energy, averaged over inclination with the effective area as weight."""
        return RadialPSF.normalised(self._weighted_psf(event_type, np.array([energy_gev]), np.ones(1)))

    def band_psf(self, event_type: str, emin_gev: float, emax_gev: float, index: float) -> RadialPSF:
        """PSF of a band for sources of photon index `index`: weights acceptance x E^-index."""
        return _band_psf(self, event_type, float(emin_gev), float(emax_gev), float(index))

    def band_acceptance_cm2_sr(
        self, event_type: str, emin_gev: float, emax_gev: float, index: float
    ) -> float:
        """Acceptance averaged over a band with weight E^-index."""
        energy, width = band_energies(emin_gev, emax_gev)
        weight = width * energy**-index
        return float(np.sum(weight * self.acceptance_cm2_sr(event_type, energy)) / weight.sum())

    def _weighted_psf(self, event_type: str, energy_gev: Array, weight: Array) -> Array:
        total = np.zeros_like(SEPARATION_DEG)
        for part in self._parts(event_type):
            acceptance = part.acceptance_cm2_sr(energy_gev)
            for e, w in zip(energy_gev, weight * acceptance, strict=True):
                total += w * RadialPSF.normalised(part.psf_density(float(e))).density_per_sr
        return total


@lru_cache(maxsize=1024)
def _band_psf(
    response: Response, event_type: str, emin_gev: float, emax_gev: float, index: float
) -> RadialPSF:
    energy, width = band_energies(emin_gev, emax_gev)
    return RadialPSF.normalised(response._weighted_psf(event_type, energy, width * energy**-index))


def band_energies(emin_gev: float, emax_gev: float, steps: int = BAND_STEPS) -> tuple[Array, Array]:
    """Log-spaced energies of a band (geometric centres of its steps) and the steps' widths, GeV."""
    edges = np.geomspace(emin_gev, emax_gev, steps + 1)
    return _centres(edges), np.diff(edges)


@cache
def load_response(irfs: str) -> Response:
    """Response of an event class.

    Parameters
    ----------
    irfs : str
        One of `IRF_NAMES`.

    Raises
    ------
    ResponseError
        If there are no such instrument response functions.
    """
    if irfs not in IRF_NAMES:
        raise ResponseError(f"unknown instrument response '{irfs}'; known: {', '.join(IRF_NAMES)}")
    table = irf_table(irfs)
    return Response(irfs, {t: _event_type(table, t) for t in EVENT_TYPES})


def irf_table(irfs: str) -> dict[str, Array]:
    """The CALDB's parameters of an event class as `scripts/derive_irfs.py` keeps them."""
    path = resources.files("sky.tables").joinpath(f"irfs_{irfs}.npz")
    with path.open("rb") as file, np.load(file) as stored:
        return {name: stored[name].astype(float) for name in stored.files if name != "origin"}


def _event_type(table: dict[str, Array], event_type: str) -> EventTypeResponse:
    aeff_cm2 = 1e4 * table[f"{event_type}_aeff_m2"]
    aeff_energy, aeff_cos = table["aeff_energy_mev"] / 1e3, table["aeff_cos_theta"]
    psf_energy, psf_cos = _centres(table["psf_energy_mev"] / 1e3), table["psf_cos_theta"]
    # Effective area of each of the PSF's inclination bins at the PSF's energies: the weights of the mean.
    cos_bin = np.digitize(0.5 * (aeff_cos[1:] + aeff_cos[:-1]), psf_cos) - 1
    in_bin = np.array([aeff_cm2[cos_bin == k].sum(axis=0) for k in range(len(psf_cos) - 1)])
    log_e = np.log(_centres(aeff_energy))
    weight = np.array([np.interp(np.log(psf_energy), log_e, row) for row in in_bin])
    profile = np.einsum("ce,cex->ex", weight / weight.sum(axis=0), _king(table[f"{event_type}_king"]))
    return EventTypeResponse(
        aeff_cm2, aeff_energy, aeff_cos, profile, psf_energy, table[f"{event_type}_psf_scale"]
    )


def _king(parameters: Array) -> Array:
    """Two King functions of the scaled angle, [cos theta, energy, x] (Cicerone, IRF_PSF)."""
    ntail, score, stail, gcore, gtail = parameters[..., None]
    core_fraction = 1.0 / (1.0 + ntail * stail**2 / score**2)

    def king(s: Array, g: Array) -> Array:
        return (1 - 1 / g) / (2 * np.pi * s**2) * (1 + SCALED_ANGLE**2 / (2 * g * s**2)) ** -g

    return core_fraction * king(score, gcore) + (1 - core_fraction) * king(stail, gtail)


def _centres(edges: Array) -> Array:
    return np.sqrt(edges[1:] * edges[:-1])


def _bracket(grid: Array, value: Array) -> tuple[NDArray[np.intp], Array]:
    """Lower neighbour on an ascending grid and the fraction of the way to the next; clamped at the ends."""
    i = np.clip(np.searchsorted(grid, value, side="right") - 1, 0, len(grid) - 2)
    return i, np.clip((value - grid[i]) / (grid[i + 1] - grid[i]), 0.0, 1.0)
