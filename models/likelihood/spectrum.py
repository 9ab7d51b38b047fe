"""Spectra of sources through all bands: a power law, and one that may be curved.

The headline flux is that of the curved spectrum where the survey's population has a prior for the curvature: a power
law through six bands puts pulsars a fifth and bright log-parabolas a tenth too low between 1 and 100 GeV.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from models.likelihood.local_fit import LEAST_LEVEL, LEVEL_MOVES, SETTLED, LocalSky
from models.likelihood.spectral_shares import Shares
from sky.survey import Survey

Floats = NDArray[np.float64]

STEPS = 42
STEPS_TOGETHER = 6  # then those that have settled are left out
INDEX_RANGE = (0.5, 6.0)
CURVATURE_RANGE = (-1.0, 2.0)
LOWEST = np.array([-80.0, INDEX_RANGE[0], CURVATURE_RANGE[0]])
HIGHEST = np.array([0.0, INDEX_RANGE[1], CURVATURE_RANGE[1]])
MOVE_RANGE = (-0.7, 0.7)  # of ln flux, index and curvature in one step


@dataclass(frozen=True)
class SpectralPrior:
    """What is believed of a source of few photons, and of no weight for one of many: mean and standard deviation.

    Attributes
    ----------
    index : tuple of float
    curvature : tuple of float or None
        Of a log-parabola's beta; None where spectra are power laws.
    """

    index: tuple[float, float]
    curvature: tuple[float, float] | None = None

    def straight(self) -> "SpectralPrior":
        """The same of power laws."""
        return SpectralPrior(self.index)


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
    posterior = _Posterior(sky, psf, exposures, survey, prior)
    start = np.log(np.maximum(start_flux_cm2_s, 1e-20))
    first = np.column_stack([start, np.tile(posterior.mean, (len(start), 1))])
    here, moving = _steps(posterior, first, np.ones_like(exposures))
    for _ in range(STEPS_TOGETHER, STEPS, STEPS_TOGETHER):
        if not moving.any():
            break
        new, still = _steps(posterior.select(moving), here.at[moving], here.level[moving])
        here = here.replaced(moving, new)
        moving[moving] = still
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


def _steps(posterior: "_Posterior", at: Floats, level: Floats) -> tuple["_Point", NDArray[np.bool_]]:
    """Some steps; the best point, and which sources [n] have not settled."""
    here = posterior(at, level)
    caution, moving = np.full(len(at), 0.1), np.ones(len(at), dtype=bool)
    for _ in range(STEPS_TOGETHER):
        new = posterior(*here.step(caution))
        better = moving & (new.value >= here.value)
        here = new.where(better, here)
        caution = np.where(better, caution / 5, np.minimum(caution * 10, 1e6))
        moving &= here.gain > SETTLED
        if not moving.any():
            break
    return here, moving


@dataclass(frozen=True, eq=False)
class _Point:
    """The posterior at some parameters.

    Attributes
    ----------
    at : array [n, k]
        ln flux, index and, if free, curvature.
    level : array [n, n_planes]
    value, likelihood : array [n]
        Logarithms of posterior and likelihood.
    gradient : array [n, k]
    bend : array [n, k, k]
        Minus the Gauss-Newton part of the Hessian; the levels follow in both.
    photons : array [n, n_planes]
    tilt : array [n, n_planes, k]
        Derivatives of ln photons.
    rest, follows : array [n, n_planes]
        See `Freed`.
    level_gain : array [n]
        What the levels' own steps may gain in twice the likelihood.
    """

    at: Floats
    level: Floats
    value: Floats
    likelihood: Floats
    gradient: Floats
    bend: Floats
    photons: Floats
    tilt: Floats
    rest: Floats
    follows: Floats
    level_gain: Floats

    def where(self, rows: NDArray[np.bool_], other: "_Point") -> "_Point":
        """This in some rows, the other elsewhere."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return _Point(*(np.where(rows.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs))

    def replaced(self, rows: NDArray[np.bool_], new: "_Point") -> "_Point":
        """With other values in some rows."""
        out = {f.name: getattr(self, f.name).copy() for f in fields(self)}
        for name, values in out.items():
            values[rows] = getattr(new, name)
        return _Point(**out)

    @property
    def gain(self) -> Floats:
        """What one more step may gain in twice the posterior, [n]."""
        move = np.linalg.solve(self.bend, self.gradient[..., None])[..., 0]
        new = np.clip(self.at + move, LOWEST[: move.shape[1]], HIGHEST[: move.shape[1]])
        return np.sum((new - self.at) * self.gradient, axis=1) + self.level_gain

    def step(self, caution: Floats) -> tuple[Floats, Floats]:
        """The next parameters and levels."""
        damped = self.bend + caution[:, None, None] * self.bend * np.eye(self.bend.shape[-1])
        move = np.clip(np.linalg.solve(damped, self.gradient[..., None])[..., 0], *MOVE_RANGE)
        new = np.clip(self.at + move, LOWEST[: move.shape[1]], HIGHEST[: move.shape[1]])
        change = np.einsum("npk,nk->np", self.tilt, new - self.at) * self.photons
        change = (self.rest + self.follows * change) / (1 + caution[:, None])
        down, up = LEVEL_MOVES
        return new, np.maximum(self.level + np.clip(change, -down * self.level, up * self.level), LEAST_LEVEL)


class _Posterior:
    """Posterior of spectra: the weighted likelihood of all planes, and what is believed of index and curvature."""

    def __init__(
        self, sky: LocalSky, psf: Floats, exposures: Floats, survey: Survey, prior: SpectralPrior
    ) -> None:
        self.sky, self.psf, self.exposures = sky, psf, exposures
        self.shares, self.prior, self.survey = Shares(survey), prior, survey
        beliefs = [prior.index] if prior.curvature is None else [prior.index, prior.curvature]
        self.mean, self.width = np.array(beliefs).T

    def select(self, rows: NDArray[np.bool_]) -> "_Posterior":
        """Some of the sources."""
        pairs = rows[self.sky.near.owner]
        return _Posterior(
            self.sky.select(rows), self.psf[pairs], self.exposures[rows], self.survey, self.prior
        )

    def __call__(self, at: Floats, level: Floats) -> _Point:
        share, tilt = self.shares(at[:, 1], at[:, 2] if at.shape[1] > 2 else np.zeros(len(at)))
        tilt = tilt[..., : at.shape[1]]
        photons = np.exp(at[:, :1]) * share * self.exposures
        slopes = self.sky.slopes(photons, level, self.psf)
        free = slopes.freed(level)
        gradient = np.einsum("np,npk->nk", free.slope * photons, tilt)
        bend = np.einsum("np,npk,npl->nkl", free.bend * photons**2, tilt, tilt)
        off = (at[:, 1:] - self.mean) / self.width
        gradient[:, 1:] -= off / self.width
        bend += np.diag([1e-9, *self.width**-2.0])
        likelihood = slopes.value.sum(axis=1)
        return _Point(
            at=at,
            level=level,
            value=likelihood - 0.5 * np.sum(off**2, axis=1),
            likelihood=likelihood,
            gradient=gradient,
            bend=bend,
            photons=photons,
            tilt=tilt,
            rest=free.rest,
            follows=free.follows,
            level_gain=np.sum(free.rest**2 * slopes.level_bend, axis=1),
        )

    def without_source(self) -> Floats:
        """Log-likelihood without the sources, [n]."""
        none = np.zeros_like(self.psf)
        level = self.sky.levels(none, self.sky.levels(none, np.ones_like(self.exposures)))
        return self.sky.plane_likelihood(np.zeros_like(level), none, level).sum(axis=1)
