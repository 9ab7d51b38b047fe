"""The search for wide sources: discs of 0.8 degrees and more that are harder than what surrounds them.

It works on what the known sources leave of a tile's counts. Photons above 7 GeV in a disc are compared with what its
photons of 1 to 7 GeV, and the spectrum of the ring round it, let expect; the places of the clearest excesses are then
fitted by `regions`. A survey without photons on both sides of 7 GeV is not searched.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import maximum_filter
from scipy.special import expit

from models.likelihood.background import Images
from models.likelihood.detections import Detections
from models.likelihood.neighbourhood import near_cell, places_round
from models.likelihood.regions import RADII_DEG, SPECTRUM_ERROR, RegionFit, fit_discs, seen_bands
from models.likelihood.rest import GAP_DEG, RING_DEG, Rest, together
from models.likelihood.tile_model import TileSky
from sky.exposure import ExposureMaps
from sky.frames import lon_lat, separation_deg, unit_vectors
from sky.response import Response
from sky.survey import Survey
from sky.tiles import owner

Floats = NDArray[np.float64]

HARD_GEV = 7.0
LEAST_RADIUS_DEG = 0.8  # smaller ones the model of a tile sees as sources
LEAST_EXCESS = 5.0  # standard deviations
LEAST_TS = 25.0
HARDER = 0.25  # in photon index, than the ring
MARGIN_DEG = 1.5
MOST_PLACES = 12
STEPS_DEG = (0.15, 0.05)  # of the places tried round the first, then round the best of these
# Log odds of a disc's being a source, by ln TS (`scripts.calibrate_wide`).
PROBABILITY = {"intercept": -8.27, "slope": 2.15}


class WideSource(NamedTuple):
    """A disc at a unit vector [3], and what was fitted there (one row)."""

    vector: Floats
    radius_deg: float
    fit: RegionFit

    @property
    def ts(self) -> float:
        """Test statistic."""
        return float(self.fit.ts[0])


def searchable(survey: Survey) -> bool:
    """Whether a survey has the bands that the search compares."""
    return all(part.any() for part in _hard_and_soft(survey))


def wide_detections(
    sky: TileSky, exposure: ExposureMaps, response: Response, images: Images, background: Images
) -> Detections:
    """Wide sources of a tile, those whose centre its cell holds.

    Parameters
    ----------
    sky : TileSky
    exposure : ExposureMaps
    response : Response
    images : array [n_planes, ny, nx]
        Counts of the tile less what known sources make (`TileSky.thinned`).
    background : array [n_planes, ny, nx]
        Of the tile, counts a pixel.
    """
    rest = Rest.of(sky, exposure.survey, images)
    found = distinct_discs([refined(rest, place, exposure, response) for place in excesses(rest)])
    vectors = np.array([one.vector for one in found]).reshape(-1, 3)
    glon, glat = lon_lat(vectors)
    ts = np.array([one.ts for one in found])
    detections = Detections(
        tile=owner(glon, glat),
        glon_deg=glon,
        glat_deg=glat,
        ts=ts,
        det_prob=expit(PROBABILITY["intercept"] + PROBABILITY["slope"] * np.log(ts)),
        flux_cm2_s=np.array([one.fit.flux_cm2_s[0] for one in found]),
        background_sr=sky.background_at(background, vectors).T,
        disc_deg=np.array([one.radius_deg for one in found]),
    )
    return detections.select(detections.tile == sky.tile)


def distinct_discs(found: list[WideSource]) -> list[WideSource]:
    """Those wide, significant and hard enough, the best first; of discs that hold each other's centres the best."""
    kept: list[WideSource] = []
    for one in sorted(found, key=lambda disc: -disc.ts):
        if one.ts < LEAST_TS or one.radius_deg < LEAST_RADIUS_DEG or one.fit.harder[0] < HARDER:
            continue
        place = lon_lat(one.vector)
        if all(
            separation_deg(*place, *lon_lat(other.vector)) > max(one.radius_deg, other.radius_deg)
            for other in kept
        ):
            kept.append(one)
    return kept


def excesses(rest: Rest) -> Floats:
    """Places of the clearest excesses of hard photons in and near the tile's cell, unit vectors [n, 3]."""
    sky, step = rest.sky, rest.coarse
    coarse = together(rest.counts, step)
    photons = np.stack([coarse[part].sum(axis=0) for part in _hard_and_soft(rest.survey)])
    pixel_deg = step * sky.smoother.pixel_deg
    excess = np.max([_excess(photons, r, pixel_deg) for r in RADII_DEG if r >= LEAST_RADIUS_DEG], axis=0)
    middle = (np.arange(excess.shape[-1]) + 0.5) * step - 0.5
    glon, glat = sky.grid.pixel_to_sky(sky.tile, sky.band, middle[None, :], middle[:, None])
    peaks = np.flatnonzero((maximum_filter(excess, size=5) == excess) & (excess > LEAST_EXCESS))
    vectors = unit_vectors(glon.ravel()[peaks], glat.ravel()[peaks])
    near = near_cell(sky.tile, vectors, MARGIN_DEG)
    best_first = np.argsort(-excess.ravel()[peaks[near]], kind="stable")
    return vectors[near][best_first[:MOST_PLACES]]


def _hard_and_soft(survey: Survey) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which bands [n_bands] are compared with which."""
    hard = np.array([band.emin_gev >= HARD_GEV for band in survey.bands])
    return hard, np.isin(np.arange(len(hard)), seen_bands(survey)) & ~hard


def _excess(photons: Floats, radius_deg: float, pixel_deg: float) -> Floats:
    """Hard over expected photons in discs round all pixels, standard deviations [n, n], of hard and soft [2, n, n]."""
    size = photons.shape[-1]
    transformed, side, room = _regions(radius_deg, pixel_deg, size)
    sums = irfft2(rfft2(photons, (side, side)) * transformed[:, None], (side, side))
    sums = np.maximum(sums[..., room : room + size, room : room + size], 1e-3)
    (hard, soft), (hard_round, soft_round) = sums
    expected = soft * hard_round / soft_round
    error = 1 / soft + 1 / hard_round + 1 / soft_round + SPECTRUM_ERROR**2
    return np.asarray((hard - expected) / np.sqrt(expected + expected**2 * error))


@lru_cache(maxsize=32)
def _regions(radius_deg: float, pixel_deg: float, size: int) -> tuple[NDArray[np.complex128], int, int]:
    """Transforms of a disc and the ring round it, [2, ...]; the side of their images, and pixels to their middle."""
    room = int(np.ceil((radius_deg + RING_DEG) / pixel_deg))
    across = np.arange(-room, room + 1) * pixel_deg
    off = np.hypot(across[:, None], across[None, :])
    regions = np.stack(
        [off < radius_deg, (off > radius_deg + GAP_DEG) & (off < radius_deg + RING_DEG)]
    ).astype(float)
    side = int(next_fast_len(size + 2 * room, real=True))
    return rfft2(regions, (side, side)), side, room


def refined(rest: Rest, place: Floats, exposure: ExposureMaps, response: Response) -> WideSource:
    """The best disc near a rough place [3]."""
    radii, found = np.array(RADII_DEG), None
    for width, step in zip(STEPS_DEG, (rest.coarse, 1), strict=True):
        _, _, _, tried = places_round(place[None], width)
        fits = fit_discs(rest, tried, radii, exposure, response, step)
        row, which = divmod(int(fits.ts.argmax()), len(radii))
        place = tried[row]
        found = WideSource(place, float(radii[which]), fits.select(np.array([row * len(radii) + which])))
        radii = radii[max(0, which - 1) : which + 2]
    assert found is not None
    return found
