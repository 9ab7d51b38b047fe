"""Band fluxes of highest likelihood, the background's levels fitted with them."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.likelihood.local_fit import LEAST_LEVEL, LEVEL_MOVES, SETTLED, LocalSky, Slopes

Floats = NDArray[np.float64]

LEAST_PHOTONS = 1e-3  # of a flux: below, it has come to its end
CAUTION = (0.1, 10.0)  # least after a step that failed, and the factor by which it grows


def climb(
    sky: LocalSky, psf: Floats, exposures: Floats, in_band: Floats, flux: Floats, level: Floats, steps: int
) -> tuple[Floats, Floats]:
    """Raise the likelihood over band fluxes and background levels together.

    Newton steps, held back wherever they would lower the likelihood of a band (Levenberg 1944, Q. Appl. Math. 2,
    164). Sources that have settled rest: no result depends on what else is fitted at the same time.

    Parameters
    ----------
    sky : LocalSky
    psf : array [n_pairs]
        Per sr.
    exposures : array [n, n_planes]
        cm2 s.
    in_band : array [n_planes, n_bands]
        1 where a plane belongs to a band.
    flux : array [n, n_bands]
        Where to begin, cm-2 s-1.
    level : array [n, n_planes]
        Likewise, of the background.
    steps : int
        At most so many.

    Returns
    -------
    flux, level
    """
    here, rows = _Ascent.at(sky, psf, exposures, in_band, flux, level), np.arange(len(flux))
    flux, level = flux.copy(), level.copy()
    for _ in range(steps):
        climbing = np.any(here.moving, axis=1)
        if not climbing.any():
            break
        if 2 * climbing.sum() < len(rows):  # the few that climb on do so without the others' photons
            flux[rows], level[rows] = here.flux, here.level
            here, rows = here.select(climbing), rows[climbing]
        here = here.stepped()
    flux[rows], level[rows] = here.flux, here.level
    return flux, level


@dataclass(frozen=True, eq=False)
class _Ascent:
    """How far sources have come.

    Attributes
    ----------
    flux, value, caution : array [n, n_bands]
        The best so far, its likelihood, and how much the next steps are held back.
    moving : array of bool [n, n_bands]
        What has not settled.
    level : array [n, n_planes]
    known : Slopes
        There.
    """

    sky: LocalSky
    psf: Floats
    exposures: Floats
    in_band: Floats
    flux: Floats
    level: Floats
    known: Slopes
    value: Floats
    caution: Floats
    moving: NDArray[np.bool_]

    @classmethod
    def at(
        cls, sky: LocalSky, psf: Floats, exposures: Floats, in_band: Floats, flux: Floats, level: Floats
    ) -> Self:
        """At the start."""
        known = sky.slopes((flux @ in_band.T) * exposures, level, psf)
        value, everything = known.value @ in_band, np.ones(flux.shape, dtype=bool)
        start = cls(sky, psf, exposures, in_band, flux, level, known, value, np.zeros_like(flux), everything)
        return replace(start, moving=start._unsettled())

    def select(self, rows: NDArray[np.bool_]) -> Self:
        """Some of the sources."""
        return replace(
            self,
            sky=self.sky.select(rows),
            psf=self.psf[rows[self.sky.near.owner]],
            exposures=self.exposures[rows],
            flux=self.flux[rows],
            level=self.level[rows],
            known=self.known.select(rows),
            value=self.value[rows],
            caution=self.caution[rows],
            moving=self.moving[rows],
        )

    @property
    def _reach(self) -> Floats:
        return (self.exposures * self.sky.contained) @ self.in_band

    def _along(self, damp: Floats | float = 1.0) -> tuple[Floats, Floats, Floats, Floats]:
        """First derivative and minus the second in the fluxes, [n, n_bands]; `rest` and `follows` of the levels."""
        free, per_flux = self.known.freed(self.level, damp), self.exposures
        bend = np.maximum((free.bend * per_flux**2) @ self.in_band, 1e-6 * self._reach**2)
        return (free.slope * per_flux) @ self.in_band, bend, free.rest, free.follows

    def _unsettled(self) -> NDArray[np.bool_]:
        """Bands that may gain yet, in twice ln L; a flux at its end stays there."""
        slope, bend, rest, _ = self._along()
        at_end = (self.flux <= LEAST_PHOTONS / self._reach) & (slope < 0)
        gain = np.where(at_end, 0, slope**2 / bend)
        return gain + (rest**2 * self.known.level_bend) @ self.in_band > SETTLED

    def stepped(self) -> Self:
        """A step on, where that raises the likelihood; elsewhere the next is shorter."""
        to_planes, least = self.in_band.T, LEAST_PHOTONS / self._reach
        slope, bend, rest, follows = self._along(1 + self.caution @ to_planes)
        step = np.clip(slope / bend, -0.9 * self.flux, 2 * self.flux + 1e3 * least)
        flux = np.maximum(self.flux + step, least)
        down, up = LEVEL_MOVES
        change = rest + follows * ((flux - self.flux) @ to_planes) * self.exposures
        change = np.clip(change, -down * self.level, up * self.level)
        level = np.maximum(self.level + change, LEAST_LEVEL)
        slopes = self.sky.slopes((flux @ to_planes) * self.exposures, level, self.psf)
        value = slopes.value @ self.in_band
        better = self.moving & (value >= self.value)
        in_better = better @ to_planes > 0
        least_caution, growth = CAUTION
        new = replace(
            self,
            flux=np.where(better, flux, self.flux),
            level=np.where(in_better, level, self.level),
            known=slopes.kept(in_better, self.known),
            value=np.where(better, value, self.value),
            caution=np.where(better, self.caution / growth, np.maximum(growth * self.caution, least_caution)),
        )
        return replace(new, moving=self.moving & new._unsettled())
