"""Discs and the rings round them: how much of what they hold a wide source makes, by likelihood.

The background of a tile is estimated from its own counts, and takes what is wider than half a degree for its own. A wider
source is told from the interstellar emission by its spectrum alone: the emission has the same spectrum in the disc as
in the ring, only its brightness differs. With a_b the background of the ring in a band, q the disc's over the ring's, and
s_b, t_b what a source of unit flux and some index gives disc and ring, they are expected to hold

    q a_b + F s_b    and    a_b + F t_b,

and a_b, q, F and the index are fitted; the test statistic is twice the gain in ln L over F = 0. A source as soft as the
emission is not seen. That the spectrum is the same is true to a few per cent only, and so is what known sources are
expected to give: photons are weighted by the inverse of how much wider that makes the counts' variance, as 4FGL weights
them (Abdollahi et al. 2020, ApJS 247, 33, appendix B).
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.likelihood.optics import (
    SEPARATIONS_DEG,
    band_fractions,
    in_band,
    power_law_index,
    wide_disc_spread,
)
from models.likelihood.rest import GAP_DEG, RING_DEG, Rest
from models.likelihood.rows import Rows
from sky.exposure import ExposureMaps
from sky.frames import lon_lat
from sky.response import Response
from sky.survey import Survey

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RADII_DEG = (0.6, 0.8, 1.0, 1.3, 1.6, 2.0)
INDICES = np.linspace(1.2, 2.6, 8)
INDEX_STEP = INDICES[1] - INDICES[0]
SPECTRUM_ERROR = 0.03
WING_ERROR = 0.05  # of known sources' photons, that lie where the model of the PSF does not have them
LEAST_GEV = 1.0  # below, the PSF is as wide as the discs
STEPS, STRETCH = 120, 1.7


@dataclass(frozen=True, eq=False)
class RegionFit(Rows):
    """Sources fitted to regions, arrays [n].

    Attributes
    ----------
    ts : array
    flux_cm2_s : array
        In the survey's headline range.
    index : array
    ratio : array
        Brightness of the background in the disc over that in the ring.
    background : array [n, n_bands]
        Photons of the background in the ring.
    harder : array
        By how much the index is below that of this background; NaN where it is not asked.
    """

    ts: Floats
    flux_cm2_s: Floats
    index: Floats
    ratio: Floats
    background: Floats
    harder: Floats


def seen_bands(survey: Survey) -> Ints:
    """Bands that are used."""
    return np.flatnonzero([band.emin_gev >= LEAST_GEV for band in survey.bands])


def weights(disc: Floats, known: Floats) -> Floats:
    """What a photon of each band counts, [n, n_bands], for discs with so many photons and so many of known sources."""
    return 1 / (1 + SPECTRUM_ERROR**2 * disc + (WING_ERROR * known) ** 2 / np.maximum(disc, 1))


@lru_cache(maxsize=8)
def contained(survey: Survey, response: Response) -> tuple[Floats, Floats]:
    """Share of a source's photons in its disc and in the ring round it, [n_radii, n_planes] each."""
    table = wide_disc_spread(survey, response, RADII_DEG).contained

    def within(radius: float, k: int) -> Floats:
        return np.array([np.interp(radius, SEPARATIONS_DEG, row) for row in table[k]])

    disc = np.array([within(r, k) for k, r in enumerate(RADII_DEG)])
    ring = [within(r + RING_DEG, k) - within(r + GAP_DEG, k) for k, r in enumerate(RADII_DEG)]
    return disc, np.array(ring)


def yields(survey: Survey, exposures: Floats, share: Floats) -> Floats:
    """Photons that sources of unit flux and of `INDICES` give, [n, n_indices, n_bands].

    Parameters
    ----------
    survey : Survey
    exposures, share : array [n, n_planes]
        cm2 s, and the share of photons that is inside.
    """
    photons = band_fractions(survey, INDICES) * (exposures * share)[:, None, :]
    return photons @ in_band(survey)


def disc_yields(
    exposure: ExposureMaps, response: Response, vectors: Floats, radius: Ints
) -> tuple[Floats, Floats]:
    """`yields` of discs at places [n, 3], radii by their number in `RADII_DEG`: in the disc, and in its ring."""
    survey = exposure.survey
    exposures = exposure.of_planes(*lon_lat(vectors))
    inside, outside = (yields(survey, exposures, share[radius]) for share in contained(survey, response))
    return inside, outside


def fit_discs(
    rest: Rest, vectors: Floats, radii_deg: Floats, exposure: ExposureMaps, response: Response, step: int = 1
) -> RegionFit:
    """Sources of some of `RADII_DEG` at places [n, 3]; rows by place, then by radius."""
    survey, bands = rest.survey, seen_bands(rest.survey)
    counts = rest.regions(vectors, radii_deg, step)
    disc, ring, known = (part.reshape(-1, part.shape[-1])[:, bands] for part in counts)
    number = np.tile(np.searchsorted(RADII_DEG, radii_deg), len(vectors))
    places = np.repeat(vectors, len(radii_deg), axis=0)
    inside, outside = (made[..., bands] for made in disc_yields(exposure, response, places, number))
    fit = fit_regions(disc, ring, inside, outside, weights(disc, known))
    intensity = fit.background / np.maximum(
        exposure.of_planes(*lon_lat(places)) @ in_band(survey)[:, bands], 1e-300
    )
    lit = np.where(fit.background > 1, 1.0, 0.0)
    return replace(fit, harder=power_law_index(intensity, lit, survey, bands) - fit.index)


def fit_regions(disc: Floats, ring: Floats, in_disc: Floats, in_ring: Floats, weight: Floats) -> RegionFit:
    """Fit sources to counts by expectation maximisation, the flux with a stretch (`sharing`).

    Parameters
    ----------
    disc, ring : array [n, n_bands]
        Counts.
    in_disc, in_ring : array [n, n_indices, n_bands]
        `yields` there.
    weight : array [n, n_bands]
        `weights`.
    """
    here, there = (weight * disc)[:, None, :], (weight * ring)[:, None, :]
    source, spill = weight[:, None, :] * in_disc, weight[:, None, :] * in_ring
    ratio = np.maximum(here.sum(axis=2), 1e-9) / np.maximum(there.sum(axis=2), 1e-9)  # [n, 1]
    back = np.maximum((here + there) / (1 + ratio[..., None]), 1e-9)
    without = _log_likelihood(here, there, ratio[..., None] * back, back)
    reach = np.maximum((source + spill).sum(axis=2), 1e-300)
    flux = 0.1 * np.maximum(here.sum(axis=2), 1e-9) / reach  # [n, n_indices]
    least, ratio = 1e-6 * flux, np.repeat(ratio, flux.shape[1], axis=1)
    for _ in range(STEPS):
        signal, leak = flux[..., None] * source, flux[..., None] * spill
        of_disc, of_ring = here / (ratio[..., None] * back + signal), there / (back + leak)
        own, out = ratio[..., None] * back * of_disc, back * of_ring
        growth = np.sum(signal * of_disc + leak * of_ring, axis=2) / (flux * reach)
        flux = np.maximum(flux * growth**STRETCH, least)
        back = np.maximum((own + out) / (1 + ratio[..., None]), 1e-9)
        ratio = own.sum(axis=2) / back.sum(axis=2)
    expected = ratio[..., None] * back + flux[..., None] * source, back + flux[..., None] * spill
    ts = 2 * (_log_likelihood(here, there, *expected) - without)
    row, best = np.arange(len(ts)), ts.argmax(axis=1)
    index, log_flux = _between(ts, np.log(flux), best)
    return RegionFit(
        ts=np.maximum(ts[row, best], 0),
        flux_cm2_s=np.exp(log_flux),
        index=index,
        ratio=ratio[row, best],
        background=back[row, best] / weight,
        harder=np.full(len(row), np.nan),
    )


def _between(ts: Floats, log_flux: Floats, best: Ints) -> tuple[Floats, Floats]:
    """Best index, between those tried, and the logarithm of its flux, by parabolas through [n, n_indices]."""
    row, middle = np.arange(len(ts)), np.clip(best, 1, len(INDICES) - 2)
    left, top, right = (ts[row, middle + d] for d in (-1, 0, 1))
    part = np.clip(0.5 * (left - right) / np.minimum(left - 2 * top + right, -1e-9), -1, 1)
    low, mid, high = (log_flux[row, middle + d] for d in (-1, 0, 1))
    return INDICES[middle] + part * INDEX_STEP, mid + part * (high - low + part * (high - 2 * mid + low)) / 2


def nearest_index(index: Floats) -> Ints:
    """The ones of `INDICES` nearest to some, [n]."""
    return np.abs(index[:, None] - INDICES).argmin(axis=1)


def fit_errors(fit: RegionFit, in_disc: Floats, in_ring: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Errors of flux and index [n], all else free, from the expected curvature of the likelihood (Fisher's matrix).

    Parameters
    ----------
    fit : RegionFit
    in_disc, in_ring : array [n, n_indices, n_bands]
        `yields` there.
    weight : array [n, n_bands]
        `weights`.
    """
    out = []
    for k, of in enumerate(nearest_index(fit.index)):
        (here, here_tilt), (there, there_tilt) = (
            (made[k, of], np.gradient(made[k], INDEX_STEP, axis=0)[of]) for made in (in_disc, in_ring)
        )
        back, flux, ratio = fit.background[k], fit.flux_cm2_s[k], fit.ratio[k]
        # derivatives in the logarithms of flux, ratio and backgrounds, and in the index: all of a size
        each = np.diag(back)
        disc_by = np.vstack([flux * here, flux * here_tilt, ratio * back, ratio * each])
        ring_by = np.vstack([flux * there, flux * there_tilt, 0 * back, each])
        expected = ratio * back + flux * here, back + flux * there
        fisher = sum((by * weight[k] / m) @ by.T for by, m in zip((disc_by, ring_by), expected, strict=True))
        variance = np.diag(np.linalg.pinv(fisher))
        out.append((flux * np.sqrt(variance[0]), np.sqrt(variance[1])))
    unc_flux, unc_index = np.array(out).reshape(-1, 2).T
    return unc_flux, unc_index


def _log_likelihood(disc: Floats, ring: Floats, in_disc: Floats, in_ring: Floats) -> Floats:
    """Of counts [n, 1, n_bands] under expectations [n, n_indices, n_bands]."""
    return np.sum(disc * np.log(in_disc) - in_disc + ring * np.log(in_ring) - in_ring, axis=2)
