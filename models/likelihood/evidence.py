"""How probable it is that the counts need a point source.

The test statistic compares the best source with none, and so forgets how many places, fluxes and spectra were
tried. The posterior odds do not: they are the likelihood ratio averaged over position, flux and photon index with
the density of sources on the sky as prior (a Cox process; Hobson and McLachlan 2003, MNRAS 338, 765).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.likelihood.neighbourhood import Neighbourhoods
from models.likelihood.optics import PointSpread, band_fractions
from sky.survey import Survey

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Population:
    """Prior of the sources: N(> F) per sr a power law of the headline flux, photon indices by weight.

    Attributes
    ----------
    density_sr : float
        Sources per sr above `flux_cm2_s`.
    flux_cm2_s : float
    slope : float
        N(> F) ~ F^-slope.
    indices, weights : tuple of float
    extended : float
        Share of extended sources (48 of 1556 in 3FHL).
    """

    density_sr: float
    flux_cm2_s: float
    slope: float = 1.1
    indices: tuple[float, ...] = (1.8, 2.3, 2.8, 3.4, 4.2)
    weights: tuple[float, ...] = (0.15, 0.25, 0.3, 0.2, 0.1)
    extended: float = 0.03

    @property
    def index_prior(self) -> tuple[float, float]:
        """Mean and standard deviation of the photon indices."""
        mean = float(np.average(self.indices, weights=self.weights))
        return mean, float(np.sqrt(np.average(np.square(self.indices), weights=self.weights) - mean**2))


# Above each survey's headline flux: 3FHL at |b| > 10 deg (245 sources above 1e-10), 4FGL-DR2 (2106 above 5e-10).
POPULATIONS = {
    "lat-10gev": Population(density_sr=23.6, flux_cm2_s=1e-10, slope=1.15),
    "lat-6band": Population(170.0, 5e-10, 1.0, indices=(1.6, 2.0, 2.4, 2.8, 3.3)),
}

# Relative error of the background, which counts the less for a source the more of it lies under the PSF: photons
# of a plane are weighted by 1 / (1 + error^2 * background) (4FGL: 3 %; Abdollahi et al. 2020, appendix B).
BACKGROUND_ERROR = 0.03
FLUX_FACTORS = np.geomspace(0.25, 3.0, 12)
PLACES = np.arange(-2, 3)  # in units of the position error


@dataclass(frozen=True, eq=False)
class Weighed:
    """Results of `weigh`, arrays [n]: best test statistic for the survey's index, its flux, log posterior odds."""

    ts: Floats
    flux_cm2_s: Floats
    log_odds: Floats


def weigh(
    near: Neighbourhoods,
    extent: Ints,
    null: Floats,
    spread: PointSpread,
    yields: Floats,
    survey: Survey,
    start_flux_cm2_s: Floats,
    population: Population,
) -> Weighed:
    """Test a point source at each position against none.

    Parameters
    ----------
    near : Neighbourhoods
    extent : array of int [n]
        Widths of the sources.
    null : array [n_pairs]
        Expected photons per sr without the source: background and neighbours.
    spread : PointSpread
    yields : array [n, n_planes]
        Exposures, cm2 s.
    survey : Survey
    start_flux_cm2_s : array [n]
        Rough fluxes, about which the average over flux is taken.
    population : Population
    """
    width = extent[near.owner]
    psf = spread.density(near.plane, near.separation_deg(), width)
    signal = psf / null
    # background under the PSF: its mean there, weighted by the PSF, times the solid angle the PSF amounts to
    mean_sr = near.plane_total(psf * null) / np.maximum(near.plane_total(psf), 1e-300)
    trust = 1 / (1 + BACKGROUND_ERROR**2 * mean_sr * spread.solid_angle_sr)
    counts = near.counts * near.per_pixel(trust)
    inside = spread.containment(np.arange(yields.shape[1]), near.radius_deg, extent[:, None])
    gain = trust * yields * inside

    def log_likelihood(index: float, flux: Floats, ratio: Floats) -> Floats:
        photons = band_fractions(survey, index) * yields * flux[:, None]
        lost = np.sum(band_fractions(survey, index) * gain, axis=1) * flux
        return near.total(counts * np.log1p(near.per_pixel(photons) * ratio)) - lost

    def climb(index: float, flux: Floats) -> Floats:
        expected = np.sum(band_fractions(survey, index) * gain, axis=1)
        unit = near.per_pixel(band_fractions(survey, index) * yields) * signal
        for _ in range(30):
            share = near.per_pixel(flux) * unit
            flux = np.maximum(near.total(counts * share / (1 + share)) / expected, 1e-30)
        return flux

    flux = climb(survey.reference_index, start_flux_cm2_s)
    ts = 2 * log_likelihood(survey.reference_index, flux, signal)

    step = np.log(FLUX_FACTORS[1] / FLUX_FACTORS[0])
    terms, best, best_index, best_flux = [], np.full(near.n, -np.inf), np.zeros(near.n), flux.copy()
    for index, weight in zip(population.indices, population.weights, strict=True):
        for factor in FLUX_FACTORS:
            value = log_likelihood(index, factor * flux, signal)
            density = population.slope * population.density_sr
            density = density * (factor * flux / population.flux_cm2_s) ** -population.slope
            terms.append(value + np.log(weight * step * density))
            better = value > best
            best = np.where(better, value, best)
            best_index[better], best_flux[better] = index, factor * flux[better]
    log_odds = np.logaddexp.reduce(terms, axis=0)

    # the place: average of the likelihood at the best flux and index over some position errors around
    photons = near.per_pixel(band_fractions(survey, best_index) * yields * best_flux[:, None])
    unit_sigma = spread.radius_deg(0.39).min()
    expected = near.total(counts * photons * signal / (1 + photons * signal))
    sigma = unit_sigma * 1.5 / np.sqrt(np.maximum(expected, 2.0))
    around = []
    for i in PLACES:
        for j in PLACES:
            sep = near.separation_deg(i * sigma, j * sigma)
            ratio = spread.density(near.plane, sep, width) / null
            around.append(near.total(counts * np.log1p(photons * ratio)))
    centre = around[len(around) // 2]
    spread_of_place = np.logaddexp.reduce(np.array(around) - centre, axis=0)
    log_odds += spread_of_place + 2 * np.log(np.radians(sigma))
    log_odds += np.where(extent > 0, np.log(population.extended), 0.0)
    return Weighed(np.maximum(ts, 0), flux, log_odds)
