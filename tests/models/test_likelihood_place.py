"""Places by the photons of a source's own brightness, of bright sources on six bands."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import minimize

from models.likelihood.anchor import anchors
from models.likelihood.place import likeliest_places
from models.likelihood.sharing import Sharing
from models.likelihood.tile_model import TileSky
from sky.frames import unit_vectors
from sky.survey import get_survey
from sky.tiles import TileGrid
from tests.models.known_sky import make_sky

SURVEY = get_survey("lat-6band")
TILES = (91, 397)
# Photons per sr, and cm2 s: much as ten years at high latitude.
BACKGROUND_SR = np.array([8e5, 7e5, 2e5, 4e4, 6e3, 1e3])
FLUX_CM2_S, INDEX = 8e-9, 2.2
STRAY_DEG = 0.15


@pytest.fixture(scope="module")
def bright() -> list[SimpleNamespace]:
    """Nine bright sources in each of two tiles, seen from places a little off, on a known background."""
    rng = np.random.default_rng(11)
    grid, step = TileGrid(SURVEY), np.array([-2.0, 0.0, 2.0])
    high = [np.add.outer(0 * step, step).ravel() + grid.centre(t)[1] for t in TILES]
    along = np.add.outer(step, 0 * step).ravel()
    wide = [grid.centre(t)[0] + along / np.cos(np.radians(b)) for t, b in zip(TILES, high, strict=True)]
    glon, glat = np.concatenate(wide), np.concatenate(high)
    flux, index = np.full(len(glon), FLUX_CM2_S), np.full(len(glon), INDEX)
    sky = make_sky(glon, glat, flux, index, 12, BACKGROUND_SR / 2, survey_name=SURVEY.name)
    out = []
    for number, tile in enumerate(TILES):
        model = TileSky.of(sky.cube, sky.exposure, sky.response, grid, tile)
        mine = slice(9 * number, 9 * number + 9)
        off = rng.normal(0, 0.02, (2, 9))
        vectors = unit_vectors(glon[mine] + off[0] / np.cos(np.radians(glat[mine])), glat[mine] + off[1])
        mixture = model.mixture(vectors, np.zeros(9, int))
        of_plane = (BACKGROUND_SR / 2)[[b for b, _ in SURVEY.planes]]
        floor = model.per_sr(of_plane[:, None, None] * model.solid_angle_sr)
        sharing = Sharing.of(mixture, model.counts)
        photons = sharing.settled(np.full((9, 1), 2000.0) * model.share, floor, 40)
        everywhere = np.ones(len(mixture.cell), bool)
        null = sharing.without(everywhere, photons, floor)
        out.append(
            SimpleNamespace(
                near=mixture.near, null=null, photons=photons, spread=model.spread,
                weights=sharing.weights(everywhere, photons, floor),
                off=-off, vectors=vectors, ratio=10 * model.share * 4 * np.pi / sky.cube.plane_totals(),
            )
        )  # fmt: skip
    return out


def placed(case: SimpleNamespace) -> np.ndarray:
    reach = STRAY_DEG + case.spread.radius_deg(0.9)
    steps = likeliest_places(case.near, case.null, case.photons, case.spread, reach, STRAY_DEG)
    return np.stack(steps)


def test_places_are_those_of_the_highest_likelihood(bright: list[SimpleNamespace]) -> None:
    """As a general optimiser finds them, from the PSF itself and not from its slope."""
    case = bright[0]
    near, steps = case.near, placed(case)
    reach = (STRAY_DEG + case.spread.radius_deg(0.9))[near.plane]
    for source in range(3):
        own = (near.owner == source) & (near.separation_deg() <= reach)
        plane, counts = near.plane[own], near.counts[own]
        amount, null = case.photons[source, plane], case.null[own]

        def loss(step: np.ndarray) -> float:
            apart = np.hypot(near.east_deg[own] - step[0], near.north_deg[own] - step[1])  # noqa: B023
            lit = amount * case.spread.density(plane, apart) / null  # noqa: B023
            return -float(np.sum(counts * np.log1p(lit)))  # noqa: B023

        best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-6}).x
        assert steps[:, source] == pytest.approx(best, abs=4e-4)


def test_bright_sources_are_placed_better_than_by_their_anchors(bright: list[SimpleNamespace]) -> None:
    errors, of_anchors = [], []
    for case in bright:
        errors.append(placed(case) - case.off)
        vectors, _ = anchors(case.vectors, case.near, case.weights, case.spread, case.ratio)
        gap = np.degrees(vectors - case.vectors)
        east = np.stack(
            [-np.sin(a := np.arctan2(case.vectors[:, 1], case.vectors[:, 0])), np.cos(a), 0 * a], 1
        )
        north = np.cross(case.vectors, east)
        of_anchors.append(np.stack([np.sum(gap * east, 1), np.sum(gap * north, 1)]) - case.off)
    rms, anchored = (np.sqrt(np.mean(np.concatenate(e, 1) ** 2)) for e in (errors, of_anchors))
    assert rms < 0.75 * anchored
    assert rms < 0.006


def test_a_place_that_climbs_to_another_source_stays(bright: list[SimpleNamespace]) -> None:
    case = bright[0]
    reach = 2.0 + case.spread.radius_deg(0.9)
    steps = likeliest_places(case.near, case.null, case.photons, case.spread, reach, 0.001)
    far = np.hypot(*placed(case)) > 0.002
    assert far.sum() > 5
    assert not np.hypot(*steps)[far].any()
