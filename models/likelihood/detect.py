"""Detection of point sources in one tile: search by matched filter, judge on the counts maps' own pixels.

The search works on the tile's images. Its peaks are then judged on the HEALPix pixels, unblurred by tile
pixels: positions by `anchor`, expected photons of all sources together by expectation maximisation, and the
posterior probability of each by `evidence`.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.special import expit

from models.likelihood.anchor import STRAY_DEG, anchors, distinct, distinct_from
from models.likelihood.background import BackgroundScales, Images
from models.likelihood.detections import Detections
from models.likelihood.evidence import POPULATIONS, Population, SourceTest, weigh
from models.likelihood.matched_filter import MatchedFilter, matched_filter, peaks
from models.likelihood.neighbourhood import near_cell
from models.likelihood.optics import band_fractions
from models.likelihood.sharing import Sharing
from models.likelihood.tile_model import TileSky
from models.likelihood.wide_search import searchable, wide_detections
from sky.counts import CountsCube
from sky.exposure import ExposureMaps
from sky.frames import lon_lat, unit_vectors
from sky.response import Response
from sky.tiles import TileGrid, owner

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class DetectionConfig:
    """Choices of the matched filter.

    Attributes
    ----------
    population : Population
    scales : BackgroundScales
    model_ts, model_separation_deg : tuple of float
        Thresholds, from pass to pass, above which a peak joins the model of the tile, and how close two that join
        at once may be: wide at first, so that an extended source is recognised before it is taken for several.
    candidate_ts : float
        Peaks of the last pass above this are judged.
    separation_deg : float
        Two peaks closer than this are one.
    min_det_prob : float
        Detections below are dropped.
    far_ts, search_margin_deg : float
        Passes below this threshold look no farther than this from the cell: fainter sources out there do not
        bear on it.
    margin_deg : float
        Candidates this far outside the cell are refined too: they may belong to it.
    """

    population: Population
    scales: BackgroundScales = field(default_factory=BackgroundScales)
    model_ts: tuple[float, ...] = (40.0, 20.0, 16.0)
    model_separation_deg: tuple[float, ...] = (0.8, 0.5, 0.2)
    candidate_ts: float = 8.2
    separation_deg: float = 0.2
    min_det_prob: float = 0.1
    far_ts: float = 20.0
    search_margin_deg: float = 1.2
    margin_deg: float = 0.5


HOPELESS_TS = 2.0  # pixels below it in one pass stay below `candidate_ts` in the next
ANCHOR_PHOTONS = 10.0  # photons of the faint source that `anchor` looks for
ANCHOR_REACH = 0.8
SETTLE_STEPS = 25
SAME_SOURCE_DEG = 0.05


def detect_tile(
    cube: CountsCube,
    exposure: ExposureMaps,
    response: Response,
    grid: TileGrid,
    tile: int,
    seed: int,
    config: DetectionConfig | None = None,
) -> Detections:
    """Sources of one tile: those whose position its cell holds.

    Parameters
    ----------
    cube : CountsCube
    exposure : ExposureMaps
    response : Response
    grid : TileGrid
    tile : int
    seed : int
        Not used: this detector moves no photon. Detectors that do share the signature.
    config : DetectionConfig, optional

    Returns
    -------
    Detections
        By falling `det_prob`.
    """
    del seed
    config = config or DetectionConfig(POPULATIONS[cube.survey.name])
    sky = TileSky.of(cube, exposure, response, grid, tile)
    found = search(sky, matched_filter(cube.survey, response, grid), config)
    settled = settle_places(sky, found, anchor_ratio(sky, cube), config.margin_deg)
    judged = judge(sky, settled, exposure, config)
    if not searchable(cube.survey):
        return judged
    sources = sky.mixture(settled.vectors, settled.extent).density(settled.photons)
    rest = sky.thinned(sky.per_sr(settled.background), sources)
    wide = wide_detections(sky, exposure, response, rest, settled.background)
    return Detections.concatenate([judged, wide]).by_probability()


def anchor_ratio(sky: TileSky, cube: CountsCube) -> Floats:
    """A faint source's photons over the photons per sr of the sky's mean, [n_planes]."""
    return ANCHOR_PHOTONS * sky.share * 4 * np.pi / np.maximum(cube.plane_totals(), 1)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Possible sources of a tile: positions [n, 3], widths [n] and photons [n, n_planes], on a background."""

    vectors: Floats
    extent: Ints
    photons: Floats
    background: Images

    def only(self, keep: NDArray[np.bool_]) -> Self:
        """Some of the candidates."""
        return type(self)(self.vectors[keep], self.extent[keep], self.photons[keep], self.background)


def search(sky: TileSky, fine: MatchedFilter, config: DetectionConfig) -> Candidates:
    """Find peaks, brightest first; each pass sees the counts less the share of the sources found before."""
    background = sky.first_background(config.scales)
    vectors, extent = np.empty((0, 3)), np.empty(0, dtype=np.int64)
    photons = np.empty((0, len(sky.share)))
    sources = np.zeros(len(sky.counts))
    passes = [*zip(config.model_ts, config.model_separation_deg, strict=True)]
    everywhere = np.ones(sky.solid_angle_sr.shape, bool)
    cell = sky.grid.cell_mask(sky.tile, sky.band)
    near = distance_transform_edt(~cell) * sky.smoother.pixel_deg < config.search_margin_deg
    hopeful = everywhere
    for threshold, separation in [*passes, (config.candidate_ts, config.separation_deg)]:
        thinned = sky.thinned(sky.per_sr(background), sources)
        where = everywhere if threshold >= config.far_ts else near
        ts, amounts = fine.significance(thinned, background, sky.share, threshold, where & hopeful)
        if (
            threshold < config.model_ts[0]
        ):  # before, the brightest sources still raise the background round them
            hopeful = hopeful & (ts > HOPELESS_TS)
        x, y, amount, height = peaks(ts, amounts, threshold)
        peak = unit_vectors(*sky.grid.pixel_to_sky(sky.tile, sky.band, x, y))
        known = distinct_from(peak, vectors, config.separation_deg)
        new = known & distinct(peak, np.argsort(-height, kind="stable"), separation)
        vectors = np.concatenate([vectors, peak[new]])
        extent = np.concatenate([extent, np.zeros(new.sum(), dtype=np.int64)])
        photons = np.concatenate([photons, amount[new, None] * sky.share])
        if threshold != config.candidate_ts:
            mixture, photons, background = sky.settle(
                sky.mixture(vectors, extent), photons, background, config.scales
            )
            extent, sources = mixture.extent, mixture.density(photons)
    return Candidates(vectors, extent, photons, background)


def settle_places(sky: TileSky, found: Candidates, ratio: Floats, margin_deg: float) -> Candidates:
    """Move candidates in and near the cell to their anchors, and fit the photons of all.

    Candidates that climb to another's place are dropped.
    """
    sharing, floor = (
        Sharing.of(sky.mixture(found.vectors, found.extent), sky.counts),
        sky.per_sr(found.background),
    )
    photons, near = sharing.settled(found.photons, floor, SETTLE_STEPS), sharing.mixture.near
    rows = near_cell(sky.tile, found.vectors, margin_deg)
    radius = np.minimum(near.radius_deg, STRAY_DEG + sky.spread.radius_deg(ANCHOR_REACH))
    pairs = near.pairs_of(rows, radius)
    mine = sharing.weights(pairs, photons, floor)
    vectors, shift_deg = found.vectors.copy(), np.zeros(len(photons))
    vectors[rows], shift_deg[rows] = anchors(
        vectors[rows], near.subset(rows, pairs, radius), mine, sky.spread, ratio
    )
    brightest_first = np.argsort(-photons.sum(axis=1), kind="stable")
    keep = distinct(vectors, brightest_first, SAME_SOURCE_DEG) & (shift_deg < STRAY_DEG)
    return Candidates(vectors, found.extent, photons, found.background).only(keep)


def judge(sky: TileSky, found: Candidates, exposure: ExposureMaps, config: DetectionConfig) -> Detections:
    """Weigh the candidates of the tile's own cell; keep those that are probable enough."""
    survey = exposure.survey
    sharing, floor = (
        Sharing.of(sky.mixture(found.vectors, found.extent), sky.counts),
        sky.per_sr(found.background),
    )
    photons, near = sharing.settled(found.photons, floor, SETTLE_STEPS), sharing.mixture.near
    rows = owner(*lon_lat(found.vectors)) == sky.tile
    pairs = near.pairs_of(rows)
    null = sharing.without(pairs, photons, floor)
    near = near.subset(rows, pairs, near.radius_deg)
    glon, glat = lon_lat(found.vectors[rows])
    extent = found.extent[rows]
    exposures = exposure.of_planes(glon, glat)
    yields = (band_fractions(survey, survey.reference_index) * exposures).sum(axis=1)
    rough = photons[rows].sum(axis=1) / yields
    test = SourceTest.of(near, extent, null, sky.spread, exposures, survey)
    weighed = weigh(test, extent, sky.spread, rough, config.population)
    detections = Detections(
        tile=np.full(len(glon), sky.tile),
        glon_deg=glon,
        glat_deg=glat,
        ts=weighed.ts,
        det_prob=expit(weighed.log_odds),
        flux_cm2_s=weighed.flux_cm2_s,
        background_sr=sky.background_at(found.background, found.vectors[rows]).T,
        disc_deg=np.zeros(len(glon)),
    )
    kept = np.flatnonzero(detections.det_prob >= config.min_det_prob)
    return detections.select(kept[np.argsort(-weighed.log_odds[kept], kind="stable")])
