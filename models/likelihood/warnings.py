"""Which sources deserve a warning: the rules behind `Flags`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from models.likelihood.band_fit import BandFluxes
from models.likelihood.detections import Detections
from models.likelihood.flags import Flags
from models.likelihood.local_fit import LocalSky
from models.likelihood.localise import Localisation
from models.likelihood.optics import EXTENTS_DEG, N_PROFILES, first_planes
from models.likelihood.spectral_posterior import INDEX_RANGE
from models.likelihood.spectral_shares import Shares
from models.likelihood.spectrum import SpectralFit
from sky.frames import unit_vectors
from sky.survey import Survey

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MISFIT = 8.0
LONG_R95_DEG = 0.25
MOVED_DEG = 0.1
CHI2_BAND, CHI2_ALL = 9.0, 20.5
LEAST_CONTRAST = 0.1
SEARCH_DEG = 3.0


def _bits(n: int, *rules: tuple[Flags, ArrayLike]) -> Ints:
    flags = np.zeros(n, dtype=np.int64)
    for bit, where in rules:
        flags[np.asarray(where)] |= int(bit)
    return flags


def warnings(place: Localisation, law: SpectralFit, bands: BandFluxes, survey: Survey) -> Ints:
    """Warnings about a source's own fits, [n]."""
    r95 = place.r95_deg[:, 0]
    shift = np.hypot(place.east_deg, place.north_deg)
    share, _ = Shares(survey)(law.index, law.curvature)
    model = law.flux_cm2_s[:, None] * share[:, first_planes(survey)]
    low, high = bands.unc_low_cm2_s, bands.unc_high_cm2_s
    error = np.where((model > bands.flux_cm2_s) | np.isnan(low), high, -np.nan_to_num(low))
    chi2 = ((model - bands.flux_cm2_s) / np.maximum(error, 1e-300)) ** 2
    return _bits(
        len(shift),
        (Flags.BAD_POSITION, (place.quality > MISFIT) | (r95 > LONG_R95_DEG)),
        (Flags.MOVED, (shift > r95) & (shift > MOVED_DEG)),
        (Flags.INDEX_AT_LIMIT, (law.index <= INDEX_RANGE[0] + 0.01) | (law.index >= INDEX_RANGE[1] - 0.01)),
        (Flags.BAD_SPECTRUM, (chi2 > CHI2_BAND).any(axis=1) | (chi2.sum(axis=1) > CHI2_ALL)),
    )


def crowding(
    detections: Detections, sky: LocalSky, bands: BandFluxes, npred: Floats, brighter_deg: Floats
) -> Ints:
    """Warnings about what lies round a source, [n].

    Parameters
    ----------
    detections : Detections
        Those measured.
    sky : LocalSky
    bands : BandFluxes
    npred : array [n, n_bands]
        Photons of the source.
    brighter_deg : array [n]
        Distance of the nearest brighter detection.
    """
    planes = detections.background_sr.shape[1] // npred.shape[1]  # of a band
    best = bands.ts.argmax(axis=1)
    rows = np.arange(len(best))
    r68, r80 = sky.spread.radius_deg(0.68)[best * planes], sky.spread.radius_deg(0.8)[best * planes]
    background = detections.background_sr.reshape(len(best), -1, planes).sum(axis=2)[rows, best]
    disc_sr = 2 * np.pi * (1 - np.cos(np.radians(r68)))
    return _bits(
        len(best),
        (Flags.LOW_CONTRAST, 0.68 * npred[rows, best] < LEAST_CONTRAST * background * disc_sr),
        (Flags.NEAR_BRIGHTER, brighter_deg < r80),
        (
            Flags.EXTENDED,
            (sky.profile > 0) & ((sky.profile < len(EXTENTS_DEG)) | (sky.profile >= N_PROFILES)),
        ),
    )


def nearest_brighter(detections: Detections) -> Floats:
    """Distance of the nearest detection with more flux, [N]; infinite beyond `SEARCH_DEG`."""
    vectors = unit_vectors(detections.glon_deg, detections.glat_deg)
    pairs = cKDTree(vectors).query_pairs(2 * np.sin(np.radians(SEARCH_DEG) / 2), output_type="ndarray")
    chord = np.linalg.norm(vectors[pairs[:, 0]] - vectors[pairs[:, 1]], axis=1)
    flux = np.where(detections.disc_deg > 0, 0.0, detections.flux_cm2_s)  # what is wide outshines nothing
    first_fainter = flux[pairs[:, 0]] < flux[pairs[:, 1]]
    fainter = np.where(first_fainter, pairs[:, 0], pairs[:, 1])
    nearest = np.full(len(vectors), np.inf)
    np.minimum.at(nearest, fainter, np.degrees(2 * np.arcsin(chord / 2)))
    return nearest


def inside_wide(detections: Detections) -> NDArray[np.bool_]:
    """Whether detections lie inside the disc of a wide source that is not themselves, [N]."""
    vectors = unit_vectors(detections.glon_deg, detections.glat_deg)
    wide = np.flatnonzero(detections.disc_deg > 0)
    near = vectors @ vectors[wide].T > np.cos(np.radians(detections.disc_deg[wide]))
    near[wide, np.arange(len(wide))] = False
    return np.asarray(near.any(axis=1))
