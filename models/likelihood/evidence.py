"""How probable it is that the counts need a point source.

The test statistic compares the best source with none, and so forgets how many places, fluxes and spectra were
tried. The posterior odds do not: they are the likelihood ratio averaged over position, flux and photon index with
the density of sources on the sky as prior (a Cox process; Hobson and McLachlan 2003, MNRAS 338, 765).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.likelihood.neighbourhood import Neighbourhoods
from models.likelihood.optics import PointSpread, band_fractions
from models.likelihood.spectral_posterior import SpectralPrior
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
    curvature : tuple of float or None
        Mean and standard deviation of log-parabolas' beta; None where spectra are taken for power laws.
    """

    density_sr: float
    flux_cm2_s: float
    slope: float = 1.1
    indices: tuple[float, ...] = (1.8, 2.3, 2.8, 3.4, 4.2)
    weights: tuple[float, ...] = (0.15, 0.25, 0.3, 0.2, 0.1)
    extended: float = 0.03
    curvature: tuple[float, float] | None = None

    @property
    def spectra(self) -> SpectralPrior:
        """Means and standard deviations of photon indices and curvatures."""
        mean = float(np.average(self.indices, weights=self.weights))
        width = float(np.sqrt(np.average(np.square(self.indices), weights=self.weights) - mean**2))
        return SpectralPrior((mean, width), self.curvature)


# Above each survey's headline flux: 3FHL at |b| > 10 deg (245 sources above 1e-10), 4FGL-DR2 (2106 above 5e-10).
POPULATIONS = {
    "lat-10gev": Population(density_sr=23.6, flux_cm2_s=1e-10, slope=1.15),
    "lat-6band": Population(170.0, 5e-10, 1.0, indices=(1.6, 2.0, 2.4, 2.8, 3.3), curvature=(0.16, 0.17)),
}

# Relative error of the background, which counts the less for a source the more of it lies under the PSF: photons
# of a plane are weighted by 1 / (1 + error^2 * background) (4FGL: 3 %; Abdollahi et al. 2020, appendix B).
BACKGROUND_ERROR = 0.03
FLUX_FACTORS = np.geomspace(0.25, 3.0, 12)
PLACES = np.arange(-2, 3)  # in units of the position error


CLIMB_STEPS = 30


@dataclass(frozen=True, eq=False)
class Weighed:
    """Results of `weigh`, arrays [n]: best test statistic for the survey's index, its flux, log posterior odds."""

    ts: Floats
    flux_cm2_s: Floats
    log_odds: Floats


@dataclass(frozen=True, eq=False)
class SourceTest:
    """Sources at given places, each against none there, all else kept.

    Attributes
    ----------
    near : Neighbourhoods
    survey : Survey
    yields : array [n, n_planes]
        Exposures, cm2 s.
    null : array [n_pairs]
        Expected photons per sr without the source: background and neighbours.
    signal : array [n_pairs]
        Photons per sr of a source of one photon, over `null`.
    counts : array [n_pairs]
        Weighted by the trust in the background.
    gain : array [n, n_planes]
        Exposure, so weighted, and less what lies outside the neighbourhood.
    """

    near: Neighbourhoods
    survey: Survey
    yields: Floats
    null: Floats
    signal: Floats
    counts: Floats
    gain: Floats

    @classmethod
    def of(
        cls,
        near: Neighbourhoods,
        extent: Ints,
        null: Floats,
        spread: PointSpread,
        yields: Floats,
        survey: Survey,
    ) -> Self:
        """Test of sources of widths `extent` [n]; the others as the attributes."""
        row = spread.row(near.plane, near.per_pixel(extent))
        psf = spread.density_of(row, near.squared_deg())
        # background under the PSF: its mean there, weighted by the PSF, times the solid angle the PSF amounts to
        mean_sr = near.plane_total(psf * null) / np.maximum(near.plane_total(psf), 1e-300)
        trust = 1 / (1 + BACKGROUND_ERROR**2 * mean_sr * spread.solid_angle_sr)
        inside = spread.containment(np.arange(yields.shape[1]), near.radius_deg, extent[:, None])
        counts, gain = near.counts * near.per_pixel(trust), trust * yields * inside
        return cls(near, survey, yields, null, psf / null, counts, gain)

    def log_likelihood(self, index: float, flux_cm2_s: Floats) -> Floats:
        """Log likelihood ratio for an index and fluxes [n], [n]."""
        part = band_fractions(self.survey, index)
        photons = part * self.yields * flux_cm2_s[:, None]
        gained = self.near.total(self.counts * np.log1p(self.near.per_pixel(photons) * self.signal))
        return gained - np.sum(part * self.gain, axis=1) * flux_cm2_s

    def best_flux_cm2_s(self, start_cm2_s: Floats) -> Floats:
        """Flux of the highest likelihood for the survey's index, climbed to from rough ones, [n]."""
        part, flux = band_fractions(self.survey, self.survey.reference_index), start_cm2_s
        expected = np.sum(part * self.gain, axis=1)
        unit = self.near.per_pixel(part * self.yields) * self.signal
        for _ in range(CLIMB_STEPS):
            share = self.near.per_pixel(flux) * unit
            flux = np.maximum(self.near.total(self.counts * share / (1 + share)) / expected, 1e-30)
        return flux

    def ts(self, flux_cm2_s: Floats) -> Floats:
        """Test statistic of fluxes for the survey's index, [n]."""
        return np.maximum(2 * self.log_likelihood(self.survey.reference_index, flux_cm2_s), 0)


def weigh(
    test: SourceTest, extent: Ints, spread: PointSpread, start_flux_cm2_s: Floats, population: Population
) -> Weighed:
    """Posterior odds of a point source at each position against none.

    Parameters
    ----------
    test : SourceTest
    extent : array of int [n]
        Widths of the sources, those of `test`.
    spread : PointSpread
    start_flux_cm2_s : array [n]
        Rough fluxes, about which the average over flux is taken.
    population : Population
    """
    near, survey, yields = test.near, test.survey, test.yields
    flux = test.best_flux_cm2_s(start_flux_cm2_s)
    step = np.log(FLUX_FACTORS[1] / FLUX_FACTORS[0])
    terms, best, best_index, best_flux = [], np.full(near.n, -np.inf), np.zeros(near.n), flux.copy()
    for index, weight in zip(population.indices, population.weights, strict=True):
        for factor in FLUX_FACTORS:
            value = test.log_likelihood(index, factor * flux)
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
    expected = near.total(test.counts * photons * test.signal / (1 + photons * test.signal))
    sigma = unit_sigma * 1.5 / np.sqrt(np.maximum(expected, 2.0))
    row, around = spread.row(near.plane, near.per_pixel(extent)), []
    for i in PLACES:
        for j in PLACES:
            ratio = spread.density_of(row, near.squared_deg(i * sigma, j * sigma)) / test.null
            around.append(near.total(test.counts * np.log1p(photons * ratio)))
    centre = around[len(around) // 2]
    spread_of_place = np.logaddexp.reduce(np.array(around) - centre, axis=0)
    log_odds += spread_of_place + 2 * np.log(np.radians(sigma))
    log_odds += np.where(extent > 0, np.log(population.extended), 0.0)
    return Weighed(test.ts(flux), flux, log_odds)
