"""How long the LAT looked where: exposure by energy, event type, place and year.

The survey mode sees every place at nearly every inclination, so that exposure is live time x acceptance / 4
pi x a pattern on the sky which hardly depends on energy. The pattern is that of the real 8.2-year exposure,
the live fraction is the one that reproduces its mean (`scripts/derive_mission.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources

import healpy as hp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sky.dispersion import band_fraction
from sky.response import EVENT_TYPES, Response, band_energies, load_response
from sky.survey import Survey

Array = NDArray[np.float64]

LIVE_FRACTION = 0.726
YEAR_S = 365.25 * 86400.0
# Mission elapsed time of 2008-08-04 and of the ends of 4FGL-DR2 (10 years) and of the real counts above 10
# GeV.
START_MET = 239557417.0
STOP_MET = {"lat-10gev": 498643329.0}
DR2_STOP_MET = 554930000.0


@dataclass(frozen=True, eq=False)
class Mission:
    """An interval of the survey mode with one event class.

    Attributes
    ----------
    response : Response
    edges_met : array [n_slices + 1]
        Ends of the time slices, mission elapsed time (s); one slice is the whole interval.
    dispersion : bool
        Whether measured energies differ from true ones.
    """

    response: Response
    edges_met: Array
    dispersion: bool = False

    @property
    def slice_share(self) -> Array:
        """Share of each time slice in the exposure, [n_slices]."""
        return np.diff(self.edges_met) / (self.edges_met[-1] - self.edges_met[0])

    def mean_exposure_cm2_s(self, event_type: str, energy_gev: ArrayLike) -> Array:
        """All-sky mean exposure; energies of any shape."""
        live_s = LIVE_FRACTION * (self.edges_met[-1] - self.edges_met[0])
        return live_s * self.response.acceptance_cm2_sr(event_type, energy_gev) / (4 * np.pi)

    def band_exposure(self, event_type: str, emin_gev: float, emax_gev: float) -> tuple[Array, Array]:
        """Energies (GeV) and weights (cm2 s GeV) that make a band's counts of dN/dE, at mean exposure."""
        if not self.dispersion:
            energy, width = band_energies(emin_gev, emax_gev)
            return energy, width * self.mean_exposure_cm2_s(event_type, energy)
        # Energies are wrong by a factor 2 for next to no photon above 100 MeV.
        energy, width = band_energies(emin_gev / 2, emax_gev * 2, steps=120)
        weight = np.zeros_like(energy)
        for t in EVENT_TYPES if event_type == "BOTH" else (event_type,):
            fraction = band_fraction(self.response, t, energy, emin_gev, emax_gev)
            weight += width * fraction * self.mean_exposure_cm2_s(t, energy)
        return energy, weight

    def isotropic_counts_sr(
        self,
        event_type: str,
        emin_gev: float,
        emax_gev: float,
        factor: Callable[[Array], Array] | None = None,
    ) -> float:
        """Counts per steradian of the isotropic emission at mean exposure, residual cosmic rays included.

        The published intensity is one of measured energies: dispersion does not apply. `factor` of energy,
        if any, scales it.
        """
        energy, width = band_energies(emin_gev, emax_gev)
        types = EVENT_TYPES if event_type == "BOTH" else (event_type,)
        total = 0.0
        for t in types:
            log_e, log_i = np.log(_table()[f"{self.response.irfs}_{t}"])
            intensity = np.exp(np.interp(np.log(energy), log_e, log_i))
            if factor is not None:
                intensity = intensity * factor(energy)
            total += float(np.sum(width * intensity * self.mean_exposure_cm2_s(t, energy)))
        return total


def pattern(nside: int) -> Array:
    """Exposure over its all-sky mean at the pixels' centres, galactic NESTED, [npix]."""
    lon, lat = hp.pix2ang(nside, np.arange(hp.nside2npix(nside)), nest=True, lonlat=True)
    return pattern_at(lon, lat)


def pattern_at(glon_deg: ArrayLike, glat_deg: ArrayLike) -> Array:
    """Exposure over its all-sky mean at any places."""
    return hp.get_interp_val(_table()["pattern"], glon_deg, glat_deg, lonlat=True)


def survey_mission(survey: Survey, irfs: str, slices: int = 1, dispersion: bool = False) -> Mission:
    """The interval of a survey's real data, in slices of equal length (years of `lat-6band`)."""
    stop = STOP_MET.get(survey.name, DR2_STOP_MET)
    return Mission(load_response(irfs), np.linspace(START_MET, stop, slices + 1), dispersion)


@cache
def _table() -> dict[str, Array]:
    with resources.files("sky.tables").joinpath("mission.npz").open("rb") as file, np.load(file) as stored:
        return {name: stored[name].astype(float) for name in stored.files if name != "origin"}
