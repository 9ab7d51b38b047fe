"""A point source fitted to each cut-out alone: the scale on which the networks work.

A Poisson likelihood of a point source with the survey's reference spectrum on a flat background in each
plane, by Fisher scoring, all cut-outs at once. What the fit cannot know (neighbours, structure of the
background, other spectra, the selection of detections) is what the networks learn.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from models.characterise.templates import Templates, survey_templates
from models.cutouts import SIZE_PX
from sky.survey import Survey

ROUNDS = 4
SCORING_STEPS = 3
CHUNK = 256  # cut-outs fitted together: what the processor's cache holds
# Least background: what is left of the prior where a plane has no photon.
LEAST_BACKGROUND = 0.3 / SIZE_PX**2
LEAST_PHOTONS = 0.3
LARGEST_STEP_PX = 1.0


@dataclass(frozen=True)
class FitSettings:
    """What the fit of a survey believes.

    Attributes
    ----------
    first_band : int
        Bands below are not asked for the flux: their photons are many, and most of them others'.
    spectral_spread : float
        Spread of the sources' band fluxes about the reference spectrum, relative; 0 keeps to the spectrum.
    background_error : float
        Relative error of the flat background, which takes say in the place from crowded planes
        (as in 4FGL's weighted likelihood, Abdollahi et al. 2020, ApJS 247, 33).
    """

    first_band: int = 0
    spectral_spread: float = 0.0
    background_error: float = 0.0


SETTINGS = {"lat-6band": FitSettings(2, 0.5, 0.1)}


@dataclass(frozen=True, eq=False)
class FirstGuess:
    """Fitted point sources, n cut-outs.

    Attributes
    ----------
    flux_cm2_s : tensor [n]
        In the survey's headline range, for its reference index.
    log_error : tensor [n]
        Standard error of the flux over the flux.
    shift_px : tensor [n, 2]
        Place from the detection, pixels of the finest band.
    shift_error_px : tensor [n]
        Standard error on an axis, of the mean information of both.
    sqrt_ts : tensor [n]
        Square root of the test statistic against a flat background.
    source, background : tensor [n, n_planes]
        Expected photons of the source anywhere; expected background a pixel.
    source_map : tensor [n, n_planes, SIZE_PX, SIZE_PX]
        Expected photons of the source.
    plane_pull : tensor [n, n_planes]
        Photons of the plane less `source`, over their standard error.
    plane_error : tensor [n, n_planes]
        Standard error of the plane's own photons, relative to `source`.
    deviance : tensor [n, n_planes]
        -2 ln L of the fit against a perfect one, a pixel.
    """

    flux_cm2_s: Tensor
    log_error: Tensor
    shift_px: Tensor
    shift_error_px: Tensor
    sqrt_ts: Tensor
    source: Tensor
    background: Tensor
    source_map: Tensor
    plane_pull: Tensor
    plane_error: Tensor
    deviance: Tensor


def band_shares(survey: Survey) -> Tensor:
    """Flux of each band over the headline flux, for the reference index, [n_bands]."""

    def integral(emin_gev: float, emax_gev: float) -> float:
        power = 1.0 - survey.reference_index
        return (emax_gev**power - emin_gev**power) / power

    whole = integral(*survey.flux_range_gev)
    return torch.tensor([integral(b.emin_gev, b.emax_gev) / whole for b in survey.bands])


@torch.no_grad()
def first_guess(counts: Tensor, offset_px: Tensor, exposure_cm2_s: Tensor, survey: Survey) -> FirstGuess:
    """Fit a point source to every cut-out.

    Parameters
    ----------
    counts : tensor [n, n_planes, SIZE_PX, SIZE_PX]
    offset_px : tensor [n, n_bands, 2]
        Of the detection from the centre pixel's centre.
    exposure_cm2_s : tensor [n, n_planes]
        Positive.
    survey : Survey
    """
    parts = [
        _fitted(c, o, e, survey)
        for c, o, e in zip(
            counts.split(CHUNK), offset_px.split(CHUNK), exposure_cm2_s.split(CHUNK), strict=True
        )
    ]
    return FirstGuess(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(FirstGuess)))


def _fitted(images: Tensor, offset_px: Tensor, exposure_cm2_s: Tensor, survey: Survey) -> FirstGuess:
    templates, settings = survey_templates(survey.name), SETTINGS.get(survey.name, FitSettings())
    counts = images.flatten(2)
    bands = list(templates.band)
    asked = (torch.tensor(bands) >= settings.first_band).float()
    response = exposure_cm2_s * band_shares(survey)[bands].float()
    unit = response.sum(1, keepdim=True)
    weight = response / unit
    background = _rim(images)
    excess = (counts.sum(2) - background * SIZE_PX**2).sum(1)
    photons = excess.clamp(min=2.0)
    shift = torch.zeros(len(counts), 2)
    for turn in range(ROUNDS + 1):
        share, slope = _planes(templates, offset_px, shift)
        for _ in range(SCORING_STEPS):
            photons, background = _score(
                counts, share, weight, photons, background, asked * _say(share, background, settings)
            )
        if turn == ROUNDS:
            break
        source = photons[:, None] * weight
        say = _say(share, background, settings)
        step, _ = _move(counts, share, slope, source, background, say)
        shift = (shift + step).clamp(-4.0, 4.0)
    source = photons[:, None] * weight
    say = _say(share, background, settings)
    _, information = _move(counts, share, slope, source, background, say)
    expected = background[..., None] + source[..., None] * share
    pull, plane_error, log_error = _errors(counts, share, weight, photons, expected, asked * say)
    fit, null = _log_likelihood(counts, expected), _log_likelihood(counts, counts.mean(2, keepdim=True))
    best = _log_likelihood(counts, counts)
    mean_information = torch.linalg.det(information).clamp(min=1e-12).sqrt()
    n, planes = weight.shape
    return FirstGuess(
        flux_cm2_s=photons / unit[:, 0] * _spectral_factor(pull, plane_error, say, survey, settings),
        log_error=log_error,
        shift_px=shift,
        shift_error_px=mean_information.rsqrt().clamp(max=4.0),
        sqrt_ts=(2.0 * (fit - null).sum(1)).clamp(min=0.0).sqrt(),
        source=source,
        background=background,
        source_map=(source[..., None] * share).reshape(n, planes, SIZE_PX, SIZE_PX),
        plane_pull=pull,
        plane_error=plane_error,
        deviance=2.0 * (best - fit) / SIZE_PX**2,
    )


def _rim(counts: Tensor) -> Tensor:
    """Mean counts of the two outermost pixels' ring, [n, n_planes]."""
    inner = counts[..., 2:-2, 2:-2]
    pixels = counts.shape[-1] ** 2 - inner.shape[-1] ** 2
    return (counts.sum((2, 3)) - inner.sum((2, 3)) + LEAST_BACKGROUND * pixels) / pixels


def _planes(templates: Templates, offset_px: Tensor, shift_px: Tensor) -> tuple[Tensor, Tensor]:
    """Shares [n, planes, pixels] and slopes [2, n, planes, pixels] per pixel of the finest band."""
    shares, slopes = [], []
    for plane, band in enumerate(templates.band):
        ratio = templates.pixel_ratio[band]
        share, slope = templates.at(plane, offset_px[:, band] + ratio * shift_px)
        shares.append(share)
        slopes.append(ratio * slope)
    return torch.stack(shares, 1), torch.stack(slopes, 2)


def _score(
    counts: Tensor, share: Tensor, weight: Tensor, photons: Tensor, background: Tensor, asked: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of Fisher scoring of the photons [n], by the planes `asked`, and the backgrounds [n, planes]."""
    expected = background[..., None] + (photons[:, None] * weight)[..., None] * share
    surplus = counts / expected - 1.0
    per = share / expected
    gradient_b, fisher_b = surplus.sum(2), (1.0 / expected).sum(2)
    mixed = weight * per.sum(2)
    gradient = (asked * (weight * (surplus * share).sum(2) - mixed * gradient_b / fisher_b)).sum(1)
    fisher = (asked * (weight**2 * (per * share).sum(2) - mixed**2 / fisher_b)).sum(1)
    step = gradient / fisher.clamp(min=1e-9)
    new = torch.minimum(torch.maximum(photons + step, 0.3 * photons), 3.0 * photons + 3.0)
    step_b = (gradient_b - mixed * (new - photons)[:, None]) / fisher_b
    new_b = torch.minimum(torch.maximum(background + step_b, 0.4 * background), 2.5 * background)
    return new.clamp(min=LEAST_PHOTONS), new_b.clamp(min=LEAST_BACKGROUND)


def _move(
    counts: Tensor, share: Tensor, slope: Tensor, source: Tensor, background: Tensor, say: Tensor
) -> tuple[Tensor, Tensor]:
    """Step of the place towards the likelihood's peak [n, 2], and the information on it [n, 2, 2].

    `say` [n, planes] weights the planes.
    """
    expected = background[..., None] + source[..., None] * share
    gradient = slope * source[None, ..., None]
    score = (say[..., None] * (counts / expected - 1.0) * gradient).sum((2, 3)).T
    scaled = gradient * (say[..., None] / expected).sqrt()
    information = torch.einsum("inpk,jnpk->nij", scaled, scaled)
    information = information + 0.05 * torch.eye(2)
    step = torch.linalg.solve(information, score[..., None])[..., 0]
    return step.clamp(-LARGEST_STEP_PX, LARGEST_STEP_PX), information


def _say(share: Tensor, background: Tensor, settings: FitSettings) -> Tensor:
    """Weight of each plane [n, planes]: variance of the background under the PSF alone over that with its error."""
    under_psf = background / (share**2).sum(2).clamp(min=1e-3)
    return 1.0 / (1.0 + settings.background_error**2 * under_psf)


def _spectral_factor(
    pull: Tensor, plane_error: Tensor, say: Tensor, survey: Survey, settings: FitSettings
) -> Tensor:
    """Headline flux over the reference spectrum's, by the bands' own photons as far as they know better, [n].

    Each plane's relative deviation shrinks by spread^2 / (spread^2 + error^2): the posterior mean of a
    Gaussian prior.
    """
    variance = settings.spectral_spread**2
    if not variance:
        return torch.ones(len(pull))
    bands = torch.tensor([band for band, _ in survey.planes])
    precision = say * plane_error.clamp(min=1e-3) ** -2
    shape = len(pull), len(survey.bands)
    known = torch.zeros(shape).index_add_(1, bands, precision)
    deviation = torch.zeros(shape).index_add_(1, bands, precision * pull * plane_error) / known
    shrunk = deviation * variance / (variance + 1.0 / known)
    low, high = survey.flux_range_gev
    inside = torch.tensor([low <= b.emin_gev < high for b in survey.bands])
    share = (band_shares(survey) * inside).float()
    factor = 1.0 + (shrunk * share).sum(1) / share.sum()
    return factor.clamp(0.2, 5.0)


def _errors(
    counts: Tensor, share: Tensor, weight: Tensor, photons: Tensor, expected: Tensor, asked: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Pull and relative error of each plane's own photons, and relative error of all photons."""
    surplus, per = counts / expected - 1.0, share / expected
    gradient_b, fisher_b, mixed = surplus.sum(2), (1.0 / expected).sum(2), per.sum(2)
    fisher = ((per * share).sum(2) - mixed**2 / fisher_b).clamp(min=1e-9)
    step = ((surplus * share).sum(2) - mixed * gradient_b / fisher_b) / fisher
    plane_error = fisher.rsqrt() / (photons[:, None] * weight).clamp(min=1e-3)
    total = (asked * weight**2 * fisher).sum(1).clamp(min=1e-9)
    return step * fisher.sqrt(), plane_error, total.rsqrt() / photons


def _log_likelihood(counts: Tensor, expected: Tensor) -> Tensor:
    """Poisson, [n, planes]; 0 ln 0 = 0."""
    return (torch.xlogy(counts, expected) - expected).sum(2)
