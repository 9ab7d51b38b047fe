"""Fluxes of sources: by band with errors from the likelihood's profile, and of a power law through all bands."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.likelihood.local_fit import LocalSky
from models.likelihood.neighbourhood import Neighbourhoods
from models.likelihood.optics import band_fractions
from sky.survey import Survey

Floats = NDArray[np.float64]

FLUX_STEPS = 40
SEARCH_STEPS = 12
INDEX_RANGE = (0.5, 6.0)
MOVE_RANGE = (-0.7, 0.7)  # of ln flux and index in one step
UPPER_LIMIT_TS = 1.0
LEAST_CURVATURE = 1e-3  # of that of a source without background


@dataclass(frozen=True, eq=False)
class BandFluxes:
    """Arrays [n, n_bands]; lower error NaN where the flux is an upper limit (4FGL's convention).

    There the upper error is half the distance from the best flux to the 2 sigma limit: the limit is
    flux + 2 * unc_high.
    """

    flux_cm2_s: Floats
    unc_low_cm2_s: Floats
    unc_high_cm2_s: Floats
    ts: Floats


@dataclass(frozen=True, eq=False)
class PowerLawFit:
    """Headline flux and photon index with 1 sigma errors, test statistic and photons; arrays [n]."""

    flux_cm2_s: Floats
    unc_flux_cm2_s: Floats
    index: Floats
    unc_index: Floats
    ts: Floats
    photons: Floats


class BandProfile:
    """Likelihood of the flux in each band, the background's levels profiled out.

    Fluxes are [n, n_bands]; the planes of a band (event types) share its flux.
    """

    def __init__(self, sky: LocalSky, psf: Floats, exposures: Floats, survey: Survey) -> None:
        self.sky, self.psf, self.exposures = sky, psf, exposures
        self.band_of = np.array([band for band, _ in survey.planes])
        self.n_bands = len(survey.bands)
        self.level = np.ones_like(exposures)

    def per_band(self, values: Floats) -> Floats:
        """Sum over the planes of each band, [n, n_planes] to [n, n_bands]."""
        return np.stack([values[:, self.band_of == b].sum(axis=1) for b in range(self.n_bands)], axis=1)

    def __call__(self, flux: Floats) -> Floats:
        """Profile log-likelihood, [n, n_bands]."""
        photons = flux[:, self.band_of] * self.exposures
        signal = self.sky.spread_photons(photons, self.psf)
        self.level = self.sky.levels(signal, self.level)
        return self.per_band(self.sky.plane_likelihood(photons, signal, self.level))

    def best(self) -> Floats:
        """Fluxes of highest likelihood: expectation maximisation, then Newton steps."""
        near, sky = self.sky.near, self.sky
        reach = self.per_band(self.exposures * sky.contained)
        flux = self.per_band(near.plane_total(near.counts * (near.separation_deg() < 0.3))) / reach + 1e-14
        for step in range(FLUX_STEPS):
            photons = flux[:, self.band_of] * self.exposures
            signal = sky.spread_photons(photons, self.psf)
            self.level = sky.levels(signal, self.level)
            expected = sky.expected(signal, self.level)
            ratio, back = sky.spread_photons(self.exposures, self.psf) / expected, sky.background / expected
            first = self.per_band(near.plane_total(near.counts * ratio))
            if step < FLUX_STEPS // 4:
                flux = np.maximum(flux * first / reach, 0.001 / reach)
                continue
            bend = self.per_band(_profiled(near, ratio, back))
            move = (first - reach) / np.maximum(bend, LEAST_CURVATURE * reach / flux)
            flux = np.maximum(flux + np.clip(move, -0.7 * flux, 2 * flux + 1 / reach), 0.001 / reach)
        return flux


def fit_bands(profile: BandProfile) -> BandFluxes:
    """Band fluxes with asymmetric errors where the likelihood falls by 1/2, limits where by 2."""
    flux = profile.best()
    top = profile(flux)
    zero = profile(np.zeros_like(flux))
    ts = np.maximum(2 * (top - zero), 0)
    flux = np.where(2 * (top - zero) > 0, flux, 0.0)
    top = np.maximum(top, zero)
    limit = ts < UPPER_LIMIT_TS
    drop = np.where(limit, 2.0, 0.5)
    scale = 1 / profile.per_band(profile.exposures * profile.sky.contained)
    high = crossing(profile, flux, flux + 3 * np.sqrt(flux * scale) + 4 * scale, top - drop)
    low = crossing(profile, flux, np.zeros_like(flux), top - 0.5)
    return BandFluxes(
        flux,
        np.where(limit, np.nan, low - flux),
        np.where(limit, (high - flux) / 2, high - flux),
        ts,
    )


def crossing(profile: Callable[[Floats], Floats], inner: Floats, outer: Floats, value: Floats) -> Floats:
    """Where a profile falls to `value` between `inner` and `outer`, which is moved out until it does."""
    for _ in range(8):
        short = (profile(outer) > value) & (outer > inner)
        if not short.any():
            break
        outer = np.where(short, inner + 2 * (outer - inner), outer)
    for _ in range(SEARCH_STEPS):
        middle = 0.5 * (inner + outer)
        above = profile(middle) > value
        inner, outer = np.where(above, middle, inner), np.where(above, outer, middle)
    return 0.5 * (inner + outer)


def fit_power_law(
    profile: BandProfile, survey: Survey, start_flux_cm2_s: Floats, index_prior: tuple[float, float]
) -> PowerLawFit:
    """Most probable flux and index, the background's levels profiled out.

    Gauss-Newton steps on (ln flux, index), held back wherever they would lower the likelihood (Levenberg 1944).

    Parameters
    ----------
    profile : BandProfile
    survey : Survey
    start_flux_cm2_s : array [n]
    index_prior : tuple of float
        Mean and standard deviation of the population's photon indices: what is believed of a source of few
        photons, and of no weight for one of many.
    """
    law = _PowerLaw(profile, survey)
    mean, width = index_prior
    log_flux = np.log(np.maximum(start_flux_cm2_s, 1e-20))
    index = np.full(len(log_flux), mean)

    def posterior(log_flux: Floats, index: Floats) -> tuple[Floats, Floats, Floats]:
        value, gradient, hessian = law(log_flux, index)
        gradient[:, 1] -= (index - mean) / width**2
        hessian[:, 1, 1] += 1 / width**2
        hessian[:, 0, 0] += 1e-9
        return value - 0.5 * ((index - mean) / width) ** 2, gradient, hessian

    value, gradient, hessian = posterior(log_flux, index)
    caution = np.full(len(log_flux), 0.1)
    for _ in range(FLUX_STEPS):
        damped = hessian.copy()
        damped[:, [0, 1], [0, 1]] *= 1 + caution[:, None]
        move = np.clip(np.linalg.solve(damped, gradient[..., None])[..., 0], *MOVE_RANGE)
        new_flux, new_index = log_flux + move[:, 0], np.clip(index + move[:, 1], *INDEX_RANGE)
        new_value, new_gradient, new_hessian = posterior(new_flux, new_index)
        better = new_value >= value
        caution = np.where(better, caution / 5, np.minimum(caution * 10, 1e6))
        log_flux, index = np.where(better, new_flux, log_flux), np.where(better, new_index, index)
        value = np.where(better, new_value, value)
        gradient[better], hessian[better] = new_gradient[better], new_hessian[better]
    variance = np.linalg.inv(hessian)[:, [0, 1], [0, 1]]
    flux = np.exp(log_flux)
    top, _, _ = law(log_flux, index)
    return PowerLawFit(
        flux_cm2_s=flux,
        unc_flux_cm2_s=flux * np.sqrt(variance[:, 0]),
        index=index,
        unc_index=np.sqrt(variance[:, 1]),
        ts=np.maximum(2 * (top - law.empty()), 0),
        photons=law.photons(log_flux, index),
    )


def _profiled(near: Neighbourhoods, share: Floats, back: Floats) -> Floats:
    """Curvature of the likelihood in a source's photons, the background's level following them, [n, n_planes].

    Without the second term the steps towards the best flux are too short by far where the PSF is as wide as the
    neighbourhood, so that source and background are hard to tell apart.
    """
    mixed = near.plane_total(near.counts * share * back)
    own = near.plane_total(near.counts * share**2)
    return own - mixed**2 / np.maximum(near.plane_total(near.counts * back**2), 1e-12)


class _PowerLaw:
    """Log-likelihood of power laws with its gradient and curvature in (ln flux, index), levels profiled out."""

    def __init__(self, profile: BandProfile, survey: Survey) -> None:
        self.sky, self.psf, self.exposures, self.survey = profile.sky, profile.psf, profile.exposures, survey
        self.level = np.ones_like(profile.exposures)

    def photons(self, log_flux: Floats, index: Floats) -> Floats:
        """Photons of the sources, [n, n_planes]."""
        return np.exp(log_flux)[:, None] * band_fractions(self.survey, index) * self.exposures

    def __call__(self, log_flux: Floats, index: Floats) -> tuple[Floats, Floats, Floats]:
        """Value [n], gradient [n, 2] and minus the Hessian's Gauss-Newton part [n, 2, 2]."""
        sky, near, survey = self.sky, self.sky.near, self.survey
        photons = self.photons(log_flux, index)
        signal = sky.spread_photons(photons, self.psf)
        self.level = sky.levels(signal, self.level)
        expected = sky.expected(signal, self.level)
        share, back = signal / expected, sky.background / expected
        first = near.plane_total(near.counts * share) - photons * sky.contained
        bend = _profiled(near, share, back)
        # a plane's photons change with ln flux by themselves, with the index by photons * tilt
        step = 0.01
        low, high = band_fractions(survey, index - step), band_fractions(survey, index + step)
        tilt = np.log(high / low) / (2 * step)
        gradient = np.stack([first.sum(axis=1), (first * tilt).sum(axis=1)], axis=-1)
        hessian = np.empty((near.n, 2, 2))
        hessian[:, 0, 0], hessian[:, 1, 1] = bend.sum(axis=1), (bend * tilt**2).sum(axis=1)
        hessian[:, 0, 1] = hessian[:, 1, 0] = (bend * tilt).sum(axis=1)
        return sky.plane_likelihood(photons, signal, self.level).sum(axis=1), gradient, hessian

    def empty(self) -> Floats:
        """Log-likelihood without the sources, [n]."""
        none, level = np.zeros_like(self.psf), np.ones_like(self.exposures)
        for _ in range(2):
            level = self.sky.levels(none, level)
        return self.sky.plane_likelihood(np.zeros_like(level), none, level).sum(axis=1)
