"""Characterisation: position, significance and fluxes of detected sources by maximum likelihood."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri_exp

from models.likelihood.band_fit import BandProfile, fit_bands
from models.likelihood.detections import Detections
from models.likelihood.evidence import POPULATIONS
from models.likelihood.flags import Flags
from models.likelihood.localise import equatorial_angle_deg, localise, with_systematics
from models.likelihood.neighbourhood import moved
from models.likelihood.optics import spectral_profile
from models.likelihood.rows import Rows
from models.likelihood.spectral_shares import Shares, pivot_gev
from models.likelihood.spectrum import SpectralFit, fit_spectrum
from models.likelihood.surroundings import Surroundings
from models.likelihood.warnings import crowding, inside_wide, nearest_brighter, warnings
from sky.counts import CountsCube
from sky.exposure import ExposureMaps
from sky.frames import lon_lat, unit_vectors
from sky.response import Response
from sky.survey import Survey

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Measurements(Rows):
    """Measured sources, arrays [N] or, by band of the survey, [N, n_bands].

    Attributes
    ----------
    glon_deg, glat_deg : array
    conf_68_semimajor_deg, conf_68_semiminor_deg, conf_95_semimajor_deg, conf_95_semiminor_deg : array
        Error ellipse, with systematics as in 4FGL.
    conf_posang_deg : array
        Of the major axis, equatorial, east of north, in (-90, 90].
    signif_avg : array
        Standard deviations, from the test statistic with 4 degrees of freedom (place, flux, index) as in 4FGL.
    flux_cm2_s, unc_flux_cm2_s : array
        In the survey's headline range, from the curved spectrum where the survey has one, else from the power law.
    index, unc_index : array
        Photon index of the power law, with the population's as prior.
    curved_index, unc_curved_index, curvature, unc_curvature, cov_index_curvature : array
        Of the log-parabola, its index at `pivot_gev`, with the population's as prior; NaN where none was fitted, as
        all of the following.
    pivot_gev, curved_density_cm2_s_gev : array
        Its flux density there.
    ts_curvature : array
        Twice the gain in ln L over the power law.
    npred : array
        Photons of the source, all bands.
    flags : array of int
        `Flags`.
    band_flux, band_unc_low, band_unc_high : array
        Lower error negative, NaN for an upper limit (flux + 2 * upper error, 2 sigma).
    band_sqrt_ts, band_npred : array
    """

    glon_deg: Floats
    glat_deg: Floats
    conf_68_semimajor_deg: Floats
    conf_68_semiminor_deg: Floats
    conf_95_semimajor_deg: Floats
    conf_95_semiminor_deg: Floats
    conf_posang_deg: Floats
    signif_avg: Floats
    flux_cm2_s: Floats
    unc_flux_cm2_s: Floats
    index: Floats
    unc_index: Floats
    curved_index: Floats
    unc_curved_index: Floats
    curvature: Floats
    unc_curvature: Floats
    cov_index_curvature: Floats
    pivot_gev: Floats
    curved_density_cm2_s_gev: Floats
    ts_curvature: Floats
    npred: Floats
    flags: Ints
    band_flux: Floats
    band_unc_low: Floats
    band_unc_high: Floats
    band_sqrt_ts: Floats
    band_npred: Floats

    def __len__(self) -> int:
        return len(self.glon_deg)

    def shares(self, survey: Survey) -> Floats:
        """Shares of the headline flux in the planes, of the spectra that it is of, [N, n_planes]."""
        curved = np.isfinite(self.curvature)
        index = np.where(curved, self.curved_index, self.index)
        return Shares(survey)(index, np.where(curved, self.curvature, 0.0))[0]


def characterise(
    detections: Detections,
    which: ArrayLike,
    cube: CountsCube,
    exposure: ExposureMaps,
    response: Response,
    survey: Survey,
    seed: int,
) -> Measurements:
    """Measure some of the detections; the others enter as their neighbours.

    Parameters
    ----------
    detections : Detections
        Of the whole sky, or at least of all tiles that touch those measured.
    which : array of int [N]
        Rows of `detections` to measure. A source's result does not depend on what else is in `which`.
    cube : CountsCube
    exposure : ExposureMaps
    response : Response
    survey : Survey
    seed : int
        Not used: the fit moves no photon.
    """
    del seed, survey
    return measure(Surroundings.of(detections, which, cube, exposure, response), exposure)


def measure(around: Surroundings, exposure: ExposureMaps) -> Measurements:
    """Fit sources in their surroundings: place, spectrum at that place, band fluxes."""
    return measure_some(around, np.ones(len(around), dtype=bool), exposure).select(around.back)


def measure_some(around: Surroundings, which: NDArray[np.bool_], exposure: ExposureMaps) -> Measurements:
    """The same of some of the sources [N], which are sorted by tile here: in that sequence."""
    survey = around.survey
    if not which.any():
        return _empty(len(survey.bands))
    detections, sky = around.measured.select(which), around.joined(which)
    exposures = exposure.of_planes(detections.glon_deg, detections.glat_deg)
    prior = POPULATIONS[survey.name].spectra
    first = fit_spectrum(sky, sky.psf(), exposures, survey, detections.flux_cm2_s, prior.straight())
    points = spectral_profile(survey, first.index)
    sky = replace(sky, profile=np.where(sky.profile == 0, points, sky.profile))
    level = sky.levels(sky.spread_photons(first.photons, sky.psf()), np.ones_like(exposures))
    place = localise(sky, first.photons, level)
    psf = sky.psf(place.east_deg, place.north_deg)
    law = fit_spectrum(sky, psf, exposures, survey, first.flux_cm2_s, prior.straight())
    curved = (
        law if prior.curvature is None else fit_spectrum(sky, psf, exposures, survey, law.flux_cm2_s, prior)
    )
    profile = BandProfile(sky, psf, exposures, survey)
    bands = fit_bands(profile)
    start = unit_vectors(detections.glon_deg, detections.glat_deg)
    glon, glat = lon_lat(moved(start, place.east_deg, place.north_deg))
    npred = bands.flux_cm2_s * profile.per_band(exposures)
    rows = around.order[which]
    brighter_deg, inside = nearest_brighter(around.detections)[rows], inside_wide(around.detections)[rows]
    r68 = with_systematics(place.r68_deg, 68, survey.name)
    r95 = with_systematics(place.r95_deg, 95, survey.name)
    return Measurements(
        glon_deg=glon,
        glat_deg=glat,
        conf_68_semimajor_deg=r68[:, 0],
        conf_68_semiminor_deg=r68[:, 1],
        conf_95_semimajor_deg=r95[:, 0],
        conf_95_semiminor_deg=r95[:, 1],
        conf_posang_deg=equatorial_angle_deg(glon, glat, place.angle_deg),
        signif_avg=significance(curved.ts),
        flux_cm2_s=curved.flux_cm2_s,
        unc_flux_cm2_s=curved.unc_flux_cm2_s,
        index=law.index,
        unc_index=law.unc_index,
        **_curved(law, curved, pivot_gev(survey)),
        npred=curved.photons.sum(axis=1),
        flags=warnings(place, curved, bands, survey)
        | crowding(detections, sky, bands, npred, brighter_deg)
        | np.where((exposures <= 0).any(axis=1), Flags.NO_EXPOSURE, 0)
        | np.where(inside, Flags.IN_WIDE, 0),
        band_flux=bands.flux_cm2_s,
        band_unc_low=bands.unc_low_cm2_s,
        band_unc_high=bands.unc_high_cm2_s,
        band_sqrt_ts=np.sqrt(bands.ts),
        band_npred=npred,
    )


def _curved(law: SpectralFit, curved: SpectralFit, pivot: float) -> dict[str, Floats]:
    """What a log-parabola says beyond the power law; NaN where none was fitted."""
    known = np.full(len(law.ts), np.nan if curved is law else 0.0)
    return {
        "curved_index": curved.index + known,
        "unc_curved_index": curved.unc_index + known,
        "curvature": curved.curvature + known,
        "unc_curvature": curved.unc_curvature + known,
        "cov_index_curvature": curved.cov_index_curvature + known,
        "pivot_gev": pivot + known,
        "curved_density_cm2_s_gev": curved.density_cm2_s_gev + known,
        "ts_curvature": np.maximum(curved.ts - law.ts, 0) + known,
    }


def significance(ts: Floats) -> Floats:
    """Gaussian standard deviations (two-sided) as improbable as a test statistic with 4 degrees of freedom.

    The survival function of chi squared with 4 degrees of freedom is (1 + TS / 2) exp(-TS / 2) (Wilks 1938); in
    logarithms it serves the brightest sources too.
    """
    return np.maximum(-ndtri_exp(np.log1p(ts / 2) - ts / 2 - np.log(2)), 0)


def _empty(n_bands: int) -> Measurements:
    columns = {
        f.name: np.empty((0, n_bands) if f.name.startswith("band_") else 0) for f in fields(Measurements)
    }
    flags = np.empty(0, np.int64)
    return Measurements(flags=flags, **{name: c for name, c in columns.items() if name != "flags"})
