"""Cut-outs whose truth is known exactly, drawn photon by photon without the templates they test."""

import numpy as np
import torch

from models.cutouts import FAKE, SIZE_PX, Cutouts, CutoutTruth
from models.psf_kernels import plane_psf, shuffle_sigma_deg
from sky.response import load_response
from sky.survey import Survey, get_survey
from tests.models.known_sky import band_flux

EXPOSURE_CM2_S = 3.7e11
# Background of the bands at high latitude, counts a pixel and event type.
BACKGROUND = {"lat-10gev": (0.06, 0.013, 0.0025), "lat-6band": (80.0, 70.0, 9.0, 1.2, 0.04, 0.013)}


def known_cutouts(
    flux_cm2_s: np.ndarray,
    rng: np.random.Generator,
    name: str = "lat-10gev",
    exposure: float = EXPOSURE_CM2_S,
) -> tuple[Cutouts, CutoutTruth]:
    """A source of each flux (0: none) near a detection at a random place of the centre pixels.

    Sources are constant power laws of the survey's reference index.
    """
    survey, n = get_survey(name), len(flux_cm2_s)
    offset = rng.uniform(-0.5, 0.5, (n, len(survey.bands), 2))
    shift = rng.uniform(-1.4, 1.4, (n, 2))
    ratio = np.array(survey.tile_pixels_per_10deg) / max(survey.tile_pixels_per_10deg)
    bands = np.stack(
        [band_flux(survey, flux_cm2_s, survey.reference_index, b) for b in range(len(survey.bands))], 1
    )
    counts = np.zeros((n, len(survey.planes), SIZE_PX, SIZE_PX))
    for plane, (band, _) in enumerate(survey.planes):
        counts[:, plane] = rng.poisson(
            BACKGROUND[name][band] * exposure / EXPOSURE_CM2_S, (n, SIZE_PX, SIZE_PX)
        )
        for i, photons in enumerate(rng.poisson(bands[:, band] * exposure)):
            counts[i, plane] += _photons(
                survey, plane, offset[i, band] + ratio[band] * shift[i], photons, rng
            )
    yearly = None
    if survey.time_slices:
        middle = counts[..., 2:-2, 2:-2].reshape(n, len(survey.bands), -1, 7, 7).sum(2).astype(int)
        share = np.full(survey.time_slices, 1 / survey.time_slices)
        yearly = torch.tensor(np.moveaxis(rng.multinomial(middle, share), -1, 2), dtype=torch.float32)
    cutouts = Cutouts(
        counts=torch.tensor(counts, dtype=torch.float32),
        yearly=yearly,
        offset_px=torch.tensor(offset, dtype=torch.float32),
        exposure_cm2_s=torch.full((n, len(survey.planes)), exposure),
        glon_deg=torch.tensor(rng.uniform(0, 360, n)),
        glat_deg=torch.tensor(np.degrees(np.arcsin(rng.uniform(-1, 1, n)))),
        covered=torch.ones(n, dtype=torch.bool),
    )
    real = torch.tensor(flux_cm2_s > 0)
    code = torch.where(real, torch.arange(n) % FAKE, FAKE)
    flux = torch.tensor(flux_cm2_s)
    sigma = torch.where(real, 8.0, 0.0)
    shifts = torch.tensor(shift, dtype=torch.float32)
    return cutouts, CutoutTruth(real, code, flux, torch.tensor(bands), shifts, sigma, torch.zeros(n))


def _photons(
    survey: Survey, plane: int, place_px: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Image of n photons of a source at a place from the centre pixel's centre, pixels of the band."""
    band = survey.planes[plane][0]
    pixel_deg = 10.0 / survey.tile_pixels_per_10deg[band]
    psf = plane_psf(survey, load_response(survey.irfs), plane, survey.reference_index)
    radius, angle = psf.radius_deg(rng.uniform(size=n)), rng.uniform(0, 2 * np.pi, n)
    blur = rng.normal(0, shuffle_sigma_deg(survey.bands[band].order), (2, n))
    x, y = (np.stack([radius * np.cos(angle), radius * np.sin(angle)]) + blur) / pixel_deg + place_px[:, None]
    edges = np.arange(SIZE_PX + 1) - SIZE_PX / 2
    return np.histogram2d(y, x, (edges, edges))[0]
