"""Interstellar emission: complete models of the diffuse sky.

A model is a sum of components, each a map of intensity and a spectrum. `B1` is built from gas and a halo of
cosmic-ray electrons, `B2` is the p6v11 template; `random` draws a sky that could be, around B1. Templates and
norms come from `scripts/derive_emission.py`, which fits them to the real sky between 2 and 20 GeV.
"""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources

import healpy as hp
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

Array = NDArray[np.float64]

NSIDE = 256
LMAX = 2 * NSIDE
# Event class of the real counts above 10 GeV.
CALIBRATED_IRFS = "P8R2_SOURCE_V6"
# Of the eleven gas maps (HI and CO of five ring groups each, dark gas): inside and outside the solar circle.
INNER_GAS, OUTER_GAS = [0, 1, 2, 5, 6, 7], [3, 4, 8, 9, 10]
EMISSION_MODELS = ("B1", "B2", "random")


class EmissionError(ValueError):
    """An emission model that does not exist."""


@dataclass(frozen=True, eq=False)
class EmissionComponent:
    """One map with one spectrum.

    Attributes
    ----------
    name : str
    intensity : array [npix]
        Photons of 2-20 GeV, cm-2 s-1 sr-1; galactic RING at `NSIDE`.
    energy_gev, dnde : array
        Spectrum that integrates to 1 between 2 and 20 GeV, GeV-1; log-log between its points.
    """

    name: str
    intensity: Array
    energy_gev: Array
    dnde: Array

    def spectrum(self, energy_gev: ArrayLike) -> Array:
        """Spectrum per GeV, relative to the photons between 2 and 20 GeV."""
        return np.exp(np.interp(np.log(energy_gev), np.log(self.energy_gev), np.log(self.dnde)))

    def index(self, energy_gev: float) -> float:
        """Local photon index."""
        low, high = self.spectrum(energy_gev / 1.1), self.spectrum(energy_gev * 1.1)
        return float(np.log(low / high) / np.log(1.21))

    @cached_property
    def alm(self) -> NDArray[np.complex128]:
        """Spherical harmonics of the intensity up to `LMAX`."""
        return hp.map2alm(self.intensity, lmax=LMAX, iter=1, use_pixel_weights=False)


@dataclass(frozen=True, eq=False)
class EmissionModel:
    """A model of the interstellar emission.

    Attributes
    ----------
    name, citation : str
    components : tuple of EmissionComponent
    energy_gev, isotropic : array
        Factor on the published isotropic intensity of `CALIBRATED_IRFS` that goes with this model: what is
        isotropic depends on what is called interstellar.
    """

    name: str
    citation: str
    components: tuple[EmissionComponent, ...]
    energy_gev: Array
    isotropic: Array

    def isotropic_factor(self, irfs: str, energy_gev: ArrayLike) -> Array:
        """Factor on the published isotropic intensity of an event class; 1 without data to fit it to."""
        energy = np.asarray(energy_gev, float)
        if irfs != CALIBRATED_IRFS:
            return np.ones_like(energy)
        return np.exp(np.interp(np.log(energy), np.log(self.energy_gev), np.log(self.isotropic)))


def emission_model(name: str, rng: np.random.Generator) -> EmissionModel:
    """One of `EMISSION_MODELS`; only `random` draws from `rng`.

    Raises
    ------
    EmissionError
        If there is no emission model of that name.
    """
    if name == "B1":
        return _gas_model("B1", _Norms.fitted())
    if name == "B2":
        return _p6v11()
    if name == "random":
        return _gas_model("random", _Norms.drawn(rng))
    raise EmissionError(f"unknown emission model '{name}'; known: {', '.join(EMISSION_MODELS)}")


@dataclass(frozen=True)
class _Norms:
    """What may differ between skies built from the same gas."""

    hi: Array
    co: Array
    dark: float
    halo: Array
    tilt: Array  # change of photon index: inner gas, outer gas, inverse Compton
    texture: Array | None = None  # factor on the gas, map

    @classmethod
    def fitted(cls) -> "_Norms":
        gas, ic = _table("gas"), _table("ic")
        return cls(gas["hi_norms"], gas["co_norms"], float(gas["dark_norm"]), ic["norms"], np.zeros(3))

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "_Norms":
        """Emissivities, CO-to-H2 factor, halo, spectra, dark gas and texture of a possible Galaxy."""
        fit = cls.fitted()
        factor = np.exp(rng.normal(0, 0.2, (2, 5)))
        x_co = np.exp(rng.normal(0, 0.25))
        halo = fit.halo.sum() * np.exp(rng.normal(0, 0.25)) * rng.dirichlet(np.ones(len(fit.halo)))
        tilt = rng.normal(0, [0.05, 0.05, 0.08])
        dark = fit.dark * np.exp(rng.normal(0, 0.5))
        drawn = cls(fit.hi * factor[0], fit.co * factor[1] * x_co, dark, halo, tilt, _texture(rng))
        # However it is shared out, the whole is as bright as the sky that was measured, give or take 3 %.
        scale = np.exp(rng.normal(0, 0.03)) * fit.mean_intensity() / drawn.mean_intensity()
        return replace(drawn, hi=drawn.hi * scale, co=drawn.co * scale, dark=dark * scale, halo=halo * scale)

    def mean_intensity(self) -> float:
        """All-sky mean between 2 and 20 GeV, cm-2 s-1 sr-1 (the texture has mean 1)."""
        gas = np.concatenate([self.hi, self.co, [self.dark]]) @ _gas_maps().mean(axis=1)
        return float(gas + self.halo @ _halo_maps().mean(axis=1))


def _gas_model(name: str, norms: _Norms) -> EmissionModel:
    """Sum gas and halo maps."""
    gas, ic = _table("gas"), _table("ic")
    energy = gas["energy_gev"]
    emissivity = np.concatenate([norms.hi, norms.co, [norms.dark]])
    texture = 1.0 if norms.texture is None else norms.texture
    inner, outer = (
        np.tensordot(emissivity[g], _gas_maps()[g], axes=1) * texture for g in (INNER_GAS, OUTER_GAS)
    )
    halo = np.tensordot(norms.halo, _halo_maps(), axes=1)
    components = (
        EmissionComponent("inner gas", inner, energy, _tilted(energy, gas["inner_spectrum"], norms.tilt[0])),
        EmissionComponent("outer gas", outer, energy, _tilted(energy, gas["outer_spectrum"], norms.tilt[1])),
        EmissionComponent("inverse Compton", halo, energy, _tilted(energy, ic["spectrum"], norms.tilt[2])),
    )
    citation = (
        "CO: Dame, Hartmann & Thaddeus 2001; HI: HI4PI 2016, ring shares after Kalberla & Kerp 2009;"
        " dark gas: Grenier et al. 2005 from Schlegel et al. 1998; norms fitted to LAT counts; spectrum of"
        " gll_iem_v07 below 3.5 GeV, fitted to LAT counts above 10 GeV"
    )
    return EmissionModel(name, citation, components, energy, gas["isotropic_factor"])


def _p6v11() -> EmissionModel:
    table = _table("p6v11")
    shape = hp.alm2map(hp.map2alm(table["shape"], iter=1), NSIDE)
    energy, dnde = table["energy_gev"], table["spectrum"]
    uniform = np.full_like(shape, float(table["uniform"]))
    components = (
        EmissionComponent("p6v11", np.clip(table["norm"] * shape, 0, None), energy, dnde),
        # p6v11 falls short of the sky at high latitude by a uniform part; it goes with the electrons.
        EmissionComponent("uniform", uniform, energy, table["uniform_spectrum"]),
    )
    citation = (
        "Fermi-LAT diffuse model p6v11 (gll_iem_v02_P6_V11_DIFFUSE), norms fitted to LAT counts 2-20 GeV"
    )
    return EmissionModel("B2", citation, components, energy, table["isotropic_factor"])


def _tilted(energy_gev: Array, dnde: Array, tilt: float) -> Array:
    return dnde * (energy_gev / 5.0) ** -tilt


def _texture(rng: np.random.Generator) -> Array:
    """Log-normal factor with the gas's own power law of structure, below the scale of the HI map."""
    power, slope = _table("gas")["small_scale"]
    ell = np.arange(LMAX + 1)
    spectrum = np.where(ell >= 60, power * (np.maximum(ell, 1) / 100.0) ** slope, 0.0)
    alm = np.zeros(hp.Alm.getsize(LMAX), complex)
    degree, order = hp.Alm.getlm(LMAX)
    real, imaginary = rng.normal(size=(2, len(alm)))
    alm = np.sqrt(spectrum[degree]) * np.where(order == 0, real, (real + 1j * imaginary) / np.sqrt(2))
    field = hp.alm2map(alm, NSIDE, lmax=LMAX)
    return np.exp(field - 0.5 * field.var())


@cache
def _gas_maps() -> NDArray[np.float32]:
    """HI by ring group (1e20 cm-2), W(CO) by ring group (K km/s), dark gas (mag), [11, npix]."""
    table = _table("gas")
    lon, lat = hp.pix2ang(NSIDE, np.arange(hp.nside2npix(NSIDE)), lonlat=True)
    rings = (slice(0, 4), slice(4, 5), slice(5, 6), slice(6, 7), slice(7, 9))
    place = [(lat + 89.875) / 0.25, (lon - 0.125) / 0.25 + 1]
    wrapped = np.pad(table["co"], ((0, 0), (0, 0), (1, 1)), mode="wrap")
    co = [map_coordinates(wrapped[r].sum(axis=0), place, order=1, mode="nearest") for r in rings]
    smooth = [*(table["hi_shares"] / 255.0 * table["n_hi"]), table["dark"]]
    hi_and_dark = [hp.get_interp_val(m, lon, lat, lonlat=True) for m in smooth]
    return np.array([*hi_and_dark[:5], *co, hi_and_dark[5]], np.float32)


@cache
def _halo_maps() -> NDArray[np.float32]:
    lon, lat = hp.pix2ang(NSIDE, np.arange(hp.nside2npix(NSIDE)), lonlat=True)
    return np.array([hp.get_interp_val(m, lon, lat, lonlat=True) for m in _table("ic")["halo"]], np.float32)


@cache
def _table(name: str) -> dict[str, Array]:
    path = resources.files("sky.tables").joinpath(f"emission_{name}.npz")
    with path.open("rb") as file, np.load(file) as stored:
        return {key: stored[key].astype(float) for key in stored.files if key != "origin"}
