"""Spectra of sources through all bands: a power law, and one that may be curved.

The headline flux is that of the curved spectrum where the survey's population has a prior for the curvature: a power
law through six bands puts pulsars and bright log-parabolas too low between 1 and 100 GeV.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.likelihood.local_fit import SETTLED, LocalSky
from models.likelihood.spectral_posterior import Point, Posterior, SpectralPrior
from sky.survey import Survey

Floats = NDArray[np.float64]

STEPS = 42


@dataclass(frozen=True, eq=False)
class SpectralFit:
    """Fitted spectra; arrays [n] unless said otherwise.

    dN/dE falls as E^-(index + curvature * ln(E / pivot)).

    Attributes
    ----------
    flux_cm2_s, unc_flux_cm2_s : array
        In the survey's headline range.
    index, unc_index : array
        At the pivot.
    curvature, unc_curvature : array
        0 of a power law.
    cov_index_curvature : array
    density_cm2_s_gev : array
        Flux density at the pivot.
    ts : array
        Twice ln L over no source.
    photons : array [n, n_planes]
    """

    flux_cm2_s: Floats
    unc_flux_cm2_s: Floats
    index: Floats
    unc_index: Floats
    curvature: Floats
    unc_curvature: Floats
    cov_index_curvature: Floats
    density_cm2_s_gev: Floats
    ts: Floats
    photons: Floats


def fit_spectrum(
    sky: LocalSky,
    psf: Floats,
    exposures: Floats,
    survey: Survey,
    start_flux_cm2_s: Floats,
    prior: SpectralPrior,
) -> SpectralFit:
    """Most probable flux, index and curvature, the background's levels fitted with them.

    Gauss-Newton steps on (ln flux, index, curvature), held back wherever they would lower the posterior (Levenberg
    1944, Q. Appl. Math. 2, 164). A source that has settled rests: no result depends on what else is fitted.

    Parameters
    ----------
    sky : LocalSky
    psf : array [n_pairs]
        Per sr.
    exposures : array [n, n_planes]
        cm2 s.
    survey : Survey
    start_flux_cm2_s : array [n]
    prior : SpectralPrior
    """
    posterior = Posterior(sky, psf, exposures, survey, prior)
    start = np.log(np.maximum(start_flux_cm2_s, 1e-20))
    first = np.column_stack([start, np.tile(posterior.mean, (len(start), 1))])
    here = _climbed(posterior, first)
    # the curvature of a power law is 0, and known
    at, covariance = np.zeros((len(start), 3)), np.zeros((len(start), 3, 3))
    free = first.shape[1]
    at[:, :free], covariance[:, :free, :free] = here.at, np.linalg.inv(here.bend)
    error = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    flux, index, curvature = np.exp(at[:, 0]), at[:, 1], at[:, 2]
    none = posterior.without_source()
    return SpectralFit(
        flux_cm2_s=flux,
        unc_flux_cm2_s=flux * error[:, 0],
        index=index,
        unc_index=error[:, 1],
        curvature=curvature,
        unc_curvature=error[:, 2],
        cov_index_curvature=covariance[:, 1, 2],
        density_cm2_s_gev=flux / posterior.shares.headline_gev(index, curvature),
        ts=np.maximum(2 * (here.likelihood - none), 0),
        photons=here.photons,
    )


def _climbed(posterior: Posterior, start: Floats) -> Point:
    """The best points from parameters [n, k] on."""
    best = here = posterior(start, np.ones_like(posterior.exposures))
    rows, caution = np.arange(len(start)), np.full(len(start), 0.1)
    moving = np.ones(len(start), dtype=bool)
    for _ in range(STEPS):
        new = posterior(*here.step(caution))
        better = moving & (new.value >= here.value)
        here = new.where(better, here)
        caution = np.where(better, caution / 5, np.minimum(caution * 10, 1e6))
        moving &= here.gain > SETTLED
        if not moving.any():
            break
        if 2 * moving.sum() < len(rows):  # the few that climb on do so without the others' photons
            best = best.replaced(rows, here)
            posterior, here, caution = posterior.select(moving), here.select(moving), caution[moving]
            rows, moving = rows[moving], moving[moving]
    return best.replaced(rows, here)
