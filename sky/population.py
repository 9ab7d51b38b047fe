"""The gamma-ray sources of a synthetic sky: four classes, drawn after 4FGL-DR2.

`sky/tables/population.npz` (made by `scripts/derive_population.py`) holds the catalogue's parameters. Fluxes
follow the catalogue above its threshold and a stated law below; spectra are drawn *jointly*, by taking the
parameters of a catalogued source of the same class and about the same flux; places follow each class's own
distribution.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import resources
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sky.spectra import CurvedSpectrum

Array = NDArray[np.float64]

CLASSES = ("bll", "fsrq", "psr", "pwn")
FORMS = ("PowerLaw", "LogParabola", "PLSuperExpCutoff")
POPULATIONS = ("founding", "physical", "4fgl-dr2")
# Flux (1-100 GeV, cm-2 s-1) above which 4FGL-DR2 has practically every source, of blazars and of Galactic
# classes: three times the flux that 90 % of the sources exceed at high latitude, twice that in the plane.
COMPLETE_CM2_S = {"bll": 3e-10, "fsrq": 3e-10, "psr": 5e-10, "pwn": 5e-10}
# Latitudes: (weight, sigma in deg) of a narrow and a wide Gaussian (fits to the class's sources of DR2).
LATITUDES = {"psr": ((0.373, 1.14), (0.627, 26.1)), "pwn": ((0.586, 0.47), (0.414, 7.6))}
# Blazars' spectra end: their photons are absorbed by starlight on the way (Dominguez et al. 2011, MNRAS 410,
# 2556). With these exponential cut-offs the spectra of 4FGL-DR2 give 3FHL's fluxes up to 2 TeV; without, 2
# (BLL, 150-500 GeV) to 6 times (500-2000 GeV) as much.
CUTOFF_GEV = {"bll": 400.0, "fsrq": 150.0}
FLUX_KERNEL_DEX = 0.05
PARAMETER_KERNEL_DEX = 0.15
LONGITUDE_KERNEL_DEG = 3.0
INDEX_KERNEL = 0.05
EXTENDED_SHAPES = ("point", "disc", "gaussian")


class PopulationError(ValueError):
    """A population that does not exist or cannot be drawn."""


@dataclass(frozen=True, eq=False)
class SourceSample:
    """The sources of one sky; arrays of shape [N], brightest first.

    Attributes
    ----------
    name : array of str
    class_code : array of int
        Index into `CLASSES`.
    glon_deg, glat_deg : array
    flux1000 : array
        1-100 GeV, cm-2 s-1.
    form : array of int
        Index into `FORMS`.
    spectrum : CurvedSpectrum
    shape : array of int
        Index into `EXTENDED_SHAPES`.
    size_deg : array
        Radius of a disc or 68 % radius of a Gaussian; 0 for points.
    """

    name: NDArray[np.str_]
    class_code: NDArray[np.int64]
    glon_deg: Array
    glat_deg: Array
    flux1000: Array
    form: NDArray[np.int64]
    spectrum: CurvedSpectrum
    shape: NDArray[np.int64]
    size_deg: Array

    def __len__(self) -> int:
        return len(self.glon_deg)

    def select(self, which: Any) -> Self:
        """The sources of an index array, slice or mask."""
        chosen = {f.name: getattr(self, f.name) for f in fields(self)}
        spectrum = chosen.pop("spectrum").select(which)
        return type(self)(**{k: v[which] for k, v in chosen.items()}, spectrum=spectrum)


def draw_population(
    name: str, rng: np.random.Generator, faintest: float = 0.1, extended: bool = False
) -> SourceSample:
    """Sources of one sky.

    Parameters
    ----------
    name : str
        `founding`: number per decade of flux level with the catalogue's peak below it (the founding paper's
        form); `physical`: the power law of N(> F) measured where the catalogue is complete; `4fgl-dr2`: its
        own sources.
    rng : Generator
    faintest : float
        Where the extension ends, relative to the flux that 95 % of the class's catalogued sources exceed.
    extended : bool
        Give the sources that are extended, and as many of the drawn PWN and SNR, their sizes.

    Raises
    ------
    PopulationError
        If there is no population of that name, or `faintest` is not in (0, 1].
    """
    if name not in POPULATIONS:
        raise PopulationError(f"unknown population '{name}'; known: {', '.join(POPULATIONS)}")
    if not 0 < faintest <= 1:
        raise PopulationError(f"faintest flux must be in (0, 1] of the threshold, not {faintest:g}")
    if name == "4fgl-dr2":
        sample = catalogue_sources()
    else:
        parts = [_draw_class(k, name, rng, faintest) for k in range(len(CLASSES))]
        sample = _joined(parts)
    if not extended:
        sample = replace(sample, shape=np.zeros_like(sample.shape), size_deg=np.zeros_like(sample.size_deg))
    return sample.select(np.argsort(-sample.flux1000, kind="stable"))


def catalogue_sources() -> SourceSample:
    """4FGL-DR2 itself: every source's flux and preferred spectrum; blazars' as `CUTOFF_GEV` ends them."""
    t = _table()
    form = t["form"].astype(int)
    cutoff_mev = 1e3 * np.array([CUTOFF_GEV.get(c, np.inf) for c in CLASSES])[t["class_code"].astype(int)]
    index = np.choose(form, [t["pl_index"], t["lp_alpha"], t["plec_index"]])
    spectrum = CurvedSpectrum(
        k=np.choose(form, [t["pl_k"], t["lp_k"], t["plec_k"]]),
        pivot_gev=t["pivot_gev"],
        alpha=index,
        beta=np.where(form == 1, t["lp_beta"], 0.0),
        expfactor=np.where(form == 2, t["plec_expfactor"], 1.0 / cutoff_mev),
        exp_index=np.where(form == 2, t["plec_exp_index"], 1.0),
    )
    spectrum = replace(spectrum, k=spectrum.k * t["flux1000"] / spectrum.photon_flux(1.0, 100.0)[:, 0])
    return SourceSample(
        t["name"].astype(str),
        t["class_code"].astype(int),
        t["glon_deg"],
        t["glat_deg"],
        t["flux1000"],
        form,
        spectrum,
        t["shape"].astype(int),
        t["size_deg"],
    )


def bright_histories(code: int) -> Array:
    """Yearly fluxes over their mean of a class's bright sources in 4FGL-DR2, noise taken out, [n, 10]."""
    t = _table()
    return t["history"][t["history_class"] == code]


def own_histories(names: NDArray[np.str_]) -> Array:
    """Yearly fluxes over their mean of sources of 4FGL-DR2 by name, noise taken out, [N, 10].

    Constant where the catalogue is not sure, by its `Variability_Index`, that the source varies.

    Raises
    ------
    KeyError
        If it has no source of a name.
    """
    t = _table()
    row = {name: i for i, name in enumerate(t["name"].astype(str))}
    return t["own_history"][[row[name] for name in names]]


def _draw_class(code: int, name: str, rng: np.random.Generator, faintest: float) -> SourceSample:
    flux = _fluxes(code, name, rng, faintest)
    n = len(flux)
    glon, glat = _places(code, rng, n)
    spectrum, form = _spectra(code, rng, flux)
    shape, size = _sizes(code, rng, n)
    names = np.array([f"SIM {CLASSES[code].upper()} {i:06d}" for i in range(n)], dtype="U18")
    return SourceSample(names, np.full(n, code), glon, glat, flux, np.full(n, form), spectrum, shape, size)


def _fluxes(code: int, name: str, rng: np.random.Generator, faintest: float) -> Array:
    """Fluxes of one class, number and all, 1-100 GeV."""
    t = _table()
    known = t["flux1000"][t["class_code"] == code]
    log_known = np.log10(known)
    log_faintest = np.log10(faintest * np.percentile(known, 5))
    if name == "founding":
        number, edges = np.histogram(log_known, np.arange(-11, -6, 0.2))
        peak = int(np.argmax(number))
        join = 0.5 * (edges[peak] + edges[peak + 1])
        expected = number[peak] / 0.2 * (join - log_faintest)
        faint = rng.uniform(log_faintest, join, rng.poisson(expected))
    else:
        join = np.log10(COMPLETE_CM2_S[CLASSES[code]])
        slope = _count_slope(COMPLETE_CM2_S[CLASSES[code]])
        expected = np.sum(log_known > join) * (10 ** (slope * (join - log_faintest)) - 1)
        u = rng.uniform(size=rng.poisson(expected))
        faint = join - np.log10(1 + u * (10 ** (slope * (join - log_faintest)) - 1)) / slope
    bright = log_known[log_known > join]
    bright = rng.choice(bright, rng.poisson(len(bright)))
    bright = np.abs(bright - join + rng.normal(0, FLUX_KERNEL_DEX, len(bright))) + join
    return 10 ** np.concatenate([bright, faint])


def _count_slope(complete_cm2_s: float) -> float:
    """Slope a of N(> F) ~ F^-a over the first complete decade, of all classes that share the limit."""
    t = _table()
    codes = [k for k, name in enumerate(CLASSES) if COMPLETE_CM2_S[name] == complete_cm2_s]
    flux = t["flux1000"][np.isin(t["class_code"], codes)]
    return float(np.log10(np.sum(flux > complete_cm2_s) / np.sum(flux > 10 * complete_cm2_s)))


def _places(code: int, rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Galactic positions of n sources of one class."""
    if CLASSES[code] not in LATITUDES:
        return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    (narrow, sigma_narrow), (_, sigma_wide) = LATITUDES[CLASSES[code]]
    in_plane = rng.uniform(size=n) < narrow
    glat = rng.normal(0, np.where(in_plane, sigma_narrow, sigma_wide))
    glat = np.degrees(np.arcsin(np.sin(np.radians(glat))))  # a wide Gaussian's tail comes back over the pole
    # Longitudes of the catalogue's own sources near the plane, and away from it.
    t = _table()
    own = t["associated"] == code
    near = np.abs(t["glat_deg"]) < 5
    glon = np.where(
        in_plane, rng.choice(t["glon_deg"][own & near], n), rng.choice(t["glon_deg"][own & ~near], n)
    )
    return (glon + rng.normal(0, LONGITUDE_KERNEL_DEG, n)) % 360, glat


def _spectra(code: int, rng: np.random.Generator, flux: Array) -> tuple[CurvedSpectrum, int]:
    """Spectra of sources of given flux: all parameters of a class member of about that flux."""
    t = _table()
    pulsar, cutoff_gev = CLASSES[code] == "psr", CUTOFF_GEV.get(CLASSES[code], np.inf)
    # A pivot below 100 MeV belongs to a source not seen at the energies of the surveys.
    usable = (t["associated"] == code) & (t["pivot_gev"] > 0.1)
    if pulsar:
        usable &= t["plec_expfactor"] > 0
    members = np.flatnonzero(usable)
    members = members[np.argsort(t["flux1000"][members])]
    log_members = np.log10(t["flux1000"][members])
    wanted = np.log10(flux) + rng.normal(0, PARAMETER_KERNEL_DEX, len(flux))
    # Fainter than the class's faintest tenth there is nobody to take after but that tenth.
    wanted = np.maximum(wanted, np.quantile(log_members, rng.uniform(0, 0.1, len(flux))))
    like = members[np.clip(np.searchsorted(log_members, wanted), 0, len(members) - 1)]
    index = t["plec_index"] if pulsar else t["lp_alpha"]
    shape = CurvedSpectrum(
        k=np.ones(len(flux)),
        pivot_gev=t["pivot_gev"][like],
        alpha=index[like] + rng.normal(0, INDEX_KERNEL, len(flux)),
        beta=np.zeros(len(flux)) if pulsar else t["lp_beta"][like],
        expfactor=t["plec_expfactor"][like] if pulsar else np.full(len(flux), 1e-3 / cutoff_gev),
        exp_index=t["plec_exp_index"][like] if pulsar else np.ones(len(flux)),
    )
    return replace(shape, k=flux / shape.photon_flux(1.0, 100.0)[:, 0]), 2 if pulsar else 1


def _sizes(code: int, rng: np.random.Generator, n: int) -> tuple[NDArray[np.int64], Array]:
    """Shapes and sizes: as many of the class extended as in the catalogue."""
    t = _table()
    own = np.flatnonzero(t["associated"] == code)
    like = rng.choice(own, n)
    return t["shape"][like].astype(int), t["size_deg"][like]


def _joined(parts: list[SourceSample]) -> SourceSample:
    def join(name: str, of: list[Any]) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in of])

    spectra = [part.spectrum for part in parts]
    spectrum = CurvedSpectrum(**{f.name: join(f.name, spectra) for f in fields(CurvedSpectrum)})
    others = {f.name: join(f.name, parts) for f in fields(SourceSample) if f.name != "spectrum"}
    return SourceSample(**others, spectrum=spectrum)


@cache
def _table() -> Mapping[str, NDArray[Any]]:
    with resources.files("sky.tables").joinpath("population.npz").open("rb") as file, np.load(file) as stored:
        table = {name: stored[name] for name in stored.files if name != "origin"}
    return {name: v if v.dtype.kind == "S" else v.astype(float) for name, v in table.items()}
