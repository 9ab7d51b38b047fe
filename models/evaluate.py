"""How good a list of detections is, against truths: one module for training, tests and benchmarks.

Truths that not even a likelihood with everything else known could show (`limit_sigma` under 3) are left out
before anything is matched: they do not count as missed, and a detection on one of them counts as false.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

MATCH_RADIUS_DEG = 0.3
FOUNDING_RADIUS_DEG = 0.5
LIMIT_SIGMA = 3.0


@dataclass(frozen=True, eq=False)
class Positions:
    """N places on the sky, or on many separate small skies.

    Attributes
    ----------
    glon_deg, glat_deg : array [N]
    group : array of int [N] or None
        Places of different groups (tiles with skies of their own) never match.
    """

    glon_deg: Array
    glat_deg: Array
    group: Ints | None = None

    def __len__(self) -> int:
        return len(self.glon_deg)

    def select(self, which: ArrayLike) -> "Positions":
        """The places of a mask or index array."""
        chosen = np.asarray(which)
        group = None if self.group is None else self.group[chosen]
        return Positions(self.glon_deg[chosen], self.glat_deg[chosen], group)

    def vectors(self) -> Array:
        """Unit vectors with the group as a far-apart fourth coordinate, [N, 4]."""
        lon, lat = np.radians(self.glon_deg), np.radians(self.glat_deg)
        fourth = np.zeros(len(self)) if self.group is None else 10.0 * self.group
        return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat), fourth], axis=-1)


@dataclass(frozen=True, eq=False)
class Matches:
    """A one-to-one matching.

    Attributes
    ----------
    of_truth : array of int [n_truths]
        Index of the detection of each truth, -1 where it was missed.
    of_detection : array of int [n_detections]
        Index of the truth of each detection, -1 where it is false.
    separation_deg : array [n_truths]
        NaN where missed.
    """

    of_truth: Ints
    of_detection: Ints
    separation_deg: Array

    @property
    def found(self) -> Mask:
        """Which truths were found."""
        return self.of_truth >= 0

    @property
    def real(self) -> Mask:
        """Which detections are truths."""
        return self.of_detection >= 0

    @property
    def completeness(self) -> float:
        """Matched truths over truths; NaN without truths."""
        return float(self.found.mean()) if self.found.size else np.nan

    @property
    def purity(self) -> float:
        """Matched detections over detections; NaN without detections."""
        return float(self.real.mean()) if self.real.size else np.nan


def match(
    truths: Positions, truth_flux: ArrayLike, detections: Positions, radius_deg: float = MATCH_RADIUS_DEG
) -> Matches:
    """Match one to one: the brightest truth first takes the nearest detection that is still free."""
    of_truth, of_detection = np.full(len(truths), -1), np.full(len(detections), -1)
    separation = np.full(len(truths), np.nan)
    if len(truths) and len(detections):
        chord = 2.0 * np.sin(np.radians(radius_deg) / 2.0)
        det_vec, truth_vec = detections.vectors(), truths.vectors()
        near = cKDTree(det_vec).query_ball_point(truth_vec, chord)
        for t in np.argsort(-np.asarray(truth_flux, float), kind="stable"):
            free = [d for d in near[t] if of_detection[d] < 0]
            if not free:
                continue
            chords = np.linalg.norm(det_vec[free] - truth_vec[t], axis=-1)
            best = int(np.argmin(chords))
            of_truth[t], of_detection[free[best]] = free[best], t
            separation[t] = np.degrees(2.0 * np.arcsin(chords[best] / 2.0))
    return Matches(of_truth, of_detection, separation)


@dataclass(frozen=True, eq=False)
class ScoreCurve:
    """Completeness and purity of all detections with at least a score, thresholds ascending."""

    threshold: Array
    completeness: Array
    purity: Array
    detections: Ints

    def threshold_at_purity(self, purity: float) -> float:
        """Lowest threshold whose list is as pure as asked; inf if none is."""
        enough = self.purity >= purity
        return float(self.threshold[np.argmax(enough)]) if enough.any() else np.inf

    def completeness_at_purity(self, purity: float) -> float:
        """Completeness at `threshold_at_purity`; 0 if no threshold is pure enough."""
        threshold = self.threshold_at_purity(purity)
        return (
            float(self.completeness[np.searchsorted(self.threshold, threshold)])
            if threshold < np.inf
            else 0.0
        )


def score_curve(
    truths: Positions,
    truth_flux: ArrayLike,
    detections: Positions,
    score: ArrayLike,
    *,
    limit_sigma: ArrayLike | None = None,
    radius_deg: float = MATCH_RADIUS_DEG,
    steps: int = 60,
    min_detections: int = 20,
) -> ScoreCurve:
    """Match anew at each of `steps` thresholds, equally spaced in the number of detections.

    Thresholds above which fewer than `min_detections` remain are left out: their purity is noise.
    """
    flux, ranking = np.asarray(truth_flux, float), np.asarray(score, float)
    if limit_sigma is not None:
        shown = np.asarray(limit_sigma, float) >= LIMIT_SIGMA
        truths, flux = truths.select(shown), flux[shown]
    if not len(ranking):
        none = np.empty(0)
        return ScoreCurve(none, none, none, none.astype(np.int64))
    descending = -np.sort(-ranking)
    kept = np.unique(np.linspace(min(min_detections, len(ranking)), len(ranking), steps).astype(int))
    thresholds = np.unique(descending[kept - 1])
    rows = []
    for threshold in thresholds:
        matches = match(truths, flux, detections.select(ranking >= threshold), radius_deg)
        rows.append((matches.completeness, matches.purity, matches.real.size))
    completeness, purity, number = np.array(rows).T
    return ScoreCurve(thresholds, completeness, purity, number.astype(np.int64))


def fraction_by(flag: ArrayLike, value: ArrayLike, edges: ArrayLike) -> tuple[Array, Array, Ints]:
    """Fraction of set flags, its binomial error (Wilson, 1 sigma) and the number, per bin of a value.

    With found truths this is completeness against flux, significance or latitude; with real detections,
    purity.
    """
    flags, bins = np.asarray(flag, bool), np.asarray(edges, float)
    number = np.histogram(value, bins)[0]
    hits = np.histogram(np.asarray(value, float)[flags], bins)[0]
    n = np.where(number > 0, number, np.nan)
    p = hits / n
    error = np.sqrt(p * (1 - p) / n + 1 / (4 * n**2)) / (1 + 1 / n)
    return p, error, number


def value_at_completeness(
    value: ArrayLike, found: ArrayLike, level: float, width_dex: float = 0.06, steps: int = 200
) -> float:
    """Flux (or significance) above which completeness stays at `level` or more.

    Completeness is smoothed with a Gaussian in log10 of the value; NaN if the level is not reached anywhere
    with the weight of ten sources.
    """
    log_value, hit = np.log10(np.asarray(value, float)), np.asarray(found, float)
    if log_value.size == 0:
        return np.nan
    grid = np.linspace(log_value.min(), log_value.max(), steps)
    weight = np.exp(-0.5 * ((grid[:, None] - log_value) / width_dex) ** 2)
    enough = weight.sum(axis=1) >= 10.0
    smooth = (weight @ hit)[enough] / weight.sum(axis=1)[enough]
    grid = grid[enough]
    below = np.flatnonzero(smooth < level)
    if smooth.size == 0 or (below.size and below[-1] == smooth.size - 1):
        return np.nan
    if below.size == 0:
        return float(10.0 ** grid[0])
    i = below[-1]
    crossing = grid[i] + (level - smooth[i]) / (smooth[i + 1] - smooth[i]) * (grid[i + 1] - grid[i])
    return float(10.0**crossing)


def chance_share(
    truths: Positions,
    truth_flux: ArrayLike,
    detections: Positions,
    rng: np.random.Generator,
    radius_deg: float = MATCH_RADIUS_DEG,
    offset_deg: tuple[float, float] = (2.0, 4.0),
    repeats: int = 4,
) -> float:
    """Share of detections that match a truth when moved along their own latitude, some degrees at random."""
    if not len(detections):
        return np.nan
    share = []
    for _ in range(repeats):
        size = len(detections)
        move = rng.uniform(*offset_deg, size) * rng.choice((-1.0, 1.0), size)
        wide = np.maximum(np.cos(np.radians(detections.glat_deg)), 0.02)
        moved = Positions((detections.glon_deg + move / wide) % 360.0, detections.glat_deg, detections.group)
        share.append(match(truths, truth_flux, moved, radius_deg).purity)
    return float(np.mean(share))


def limit_significance(source: ArrayLike, background: ArrayLike) -> Array:
    """Significance of a source if all else were known exactly, sqrt of the Asimov likelihood ratio.

    TS = 2 sum [(s + b) ln(1 + s / b) - s] (Cowan et al. 2011, EPJC 71, 1554, eq. 97, summed over pixels).

    Parameters
    ----------
    source, background : array [..., n_pixels]
        Expected counts of the source, and of everything else, neighbours included.
    """
    s, b = np.asarray(source, float), np.asarray(background, float)
    terms = (s + b) * np.log1p(s / b) - s
    return np.sqrt(np.maximum(2.0 * terms.sum(axis=-1), 0.0))


def mask_accuracy(predicted: ArrayLike, target: ArrayLike) -> tuple[float, float]:
    """Binary accuracy of a mask and the adjusted one: 0 for a mask left empty, 1 for a perfect one."""
    guess, truth = np.asarray(predicted, bool), np.asarray(target, bool)
    accuracy, empty = float(np.mean(guess == truth)), float(np.mean(~truth))
    return accuracy, (accuracy - empty) / (1.0 - empty) if empty < 1.0 else np.nan
