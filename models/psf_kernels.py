"""A survey's PSFs on the pixels of its tiles, grouped by resolution: what networks and renderer share."""

from dataclasses import dataclass
from functools import cache

import healpy as hp
import numpy as np
from numpy.typing import NDArray

from sky.psf import RadialPSF
from sky.response import Response, load_response
from sky.survey import Survey

Array = NDArray[np.float64]

# Kernels of the likelihood channels end where 2 % of the photons are left, or at this many pixels.
KERNEL_CONTAINMENT = 0.98
MAX_KERNEL_HALF_PX = 16


@dataclass(frozen=True, eq=False)
class LevelPSF:
    """The planes of a survey that share a tile resolution.

    Attributes
    ----------
    bands : tuple of int
    planes : tuple of int
        Their indices in `Survey.planes`, band by band.
    pixels_per_10deg : int
    kernels : array [n_planes, k, k]
        PSF averaged over the pixel the source stands in, all of one size.
    share : array [n_planes]
        Expected counts of a source of the survey's reference index, relative over all planes of the survey.
    """

    bands: tuple[int, ...]
    planes: tuple[int, ...]
    pixels_per_10deg: int
    kernels: Array
    share: Array

    @property
    def n_planes(self) -> int:
        """Number of planes."""
        return len(self.planes)

    @property
    def pixel_deg(self) -> float:
        """Side of a pixel."""
        return 10.0 / self.pixels_per_10deg


def shuffle_sigma_deg(order: int) -> float:
    """Blur per axis of a photon's new random place in its HEALPix pixel: side / sqrt(6)."""
    return float(hp.nside2resol(1 << order, arcmin=True)) / 60.0 / np.sqrt(6.0)


def plane_psf(survey: Survey, response: Response, plane: int, index: float) -> RadialPSF:
    """PSF of a plane for a photon index."""
    band, event_type = survey.planes[plane]
    return response.band_psf(event_type, survey.bands[band].emin_gev, survey.bands[band].emax_gev, index)


def counts_share(survey: Survey, response: Response, index: float) -> Array:
    """Expected counts of a power law in every plane, sum 1, [n_planes]."""
    share = []
    for b, event_type in survey.planes:
        band = survey.bands[b]
        power = 1.0 - index
        flux = (band.emin_gev**power - band.emax_gev**power) / -power
        share.append(flux * response.band_acceptance_cm2_sr(event_type, band.emin_gev, band.emax_gev, index))
    return np.array(share) / np.sum(share)


@cache
def level_psfs(survey: Survey) -> tuple[LevelPSF, ...]:
    """The survey's levels, finest first, each half as fine as the one before it or skipping some."""
    response, index = load_response(survey.irfs), survey.reference_index
    share = counts_share(survey, response, index)
    levels = []
    for pixels in sorted(set(survey.tile_pixels_per_10deg), reverse=True):
        planes = tuple(
            p for p, (b, _) in enumerate(survey.planes) if survey.tile_pixels_per_10deg[b] == pixels
        )
        pixel_deg = 10.0 / pixels
        psfs = [plane_psf(survey, response, p, index) for p in planes]
        reach = max(float(psf.radius_deg(KERNEL_CONTAINMENT)) for psf in psfs)
        half = int(np.clip(np.ceil(reach / pixel_deg), 2, MAX_KERNEL_HALF_PX))
        kernels = []
        for p, psf in zip(planes, psfs, strict=True):
            shuffle = shuffle_sigma_deg(survey.bands[survey.planes[p][0]].order)
            # The source may stand anywhere in its pixel: as a blur, side / sqrt(12) per axis.
            blur = float(np.hypot(shuffle, pixel_deg / np.sqrt(12.0)))
            kernels.append(psf.pixel_kernel(pixel_deg, half, 5, blur))
        bands = tuple(dict.fromkeys(survey.planes[p][0] for p in planes))
        levels.append(LevelPSF(bands, planes, pixels, np.array(kernels), share[list(planes)]))
    return tuple(levels)
