"""Detection by the localisation network: counts images in, the same table as the matched filter's out.

The network says where sources are and how surely, and what the diffuse background is; places are then moved
to the photons' own anchors, so that every tile that sees a source puts it at the same place, and fluxes are
fitted on the network's background, neighbours together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.det_prob import darkness, of_score, with_likelihood
from models.likelihood.anchor import anchors
from models.likelihood.background import BackgroundScales
from models.likelihood.detect import (
    ANCHOR_PHOTONS,
    ANCHOR_REACH,
    SETTLE_STEPS,
)
from models.likelihood.detections import Detections
from models.likelihood.evidence import SourceTest
from models.likelihood.neighbourhood import moved, near_cell, offsets_deg
from models.likelihood.optics import band_fractions
from models.likelihood.place import likeliest_places
from models.likelihood.sharing import Sharing
from models.likelihood.tile_model import TileSky
from models.likelihood.wide_search import searchable, wide_detections
from models.localise.by_name import find_peaks
from models.localise.names import DEFAULT_LOCALISER, LOCALISERS, unknown
from models.shipped import NetworkError, require_localiser, shipped_weights
from models.unet import Segmentation, UNet, folded
from models.weights import load_weights
from sky.counts import CountsCube
from sky.exposure import ExposureMaps
from sky.frames import lon_lat, unit_vectors
from sky.response import Response
from sky.tiles import TileGrid, owner

Floats = NDArray[np.float64]

# An anchor farther away than this belongs to another source.
STRAY_DEG = 0.15
# Sources this far outside the cell are anchored too: they may belong to it.
MARGIN_DEG = 0.5
# Steps of the fit once places have moved by hundredths of a degree.
RESETTLE_STEPS = 8
# What is less likely, by its score, leaves its photons to the search for wide sources.
PROBABLE = 0.3
# Tiles that go through the network together. On a processor it gains nothing, and one by one a tile's result
# does not depend on its company to the last bit.
FORWARD_TILES = {"cpu": 1, "cuda": 8}


@dataclass(frozen=True)
class NetworkDetection:
    """Choices of the network detector.

    Attributes
    ----------
    weights : Path or None
        The ones that come with the program where None.
    localiser : str
        One of `models.localise.names.LOCALISERS`.
    min_det_prob : float
        Detections below are dropped.
    judged : bool
        Whether the likelihood's test statistic and the background have their say in `det_prob` (`models.det_prob`).
    """

    weights: Path | None = None
    localiser: str = DEFAULT_LOCALISER
    min_det_prob: float = 0.1
    judged: bool = True

    def __post_init__(self) -> None:
        if self.localiser not in LOCALISERS:
            raise NetworkError(unknown(self.localiser))

    def with_localiser(self, name: str | None) -> "NetworkDetection":
        """The same with another localiser; None leaves it as it is."""
        return self if name is None else replace(self, localiser=name)


def detect_tiles(
    cube: CountsCube,
    exposure: ExposureMaps,
    response: Response,
    grid: TileGrid,
    tiles: Sequence[int],
    seed: int,
    config: NetworkDetection | None = None,
) -> Detections:
    """Sources of some tiles: those whose position a tile's cell holds; by falling `det_prob` in each.

    Parameters
    ----------
    cube, exposure, response, grid
        As for `models.likelihood.detect_tile`.
    tiles : sequence of int
    seed : int
        Seed of the photons' places in their HEALPix pixels.
    config : NetworkDetection, optional

    Raises
    ------
    NetworkError
        If there are no weights for the cube's survey, or those given are for another.
    """
    config = config or NetworkDetection()
    weights = config.weights or shipped_weights(cube.survey.name)
    network, card = load_network(weights)
    require_localiser(weights, card, cube.survey.name, config.localiser)
    found, step = [], FORWARD_TILES[_device()]
    for first in range(0, len(tiles), step):
        some = tiles[first : first + step]
        out = segment(network, cube, grid, some, seed)
        for k, tile in enumerate(some):
            sky = TileSky.of(cube, exposure, response, grid, tile)
            vectors, probability = localised(out, k, grid, tile, card, config)
            if out.background is None:
                background = sky.first_background(BackgroundScales())
            else:
                background = fine_background(network, out, k, grid.npix(sky.band))
            own, rest = characterised(sky, background, vectors, probability, cube, exposure)
            points = judged(own, cube.total() / (4 * np.pi), card, config)
            if searchable(cube.survey):
                wide = wide_detections(sky, exposure, response, rest, background)
                points = Detections.concatenate([points, wide]).by_probability()
            found.append(points)
    return Detections.concatenate(found)


def segment(network: UNet, cube: CountsCube, grid: TileGrid, tiles: Sequence[int], seed: int) -> Segmentation:
    """What the network says of some tiles, on the CPU."""
    images = [grid.images(cube, tile, seed, summed=True) for tile in tiles]
    device = next(network.parameters()).device
    bands = [
        torch.from_numpy(np.stack([of[b][:, 0].astype(np.float32) for of in images])).to(device)
        for b in range(len(cube.survey.bands))
    ]
    with torch.inference_mode():
        return network(bands).cpu()


def localised(
    out: Segmentation, which: int, grid: TileGrid, tile: int, card: dict[str, Any], config: NetworkDetection
) -> tuple[Floats, Floats]:
    """Unit vectors [n, 3] and probabilities [n] of what a localiser finds in one tile of a batch."""
    peaks = find_peaks(out, config.localiser, _match_radius_px(grid), which)
    probability = of_score(peaks.score, card, config.localiser)
    likely = probability >= config.min_det_prob
    place = grid.pixel_to_sky(tile, grid.survey.finest_band, peaks.x[likely], peaks.y[likely])
    return unit_vectors(*place), probability[likely]


def judged(found: Detections, mean_sr: float, card: dict[str, Any], config: NetworkDetection) -> Detections:
    """The same list by falling `det_prob`, in which the likelihood had its say, less what that makes improbable.

    Parameters
    ----------
    mean_sr : float
        Counts per sr of the whole sky.
    """
    probability = found.det_prob
    if config.judged:
        dark = darkness(found.background_sr, mean_sr)
        probability = with_likelihood(probability, found.ts, dark, card, config.localiser)
        found = replace(found, det_prob=probability)
    kept = np.flatnonzero(probability >= config.min_det_prob)
    return found.select(kept[np.argsort(-probability[kept], kind="stable")])


def characterised(
    sky: TileSky,
    background: NDArray[np.float32],
    vectors: Floats,
    probability: Floats,
    cube: CountsCube,
    exposure: ExposureMaps,
) -> tuple[Detections, NDArray[np.float32]]:
    """Move places to their anchors, fit photons on a background, keep those of the tile's own cell.

    Beside them stands what the probable ones of the whole tile leave of its counts, [n_planes, ny, nx].

    Parameters
    ----------
    background : array [n_planes, ny, nx]
        Counts a pixel of the finest grid.
    vectors : array [n, 3]
    probability : array [n]
    """
    survey = cube.survey
    floor, points = sky.per_sr(background), np.zeros(len(vectors), dtype=np.int64)
    sharing = Sharing.of(sky.mixture(vectors, points), sky.counts)
    start = np.full((len(vectors), 1), ANCHOR_PHOTONS) * sky.share
    photons = sharing.settled(start, floor, SETTLE_STEPS)
    rows = near_cell(sky.tile, vectors, MARGIN_DEG)
    anchored = vectors.copy()
    anchored[rows] = _anchored(sky, sharing, vectors, rows, photons, floor, cube)
    sharing = sharing.moved(rows, *offsets_deg(vectors, anchored))
    photons = sharing.settled(photons, floor, RESETTLE_STEPS)
    vectors = anchored
    own = owner(*lon_lat(vectors)) == sky.tile
    near = sharing.mixture.near
    pairs = own[near.owner]
    null = sharing.without(pairs, photons, floor)
    near = near.subset(own, pairs, near.radius_deg)
    reach_deg = STRAY_DEG + sky.spread.radius_deg(ANCHOR_REACH)
    east, north = likeliest_places(near, null, photons[own], sky.spread, reach_deg, STRAY_DEG)
    left = owner(*lon_lat(moved(vectors[own], east, north))) != sky.tile
    east[left], north[left] = 0, 0  # the anchor says whose a source is, and the place must not contradict it
    near, placed = near.shifted(east, north), moved(vectors[own], east, north)
    glon, glat = lon_lat(placed)
    exposures = exposure.of_planes(glon, glat)
    yields = (band_fractions(survey, survey.reference_index) * exposures).sum(axis=1)
    rough = photons[own].sum(axis=1) / yields
    test = SourceTest.of(near, points[own], null, sky.spread, exposures, survey)
    flux = test.best_flux_cm2_s(rough)
    rest = sky.thinned(floor, sharing.density(photons * (probability >= PROBABLE)[:, None]))
    found = Detections(
        tile=np.full(len(glon), sky.tile),
        glon_deg=glon,
        glat_deg=glat,
        ts=test.ts(flux),
        det_prob=probability[own],
        flux_cm2_s=flux,
        background_sr=sky.background_at(background, placed).T,
        disc_deg=np.zeros(len(glon)),
    )
    return found, rest


def _anchored(
    sky: TileSky,
    sharing: Sharing,
    vectors: Floats,
    rows: NDArray[np.bool_],
    photons: Floats,
    floor: Floats,
    cube: CountsCube,
) -> Floats:
    """Anchors of some of the positions; one whose anchor is another source's stays."""
    near = sharing.mixture.near
    radius = np.minimum(near.radius_deg, STRAY_DEG + sky.spread.radius_deg(ANCHOR_REACH))
    pairs = near.pairs_of(rows, radius)
    mine = sharing.weights(pairs, photons, floor)
    ratio = ANCHOR_PHOTONS * sky.share * 4 * np.pi / cube.plane_totals()
    anchored, shift = anchors(vectors[rows], near.subset(rows, pairs, radius), mine, sky.spread, ratio)
    return np.where((shift < STRAY_DEG)[:, None], anchored, vectors[rows])


def fine_background(network: UNet, out: Segmentation, which: int, n: int) -> NDArray[np.float32]:
    """The background head's counts of every plane of one tile on the finest grid, [n_planes, n, n]."""
    assert out.background is not None
    planes: dict[int, NDArray[np.float32]] = {}
    for level, image in zip(network.levels, out.background, strict=True):
        coarser = n // image.shape[-1]
        for plane, values in zip(level.planes, image[which].numpy(), strict=True):
            fine = values.repeat(coarser, 0).repeat(coarser, 1)
            planes[plane] = (fine / coarser**2).astype(np.float32)
    return np.stack([planes[p] for p in range(len(planes))])


def _match_radius_px(grid: TileGrid) -> float:
    return 0.3 / min(grid.pixel_deg(band) for band in range(len(grid.survey.bands)))


@lru_cache(maxsize=4)
def load_network(weights: Path) -> tuple[UNet, dict[str, Any]]:
    """A network on this process's device, ready for inference, and its model card; kept for the next call.

    Raises
    ------
    NetworkError
        If the files are not those of a localising network.
    """
    network, card = load_weights(weights)
    return folded(network).to(_device()), card


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
