"""Point sources as each plane of a survey sees them: blurred by PSF and pixels, weighted by a spectrum.

Planes are the (band, event type) pairs of `survey.planes`; every array over planes follows that order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import healpy as hp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sky.exposure import ExposureMaps
from sky.response import Response
from sky.survey import Survey
from sky.tiles import COVER_ORDER, TILE_ORDER, TileGrid

Floats = NDArray[np.float64]
PARTS = 4 ** (COVER_ORDER - TILE_ORDER)  # cells of COVER_ORDER in a tile's

# Separations of the look-up table: even steps of ln(1 + (sep / CORE_DEG)^2), in the core even steps of the square,
# which a PSF is nearly linear in. Finding a place takes no square root.
CORE_DEG = 0.02
REACH_DEG = 20.0
STEPS = 2400
_STEP = np.log1p((REACH_DEG / CORE_DEG) ** 2) / (STEPS - 1)
SQUARES_DEG2 = CORE_DEG**2 * np.expm1(_STEP * np.arange(STEPS))
SEPARATIONS_DEG = np.sqrt(SQUARES_DEG2)

# Widths of sources (Gaussian, standard deviation); the first is a point.
EXTENTS_DEG = (0.0, 0.12, 0.2, 0.3, 0.45)
# Photon indices for which points have a PSF of their own, in steps: softer sources are blurred more.
INDEX_STEPS = (-0.8, 0.0, 0.8, 1.6, 2.4)
LAW_INDICES = np.linspace(1.0, 4.0, 301)  # that `power_law_index` knows
N_PROFILES = len(EXTENTS_DEG) + len(INDEX_STEPS)  # of `healpix_point_spread`


class TablePlaces(NamedTuple):
    """Where separations lie in a look-up table: the entry below, through all its rows, and the part of the next."""

    entry: NDArray[np.int64]
    part: Floats

    @classmethod
    def of(cls, row: Floats, squared_deg: Floats) -> "TablePlaces":
        """Places of squares of separations in rows (`PointSpread.row`); both broadcast against each other."""
        part = np.asarray(squared_deg * CORE_DEG**-2)
        np.log1p(part, out=part)
        part *= 1 / _STEP
        if part.size and part.max() >= STEPS - 1:
            np.minimum(part, STEPS - 1 - 1e-9, out=part)
        below = np.floor(part)
        part -= below
        return cls((below + row).astype(np.int64), part)


@dataclass(frozen=True, eq=False)
class PointSpread:
    """Blurred PSF of every plane by separation, for several profiles of sources.

    Profiles are numbered; in `healpix_point_spread`, first a source of each width of `EXTENTS_DEG` with the
    survey's index, then points with that index and each of `INDEX_STEPS` more.

    Attributes
    ----------
    density_per_sr : array [n_profiles, n_planes, STEPS]
        Photons per sr at `SEPARATIONS_DEG`.
    contained : array [n_profiles, n_planes, STEPS]
        Fraction of the photons within each separation.
    """

    density_per_sr: Floats
    contained: Floats

    def row(self, plane: ArrayLike, profile: ArrayLike = 0) -> Floats:
        """Where the tables of planes and profiles begin; kept as the floats in which places are reckoned."""
        row = np.asarray(profile) * float(self.density_per_sr.shape[1] * STEPS)
        return row + np.asarray(plane) * float(STEPS)

    def density(self, plane: ArrayLike, sep_deg: Floats, profile: ArrayLike = 0) -> Floats:
        """Photons per sr at separations; planes, separations and profiles broadcast against each other."""
        return self.density_of(self.row(plane, profile), np.square(sep_deg))

    def density_of(self, row: Floats, squared_deg: Floats) -> Floats:
        """The same at squares of separations in rows of the table."""
        return self.density_at(TablePlaces.of(row, squared_deg))

    def density_at(self, places: TablePlaces, further: int = 0) -> Floats:
        """The same at places of the table, or so many profiles further on."""
        return _look_up(self.density_per_sr, places, further)

    def containment(self, plane: ArrayLike, sep_deg: Floats, profile: ArrayLike = 0) -> Floats:
        """Fraction of the photons within separations."""
        return _look_up(self.contained, TablePlaces.of(self.row(plane, profile), np.square(sep_deg)))

    @cached_property
    def solid_angle_sr(self) -> Floats:
        """Solid angle of a disc whose background blurs a point source as much, 1 / integral of P^2, [n_planes]."""
        sep = np.radians(SEPARATIONS_DEG)
        return 1 / np.trapezoid(2 * np.pi * np.sin(sep) * self.density_per_sr[0] ** 2, sep, axis=-1)

    def radius_deg(self, fraction: float) -> Floats:
        """Radius that holds a fraction of a point source's photons in each plane, [n_planes]."""
        return np.array([np.interp(fraction, row, SEPARATIONS_DEG) for row in self.contained[0]])


def _look_up(table: Floats, places: TablePlaces, further: int = 0) -> Floats:
    flat = table.ravel()[further * table.shape[1] * STEPS :]
    low, found = flat.take(places.entry), flat[1:].take(places.entry)
    found -= low
    found *= places.part
    found += low
    return found


@dataclass(frozen=True)
class Profile:
    """Shape of a source: photon index, and standard deviation of a Gaussian or radius of a disc."""

    index: float
    gaussian_deg: float = 0.0
    disc_deg: float = 0.0


def _blurred(survey: Survey, response: Response, blur_deg: Floats, profiles: list[Profile]) -> PointSpread:
    """Table of profiles, blurred by a Gaussian of its own in each plane."""
    shape = (len(profiles), len(survey.planes), STEPS)
    density, contained = np.empty(shape), np.empty(shape)
    # Weights of a convolution are kept for the next few: one disc after the other, each with the few widths.
    for disc in sorted({p.disc_deg for p in profiles}):
        for width in sorted({(float(b), p.gaussian_deg) for b in blur_deg for p in profiles}):
            for plane, (band, event_type) in enumerate(survey.planes):
                b = survey.bands[band]
                for k, profile in enumerate(profiles):
                    if (blur_deg[plane], profile.gaussian_deg) != width or profile.disc_deg != disc:
                        continue
                    psf = response.band_psf(event_type, b.emin_gev, b.emax_gev, profile.index)
                    psf = psf.over_disc(disc).smeared(float(np.hypot(*width)))
                    density[k, plane] = psf.density_sr(SEPARATIONS_DEG)
                    contained[k, plane] = psf.containment(SEPARATIONS_DEG)
    return PointSpread(density, contained)


def nearest_index_step(survey: Survey, index: Floats) -> NDArray[np.int64]:
    """The one of `INDEX_STEPS` nearest to photon indices, [n]."""
    steps = np.asarray(INDEX_STEPS)
    return np.abs((index - survey.reference_index)[:, None] - steps).argmin(axis=1)


def spectral_profile(survey: Survey, index: Floats) -> NDArray[np.int64]:
    """Profile of points nearest in photon index, [n]."""
    return len(EXTENTS_DEG) + nearest_index_step(survey, index)


def _pixel_sides_deg(survey: Survey) -> Floats:
    return np.array([np.degrees(hp.nside2resol(survey.bands[band].nside)) for band, _ in survey.planes])


@lru_cache(maxsize=8)
def healpix_point_spread(survey: Survey, response: Response) -> PointSpread:
    """As counts maps hold it: photons known by the centres of their HEALPix pixels."""
    index = survey.reference_index
    profiles = [Profile(index, extent) for extent in EXTENTS_DEG]
    profiles += [Profile(index + step) for step in INDEX_STEPS]
    return _blurred(survey, response, _pixel_sides_deg(survey) / np.sqrt(12), profiles)


def disc_spread(survey: Survey, response: Response, radii_deg: Sequence[float]) -> PointSpread:
    """Uniform discs as counts maps hold them; profiles by `INDEX_STEPS`, then by radius."""
    profiles = [
        Profile(survey.reference_index + step, disc_deg=radius)
        for step in INDEX_STEPS
        for radius in radii_deg
    ]
    return _blurred(survey, response, _pixel_sides_deg(survey) / np.sqrt(12), profiles)


def wide_disc_spread(survey: Survey, response: Response, radii_deg: Sequence[float]) -> PointSpread:
    """Discs much wider than the PSF, with the survey's index: profiles by radius."""
    profiles = [Profile(survey.reference_index, disc_deg=radius) for radius in radii_deg]
    return _blurred(survey, response, _pixel_sides_deg(survey) / np.sqrt(12), profiles)


@lru_cache(maxsize=8)
def blurred_point_spread(survey: Survey, response: Response, pixel_deg: float) -> PointSpread:
    """The same, points only, counted once more in pixels of side `pixel_deg` by the HEALPix pixels' centres."""
    blur = np.sqrt((_pixel_sides_deg(survey) ** 2 + pixel_deg**2) / 12)
    return _blurred(survey, response, blur, [Profile(survey.reference_index)])


def in_band(survey: Survey) -> Floats:
    """1 where a plane belongs to a band, [n_planes, n_bands]: brings values of planes together."""
    return np.equal.outer([band for band, _ in survey.planes], np.arange(len(survey.bands))).astype(float)


def first_planes(survey: Survey) -> list[int]:
    """The first plane of each band."""
    return [[band for band, _ in survey.planes].index(band) for band in range(len(survey.bands))]


def band_fractions(survey: Survey, index: ArrayLike) -> Floats:
    """Photon flux of a power law in each plane over that in the survey's headline range, [..., n_planes]."""
    power = 1.0 - np.asarray(index, float)[..., None]
    if np.any(power == 0):
        power = np.where(power == 0, 1e-9, power)
    low = np.array([survey.bands[b].emin_gev for b, _ in survey.planes])
    high = np.array([survey.bands[b].emax_gev for b, _ in survey.planes])
    first, last = survey.flux_range_gev
    return (high**power - low**power) / (last**power - first**power)


def power_law_index(
    intensity: Floats, weight: Floats, survey: Survey, bands: NDArray[np.int64] | None = None
) -> Floats:
    """Index of the power law nearest to the logarithms of band intensities, by their weights, [n].

    Parameters
    ----------
    intensity, weight : array [n, n_bands]
        Photons a cm2 s, sr or not; those of 0 do not count.
    survey : Survey
    bands : array of int [n_bands], optional
        All of the survey where not given.
    """
    law = np.log(band_fractions(survey, LAW_INDICES)[:, first_planes(survey)])
    law = law if bands is None else law[:, bands]
    seen = np.where(intensity > 0, weight, 0.0)
    seen = (seen / np.maximum(seen.sum(axis=1, keepdims=True), 1e-300))[:, None, :]
    off = np.log(np.maximum(intensity, 1e-300))[:, None, :] - law
    off -= np.sum(off * seen, axis=2, keepdims=True)
    return LAW_INDICES[np.sum(off**2 * seen, axis=2).argmin(axis=1)]


def tile_exposures(exposure: ExposureMaps, grid: TileGrid, tile: int) -> Floats:
    """Exposure of every plane at a tile's centre, cm2 s, [n_planes]; its mean over the cell if the centre has none."""
    glon, glat = grid.centre(tile)
    at_centre = exposure.of_planes([glon], [glat])[0]
    if at_centre.any():
        return at_centre
    glon, glat = hp.pix2ang(
        1 << COVER_ORDER, np.arange(tile * PARTS, (tile + 1) * PARTS), nest=True, lonlat=True
    )
    return exposure.of_planes(glon, glat).mean(axis=0)
