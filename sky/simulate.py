"""Synthetic skies: sources, interstellar and isotropic emission as the LAT would count them.

Everything follows from the seed: each component of each plane and time slice draws from a stream of its own,
so that the same seed gives the same sky in whatever order and however many at once its maps are made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial, reduce

import healpy as hp
import numpy as np
from numpy.typing import NDArray

from sky.emission import LMAX, EmissionModel, emission_model
from sky.mission import Mission, pattern, pattern_at, survey_mission
from sky.population import CLASSES, SourceSample, draw_population
from sky.psf import RadialPSF
from sky.rendering import RenderedSources, expected_map, source_photons
from sky.survey import Survey
from sky.variability import draw_light_curves, own_light_curves

Array = NDArray[np.float64]
Counts = NDArray[np.int32]

COMPONENTS = (*CLASSES, "diffuse", "isotropic")
# The templates hold nothing finer than 0.23 deg: finer maps share a pixel's photons out among its children.
DIFFUSE_ORDER = 9
# Blazars fainter than 4FGL-DR2's threshold are part of the isotropic intensity as it was measured.
UNRESOLVED_CM2_S = 1e-10


class SimulationError(ValueError):
    """A synthetic sky that cannot be made."""


@dataclass(frozen=True, eq=False)
class SyntheticSky:
    """One sky, and what the instrument makes of it.

    Attributes
    ----------
    survey : Survey
    mission : Mission
        Interval, time slices and event class.
    sources : SourceSample
    light_curves : array [N, n_slices]
        Flux of each slice over the mean.
    emission : EmissionModel
    population : str
        Name in `sky.population.POPULATIONS`.
    seed : int
    """

    survey: Survey
    mission: Mission
    sources: SourceSample
    light_curves: Array
    emission: EmissionModel
    population: str
    seed: int

    @cached_property
    def npred(self) -> Array:
        """Expected photons of each source in each plane over the whole interval, [N, n_planes]."""
        counts = np.empty((len(self.sources), len(self.survey.planes)))
        share = pattern_at(self.sources.glon_deg, self.sources.glat_deg)
        for b, band in enumerate(self.survey.bands):
            of_type = [
                self.mission.band_exposure(t, band.emin_gev, band.emax_gev) for t in self.survey.event_types
            ]
            dnde = self.sources.spectrum.dnde(of_type[0][0])  # the energies are the same for all types
            for t, (_, exposure) in zip(self.survey.event_types, of_type, strict=True):
                counts[:, self.survey.planes.index((b, t))] = share * (dnde @ exposure)
        return counts

    @cached_property
    def band_index(self) -> Array:
        """Photon index of each source where most photons of a band are, [N, n_bands]."""
        energy = [min(np.sqrt(b.emin_gev * b.emax_gev), 2 * b.emin_gev) for b in self.survey.bands]
        return self.sources.spectrum.index_at(energy)

    @cached_property
    def isotropic_counts_sr(self) -> Array:
        """Isotropic counts per sr at mean exposure, less those of unresolved blazars, [n_planes]."""
        faint = (self.sources.flux1000 < UNRESOLVED_CM2_S) & (
            self.sources.class_code <= CLASSES.index("fsrq")
        )
        unresolved = self.npred[faint].sum(axis=0) / (4 * np.pi)
        total = np.empty(len(self.survey.planes))
        for p, (b, t) in enumerate(self.survey.planes):
            band = self.survey.bands[b]
            total[p] = self.mission.isotropic_counts_sr(
                t,
                band.emin_gev,
                band.emax_gev,
                partial(self.emission.isotropic_factor, self.mission.response.irfs),
            )
        return np.maximum(total - unresolved, 0.2 * total)

    def psf(self, plane: int, index: float) -> RadialPSF:
        """PSF of a plane for sources of a photon index."""
        b, t = self.survey.planes[plane]
        band = self.survey.bands[b]
        return self.mission.response.band_psf(t, band.emin_gev, band.emax_gev, index)

    def diffuse_order(self, plane: int) -> int:
        """HEALPix order of a plane's diffuse maps."""
        return min(self.survey.bands[self.survey.planes[plane][0]].order, DIFFUSE_ORDER)

    def expected_diffuse(self, plane: int) -> Array:
        """Expected interstellar photons by pixel over the whole interval, NESTED at `diffuse_order`."""
        b, t = self.survey.planes[plane]
        band = self.survey.bands[b]
        energy, exposure = self.mission.band_exposure(t, band.emin_gev, band.emax_gev)
        nside = 1 << self.diffuse_order(plane)
        alm = np.zeros(hp.Alm.getsize(LMAX), complex)
        for component in self.emission.components:
            photons = float(np.sum(exposure * component.spectrum(energy)))
            window = _window(self.psf(plane, round(component.index(1.5 * band.emin_gev), 1)), nside)
            alm += photons * hp.almxfl(component.alm, window)
        ring = hp.alm2map(alm, nside, lmax=LMAX)
        # A band-limited map rings round the brightest clouds; no pixel emits less than nothing.
        counts = np.clip(hp.reorder(ring, r2n=True), 0, None)
        return counts * _pattern(nside) * hp.nside2pixarea(nside)

    def expected_isotropic(self, plane: int) -> Array:
        """Expected isotropic photons by pixel over the whole interval, NESTED at `diffuse_order`."""
        nside = 1 << self.diffuse_order(plane)
        return self.isotropic_counts_sr[plane] * _pattern(nside) * hp.nside2pixarea(nside)

    def expected(self, plane: int, component: str) -> Array:
        """Expected photons by pixel over the whole interval (the Asimov map) of one of `COMPONENTS`.

        NESTED; at the band's order for a class of sources, at `diffuse_order` for `diffuse` and `isotropic`.
        """
        if component == "diffuse":
            return self.expected_diffuse(plane)
        if component == "isotropic":
            return self.expected_isotropic(plane)
        order = self.survey.bands[self.survey.planes[plane][0]].order
        return expected_map(self._rendered(plane, component, 1.0), partial(self.psf, plane), order)

    def draw_component(self, plane: int, time_slice: int, component: str) -> Counts:
        """Poisson counts of one of `COMPONENTS`, NESTED at the band's order."""
        order = self.survey.bands[self.survey.planes[plane][0]].order
        if component in CLASSES:
            return _binned(self._class_photons(plane, time_slice, component), order)
        counts = self._smooth_counts(plane, time_slice, component, self.expected(plane, component))
        levels = order - self.diffuse_order(plane)
        stream = self._stream(plane, time_slice, component, "places")
        return _binned(_shared_out(counts, levels, stream), order) if levels else counts

    def draw_counts(self, plane: int) -> Iterator[Counts]:
        """Poisson counts of all components together, one NESTED map a time slice."""
        order = self.survey.bands[self.survey.planes[plane][0]].order
        levels = order - self.diffuse_order(plane)
        smooth = {name: self.expected(plane, name) for name in ("diffuse", "isotropic")}
        for time_slice in range(len(self.mission.slice_share)):
            photons = [self._class_photons(plane, time_slice, c) for c in CLASSES]
            maps = []
            for name, expected in smooth.items():
                counts = self._smooth_counts(plane, time_slice, name, expected)
                if levels:
                    photons.append(
                        _shared_out(counts, levels, self._stream(plane, time_slice, name, "places"))
                    )
                else:
                    maps.append(counts)
            yield reduce(np.add, maps, _binned(np.concatenate(photons), order))

    def _stream(self, plane: int, time_slice: int, component: str, draw: str) -> np.random.Generator:
        """Random numbers of one draw: the photons' `number`, or their `places`."""
        key = (plane, time_slice, COMPONENTS.index(component), ("number", "places").index(draw))
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def _smooth_counts(self, plane: int, time_slice: int, component: str, expected: Array) -> Counts:
        """Poisson counts of `diffuse` or `isotropic` at `diffuse_order`."""
        stream = self._stream(plane, time_slice, component, "number")
        return stream.poisson(expected * self.mission.slice_share[time_slice]).astype(np.int32)

    def _class_photons(self, plane: int, time_slice: int, component: str) -> NDArray[np.int64]:
        flux_share = self.light_curves[:, time_slice] * self.mission.slice_share[time_slice]
        return source_photons(
            self._rendered(plane, component, flux_share),
            partial(self.psf, plane),
            self.survey.bands[self.survey.planes[plane][0]].nside,
            self._stream(plane, time_slice, component, "places"),
        )

    def _rendered(self, plane: int, component: str, share: Array | float) -> RenderedSources:
        """One class with the share of its photons that falls into a slice."""
        own = self.sources.class_code == CLASSES.index(component)
        return RenderedSources(
            vector=self._vectors[:, own],
            expected=(self.npred[:, plane] * share)[own],
            index=self.band_index[own, self.survey.planes[plane][0]],
            shape=self.sources.shape[own],
            size_deg=self.sources.size_deg[own],
        )

    @cached_property
    def _vectors(self) -> Array:
        return np.array(hp.ang2vec(self.sources.glon_deg, self.sources.glat_deg, lonlat=True)).T


def synthetic_sky(
    survey: Survey,
    seed: int,
    emission: str = "B1",
    population: str = "founding",
    slices: int = 1,
    irfs: str | None = None,
    extended: bool = False,
    faintest: float = 0.1,
    dispersion: bool = False,
) -> SyntheticSky:
    """Draw one sky.

    Parameters
    ----------
    survey : Survey
    seed : int
        Not negative.
    emission, population : str
        Names in `sky.emission.EMISSION_MODELS` and `sky.population.POPULATIONS`.
    slices : int
        Time slices of equal length; 1 for none.
    irfs : str, optional
        Event class; the survey's where it is not given.
    extended : bool
        Extended sources as such, not as points.
    faintest : float
        Faintest sources, see `draw_population`.
    dispersion : bool
        Scatter of the measured energies.

    Raises
    ------
    SimulationError
        If the seed is negative, or the survey has not so many time slices.
    PopulationError, EmissionError, ResponseError
        If a name is unknown.
    """
    if seed < 0:
        raise SimulationError(f"the seed must be a whole number of 0 or more, not {seed}")
    if not 1 <= slices <= max(1, survey.time_slices):
        raise SimulationError(f"survey '{survey.name}' has {survey.time_slices} time slices, not {slices}")
    # Streams of the sky itself; those of its maps have four keys (see `_stream`).
    streams = [np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k,))) for k in range(3)]
    sources = draw_population(population, streams[0], faintest, extended)
    if population == "4fgl-dr2":
        light_curves = own_light_curves(sources.name, slices)
    else:
        light_curves = draw_light_curves(sources.class_code, slices, streams[1])
    return SyntheticSky(
        survey=survey,
        mission=survey_mission(survey, irfs or survey.irfs, slices, dispersion),
        sources=sources,
        light_curves=light_curves,
        emission=emission_model(emission, streams[2]),
        population=population,
        seed=seed,
    )


def _binned(pixels: NDArray[np.int64], order: int) -> Counts:
    return np.bincount(pixels, minlength=12 << (2 * order)).astype(np.int32)


def _shared_out(counts: Counts, levels: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Pixels of the photons of a map, `levels` orders finer, each in one of its pixel's descendants."""
    photons = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    return (photons << (2 * levels)) + rng.integers(1 << (2 * levels), size=len(photons))


@lru_cache(maxsize=8)
def _pattern(nside: int) -> Array:
    return pattern(nside)


@lru_cache(maxsize=128)
def _window(psf: RadialPSF, nside: int) -> Array:
    """PSF and pixel together, up to `LMAX`; a square of area A is a Gaussian of variance A / 12 per axis."""
    ell = np.arange(LMAX + 1)
    return psf.window(LMAX) * np.exp(-ell * (ell + 1) * hp.nside2pixarea(nside) / 24)
