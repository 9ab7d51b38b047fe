"""Small synthetic skies whose truth is known exactly: sources on a background, drawn without the fits they test."""

from dataclasses import dataclass

import healpy as hp
import numpy as np

from sky.counts import CountsCube, HealpixCounts
from sky.exposure import ExposureMaps
from sky.frames import unit_vectors
from sky.response import Response, load_response
from sky.survey import Survey, get_survey

# Of the real sky at high latitude, counts per sr of the bands of lat-10gev, and its mean exposure.
HIGH_LATITUDE_SR = np.array([3.3e4, 7.2e3, 1.3e3])
EXPOSURE_CM2_S = 3.7e11


@dataclass(frozen=True)
class KnownSky:
    cube: CountsCube
    exposure: ExposureMaps
    response: Response
    survey: Survey
    glon_deg: np.ndarray
    glat_deg: np.ndarray
    flux_cm2_s: np.ndarray
    index: np.ndarray


def band_flux(survey: Survey, flux: np.ndarray, index: np.ndarray, band: int) -> np.ndarray:
    """Photon flux in a band of power laws given by their headline flux."""
    low, high = survey.bands[band].emin_gev, survey.bands[band].emax_gev
    first, last = survey.flux_range_gev
    return flux * (low ** (1 - index) - high ** (1 - index)) / (first ** (1 - index) - last ** (1 - index))


def draw_photons(places, psf, order, rng):
    """HEALPix pixels of photons from places [n, 3]: separations by inversion of the PSF's containment."""
    grid = np.concatenate([[0], np.geomspace(1e-4, 30, 4000)])
    contained = psf.containment(grid)
    sep = np.radians(np.interp(rng.random(len(places)), contained / contained[-1], grid))
    angle = rng.random(len(places)) * 2 * np.pi
    a, b = axes(places)
    turn = np.cos(angle)[:, None] * a + np.sin(angle)[:, None] * b
    directions = np.cos(sep)[:, None] * places + np.sin(sep)[:, None] * turn
    return hp.vec2pix(1 << order, *directions.T, nest=True)


def axes(vectors):
    """Two unit vectors perpendicular to each unit vector [n, 3] and to each other."""
    helper = np.where(np.abs(vectors[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    a = np.cross(vectors, helper)
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    return a, np.cross(vectors, a)


def over_disc(vectors, radius_deg, rng):
    """Places spread evenly over discs round unit vectors [n, 3]."""
    east, north = axes(vectors)
    r, angle = (
        np.radians(radius_deg) * np.sqrt(rng.random(len(vectors))),
        rng.random(len(vectors)) * 2 * np.pi,
    )
    out = vectors + (r * np.cos(angle))[:, None] * east + (r * np.sin(angle))[:, None] * north
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def make_sky(
    glon,
    glat,
    flux,
    index,
    seed,
    background_sr=HIGH_LATITUDE_SR,
    curves=None,
    disc_deg=None,
    survey_name="lat-10gev",
    spectrum=None,
) -> KnownSky:
    """A sky of uniform exposure, the same for all planes.

    `background_sr` by band, or a function of (band, glon, glat); `curves` [n, n_slices] are fluxes over `flux`
    in slices of equal exposure; `disc_deg` [n] spreads sources over discs. Spectra are power laws of `flux` and
    `index`, or `spectrum`; the PSF is that of `index`.
    """
    rng = np.random.default_rng(seed)
    survey = get_survey(survey_name)
    response = load_response(survey.irfs)
    vectors = unit_vectors(glon, glat)
    slices = 1 if curves is None else np.shape(curves)[1]
    curves = np.ones((len(vectors), 1)) if curves is None else np.asarray(curves)
    maps = {}
    for band, event_type in survey.planes:
        b = survey.bands[band]
        psfs = {g: response.band_psf(event_type, b.emin_gev, b.emax_gev, g) for g in set(np.round(index, 1))}
        if spectrum is None:
            fluxes = band_flux(survey, flux, index, band)
        else:
            fluxes = spectrum.photon_flux(b.emin_gev, b.emax_gev)[:, 0]
        expected = fluxes * EXPOSURE_CM2_S / slices
        for t in range(slices):
            pixels = [background_photons(background_sr, band, b, slices, rng)]
            source = np.repeat(np.arange(len(vectors)), rng.poisson(expected * curves[:, t]))
            places = vectors[source]
            if disc_deg is not None:
                places = over_disc(places, np.asarray(disc_deg)[source], rng)
            for g, psf in psfs.items():
                of_index = np.round(index, 1)[source] == g
                pixels.append(draw_photons(places[of_index], psf, b.order, rng))
            maps[band, event_type, t] = HealpixCounts.from_pixels(b.order, np.concatenate(pixels))
    values = np.full((len(survey.planes), slices, 12), EXPOSURE_CM2_S / slices)
    times = tuple((float(t), t + 1.0) for t in range(slices)) if slices > 1 else ()
    exposure = ExposureMaps(survey, 0, values)
    return KnownSky(CountsCube(survey, maps, times), exposure, response, survey, glon, glat, flux, index)


def background_photons(background_sr, band, b, slices, rng):
    """Pixels of the background's photons in one slice of a band."""
    area = hp.nside2pixarea(b.nside)
    if callable(background_sr):
        mean = background_sr(band, *hp.pix2ang(b.nside, np.arange(b.npix), nest=True, lonlat=True)) * area
        counts = rng.poisson(mean / slices)
        return np.repeat(np.arange(b.npix), counts)
    return rng.integers(b.npix, size=rng.poisson(background_sr[band] * 4 * np.pi / slices))
