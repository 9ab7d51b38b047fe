import healpy as hp
import numpy as np
import pytest
from scipy.spatial import cKDTree

from models.likelihood import DetectionConfig, Detections, detect_tile
from models.likelihood.detect import anchor_ratio, settle_places
from models.likelihood.detect import search as search_tile
from models.likelihood.evidence import POPULATIONS
from models.likelihood.matched_filter import matched_filter
from models.likelihood.tile_model import TileSky
from sky.frames import unit_vectors
from sky.tiles import TileGrid, owner
from tests.models.known_sky import EXPOSURE_CM2_S, HIGH_LATITUDE_SR, KnownSky, make_sky

BLOCKS = np.concatenate([np.arange(16), np.arange(4 * 64 + 16, 4 * 64 + 32)])  # at the pole, on the equator


def search(sky: KnownSky, tiles, config=None) -> Detections:
    grid = TileGrid(sky.survey)
    return Detections.concatenate(
        [detect_tile(sky.cube, sky.exposure, sky.response, grid, int(t), 0, config) for t in tiles]
    )


def border_places(n: int, rng) -> np.ndarray:
    """Places on and very near the borders between the cells of `BLOCKS`, at least 0.8 deg apart."""
    chosen: list[np.ndarray] = []
    while len(chosen) < n:
        cell, step = rng.choice(BLOCKS), 200
        edge = np.moveaxis(hp.boundaries(8, int(cell), step=step, nest=True), 0, -1)
        place = edge[rng.integers(4 * step)] + rng.normal(0, np.radians(rng.choice([1e-5, 1e-3, 0.03])), 3)
        place /= np.linalg.norm(place)
        ring = place + np.radians(1.2) * rng.normal(0, 1, (30, 3)) / np.sqrt(3)
        if not np.isin(hp.vec2pix(8, *ring.T, nest=True), BLOCKS).all():
            continue
        if chosen and np.arccos(np.clip(np.array(chosen) @ place, -1, 1)).min() < np.radians(0.8):
            continue
        chosen.append(place)
    return np.array(chosen)


@pytest.fixture(scope="module")
def border_sky() -> tuple[KnownSky, np.ndarray]:
    rng = np.random.default_rng(5)
    places = border_places(300, rng)
    glon, glat = hp.vec2ang(places, lonlat=True)
    photons = rng.uniform(30, 120, len(places))
    return make_sky(glon, glat, photons / EXPOSURE_CM2_S, np.full(len(places), 2.3), 6), places


def test_sources_on_borders_are_found_exactly_once(border_sky):
    sky, places = border_sky
    found = search(sky, BLOCKS)
    assert np.array_equal(owner(found.glon_deg, found.glat_deg), found.tile)
    near = cKDTree(unit_vectors(found.glon_deg, found.glat_deg)).query_ball_point(places, np.radians(0.15))
    assert [len(n) for n in near] == [1] * len(places)


def test_a_tile_does_not_depend_on_other_tiles(border_sky):
    sky, _ = border_sky
    alone = search(sky, [5])
    after = search(sky, [6, 5])
    again = after.select(after.tile == 5)
    for name in ("glon_deg", "glat_deg", "ts", "det_prob", "flux_cm2_s", "background_sr"):
        assert np.array_equal(getattr(alone, name), getattr(again, name))


def test_neighbouring_tiles_agree_on_places(border_sky):
    """The anchors of candidates that two tiles see differ by far less than sources are apart."""
    sky, places = border_sky
    grid = TileGrid(sky.survey)
    config = DetectionConfig(POPULATIONS["lat-10gev"])
    seen = {}
    for tile in (0, 1):
        model = TileSky.of(sky.cube, sky.exposure, sky.response, grid, tile)
        found = search_tile(model, matched_filter(sky.survey, sky.response, grid), config)
        ratio = anchor_ratio(model, sky.cube)
        seen[tile] = settle_places(model, found, ratio, 1.0).vectors
    shared = places[
        np.isin(hp.vec2pix(8, *places.T, nest=True), (0, 1))
        & (cKDTree(seen[0]).query(places)[0] < np.radians(0.1))
        & (cKDTree(seen[1]).query(places)[0] < np.radians(0.1))
    ]
    first, second = (seen[t][cKDTree(seen[t]).query(shared)[1]] for t in (0, 1))
    apart_deg = np.degrees(np.linalg.norm(first - second, axis=1))
    both_refined = apart_deg < 0.02  # others lie outside the margin of one of the tiles, where none refines
    assert both_refined.sum() >= 5
    assert np.median(apart_deg[both_refined]) < 2e-4
    assert apart_deg[both_refined].max() < 0.01  # where only one tile models a faint neighbour


def test_detections_say_what_is_there(border_sky):
    sky, places = border_sky
    found = search(sky, BLOCKS[:4])
    mine = np.flatnonzero(np.isin(hp.vec2pix(8, *places.T, nest=True), BLOCKS[:4]))
    vectors = unit_vectors(found.glon_deg, found.glat_deg)
    chord, which = cKDTree(vectors).query(places[mine])
    assert np.degrees(np.median(chord)) < 0.02
    ratio = found.flux_cm2_s[which] / sky.flux_cm2_s[mine]
    error = 1 / np.sqrt(sky.flux_cm2_s[mine] * EXPOSURE_CM2_S)
    assert abs(np.mean(ratio) - 1) < 3 * np.mean(error) / np.sqrt(len(mine)) + 0.02
    assert np.median(found.background_sr / HIGH_LATITUDE_SR, axis=0) == pytest.approx([1, 1, 1], abs=0.15)
    assert (np.diff(found.det_prob[found.tile == 0]) <= 0).all()


def test_an_empty_sky_has_no_sources():
    nothing = np.empty(0)
    sky = make_sky(nothing, nothing, nothing, nothing, 1, np.zeros(3))
    assert len(search(sky, [0, 400])) == 0


def test_the_probability_is_calibrated():
    """Of the detections given a probability about p, a share of about p is there (no sky here is tuned on)."""
    rng = np.random.default_rng(8)
    population = POPULATIONS["lat-10gev"]
    tiles = np.arange(64, 128)
    flux = 8e-12 * (1 - rng.random(40000)) ** (-1 / population.slope)
    number = population.density_sr * (population.flux_cm2_s / 8e-12) ** population.slope * 4 * np.pi
    flux = np.minimum(flux[: rng.poisson(number)], 3e-9)
    z = rng.uniform(-1, 1, len(flux))
    glon, glat = rng.uniform(0, 360, len(flux)), np.degrees(np.arcsin(z))
    here = np.isin(owner(glon, glat), tiles)
    glon, glat, flux = glon[here], glat[here], flux[here]
    index = rng.choice(population.indices, len(flux), p=population.weights)
    sky = make_sky(glon, glat, flux, index, 9)
    found = search(sky, tiles, DetectionConfig(population, min_det_prob=0.1))
    chord, _ = cKDTree(unit_vectors(glon, glat)).query(unit_vectors(found.glon_deg, found.glat_deg))
    real = np.degrees(chord) < 0.2
    for low, high in ((0.1, 0.4), (0.4, 0.9), (0.9, 1.01)):
        group = (found.det_prob >= low) & (found.det_prob < high)
        promised = found.det_prob[group]
        error = np.sqrt(np.sum(promised * (1 - promised))) / group.sum()
        assert abs(real[group].mean() - promised.mean()) < 3 * error + 0.12
