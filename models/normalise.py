"""How counts enter a network: part of the model, so that no cube can meet weights made for other scales.

Three ways, chosen by name. `patch-max` is the founding one: divide by the patch's maximum. `local-sqrt`
stabilises the variance (Anscombe 1948, Biometrika 35, 246) about a local background, so that neither
exposure nor a bright source elsewhere in the patch matters. `likelihood` adds the likelihood ratio of a
point source of some brightnesses at every pixel, from the PSF and the same local background: a network that
starts where the matched filter ends. All see counts alone.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.psf_kernels import LevelPSF

NORMALISATIONS = ("patch-max", "local-sqrt", "likelihood")

PAD_PX = 16
# Counts, in all planes of the finest level, of the sources whose likelihood ratio the network is shown.
SOURCE_COUNTS = (3.0, 7.0, 16.0, 40.0, 120.0)
# Ratios source / background per pixel at which log(1 + q PSF) is convolved; between them linear in log q,
# below them in q.
LOG_Q = np.linspace(np.log(0.5), np.log(1e4), 8)


class NormalisationError(ValueError):
    """A normalisation that does not exist."""


@dataclass(frozen=True)
class Normalised:
    """Channels of a level [batch, channels, n, n] and the log of its planes' scale [batch, planes, n, n]."""

    channels: Tensor
    log_scale: Tensor


class PatchMax(nn.Module):
    """Counts over the largest of the patch, plane by plane."""

    def __init__(self, levels: list[LevelPSF]):
        super().__init__()
        self.out_channels = [level.n_planes for level in levels]

    def forward(self, counts: list[Tensor]) -> list[Normalised]:
        """Normalise the counts of each level, [batch, planes, n, n]."""
        out = []
        for n in counts:
            top = n.amax(dim=(2, 3), keepdim=True).clamp(min=1.0)
            out.append(Normalised(n / top, torch.log(n.mean(dim=(2, 3), keepdim=True) + 1e-3).expand_as(n)))
        return out


class LocalSqrt(nn.Module):
    """Square root of the counts about that of the local background, and the background's logarithm."""

    def __init__(self, levels: list[LevelPSF]):
        super().__init__()
        self.pixel_deg = [level.pixel_deg for level in levels]
        self.out_channels = [2 * level.n_planes for level in levels]

    def forward(self, counts: list[Tensor]) -> list[Normalised]:
        """Normalise the counts of each level, [batch, planes, n, n]."""
        out = []
        for n, pixel_deg in zip(counts, self.pixel_deg, strict=True):
            background = local_background(n, pixel_deg)
            log_scale = torch.log(background)
            out.append(Normalised(torch.cat([_anscombe(n, background), 0.3 * log_scale], 1), log_scale))
        return out


class LikelihoodChannels(nn.Module):
    """`LocalSqrt`, and the likelihood ratio of point sources at every pixel, over all planes together."""

    def __init__(self, levels: list[LevelPSF]):
        super().__init__()
        self.pixel_deg = [level.pixel_deg for level in levels]
        self.out_channels = [2 * level.n_planes + len(SOURCE_COUNTS) + 2 for level in levels]
        self._windows: dict[tuple[int, int, torch.device], Tensor] = {}
        finest_share = levels[0].share.sum()
        for i, level in enumerate(levels):
            self.register_buffer(f"kernel_{i}", torch.tensor(level.kernels, dtype=torch.float32))
            share = torch.tensor(level.share / finest_share, dtype=torch.float32)
            self.register_buffer(f"share_{i}", share)

    @torch.no_grad()
    def forward(self, counts: list[Tensor]) -> list[Normalised]:
        """Normalise the counts of each level, [batch, planes, n, n]."""
        backgrounds, ratios = self._ratios(counts)
        out = []
        for i, (n, background) in enumerate(zip(counts, backgrounds, strict=True)):
            # A level sees what all levels know, at its own resolution.
            significance = _joint(ratios, n.shape[-1])
            best = significance.amax(dim=1, keepdim=True)
            log_scale = torch.log(background)
            core = smooth(n, 0.2 / self.pixel_deg[i]).sum(1, keepdim=True)
            excess = torch.log((core + 1e-3) / (background.sum(1, keepdim=True) + 1e-3))
            parts = [_anscombe(n, background), 0.3 * log_scale, 0.3 * significance, 0.3 * best, excess]
            out.append(Normalised(torch.cat(parts, 1), log_scale))
        return out

    @torch.no_grad()
    def significance(self, counts: list[Tensor]) -> Tensor:
        """Signed square root of twice the log likelihood ratio at the finest level, [batch, brightness, n, n]."""
        return _joint(self._ratios(counts)[1], counts[0].shape[-1])

    def _ratios(self, counts: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Background [batch, planes, n, n] and log likelihood ratio of every level."""
        backgrounds = [local_background(n, p) for n, p in zip(counts, self.pixel_deg, strict=True)]
        pairs = zip(counts, backgrounds, strict=True)
        return backgrounds, [self._log_ratio(i, n, b) for i, (n, b) in enumerate(pairs)]

    def _log_ratio(self, level: int, counts: Tensor, background: Tensor) -> Tensor:
        """Log likelihood ratio of a source of `SOURCE_COUNTS` at each pixel, [batch, brightness, n, n]."""
        kernel = cast(Tensor, getattr(self, f"kernel_{level}"))
        share = cast(Tensor, getattr(self, f"share_{level}"))
        answers = _convolve(counts, self._window(level, kernel, counts.shape[-1]))  # [batch, planes, q, n, n]
        source = share[:, None] * kernel.new_tensor(SOURCE_COUNTS)  # [planes, brightness]
        step = float(LOG_Q[1] - LOG_Q[0])
        offset, below = (torch.log(source) - LOG_Q[0]) / step, torch.log(background) / step
        place = offset[..., None, None] - below[:, :, None]  # [batch, planes, brightness, n, n]
        lower = place.clamp_(0.0, len(LOG_Q) - 1.001).floor()
        fraction, index = place.sub_(lower), lower.long()
        answer = torch.gather(answers, 2, index).lerp_(torch.gather(answers, 2, index.add_(1)), fraction)
        faintest = source * float(np.exp(-LOG_Q[0]))
        answer *= (faintest[..., None, None] / background[:, :, None]).clamp_(max=1.0)
        inside = kernel.sum(dim=(1, 2))
        return answer.sum(1) - (source * inside[:, None]).sum(0)[None, :, None, None]

    def _window(self, level: int, kernel: Tensor, n: int) -> Tensor:
        """Transforms of ln(1 + q PSF) for padded images of n pixels, [planes, q, ...]; made once a size."""
        key = (level, n, kernel.device)
        if key not in self._windows:
            q = torch.tensor(np.exp(LOG_Q), dtype=kernel.dtype, device=kernel.device)
            filters = torch.log1p(q[None, :, None, None] * kernel[:, None])  # [planes, q, k, k]
            self._windows[key] = _transformed(filters, n + 2 * _padding(n))
        return self._windows[key]


def make_normalisation(name: str, levels: list[LevelPSF]) -> nn.Module:
    """Normalisation by name.

    Raises
    ------
    NormalisationError
        If there is none of that name.
    """
    known = {"patch-max": PatchMax, "local-sqrt": LocalSqrt, "likelihood": LikelihoodChannels}
    if name not in known:
        raise NormalisationError(f"unknown normalisation '{name}'; known: {', '.join(known)}")
    return known[name](levels)


def local_background(counts: Tensor, pixel_deg: float) -> Tensor:
    """Background per pixel from the counts, [batch, planes, n, n]: bright spots cut down, then smoothed.

    The shape on 0.6 degrees comes from all planes together, each plane's part of it from 2.5 degrees:
    alone, the hardest band has a photon or two there.
    """
    total = counts.sum(1, keepdim=True)
    wide = smooth(total, 1.2 / pixel_deg)
    spots = smooth(total, 0.25 / pixel_deg)
    shape = smooth(torch.minimum(spots, 1.5 * wide), max(0.6 / pixel_deg, 1.0))
    part = smooth(counts, 2.5 / pixel_deg) + 1e-5
    return (shape + 1e-4) * part / part.sum(1, keepdim=True)


def _joint(ratios: list[Tensor], n: int) -> Tensor:
    """All levels' log likelihood ratios together at n pixels a side, as significances."""
    joint = torch.stack([_resample(r, n) for r in ratios]).sum(0)
    return torch.sign(joint) * torch.sqrt(2.0 * joint.abs())


def _anscombe(counts: Tensor, background: Tensor) -> Tensor:
    return 2.0 * (torch.sqrt(counts + 0.375) - torch.sqrt(background + 0.375))


def smooth(image: Tensor, sigma_px: float) -> Tensor:
    """Images [..., n, n] through a Gaussian, edges reflected: separable and linear, so two small matrix products."""
    weights = _smoothing(image.shape[-1], sigma_px, image.device)
    return weights @ image @ weights.T


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # kept for all modes, training among them
def _smoothing(n: int, sigma_px: float, device: torch.device) -> Tensor:
    """Weights of the pixels in each smoothed one, [n, n]; wide Gaussians act on a coarser grid."""
    coarse = 1
    while sigma_px / coarse > 4.0 and n % (2 * coarse) == 0:
        coarse *= 2
    each = torch.eye(n)[:, None]  # every pixel alone
    small = F.avg_pool1d(each, coarse) if coarse > 1 else each
    sigma = sigma_px / coarse
    reach = min(int(np.ceil(3.0 * sigma)), small.shape[-1] - 1)
    if reach < 1:
        return torch.eye(n, device=device)
    x = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / max(sigma, 1e-3)) ** 2)
    smooth = F.conv1d(F.pad(small, [reach] * 2, mode="reflect"), (kernel / kernel.sum())[None, None])
    if coarse > 1:
        smooth = F.interpolate(smooth, size=n, mode="linear", align_corners=False)
    return smooth[:, 0].T.contiguous().to(device)


def _resample(image: Tensor, n: int) -> Tensor:
    if image.shape[-1] == n:
        return image
    if image.shape[-1] > n:
        return F.avg_pool2d(image, image.shape[-1] // n)
    return F.interpolate(image, size=(n, n), mode="bilinear", align_corners=False)


def _convolve(counts: Tensor, window: Tensor) -> Tensor:
    """Every plane with each of its filters (`_transformed`), edges reflected: [batch, planes, filters, n, n]."""
    n = counts.shape[-1]
    pad = _padding(n)
    image = F.pad(counts, [pad] * 4, mode="reflect")
    answer = torch.fft.irfft2(torch.fft.rfft2(image)[:, :, None] * window, s=image.shape[-2:])
    return answer[..., pad : pad + n, pad : pad + n]


def _padding(n: int) -> int:
    return min(PAD_PX, n - 1)


def _transformed(filters: Tensor, size: int) -> Tensor:
    """Fourier transforms of (symmetric) filters [planes, filters, k, k] on images of `size` pixels."""
    k = filters.shape[-1]
    placed = filters.new_zeros((*filters.shape[:2], size, size))
    placed[..., :k, :k] = filters
    return torch.fft.rfft2(torch.roll(placed, (-(k // 2), -(k // 2)), (-2, -1)))
