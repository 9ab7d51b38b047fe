"""The Poisson matched filter: the likelihood ratio of a point source at every pixel of a tile.

With n photons in a pixel, background B and a source of F expected photons spread as P,

    TS(x) = 2 max_F sum_pixels [ n ln(1 + F P / B) - F P ],

summed over planes with the shares of F that a power law of the survey's index gives them (the optimal filter
for Poisson counts; Stewart 2006, A&A 454, 997; Vio & Andreani 2018, A&A 616, A25). With q = F / B(x) it is

    sum (n - B) ln(1 + q P)  -  B(x) sum [ q P - ln(1 + q P) ],

a convolution of what exceeds the background, and a function of q alone. Where sources are faint beside the
background, ln L is a small difference of large sums; this form takes it before any interpolation. A few kernels in
q, and interpolation in ln q, serve all F and B.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from models.likelihood.background import Images, Smoother
from models.likelihood.optics import blurred_point_spread
from sky.response import Response
from sky.survey import Survey
from sky.tiles import TileGrid

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Ratio of source photons to background photons a pixel. Below the first, both parts below are constant.
RATIOS = np.geomspace(0.1, 2e6, 14)
LOG_STEP = np.float32(np.log(RATIOS[1] / RATIOS[0]))
PHOTONS = np.geomspace(1.5, 5e4, 29)
COARSE = 4
KERNEL_RADIUS_DEG = 2.0


def padded(smoother: Smoother) -> int:
    """Side of the arrays in which images are transformed: room for the kernels' radius."""
    room = int(np.ceil(KERNEL_RADIUS_DEG / smoother.pixel_deg)) + 1
    return int(scipy.fft.next_fast_len(smoother.npix + room, real=True))


@dataclass(frozen=True, eq=False)
class MatchedFilter:
    """Kernels of a survey's tiles on the grid of the finest band.

    Attributes
    ----------
    smoother : Smoother
        Of the same grid.
    kernels : array of complex64 [n_planes, n_ratios, ...]
        Transforms of ln(1 + q P) / ln(1 + q P_max), which changes slowly with q.
    peak : array [n_planes]
        P_max.
    cost : array [n_planes, n_ratios]
        The sum of q P - ln(1 + q P) over q u / (1 + u), u = q P_max: it changes slowly too.
    """

    smoother: Smoother
    kernels: NDArray[np.complex64]
    peak: Images
    cost: Images

    def significance(
        self, counts: Images, background: Images, share: Floats, threshold: float, where: Mask
    ) -> tuple[Images, Images]:
        """Likelihood-ratio test of a point source at pixels.

        Parameters
        ----------
        counts, background : array [n_planes, ny, nx]
        share : array [n_planes]
            Share of a source's photons in each plane; sums to 1.
        threshold : float
            Pixels that a few widely spaced fluxes show to be well below it are not refined.
        where : array of bool [ny, nx]
            Pixels to test.

        Returns
        -------
        ts, photons : array [ny, nx]
            Test statistic and expected photons of the source; 0 elsewhere.
        """
        pixel = np.flatnonzero(where)
        ts, amount = np.zeros(where.size, np.float32), np.zeros(where.size, np.float32)
        if not len(pixel):
            return ts.reshape(where.shape), amount.reshape(where.shape)
        photons = PHOTONS[: np.searchsorted(PHOTONS, self._most_photons(counts)) + 2].astype(np.float32)
        planes = [
            self._sums(plane, image, floor, photons * part, pixel)
            for plane, (image, floor, part) in enumerate(zip(counts, background, share, strict=True))
        ]

        def likelihood(photons: Images, pixel: Ints, interpolate: Interpolation) -> Images:
            """For fluxes [n_photons, n_pixels] or [n_photons, 1]."""
            total = np.zeros((len(photons), len(pixel)), np.float32)
            for sums, part in zip(planes, share.astype(np.float32), strict=True):
                log_floor = sums.log_floor[pixel]
                for row, amount in zip(total, photons * part, strict=True):
                    log_ratio = np.log(amount) - log_floor
                    place = (log_ratio - sums.first) / LOG_STEP
                    u = np.exp(log_ratio) * sums.peak
                    row += interpolate(sums.excess, place, pixel) * np.log1p(u)
                    row -= interpolate(sums.cost, place, 0) * amount * u / (1 + u)
            return total

        table = likelihood(photons[::COARSE, None], pixel, linear)
        coarse = 2 * table.max(axis=0)
        ts[pixel] = np.maximum(coarse, 0)
        keep = coarse > 0.5 * threshold
        pixel, start = pixel[keep], COARSE * table[:, keep].argmax(axis=0)
        middle = np.clip(start, COARSE, len(photons) - 1 - COARSE)
        table = likelihood(photons[middle + np.arange(-COARSE, COARSE + 1)[:, None]], pixel, cubic)
        best = np.clip(table.argmax(axis=0), 1, 2 * COARSE - 1)
        left, top, right = (table[best + d, np.arange(len(pixel))] for d in (-1, 0, 1))
        bend = np.minimum(left - 2 * top + right, np.float32(-1e-6))
        shift = np.clip(0.5 * (left - right) / bend, -1, 1)
        ts[pixel] = np.maximum(2 * (top - 0.25 * (left - right) * shift), 0)
        amount[pixel] = photons[middle - COARSE + best] * (PHOTONS[1] / PHOTONS[0]) ** shift
        return ts.reshape(where.shape), amount.reshape(where.shape)

    def _sums(
        self, plane: int, counts: Images, background: Images, photons: Images, pixel: Ints
    ) -> "_PlaneSums":
        """Convolutions of a plane's excess with the kernels of the ratios that occur at some pixels."""
        log_floor = np.log(background.ravel())
        start = np.log(RATIOS[0])
        low = (np.log(photons[0]) - log_floor[pixel].max() - start) / LOG_STEP
        high = (np.log(photons[-1]) - log_floor[pixel].min() - start) / LOG_STEP
        first = int(np.clip(low, 0, len(RATIOS) - 4))
        last = int(np.clip(high + 2, first + 4, len(RATIOS)))
        npix, size = self.smoother.npix, padded(self.smoother)
        transform = scipy.fft.rfft2(counts - background, (size, size)) * self.kernels[plane, first:last]
        excess = scipy.fft.irfft2(transform, (size, size))[:, :npix, :npix].reshape(last - first, -1)
        cost = self.cost[plane, first:last, None]
        return _PlaneSums(excess, cost, self.peak[plane], np.float32(np.log(RATIOS[first])), log_floor)

    def _most_photons(self, counts: Images) -> float:
        """More photons than any source in the images can have."""
        width_deg = 0.25
        return float(
            3 * self.smoother.photons(self.smoother.smooth(counts.sum(axis=0), width_deg).max(), width_deg)
        )


@dataclass(frozen=True, eq=False)
class _PlaneSums:
    """Both parts of a plane's log-likelihood by ratio: [n_ratios, n_pixels] and [n_ratios, 1]."""

    excess: Images
    cost: Images
    peak: np.float32
    first: np.float32  # ln of the first ratio
    log_floor: Images


Interpolation = Callable[[Images, Images, Ints | int], Images]


def linear(sums: Images, place: Images, pixel: Ints | int) -> Images:
    """Sums [n_ratios, n_pixels] at places [n] on the axis of ratios, at pixels [n] or one for all."""
    place = np.clip(place, 0, len(sums) - 1)
    k = np.minimum(place.astype(np.int32), len(sums) - 2)
    low = sums[k, pixel]
    return low + (place - k.astype(np.float32)) * (sums[k + 1, pixel] - low)


def cubic(sums: Images, place: Images, pixel: Ints | int) -> Images:
    """The same by the cubic through four ratios."""
    place = np.clip(place, 0, len(sums) - 1)
    k = np.clip(place.astype(np.int32), 1, len(sums) - 3)
    f = place - k.astype(np.float32)
    outer, inner = f * (f - 1), (f + 1) * (f - 2)
    six, half = np.float32(1 / 6), np.float32(1 / 2)
    return (
        outer * ((2 - f) * sums[k - 1, pixel] + (f + 1) * sums[k + 2, pixel]) * six
        + inner * ((f - 1) * sums[k, pixel] - f * sums[k + 1, pixel]) * half
    )


def peaks(ts: Images, photons: Images, threshold: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Local maxima (of 8 neighbours) above a threshold, highest first.

    Returns
    -------
    x, y : array
        Pixel coordinates, refined by the parabolas through the neighbours.
    photons, ts : array
        There.
    """
    row, column = np.nonzero((ts >= threshold) & (ts == maximum_filter(ts, 3)))
    order = np.argsort(-ts[row, column], kind="stable")
    row, column = row[order], column[order]
    padded = np.pad(ts.astype(float), 1, mode="edge")
    here = padded[row + 1, column + 1]

    def vertex(low: Floats, high: Floats) -> Floats:
        bend = np.minimum(low - 2 * here + high, -1e-6)
        return np.clip(0.5 * (low - high) / bend, -0.5, 0.5)

    x = column + vertex(padded[row + 1, column], padded[row + 1, column + 2])
    y = row + vertex(padded[row, column + 1], padded[row + 2, column + 1])
    return x, y, photons[row, column].astype(float), here


@lru_cache(maxsize=4)
def matched_filter(survey: Survey, response: Response, grid: TileGrid) -> MatchedFilter:
    """The filter of a survey; made once a process."""
    smoother = Smoother(grid.npix(survey.finest_band), grid.pixel_deg(survey.finest_band))
    size = padded(smoother)
    offset = (np.arange(size) + size // 2) % size - size // 2
    separation = np.hypot(offset[:, None], offset[None, :]) * smoother.pixel_deg
    spread = blurred_point_spread(survey, response, smoother.pixel_deg)
    planes = np.arange(len(survey.planes))[:, None, None]
    psf = spread.density(planes, separation[None]) * np.radians(smoother.pixel_deg) ** 2
    # the core is steep: the mean over a pixel differs from the value at its middle, the sum must not
    near = separation < KERNEL_RADIUS_DEG
    inside = spread.containment(planes[:, :, 0], np.array([[KERNEL_RADIUS_DEG]]))[:, :, None]
    psf *= inside / np.sum(psf * near, axis=(1, 2), keepdims=True)
    peak = psf.max(axis=(1, 2))
    kernels, cost = [], []
    for p, top in zip(psf, peak, strict=True):
        logs = [np.log1p(q * p) * near for q in RATIOS]
        kernels.append([part / np.log1p(q * top) for q, part in zip(RATIOS, logs, strict=True)])
        lost = [q * np.sum(p * near) - part.sum() for q, part in zip(RATIOS, logs, strict=True)]
        cost.append(np.array(lost) * (1 + RATIOS * top) / (RATIOS**2 * top))
    transforms = scipy.fft.rfft2(np.array(kernels, np.float32))
    return MatchedFilter(smoother, transforms, peak.astype(np.float32), np.array(cost, np.float32))
