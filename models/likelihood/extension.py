"""How extended sources are: the radius of the best-fitting uniform disc.

The likelihood of a disc of every radius of a grid, fluxes of the bands and levels of the background refitted for
each, is interpolated over radius. The test statistic of extension is twice its gain over a point (4FGL's TS_ext;
Abdollahi et al. 2020, ApJS 247, 33, section 3.4); of a point it is 0 half the time, and chi squared with 1 degree
of freedom else (Chernoff 1954, Ann. Math. Stat. 25, 573).

A bright source shows that the PSF of the model is not quite right. A width wrong by a share `delta` looks like an
extension with twice a log-likelihood of (2 delta)^2 a photon; each plane's likelihood is therefore divided by
1 + (2 delta)^2 N, N its photons over background, as 4FGL does for the background (its appendix B).
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import healpy as hp
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from models.likelihood.band_fit import FIRST_RADIUS_DEG
from models.likelihood.climb import climb
from models.likelihood.fit import Measurements
from models.likelihood.local_fit import LocalSky
from models.likelihood.localise import localise
from models.likelihood.neighbourhood import offsets_deg
from models.likelihood.optics import (
    PointSpread,
    TablePlaces,
    disc_spread,
    in_band,
    nearest_index_step,
)
from models.likelihood.rows import Rows
from models.likelihood.surroundings import Surroundings
from sky.exposure import ExposureMaps
from sky.frames import unit_vectors
from sky.response import Response
from sky.survey import Survey

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Beyond the last, the background that follows structure of that size takes the source for its own.
RADII_DEG = (0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.27, 0.36, 0.5, 0.7, 1.0)
FINE_DEG = np.linspace(0, RADII_DEG[-1], 401)
RECENTRED_TS = 4.0  # above it, the place is fitted again for a disc
STEPS = 20
# Relative error of the PSF's width: what half a step of the photon index changes (1 to 3 %), and that photons are known
# by their pixels, which is taken as a blur of every source alike: by a Gaussian, wherever in its pixel it stands.
WIDTH_ERROR = 0.02
PIXEL_SHARE = 0.5**0.5
CORE = 0.39  # of a Gaussian within a standard deviation


@dataclass(frozen=True, eq=False)
class Extensions(Rows):
    """Discs fitted to sources, arrays [N].

    Attributes
    ----------
    ext_radius_deg : array
        Radius of the best disc; 0 for a point. At the largest radius tried, a lower limit.
    unc_ext_radius_deg : array
        Half the interval in which twice the log-likelihood is within 1 of its maximum; the distance to its upper
        end where it holds a point; NaN where it has no upper end.
    ts_ext : array
        Twice the gain in log-likelihood over a point, less what errors of the PSF can bring.
    """

    ext_radius_deg: Floats
    unc_ext_radius_deg: Floats
    ts_ext: Floats

    def __len__(self) -> int:
        return len(self.ts_ext)


def extensions(around: Surroundings, measured: Measurements, exposure: ExposureMaps) -> Extensions:
    """Fit discs to measured sources.

    Parameters
    ----------
    around : Surroundings
    measured : Measurements
        Of the same sources, in the sequence that `around` was asked for.
    exposure : ExposureMaps
    """
    if not len(around):
        return Extensions(*np.empty((3, 0)))
    survey, order = around.survey, np.argsort(around.back)
    detections, sky = around.measured, around.joined()
    exposures = exposure.of_planes(detections.glon_deg, detections.glat_deg)
    start = unit_vectors(detections.glon_deg, detections.glat_deg)
    place = unit_vectors(measured.glon_deg[order], measured.glat_deg[order])
    east, north = offsets_deg(start, place)
    first = nearest_index_step(survey, measured.index[order]) * len(RADII_DEG)
    sky = replace(sky, spread=disc_table(survey, around.response), profile=first)
    planes, photons, over = _likelihoods(sky, east, north, exposures, survey)
    trust = 1 / (1 + (2 * width_error(sky.spread, survey)) ** 2 * over)
    curves = _weighted(planes, trust)
    found = _best(curves)

    wide = found.ts_ext > RECENTRED_TS
    if wide.any():
        rows = np.flatnonzero(wide)
        nearest = np.abs(found.ext_radius_deg[rows, None] - np.array(RADII_DEG)).argmin(axis=1)
        disc = replace(sky.select(wide), profile=first[rows] + nearest)
        amount = photons[nearest, rows]
        level = disc.levels(
            disc.spread_photons(amount, disc.psf(east[rows], north[rows])), np.ones_like(amount)
        )
        moved = localise(disc, amount, level)
        disc = replace(disc, profile=first[rows])
        again, _, _ = _likelihoods(disc, moved.east_deg, moved.north_deg, exposures[rows], survey)
        again[0] = planes[0, rows]  # the point stays where it fits best
        curves[:, rows] = _weighted(again, trust[rows])
        found = _best(curves)
    return found.select(around.back)


def width_error(spread: PointSpread, survey: Survey) -> Floats:
    """Relative error of the width of the PSF in each plane, [n_planes]."""
    side = np.array([hp.nside2resol(survey.bands[band].nside, arcmin=True) / 60 for band, _ in survey.planes])
    # Of the variance of a uniform pixel on an axis, half its share in that of the PSF's core.
    pixel = PIXEL_SHARE * side**2 / 12 / (2 * spread.radius_deg(CORE) ** 2)
    return np.hypot(WIDTH_ERROR, pixel)


def _weighted(planes: Floats, trust: Floats) -> Floats:
    """Log-likelihoods over a point's, [n_radii, n], of those of planes [n_radii, n, n_planes]."""
    return np.sum((planes - planes[0]) * trust, axis=2)


@lru_cache(maxsize=4)
def disc_table(survey: Survey, response: Response) -> PointSpread:
    """Discs of all radii tried, as the planes see them; made once a process."""
    return disc_spread(survey, response, RADII_DEG)


def _likelihoods(
    sky: LocalSky, east: Floats, north: Floats, exposures: Floats, survey: Survey
) -> tuple[Floats, Floats, Floats]:
    """Best log-likelihoods and photons for each radius, [n_radii, n, n_planes]; photons of the point over background.

    The last, [n, n_planes]: each photon counts by the square of its probability to be the source's.
    """
    near, first = sky.near, sky.profile
    squared = near.squared_deg(east, north)
    places = TablePlaces.of(sky.row, squared)
    band_of = np.array([band for band, _ in survey.planes])
    to_bands = in_band(survey)
    inside = near.plane_total(near.counts * (squared < FIRST_RADIUS_DEG**2))
    flux = (inside @ to_bands + 1) / (exposures @ to_bands)
    level = np.ones_like(exposures)
    values, amounts, over = [], [], np.zeros_like(exposures)
    for k in range(len(RADII_DEG)):
        disc = replace(sky, profile=first + k)
        psf = disc.spread.density_at(places, k)
        flux, level = climb(disc, psf, exposures, to_bands, flux, level, STEPS)
        photons = flux[:, band_of] * exposures
        signal = disc.spread_photons(photons, psf)
        values.append(disc.plane_likelihood(photons, signal, level))
        amounts.append(photons)
        if k == 0:
            over = near.plane_total(near.counts * (signal / disc.expected(signal, level)) ** 2)
    return np.array(values), np.array(amounts), over


def _best(curves: Floats) -> Extensions:
    """Best radii from log-likelihoods [n_radii, n], even in the radius: level at 0."""
    level_at_0 = (1, np.zeros(curves.shape[1]))
    spline = CubicSpline(RADII_DEG, 2 * (curves - curves[0]), bc_type=(level_at_0, "not-a-knot"))
    fine = spline(FINE_DEG)
    best, rows = fine.argmax(axis=0), np.arange(fine.shape[1])
    top = fine[best, rows]
    within = fine > top - 1
    number = np.arange(len(FINE_DEG))[:, None]
    # the interval about the maximum, not beyond the first radius outside it on either side
    upper = np.where(within | (number < best), len(FINE_DEG), number).min(axis=0)
    lower = np.where(within | (number > best), -1, number).max(axis=0)
    high = FINE_DEG[np.minimum(upper, len(FINE_DEG) - 1)]
    low, radius = FINE_DEG[np.maximum(lower, 0)], FINE_DEG[best]
    error = np.where(lower < 0, high - radius, (high - low) / 2)
    return Extensions(radius, np.where(upper < len(FINE_DEG), error, np.nan), np.maximum(top, 0))
