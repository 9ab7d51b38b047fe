"""A small synthetic sky in exactly the input format: isotropic photons, point sources, a flat exposure."""

from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits

from sky.frames import galactic_to_icrs

N_BACKGROUND, N_SOURCES, PHOTONS_A_SOURCE = 150_000, 400, 40
EXPOSURE_CM2_S = 3.5e11


def directions(rng: np.random.Generator, n: int) -> np.ndarray:
    """Unit vectors, isotropic; shape (n, 3)."""
    vectors = rng.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_observation(
    folder: Path, seed: int = 3, *, north_of_deg: float = -90.0, name: str = "synthetic"
) -> Path:
    """Write photons, exposure and ``observation.toml`` into a folder; returns the last.

    Only the sky north of a galactic latitude is seen.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    of_source = np.repeat(directions(rng, N_SOURCES), PHOTONS_A_SOURCE, axis=0)
    spread = np.radians(0.1) * rng.normal(size=of_source.shape)
    vectors = np.concatenate([directions(rng, N_BACKGROUND), of_source + spread])
    glon, glat = hp.vec2ang(vectors, lonlat=True)
    glon, glat = glon[glat >= north_of_deg], glat[glat >= north_of_deg]
    ra, dec = galactic_to_icrs(glon, glat)
    # dN/dE ~ E^-2.4 above 10 GeV
    energy_mev = np.minimum(1e4 * (1 - rng.random(len(glon))) ** (-1 / 1.4), 1.9e6)
    kinds = np.zeros((len(glon), 32), dtype=bool)
    kinds[:, 31] = True
    columns = [
        fits.Column("ENERGY", "E", "MeV", array=energy_mev),
        fits.Column("RA", "D", "deg", array=ra),
        fits.Column("DEC", "D", "deg", array=dec),
        fits.Column("L", "D", "deg", array=glon),
        fits.Column("B", "D", "deg", array=glat),
        fits.Column("TIME", "D", "s", array=np.full(len(glon), 3e8)),
        fits.Column("EVENT_TYPE", "32X", array=kinds),
    ]
    _write(folder / "photons.fits", fits.BinTableHDU.from_columns(columns, name="EVENTS"))
    # Pixels are 4 degrees wide.
    seen = hp.pix2ang(16, np.arange(3072), lonlat=True)[1] >= north_of_deg - 4
    maps = [fits.Column(f"ENERGY{i}", "D", array=seen * EXPOSURE_CM2_S) for i in (1, 2)]
    exposure = fits.BinTableHDU.from_columns(maps, name="HPXEXPOSURES")
    exposure.header.update(PIXTYPE="HEALPIX", ORDERING="RING", NSIDE=16)
    energies = fits.BinTableHDU.from_columns([fits.Column("Energy", "D", array=[1e4, 2e6])], name="ENERGIES")
    _write(folder / "exposure.fits", exposure, energies)
    observation = folder / "observation.toml"
    observation.write_text(
        f'[observation]\nname = "{name}"\nsurvey = "lat-10gev"\n'
        '[[events]]\npath = "photons.fits"\n'
        '[exposure]\npath = "exposure.fits"\nframe = "galactic"\n'
    )
    return observation


def _write(path: Path, *hdus: fits.BinTableHDU) -> None:
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path, overwrite=True)
