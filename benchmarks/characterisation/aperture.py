"""Aperture photometry by photutils (the extra `peers`): what one gets without a likelihood and without training.

Circles that hold 68 % of a plane's photons, the background's median in a ring round them, the circle's share of the
PSF and the exposure divided out.
"""

import numpy as np
from numpy.typing import NDArray
from photutils.aperture import ApertureStats, CircularAnnulus, CircularAperture

from models.likelihood.optics import band_fractions
from models.psf_kernels import plane_psf, shuffle_sigma_deg
from sky.counts import CountsCube
from sky.exposure import ExposureMaps
from sky.response import Response
from sky.tiles import TileGrid

Array = NDArray[np.float64]

CONTAINMENT = 0.68
# The ring, in radii of the circle.
RING = (2.0, 3.5)
# No circle is smaller than this many pixels.
LEAST_RADIUS_PX = 1.5


def aperture_fluxes(
    cube: CountsCube,
    exposure: ExposureMaps,
    response: Response,
    grid: TileGrid,
    tile: int,
    seed: int,
    glon_deg: Array,
    glat_deg: Array,
) -> tuple[Array, Array]:
    """Headline fluxes and their errors at places of a tile, cm-2 s-1, [n] each."""
    survey = cube.survey
    images = grid.images(cube, tile, seed)
    exposures = exposure.of_planes(glon_deg, glat_deg)
    low, high = survey.flux_range_gev
    photons, variance = np.zeros((2, len(glon_deg)))
    expected = np.zeros(len(glon_deg))
    fractions = band_fractions(survey, survey.reference_index)
    for plane, (band, event_type) in enumerate(survey.planes):
        if survey.bands[band].emax_gev <= low * 1.001 or survey.bands[band].emin_gev >= high:
            continue
        pixel_deg = grid.pixel_deg(band)
        psf = plane_psf(survey, response, plane, survey.reference_index)
        psf = psf.smeared(float(np.hypot(shuffle_sigma_deg(survey.bands[band].order), pixel_deg / 12**0.5)))
        radius = max(float(psf.radius_deg(CONTAINMENT)) / pixel_deg, LEAST_RADIUS_PX)
        image = images[band][survey.event_types.index(event_type)].sum(0).astype(float)
        x, y = grid.sky_to_pixel(tile, band, glon_deg, glat_deg)
        places = np.stack([x, y], axis=-1)
        circle = CircularAperture(places, radius)
        ring = ApertureStats(image, CircularAnnulus(places, RING[0] * radius, RING[1] * radius))
        within = circle.do_photometry(image)[0]
        # The mean: counts a pixel are few, and their median is 0 above 30 GeV.
        photons += within - ring.mean * circle.area
        variance += within + circle.area**2 * ring.mean / ring.sum_aper_area.value
        contained = psf.containment(radius * pixel_deg) - ring_share(psf, radius * pixel_deg)
        expected += fractions[plane] * exposures[:, plane] * contained
    return photons / expected, np.sqrt(variance) / expected


def ring_share(psf, radius_deg: float) -> float:  # type: ignore[no-untyped-def]
    """Share of the source's photons that the ring takes for background within the circle."""
    inner, outer = (float(psf.containment(r * radius_deg)) for r in RING)
    return (outer - inner) / (RING[1] ** 2 - RING[0] ** 2)
