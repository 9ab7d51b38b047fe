"""Point and extended sources on the sphere, through their point-spread function."""

from collections.abc import Callable
from dataclasses import dataclass

import healpy as hp
import numpy as np
from numpy.typing import NDArray

from sky.psf import RadialPSF

Array = NDArray[np.float64]
Pixels = NDArray[np.int64]

CHUNK = 1 << 20
GAUSSIAN_R68 = float(np.sqrt(-2.0 * np.log(0.32)))


def displaced(vector: Array, sep_rad: Array, azimuth_rad: Array) -> Array:
    """Unit vectors [3, n] moved by a separation in a direction, exactly on the sphere."""
    x, y, z = vector
    rho = np.hypot(x, y)
    at_pole = rho < 1e-12
    safe = np.where(at_pole, 1.0, rho)
    east = np.array([np.where(at_pole, 0.0, -y / safe), np.where(at_pole, 1.0, x / safe), np.zeros_like(z)])
    north = np.array([-z * east[1], z * east[0], x * east[1] - y * east[0]])
    tangent = np.cos(azimuth_rad) * north + np.sin(azimuth_rad) * east
    return np.cos(sep_rad) * vector + np.sin(sep_rad) * tangent


@dataclass(frozen=True, eq=False)
class RenderedSources:
    """What must be known of sources to put them on a map; arrays of [N] unless said otherwise.

    Attributes
    ----------
    vector : array [3, N]
        Directions.
    expected : array
        Mean number of photons.
    index : array
        Photon index, which chooses the PSF.
    shape : array of int
        0 point, 1 disc of radius `size_deg`, 2 Gaussian of 68 % radius `size_deg`.
    size_deg : array
    """

    vector: Array
    expected: Array
    index: Array
    shape: Pixels
    size_deg: Array

    @property
    def psf_index(self) -> Array:
        """Index in steps of 1/4, one PSF each; the 68 % radius changes by less than 2 % from step to step."""
        return np.clip(np.round(self.index * 4), 2, 20) / 4


def source_photons(
    sources: RenderedSources, psf: Callable[[float], RadialPSF], nside: int, rng: np.random.Generator
) -> Pixels:
    """Draw the photons of many sources.

    Parameters
    ----------
    sources : RenderedSources
    psf : callable
        PSF of the plane for a photon index.
    nside : int
    rng : Generator

    Returns
    -------
    array
        NESTED pixel of every photon: none is lost, however wide the wings.
    """
    number = rng.poisson(sources.expected)
    pixels = []
    for index in np.unique(sources.psf_index):
        members = np.flatnonzero((sources.psf_index == index) & (number > 0))
        profile = psf(index)
        photon_source = np.repeat(members, number[members])
        for start in range(0, len(photon_source), CHUNK):
            of = photon_source[start : start + CHUNK]
            u, turn = rng.uniform(size=(2, len(of)))
            place = displaced(sources.vector[:, of], np.radians(profile.radius_deg(u)), 2 * np.pi * turn)
            wide = np.flatnonzero(sources.shape[of] > 0)
            if len(wide):
                u, turn = rng.uniform(size=(2, len(wide)))
                disc, gaussian = np.sqrt(u), np.sqrt(-2 * np.log1p(-u)) / GAUSSIAN_R68
                offset = np.where(sources.shape[of[wide]] == 1, disc, gaussian)
                offset_rad = np.radians(sources.size_deg[of[wide]] * offset)
                place[:, wide] = displaced(place[:, wide], offset_rad, 2 * np.pi * turn)
            pixels.append(hp.vec2pix(nside, *place, nest=True))
    return np.concatenate(pixels) if pixels else np.empty(0, np.int64)


def expected_map(
    sources: RenderedSources, psf: Callable[[float], RadialPSF], order: int, lost_photons: float = 0.01
) -> Array:
    """Expected photons of many sources by pixel (the Asimov map), NESTED at `order`.

    A source is drawn out to where less than `lost_photons` of it are left, 20 deg at most; those are put back
    in proportion, so that its total is exact. Pixels next to a source are means over their 64 descendants.
    """
    nside = 1 << order
    total = np.zeros(hp.nside2npix(nside))
    pixel_rad = hp.nside2resol(nside)
    descendants = np.arange(64)
    for i in np.flatnonzero(sources.expected > 0):
        profile = psf(sources.psf_index[i])
        if sources.shape[i] == 1:
            profile = profile.over_disc(sources.size_deg[i])
        elif sources.shape[i] == 2:
            profile = profile.smeared(sources.size_deg[i] / GAUSSIAN_R68)
        kept = 1 - min(lost_photons / sources.expected[i], 0.05)
        radius = np.clip(np.radians(profile.radius_deg(kept)), 2 * pixel_rad, np.radians(20.0))
        pixels = hp.query_disc(nside, sources.vector[:, i], radius, inclusive=True, fact=4, nest=True)
        density = profile.density_sr(_separation_deg(nside, pixels, sources.vector[:, i]))
        near = hp.query_disc(nside, sources.vector[:, i], 2 * pixel_rad, inclusive=True, fact=4, nest=True)
        finer = (near[:, None] << 6) + descendants
        inner = profile.density_sr(_separation_deg(nside << 3, finer.ravel(), sources.vector[:, i]))
        density[np.searchsorted(pixels, near)] = inner.reshape(finer.shape).mean(axis=1)
        total[pixels] += sources.expected[i] * density / density.sum()
    return total


def _separation_deg(nside: int, pixels: Pixels, vector: Array) -> Array:
    """Angle between pixel centres and a direction, from the chord: exact at small angles."""
    chord = np.linalg.norm(np.array(hp.pix2vec(nside, pixels, nest=True)) - vector[:, None], axis=0)
    return np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1.0)))
