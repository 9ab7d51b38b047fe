"""One synthetic sky in expected counts, as the training stream needs it: diffuse maps and a list of
sources."""

from dataclasses import dataclass

import healpy as hp
import numpy as np
from numpy.typing import NDArray

from models.render import PSF_INDICES
from sky.emission import LMAX
from sky.frames import unit_vectors
from sky.mission import Mission, pattern
from sky.response import band_energies
from sky.simulate import SyntheticSky, synthetic_sky
from sky.survey import Survey

Array = NDArray[np.float64]

# The emission models hold nothing finer.
MAP_NSIDE = 256
BAND_STEPS = 16
# Share of the skies with no sources below the catalogue's threshold; the others go on to FAINTEST of it.
NO_FAINT_SHARE = 0.25
FAINTEST = 0.1
B1_SHARE = 0.2
# Measured all-sky counts: real maps above 10 GeV; for ten years of P8R3_SOURCE, known mean intensities times
# exposure, FRONT and BACK in turn.
MEASURED_COUNTS = {
    "lat-10gev": (657_117, 134_471, 27_521),
    "lat-6band": (1.7e7, 1.5e7, 1.5e7, 1.4e7, 8.1e6, 7.9e6, 4.5e6, 4.1e6, 7.1e5, 5.9e5, 2.1e5, 1.7e5),
}
# The isotropic part gives way until the sky is as bright as measured, down to this share of itself.
ISOTROPIC_FLOOR = 0.4
BRIGHTNESS_SPREAD = 0.1


@dataclass(frozen=True, eq=False)
class TrainingSky:
    """Expected counts of a sky.

    Attributes
    ----------
    survey : Survey
    irfs : str
    diffuse_sr : array [n_planes, npix]
        Interstellar and isotropic counts per steradian, PSF and exposure included; galactic RING.
    vectors : array [N, 3]
        Unit vectors of the sources.
    counts : array [N, n_planes]
    psf_index : array of int [N, n_planes]
        Into `models.render.PSF_INDICES`.
    flux_cm2_s : array [N]
        In the survey's headline range.
    class_code : array of int [N]
    flux_band_cm2_s : array [N, n_bands]
    shape : array of int [N]
        Index into `sky.population.EXTENDED_SHAPES`.
    size_deg : array [N]
        Radius of a disc or 68 % radius of a Gaussian; 0 for points.
    light_curves : array [N, n_slices]
        Flux of each time slice over the mean; one slice in surveys without.
    slice_share : array [n_slices]
        Share of each slice in the exposure.
    mean_exposure_cm2_s : array [n_planes]
        All-sky mean, averaged over the band for the survey's reference index; times `sky.mission.pattern_at`
        it is the exposure of a place.
    """

    survey: Survey
    irfs: str
    diffuse_sr: NDArray[np.float32]
    vectors: Array
    counts: Array
    psf_index: NDArray[np.int64]
    flux_cm2_s: Array
    class_code: NDArray[np.int64]
    flux_band_cm2_s: Array
    shape: NDArray[np.int64]
    size_deg: Array
    light_curves: Array
    slice_share: Array
    mean_exposure_cm2_s: Array


def mixed_sky(survey: Survey, rng: np.random.Generator, extended_share: float = 0.0) -> TrainingSky:
    """A sky of the training mixture: B1 or one of the random family; one of the flux laws, or no faint
    sources.

    On `extended_share` of the skies as many sources as in 4FGL-DR2 are extended, with its sizes; on the
    others all are points.
    """
    emission = "B1" if rng.uniform() < B1_SHARE else "random"
    population = str(rng.choice(["founding", "physical"]))
    faintest = 1.0 if rng.uniform() < NO_FAINT_SHARE else FAINTEST
    # Nothing is drawn where it cannot matter: streams of points alone stay what they were.
    extended = extended_share > 0 and bool(rng.uniform() < extended_share)
    sky = synthetic_sky(
        survey,
        int(rng.integers(2**62)),
        emission,
        population,
        slices=max(1, survey.time_slices),
        extended=extended,
        faintest=faintest,
    )
    return as_measured(training_sky(sky), sky, np.exp(rng.normal(0.0, BRIGHTNESS_SPREAD)))


def training_sky(sky: SyntheticSky) -> TrainingSky:
    """Expected counts of any synthetic sky."""
    survey, sources = sky.survey, sky.sources
    exposure_pattern = hp.reorder(pattern(MAP_NSIDE), n2r=True)
    index = sky.band_index[:, [band for band, _ in survey.planes]]
    diffuse = np.array([_interstellar_sr(sky, plane) for plane in range(len(survey.planes))])
    return TrainingSky(
        survey,
        sky.mission.response.irfs,
        ((diffuse + sky.isotropic_counts_sr[:, None]) * exposure_pattern).astype(np.float32),
        unit_vectors(sources.glon_deg, sources.glat_deg),
        sky.npred,
        np.argmin(np.abs(index[..., None] - np.array(PSF_INDICES)), axis=-1),
        sources.spectrum.photon_flux(*survey.flux_range_gev)[:, 0],
        sources.class_code,
        np.hstack([sources.spectrum.photon_flux(b.emin_gev, b.emax_gev) for b in survey.bands]),
        sources.shape,
        sources.size_deg,
        sky.light_curves,
        sky.mission.slice_share,
        mean_exposures_cm2_s(survey, sky.mission),
    )


def mean_exposures_cm2_s(survey: Survey, mission: Mission) -> Array:
    """All-sky mean exposure of every plane, averaged over its band for the survey's index, [n_planes]."""
    means = []
    for band, event_type in survey.planes:
        energy, width = band_energies(survey.bands[band].emin_gev, survey.bands[band].emax_gev)
        weight = width * energy**-survey.reference_index
        means.append(np.sum(weight * mission.mean_exposure_cm2_s(event_type, energy)) / weight.sum())
    return np.array(means)


def as_measured(expected: TrainingSky, sky: SyntheticSky, brightness: float) -> TrainingSky:
    """The sky with as many photons as measured (`MEASURED_COUNTS`), its diffuse part then times `brightness`.

    The tabulated isotropic intensities hold what is left of the real sky's unresolved sources, of which
    every drawn sky has its own share.
    """
    exposure_pattern = hp.reorder(pattern(MAP_NSIDE), n2r=True)
    diffuse = expected.diffuse_sr.copy()
    for p, isotropic in enumerate(sky.isotropic_counts_sr):
        total = 4 * np.pi * diffuse[p].mean() + expected.counts[:, p].sum()
        excess_sr = (total - MEASURED_COUNTS[expected.survey.name][p]) / (4 * np.pi)
        give_way = np.clip(excess_sr, 0.0, (1 - ISOTROPIC_FLOOR) * isotropic)
        diffuse[p] = brightness * (diffuse[p] - give_way * exposure_pattern)
    changed = {**vars(expected), "diffuse_sr": diffuse}
    return TrainingSky(**changed)


def _interstellar_sr(sky: SyntheticSky, plane: int) -> Array:
    """Interstellar counts per steradian at mean exposure, through the PSF, RING."""
    b, event_type = sky.survey.planes[plane]
    band = sky.survey.bands[b]
    energy, width = band_energies(band.emin_gev, band.emax_gev, BAND_STEPS)
    exposure = width * sky.mission.mean_exposure_cm2_s(event_type, energy)
    alm = np.zeros(hp.Alm.getsize(LMAX), complex)
    for component in sky.emission.components:
        photons = float(np.sum(exposure * component.spectrum(energy)))
        psf = sky.psf(plane, round(component.index(1.5 * band.emin_gev), 1))
        alm += photons * hp.almxfl(component.alm, psf.window(LMAX))
    # A band-limited map rings round the brightest clouds.
    return np.clip(hp.alm2map(alm, MAP_NSIDE, lmax=LMAX), 0.0, None)
