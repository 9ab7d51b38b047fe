"""Light curves: the flux of each time slice, with the spectrum of the whole interval.

Only the source's flux changes from slice to slice; the background and the neighbours follow the exposure, but for
neighbours that vary themselves.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from models.likelihood.band_fit import UPPER_LIMIT_TS, crossing
from models.likelihood.fit import Measurements
from models.likelihood.neighbourhood import offsets_deg
from models.likelihood.rows import Rows
from models.likelihood.slice_likelihood import SliceLikelihood
from models.likelihood.surroundings import Surroundings, TileSurroundings
from sky.counts import CountsCube
from sky.exposure import ExposureMaps
from sky.frames import unit_vectors

Floats = NDArray[np.float64]

NEIGHBOUR_PHOTONS = 200.0  # brighter neighbours may vary visibly
VARIABLE_INDEX = 21.67  # 99 % of constant sources are below it, for ten slices (4FGL-DR2)


@dataclass(frozen=True, eq=False)
class LightCurves(Rows):
    """Fluxes of slices, arrays [N, n_slices] unless said otherwise; NaN where a slice has no exposure.

    Attributes
    ----------
    flux_cm2_s : array
        In the survey's headline range.
    unc_low_cm2_s, unc_high_cm2_s : array
        1 sigma; lower error negative, NaN for an upper limit (flux + 2 * upper error, 2 sigma).
    sqrt_ts : array
    npred : array
        Photons of the source.
    variability_index : array [N]
        Twice the gain in log-likelihood over the best constant flux: of a constant source, chi squared with one
        degree of freedom a slice but one. 4FGL (Abdollahi et al. 2020, ApJS 247, 33, section 3.6) takes the flux
        of the whole interval for the constant, and corrects for its not being the best in the Gaussian limit.
    """

    flux_cm2_s: Floats
    unc_low_cm2_s: Floats
    unc_high_cm2_s: Floats
    sqrt_ts: Floats
    npred: Floats
    variability_index: Floats

    def __len__(self) -> int:
        return len(self.flux_cm2_s)


def light_curves(
    around: Surroundings, measured: Measurements, cube: CountsCube, exposure: ExposureMaps
) -> LightCurves | None:
    """Flux of measured sources in each time slice; None where the cube has but one.

    Parameters
    ----------
    around : Surroundings
    measured : Measurements
        Of the same sources, in the sequence that `around` was asked for.
    cube : CountsCube
    exposure : ExposureMaps
        Where it is not given by slice, a slice has the share of its duration.
    """
    if cube.n_slices == 1:
        return None
    if not len(around):
        columns = {f.name: np.empty((0, cube.n_slices)) for f in fields(LightCurves)}
        return LightCurves(**{**columns, "variability_index": np.empty(0)})
    mine = measured.select(np.argsort(around.back))
    ends = np.cumsum([len(tile.mine) for tile in around.tiles])
    parts = [
        _tile(around, tile, mine.select(np.arange(end - len(tile.mine), end)), cube, exposure)
        for tile, end in zip(around.tiles, ends, strict=True)
    ]
    return LightCurves.concatenate(parts).select(around.back)


def _tile(
    around: Surroundings,
    tile: TileSurroundings,
    measured: Measurements,
    cube: CountsCube,
    exposure: ExposureMaps,
) -> LightCurves:
    """Light curves of one tile's sources."""
    sky = tile.sky
    detected = around.detections.select(tile.rows)
    glon, glat = measured.glon_deg, measured.glat_deg
    start = unit_vectors(detected.glon_deg, detected.glat_deg)
    psf = sky.psf(*offsets_deg(start, unit_vectors(glon, glat)))
    photons = measured.flux_cm2_s[:, None] * measured.shares(around.survey)
    photons = photons * exposure.of_planes(glon, glat)
    signal = sky.spread_photons(photons, psf)
    level = np.ones_like(photons)
    for _ in range(3):
        level = sky.levels(signal, level)
    rest = sky.expected(np.zeros_like(signal), level)
    counts = slice_counts(tile, cube)
    change = _changes_of_neighbours(around, tile, counts, cube, exposure)
    rest = rest[:, None] if change is None else np.maximum(rest[:, None] + change, 0.1 * rest[:, None])
    share = slice_shares(cube, exposure, glon, glat)
    likelihood = SliceLikelihood.of(
        sky.near, counts[tile.cell], signal, rest, np.einsum("np,npt->nt", photons * sky.contained, share)
    )
    return _measured(likelihood, measured.flux_cm2_s, np.einsum("np,npt->nt", photons, share))


def _measured(likelihood: SliceLikelihood, flux_cm2_s: Floats, photons: Floats) -> LightCurves:
    """Light curves from the likelihood of amplitudes about mean fluxes [n] that make `photons` [n, n_slices]."""
    best = likelihood.best()
    none = np.zeros_like(best)
    top, zero = likelihood(best), likelihood(none)
    ts = np.maximum(2 * (top - zero), 0)
    limit = ts < UPPER_LIMIT_TS
    reach = best + 4 * (np.sqrt(best) + 1) / np.maximum(likelihood.gain, 1e-3) ** 0.5
    half, two = np.full_like(best, 0.5), np.full_like(best, 2.0)
    upper = crossing(likelihood, best, reach, top, np.where(limit, two, half)) - best
    below = best - crossing(likelihood, best, none, top, half)
    seen = likelihood.gain > 0
    index = 2 * np.where(seen, top - likelihood(likelihood.best_constant()), 0).sum(axis=1)
    flux = flux_cm2_s[:, None]
    return LightCurves(
        flux_cm2_s=np.where(seen, best * flux, np.nan),
        unc_low_cm2_s=np.where(seen & ~limit, -below * flux, np.nan),
        unc_high_cm2_s=np.where(seen, np.where(limit, upper / 2, upper) * flux, np.nan),
        sqrt_ts=np.where(seen, np.sqrt(ts), np.nan),
        npred=np.where(seen, best * photons, np.nan),
        variability_index=np.maximum(index, 0),
    )


def slice_shares(cube: CountsCube, exposure: ExposureMaps, glon_deg: Floats, glat_deg: Floats) -> Floats:
    """Share of each slice in the exposure at positions, [n, n_planes, n_slices]."""
    n, planes = len(glon_deg), len(cube.survey.planes)
    if exposure.n_slices == 1:
        seconds = np.array([stop - start for start, stop in cube.slices_met_s])
        return np.broadcast_to(seconds / seconds.sum(), (n, planes, cube.n_slices))
    each = exposure.of_slices(glon_deg, glat_deg)
    return each / np.maximum(each.sum(axis=-1, keepdims=True), 1e-300)


def slice_counts(tile: TileSurroundings, cube: CountsCube) -> Floats:
    """Photons of each slice in a tile's pixels, all planes one after the other, [n_cells, n_slices]."""
    columns = [
        np.stack([cube.maps[band, event_type, t].at(ipix) for t in range(cube.n_slices)], axis=-1)
        for (band, event_type), ipix in zip(cube.survey.planes, tile.pixels.ipix, strict=True)
    ]
    return np.concatenate(columns).astype(float)


def _changes_of_neighbours(
    around: Surroundings, tile: TileSurroundings, counts: Floats, cube: CountsCube, exposure: ExposureMaps
) -> Floats | None:
    """What variable neighbours give in each slice beyond what they give on average, per sr, [n_pairs, n_slices].

    None where there are none. Their light curves rest on the same pixels, all else constant.
    """
    everyone, near = tile.everyone, tile.everyone.near
    bright = near.plane_total(near.counts).sum(axis=1) > 0
    bright &= tile.photons.sum(axis=1) > NEIGHBOUR_PHOTONS
    if not bright.any():
        return None
    pairs = bright[near.owner]
    own, cell = near.subset(bright, pairs, near.radius_deg), everyone.cell[pairs]
    signal = everyone.contribution(tile.photons)[pairs]
    rest = np.maximum(everyone.total(tile.photons, tile.floor)[pairs] - signal, 1e-12)
    seen = around.detections.select(tile.seen[bright])
    share = slice_shares(cube, exposure, seen.glon_deg, seen.glat_deg)
    # where pixels are missing, the photons that are there say how much of the source is
    inside = own.plane_total(own.counts * signal / (signal + rest))
    gain = np.einsum("np,npt->nt", inside, share)
    likelihood = SliceLikelihood.of(own, counts[cell], signal, rest[:, None], gain)
    amplitude = likelihood.best()
    index = 2 * (likelihood(amplitude) - likelihood(likelihood.best_constant())).sum(axis=1)
    excess = np.where((index > VARIABLE_INDEX)[:, None] & (gain > 0), amplitude - 1, 0)
    if not excess.any():
        return None
    size = everyone.n_cells
    change = np.stack(
        [np.bincount(cell, weights=signal * column[own.owner], minlength=size) for column in excess.T],
        axis=-1,
    )[tile.cell]
    # a source is not its own neighbour
    mine = np.zeros((len(bright), cube.n_slices))
    mine[bright] = excess
    return change - tile.own[:, None] * mine[tile.mine][tile.sky.near.owner]
