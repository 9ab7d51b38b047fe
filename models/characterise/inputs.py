"""What enters the networks: counts about a fitted point source, as images and as numbers.

All from counts, exposure and place alone. A symmetry of the square changes images and vectors together, and
nothing else.
"""

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from models.characterise.first_guess import FirstGuess, first_guess
from models.cutouts import SIZE_PX, YEARLY_SIZE_PX, Cutouts
from sky.survey import Survey

SYMMETRIES = 8
CHUNK = 2048


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of n detections.

    Attributes
    ----------
    images : tensor of float16 [n, 2 n_planes, SIZE_PX, SIZE_PX]
        Variance-stabilised counts, then the fitted source, both above the fitted background.
    scalars : tensor [n, n_scalars]
        Numbers of the fit that do not turn with the image.
    log_flux : tensor [n]
        Natural logarithm of the fitted headline flux, cm-2 s-1.
    log_error : tensor [n]
        Its standard error.
    shift_px : tensor [n, 2]
        Fitted place less the detection's, pixels of the finest band.
    shift_error_px : tensor [n]
    sqrt_ts : tensor [n]
    place : tensor [n, 3]
        Galactic unit vector.
    years : tensor of float16 [n, n_slices, 7, 7] or None
        Photons of a slice, each weighted by its probability to be the source's, less the mean of the slices,
        over its standard deviation; brightest slice first.
    light_curve : tensor [n, 2 n_slices] or None
        Weighted photons of the slices less their mean, over their errors and over the mean; sorted alike.
    year_cube : tensor of float16 [n, n_bands, n_slices, 7, 7] or None
        As `years`, band by band and without weights.
    """

    images: Tensor
    scalars: Tensor
    log_flux: Tensor
    log_error: Tensor
    shift_px: Tensor
    shift_error_px: Tensor
    sqrt_ts: Tensor
    place: Tensor
    years: Tensor | None = None
    light_curve: Tensor | None = None
    year_cube: Tensor | None = None

    def __len__(self) -> int:
        return len(self.log_flux)

    def select(self, which: Tensor) -> Self:
        """The rows of a mask or an index tensor."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return type(self)(**{k: None if v is None else v[which] for k, v in values.items()})  # type: ignore[arg-type]

    def turned(self, symmetry: int) -> Self:
        """The same sky turned and mirrored, one of `SYMMETRIES`; 0 changes nothing."""
        images = {"images": self.images, "years": self.years, "year_cube": self.year_cube}
        return replace(
            self,
            **{k: None if v is None else turn_images(v, symmetry) for k, v in images.items()},  # type: ignore[arg-type]
            shift_px=turn_vectors(self.shift_px, symmetry),
        )


def join(parts: list[Inputs]) -> Inputs:
    """Several one after the other."""
    joined = {}
    for f in fields(Inputs):
        values = [getattr(p, f.name) for p in parts]
        joined[f.name] = None if values[0] is None else torch.cat(values)
    return Inputs(**joined)  # type: ignore[arg-type]


def turn_images(images: Tensor, symmetry: int) -> Tensor:
    """Images [..., y, x] under one of the eight symmetries of the square."""
    out = images.transpose(-1, -2) if symmetry & 4 else images
    flipped = [dim for bit, dim in ((1, -1), (2, -2)) if symmetry & bit]
    return out.flip(flipped) if flipped else out


def turn_vectors(vectors: Tensor, symmetry: int) -> Tensor:
    """Vectors (x, y) [..., 2] under the symmetry that `turn_images` gives the images."""
    out = vectors.flip(-1) if symmetry & 4 else vectors
    sign = [-1.0 if symmetry & 1 else 1.0, -1.0 if symmetry & 2 else 1.0]
    return out * out.new_tensor(sign)


def make_inputs(cutouts: Cutouts, survey: Survey, cubes: bool = False) -> Inputs:
    """Inputs of cut-outs with finite counts and positive exposure.

    Parameters
    ----------
    cutouts : Cutouts
    survey : Survey
    cubes : bool
        Also `year_cube`.
    """
    n = len(cutouts.counts)
    return join(
        [
            _chunk(cutouts.select(torch.arange(i, min(i + CHUNK, n))), survey, cubes)
            for i in range(0, n, CHUNK)
        ]
    )


def _chunk(cutouts: Cutouts, survey: Survey, cubes: bool) -> Inputs:
    guess = first_guess(cutouts.counts, cutouts.offset_px, cutouts.exposure_cm2_s, survey)
    background = guess.background[..., None, None]
    floor = stabilised(background)
    images = torch.cat(
        [stabilised(cutouts.counts) - floor, stabilised(background + guess.source_map) - floor], 1
    )
    years, light_curve, cube = None, None, None
    if cutouts.yearly is not None:
        years, light_curve, order = _years(cutouts.yearly, guess, survey)
        if cubes:
            cube = _year_cube(cutouts.yearly, order).half()
        years = years.half()
    lon, lat = torch.deg2rad(cutouts.glon_deg), torch.deg2rad(cutouts.glat_deg)
    place = torch.stack([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], -1)
    return Inputs(
        images=(0.5 * images).half(),
        scalars=_scalars(guess),
        log_flux=guess.flux_cm2_s.log(),
        log_error=guess.log_error,
        shift_px=guess.shift_px,
        shift_error_px=guess.shift_error_px,
        sqrt_ts=guess.sqrt_ts,
        place=place.float(),
        years=years,
        light_curve=light_curve,
        year_cube=cube,
    )


def stabilised(counts: Tensor) -> Tensor:
    """Counts with the variance of a Poisson number taken out (Anscombe 1948, Biometrika 35, 246)."""
    return 2.0 * torch.sqrt(counts + 0.375)


def _scalars(guess: FirstGuess) -> Tensor:
    photons = guess.source.sum(1, keepdim=True)
    return torch.cat(
        [
            torch.log(guess.background),
            torch.asinh(guess.plane_pull),
            torch.log(guess.plane_error.clamp(max=20.0)),
            torch.log(guess.deviance + 0.01),
            torch.log(photons),
            torch.log(guess.sqrt_ts[:, None] + 0.3),
            torch.log(guess.log_error[:, None].clamp(max=5.0)),
            torch.log(guess.shift_error_px[:, None]),
            torch.log1p(guess.shift_px.norm(dim=1, keepdim=True) / guess.shift_error_px[:, None]),
        ],
        1,
    )


def _years(yearly: Tensor, guess: FirstGuess, survey: Survey) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted images [n, slices, 7, 7], light curve [n, 2 slices] and the order of the slices [n, slices]."""
    rim = (SIZE_PX - YEARLY_SIZE_PX) // 2
    planes = torch.tensor([band for band, _ in survey.planes])
    source_map = guess.source_map[..., rim:-rim, rim:-rim]
    shape = (len(yearly), yearly.shape[1], YEARLY_SIZE_PX, YEARLY_SIZE_PX)
    source = torch.zeros(shape).index_add_(1, planes, source_map)
    smooth = guess.background[..., None, None].expand_as(source_map)
    background = torch.zeros(shape).index_add_(1, planes, smooth)
    weight = source / (source + background)
    photons = (yearly * weight[:, :, None]).sum(1)
    spread = (yearly.mean(2, keepdim=True) * weight[:, :, None] ** 2).sum(1)
    light = photons.sum((2, 3))
    mean, error = light.mean(1, keepdim=True), spread.sum((2, 3)).sqrt() + 0.1
    order = light.argsort(dim=1, descending=True, stable=True)
    image = (photons - photons.mean(1, keepdim=True)) / (spread + 0.02).sqrt()
    curve = torch.cat([(light - mean) / error, (light - mean) / (mean + 1.0)], 1)
    both = torch.cat([order, order + order.shape[1]], 1)
    return _sorted(image, order, 1), torch.asinh(curve.gather(1, both)), order


def _year_cube(yearly: Tensor, order: Tensor) -> Tensor:
    """Slices less their mean over the standard deviation, sorted, [n, bands, slices, 7, 7]."""
    mean = yearly.mean(2, keepdim=True)
    return _sorted((yearly - mean) / (mean + 0.1).sqrt(), order, 2)


def _sorted(images: Tensor, order: Tensor, dim: int) -> Tensor:
    index = order.reshape(len(order), *[1] * (dim - 1), -1, 1, 1).expand_as(images)
    return images.gather(dim, index)
