"""Neighbourhoods and the sparse steps against the plain ones."""

from types import SimpleNamespace

import numpy as np
import pytest

from models.likelihood.mixture import Mixture
from models.likelihood.neighbourhood import gather, moved, offsets_deg, sky_pixels
from models.likelihood.sharing import Sharing
from models.likelihood.tile_model import TileSky
from sky.frames import unit_vectors
from sky.survey import get_survey
from sky.tiles import COVER_ORDER, TileGrid
from tests.models.known_sky import EXPOSURE_CM2_S, make_sky

TILE = 91


@pytest.fixture(scope="module")
def crowd() -> SimpleNamespace:
    """Twenty sources within four degrees, each in the light of others, with a floor and first photons."""
    rng = np.random.default_rng(3)
    glon, glat = TileGrid(get_survey("lat-10gev")).centre(TILE)
    places = glon + rng.uniform(-2, 2, 20), glat + rng.uniform(-2, 2, 20)
    sky = make_sky(*places, rng.uniform(20, 300, 20) / EXPOSURE_CM2_S, np.full(20, 2.3), 6)
    tile = TileSky.of(sky.cube, sky.exposure, sky.response, TileGrid(sky.survey), TILE)
    mixture = tile.mixture(unit_vectors(*places), np.arange(20) % 3)
    floor = rng.uniform(0.5, 2.0, len(tile.counts)) * 3e4
    photons = rng.uniform(5, 200, (20, 1)) * tile.share
    return SimpleNamespace(
        sky=sky, tile=tile, vectors=unit_vectors(*places), mixture=mixture, floor=floor, photons=photons
    )


def test_neighbourhoods_hold_all_pixels_within_the_radius(crowd: SimpleNamespace) -> None:
    pixels = sky_pixels(crowd.sky.cube, TileGrid(crowd.sky.survey).cover(TILE, COVER_ORDER))
    radius = np.array([1.5, 0.7, 0.3])
    near = gather(pixels, crowd.vectors, radius)
    assert np.all(np.diff(near.key) >= 0)
    for source, vector in enumerate(crowd.vectors):
        for plane in range(3):
            mine = (near.owner == source) & (near.plane == plane)
            apart = np.degrees(np.arccos(np.clip(pixels.vectors[plane] @ vector, -1, 1)))
            assert set(near.pixel[mine]) == set(np.flatnonzero(apart <= radius[plane]))
            assert np.array_equal(near.counts[mine], pixels.counts[plane][near.pixel[mine]])
            assert near.separation_deg()[mine] == pytest.approx(apart[near.pixel[mine]], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("stretch", [1.0, 1.8])
def test_steps_share_each_pixels_photons_by_expectation(crowd: SimpleNamespace, stretch: float) -> None:
    """Written out by pairs of a source and a pixel, without the sparse products."""
    sharing, photons, mixture = Sharing.of(crowd.mixture, crowd.tile.counts), crowd.photons, crowd.mixture
    for _ in range(7):
        share = mixture.contribution(photons) / mixture.total(photons, crowd.floor)
        shared = mixture.near.plane_total(mixture.near.counts * share) / mixture.reach
        photons = np.maximum(photons * (shared / photons) ** stretch, 1e-6)
    assert np.allclose(sharing.settled(crowd.photons, crowd.floor, 7, stretch), photons, rtol=1e-9)
    assert np.allclose(sharing.density(photons), crowd.mixture.density(photons), rtol=1e-9)
    pairs = np.random.default_rng(4).random(len(crowd.mixture.cell)) < 0.3
    total, own = crowd.mixture.total(photons, crowd.floor), crowd.mixture.contribution(photons)
    assert np.allclose(sharing.without(pairs, photons, crowd.floor), (total - own)[pairs], rtol=1e-9)
    others = np.maximum(mixture.density(photons)[mixture.cell] - own, 0)
    weights = mixture.near.counts * (1 - others / total)
    assert np.allclose(sharing.weights(pairs, photons, crowd.floor), weights[pairs], rtol=1e-9)
    assert 0.01 < np.mean(weights / crowd.mixture.near.counts < 0.9) < 0.99


def test_moved_sources_are_seen_from_their_new_places(crowd: SimpleNamespace) -> None:
    rows = np.arange(20) % 2 == 0
    step = np.where(rows, 0.1, 0.0)
    there = moved(crowd.vectors, step, -step)
    shifted = Sharing.of(crowd.mixture, crowd.tile.counts).moved(rows, *offsets_deg(crowd.vectors, there))
    anew = Mixture.of(
        gather(crowd.tile.pixels, there, crowd.tile.reach_deg), crowd.tile.pixels, crowd.tile.spread,
        crowd.mixture.extent,
    )  # fmt: skip
    fresh = dict(zip(zip(anew.near.owner, anew.cell, strict=True), anew.psf, strict=True))
    pairs = list(zip(crowd.mixture.near.owner, crowd.mixture.cell, strict=True))
    kept = [k for k, pair in enumerate(pairs) if pair in fresh]
    assert len(kept) > 0.85 * len(pairs)
    assert np.allclose(shifted.psf[kept], [fresh[pairs[k]] for k in kept], rtol=2e-3)
    assert not np.allclose(shifted.psf, crowd.mixture.psf, rtol=0.1)
    mine = Sharing.of(anew, crowd.tile.counts).settled(crowd.photons, crowd.floor, 8).sum(1)
    assert shifted.settled(crowd.photons, crowd.floor, 8).sum(1) == pytest.approx(mine, rel=0.05)
