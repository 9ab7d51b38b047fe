"""Fluxes of sources by band, with errors from the likelihood's profile."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.likelihood.climb import climb
from models.likelihood.local_fit import LocalSky
from models.likelihood.optics import in_band
from sky.survey import Survey

Floats = NDArray[np.float64]

FLUX_STEPS = 40
WIDER_STEPS, SEARCH_STEPS = 8, 7
UPPER_LIMIT_TS = 1.0
FIRST_RADIUS_DEG = 0.3


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


class BandProfile:
    """Likelihood of the flux in each band, the background's levels profiled out.

    Fluxes are [n, n_bands]; the planes of a band (event types) share its flux.
    """

    def __init__(self, sky: LocalSky, psf: Floats, exposures: Floats, survey: Survey) -> None:
        self.sky, self.psf, self.exposures = sky, psf, exposures
        self.in_band = in_band(survey)
        self.level = np.ones_like(exposures)

    def per_band(self, values: Floats) -> Floats:
        """Sum over the planes of each band, [n, n_planes] to [n, n_bands]."""
        return values @ self.in_band

    @property
    def reach(self) -> Floats:
        """Photons that a flux of 1 brings into the neighbourhoods, [n, n_bands]."""
        return self.per_band(self.exposures * self.sky.contained)

    def __call__(self, flux: Floats) -> Floats:
        """Profile log-likelihood, [n, n_bands]."""
        photons = (flux @ self.in_band.T) * self.exposures
        signal = self.sky.spread_photons(photons, self.psf)
        self.level = self.sky.levels(signal, self.level)
        return self.per_band(self.sky.plane_likelihood(photons, signal, self.level))

    def best(self) -> Floats:
        """Fluxes of highest likelihood."""
        near = self.sky.near
        inside = near.plane_total(near.counts * (near.squared_deg() < FIRST_RADIUS_DEG**2))
        first = (self.per_band(inside) + 1) / self.reach
        flux, self.level = climb(
            self.sky, self.psf, self.exposures, self.in_band, first, self.level, FLUX_STEPS
        )
        return flux


def fit_bands(profile: BandProfile) -> BandFluxes:
    """Band fluxes with asymmetric errors where the likelihood falls by 1/2, limits where by 2."""
    flux = profile.best()
    top, level = profile(flux), profile.level
    zero = profile(np.zeros_like(flux))
    profile.level = level
    ts = np.maximum(2 * (top - zero), 0)
    flux = np.where(2 * (top - zero) > 0, flux, 0.0)
    top = np.maximum(top, zero)
    limit = ts < UPPER_LIMIT_TS
    scale = 1 / profile.reach
    high = crossing(
        profile, flux, flux + 3 * np.sqrt(flux * scale) + 4 * scale, top, np.where(limit, 2.0, 0.5)
    )
    profile.level = level
    low = crossing(profile, flux, np.zeros_like(flux), top, np.full_like(flux, 0.5))
    return BandFluxes(
        flux,
        np.where(limit, np.nan, low - flux),
        np.where(limit, (high - flux) / 2, high - flux),
        ts,
    )


def crossing(
    profile: Callable[[Floats], Floats], inner: Floats, outer: Floats, top: Floats, drop: Floats
) -> Floats:
    """Where a profile has fallen by `drop` from its maximum `top` at `inner`, towards `outer` or beyond.

    The root of the drop is nearly linear in the distance; false position with Illinois' correction (Dowell and
    Jarratt 1971, BIT 11, 168) finds it in a few steps. Beyond `outer` only where the profile falls off there
    upwards; at an `outer` of 0 that is still too high, the answer is 0.
    """

    def height(x: Floats) -> Floats:
        return np.sqrt(np.maximum(top - profile(x), 0)) - np.sqrt(drop)

    at_outer = height(outer)
    for _ in range(WIDER_STEPS):
        short = (at_outer < 0) & (outer > inner)
        if not short.any():
            break
        outer = np.where(short, inner + 2 * (outer - inner), outer)
        at_outer = np.where(short, height(outer), at_outer)
    beyond = at_outer < 0
    low, at_low, high, at_high = inner, -np.sqrt(drop), outer, at_outer
    found, before = outer, np.zeros(outer.shape, dtype=np.int64)
    for _ in range(SEARCH_STEPS):
        share = at_low / np.where(at_low == at_high, -1, at_low - at_high)
        found = np.where(beyond, outer, low + np.clip(share, 0, 1) * (high - low))
        at = height(found)
        side = np.where(at < 0, -1, 1)
        # an end that stays twice running counts half
        half = np.where(side == before, 0.5, 1.0)
        at_low, at_high = np.where(side < 0, at, at_low * half), np.where(side < 0, at_high * half, at)
        low, high = np.where(side < 0, found, low), np.where(side < 0, high, found)
        before = side
    return found
