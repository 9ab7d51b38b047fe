"""Band fluxes of highest likelihood, the background's levels fitted with them."""

import numpy as np
from numpy.typing import NDArray

from models.likelihood.local_fit import LEAST_LEVEL, LEVEL_MOVES, SETTLED, LocalSky

Floats = NDArray[np.float64]

STEPS_TOGETHER = 6  # then those that have settled are left out


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
    flux, level = flux.copy(), level.copy()
    rows = np.ones(len(flux), dtype=bool)
    for _ in range(0, steps, STEPS_TOGETHER):
        part = sky if rows.all() else sky.select(rows)
        pairs = rows[sky.near.owner]
        flux[rows], level[rows], moving = _steps(
            part, psf[pairs], exposures[rows], in_band, flux[rows], level[rows]
        )
        rows[rows] = moving
        if not rows.any():
            break
    return flux, level


def _steps(
    sky: LocalSky, psf: Floats, exposures: Floats, in_band: Floats, flux: Floats, level: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Some steps; fluxes, levels, and which sources [n] have not settled."""
    reach = (exposures * sky.contained) @ in_band
    least = 1e-3 / reach
    to_planes = in_band.T
    caution, best = np.zeros_like(flux), np.full_like(flux, -np.inf)
    moving = np.ones(flux.shape, dtype=bool)
    new_flux, new_level, known = flux, level, None
    for step in range(STEPS_TOGETHER + 1):
        at = sky.slopes((new_flux @ to_planes) * exposures, new_level, psf)
        value = at.value @ in_band
        better = moving & (value >= best)
        in_better = better @ to_planes > 0
        known = at if known is None else at.kept(in_better, known)
        flux, best = np.where(better, new_flux, flux), np.where(better, value, best)
        level = np.where(in_better, new_level, level)
        caution = np.where(better, caution / 10, np.maximum(10 * caution, 0.1))
        free = known.freed(level)
        slope, bend = (free.slope * exposures) @ in_band, (free.bend * exposures**2) @ in_band
        # what twice ln L may yet gain; a flux at its end stays there
        gain = np.where((flux <= least) & (slope < 0), 0, slope**2 / np.maximum(bend, 1e-6 * reach**2))
        moving &= gain + (free.rest**2 * known.level_bend) @ in_band > SETTLED
        if step == STEPS_TOGETHER or not moving.any():
            break
        free = known.freed(level, 1 + caution @ to_planes)
        slope, bend = (free.slope * exposures) @ in_band, (free.bend * exposures**2) @ in_band
        bend = np.maximum(bend, 1e-6 * reach**2)
        new_flux = np.maximum(flux + np.clip(slope / bend, -0.9 * flux, 2 * flux + 1e3 * least), least)
        change = free.rest + free.follows * ((new_flux - flux) @ to_planes) * exposures
        down, up = LEVEL_MOVES
        new_level = np.maximum(level + np.clip(change, -down * level, up * level), LEAST_LEVEL)
    return flux, level, np.any(moving, axis=1)
