"""How probable spectra of sources are: the weighted likelihood of all planes, and what is believed of their shape."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from models.likelihood.local_fit import LEAST_LEVEL, LEVEL_MOVES, LocalSky
from models.likelihood.rows import Rows
from models.likelihood.spectral_shares import Shares
from sky.survey import Survey

Floats = NDArray[np.float64]

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
class Point(Rows):
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

    def where(self, rows: NDArray[np.bool_], other: "Point") -> "Point":
        """This in some rows, the other elsewhere."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Point(*(np.where(rows.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs))

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


class Posterior:
    """Posterior of spectra: the weighted likelihood of all planes, and what is believed of index and curvature."""

    def __init__(
        self, sky: LocalSky, psf: Floats, exposures: Floats, survey: Survey, prior: SpectralPrior
    ) -> None:
        self.sky, self.psf, self.exposures = sky, psf, exposures
        self.shares, self.prior, self.survey = Shares(survey), prior, survey
        beliefs = [prior.index] if prior.curvature is None else [prior.index, prior.curvature]
        self.mean, self.width = np.array(beliefs).T

    def select(self, rows: NDArray[np.bool_]) -> "Posterior":
        """Some of the sources."""
        pairs = rows[self.sky.near.owner]
        return Posterior(
            self.sky.select(rows), self.psf[pairs], self.exposures[rows], self.survey, self.prior
        )

    def __call__(self, at: Floats, level: Floats) -> Point:
        """At parameters [n, k], see `Point`, and levels [n, n_planes]."""
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
        return Point(
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
