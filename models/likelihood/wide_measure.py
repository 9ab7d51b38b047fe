"""Wide sources measured: place, flux, index and bands by the regions in which they were found.

What is itself broad inside a disc, as the tile's model sees it, is taken for a part of it; points in it are not.
"""

from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from models.likelihood.background import Images
from models.likelihood.band_fit import UPPER_LIMIT_TS
from models.likelihood.detections import Detections
from models.likelihood.extension import Extensions
from models.likelihood.fit import Measurements, significance
from models.likelihood.flags import Flags
from models.likelihood.localise import DROP_68, DROP_95
from models.likelihood.mixture import Mixture
from models.likelihood.neighbourhood import moved, places_round
from models.likelihood.optics import band_fractions, first_planes
from models.likelihood.regions import (
    INDICES,
    RADII_DEG,
    SPECTRUM_ERROR,
    WING_ERROR,
    disc_yields,
    fit_discs,
    fit_errors,
    nearest_index,
    seen_bands,
    weights,
)
from models.likelihood.rest import Rest
from models.likelihood.surroundings import settled
from models.likelihood.tile_model import TileSky
from models.likelihood.warnings import LONG_R95_DEG
from sky.counts import CountsCube
from sky.exposure import ExposureMaps
from sky.frames import lon_lat, unit_vectors
from sky.response import Response
from sky.survey import Survey
from sky.tiles import TileGrid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEP = 0.12  # of the places tried, in radii
CURVED = [
    f.name
    for f in fields(Measurements)
    if f.name.startswith(("curv", "unc_curv", "cov_", "pivot", "ts_curv"))
]


def measure_wide(
    detections: Detections,
    rows: Ints,
    as_points: Measurements,
    cube: CountsCube,
    exposure: ExposureMaps,
    response: Response,
) -> tuple[Measurements, Extensions]:
    """Measure wide sources.

    Parameters
    ----------
    detections : Detections
        Of the whole sky, or at least of all tiles that touch those of the wide ones.
    rows : array of int [n]
        Those to measure, which have a `disc_deg`.
    as_points : Measurements
        Of the same, had they been points.
    cube, exposure, response

    Returns
    -------
    Measurements
        Without a curved spectrum.
    Extensions
        `ts_ext` is what the disc's test statistic is above that of the point.
    """
    grid, tiles = TileGrid(cube.survey), {}
    measured, extended = [], []
    for k, row in enumerate(rows):
        tile = int(detections.tile[row])
        if tile not in tiles:
            sky = TileSky.of(cube, exposure, response, grid, tile)
            tiles[tile] = sky, settled(sky, detections, exposure)
        rest = rest_round(*tiles[tile], detections, int(row), cube.survey)
        found, point = detections.select(rows[k : k + 1]), as_points.select(np.arange(k, k + 1))
        one, disc = _measure(rest, found, point, exposure, response)
        measured.append(one)
        extended.append(disc)
    return Measurements.concatenate(measured), Extensions.concatenate(extended)


def rest_round(
    sky: TileSky,
    fitted: tuple[Ints, Mixture, Floats, Images],
    detections: Detections,
    row: int,
    survey: Survey,
) -> Rest:
    """What a tile's sources, `settled`, leave of its counts; what is broad in the disc of `row` leaves its own too."""
    seen, mixture, photons, background = fitted
    vectors = unit_vectors(detections.glon_deg, detections.glat_deg)
    inside = vectors[seen] @ vectors[row] > np.cos(np.radians(detections.disc_deg[row]))
    photons = np.where((inside & (mixture.extent > 0))[:, None], 0.0, photons)
    images = sky.thinned(sky.per_sr(background), mixture.density(photons))
    return Rest.of(sky, survey, images)


def _measure(
    rest: Rest, found: Detections, as_point: Measurements, exposure: ExposureMaps, response: Response
) -> tuple[Measurements, Extensions]:
    """One source, all as rows of one."""
    survey, radii = rest.survey, np.array(RADII_DEG)
    number = np.abs(radii - found.disc_deg).argmin(axis=0, keepdims=True)
    start = unit_vectors(found.glon_deg, found.glat_deg)
    east, north, sigma_deg = _place(rest, start, radii[number], exposure, response)
    place = moved(start, east, north)
    glon, glat = lon_lat(place)
    by_radius = fit_discs(rest, place, radii, exposure, response)
    fit = by_radius.select(number)
    disc, ring, known = (part[0] for part in rest.regions(place, radii[number]))
    inside, outside = disc_yields(exposure, response, place, number)
    seen = seen_bands(survey)
    weight = weights(disc[:, seen], known[:, seen])
    unc_flux, unc_index = fit_errors(fit, inside[..., seen], outside[..., seen], weight)
    nearest = nearest_index(fit.index)
    of_band = inside[:, nearest[0]] / band_fractions(survey, INDICES[nearest])[:, first_planes(survey)]
    used = np.isin(np.arange(len(survey.bands)), seen)
    bands = _bands(disc, ring, known, fit.ratio[:, None], of_band, used)
    r68, r95 = (sigma_deg * np.sqrt(drop) for drop in (DROP_68, DROP_95))
    flags = Flags.EXTENDED | Flags.WIDE | Flags.DISC | np.where(r95 > LONG_R95_DEG, Flags.BAD_POSITION, 0)
    measured = replace(
        as_point,
        glon_deg=glon,
        glat_deg=glat,
        conf_68_semimajor_deg=r68,
        conf_68_semiminor_deg=r68,
        conf_95_semimajor_deg=r95,
        conf_95_semiminor_deg=r95,
        conf_posang_deg=np.zeros(1),
        signif_avg=significance(fit.ts),
        flux_cm2_s=fit.flux_cm2_s,
        unc_flux_cm2_s=unc_flux,
        index=fit.index,
        unc_index=unc_index,
        npred=bands["band_npred"].sum(axis=1),
        flags=flags.astype(np.int64),
        **dict.fromkeys(CURVED, np.full(1, np.nan)),
        **bands,
    )
    near = radii[by_radius.ts > fit.ts - 1]
    step = np.gradient(radii)[number]
    error = np.maximum((near.max() - near.min()) / 2, step / 2)
    gain = np.maximum(fit.ts - as_point.signif_avg**2, 0.0)
    return measured, Extensions(radii[number], error, gain)


def _place(
    rest: Rest, start: Floats, radius_deg: Floats, exposure: ExposureMaps, response: Response
) -> tuple[Floats, Floats, Floats]:
    """Offsets [1] of the best place from a start [1, 3], and its error on an axis, from a paraboloid through TS."""
    k, east, north, tried = places_round(start, STEP * radius_deg[0])
    ts = fit_discs(rest, tried, radius_deg, exposure, response).ts
    terms = np.stack([np.ones_like(east), east, north, east**2, north**2, east * north], axis=1)
    _, a, b, aa, bb, ab = np.linalg.lstsq(terms, ts, rcond=None)[0]
    bend = -np.array([[2 * aa, ab], [ab, 2 * bb]])
    if np.linalg.eigvalsh(bend).min() * k[-1] ** 2 < 1:  # no peak: the place stays, its error is the grid's
        return np.zeros(1), np.zeros(1), k[-1:]
    shift = np.clip(np.linalg.solve(bend, [a, b]), k[0], k[-1])
    variance = np.trace(np.linalg.inv(bend / 2)) / 2  # TS falls by (offset / sigma)^2
    return shift[:1], shift[1:], np.sqrt([variance])


def _bands(
    disc: Floats,
    ring: Floats,
    known: Floats,
    ratio: Floats,
    photons_a_flux: Floats,
    used: NDArray[np.bool_],
) -> dict[str, Floats]:
    """Band fluxes of what discs have over their share of the ring's counts, all [n, n_bands]; `used` [n_bands]."""
    behind = ratio * ring
    systematic = np.hypot(SPECTRUM_ERROR * behind, WING_ERROR * known)
    sigma = np.hypot(np.sqrt(np.maximum(disc + ratio * behind, 1.0)), systematic)
    photons = np.maximum(disc - behind, 0.0)
    ts = (photons / sigma) ** 2
    ts[:, ~used] = 0.0  # where the PSF is as wide as the disc, an excess may be anything's: a limit
    limit, error = ts < UPPER_LIMIT_TS, sigma / photons_a_flux
    flux = photons / photons_a_flux
    return {
        "band_flux": np.where(used, flux, 0.0),
        "band_unc_low": np.where(limit, np.nan, -error),
        "band_unc_high": np.where(used, error, flux / 2 + error),
        "band_sqrt_ts": np.sqrt(ts),
        "band_npred": np.where(used, photons, 0.0),
    }
