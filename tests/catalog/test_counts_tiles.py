"""The photons kept for pictures are the photons of the cube."""

import healpy as hp
import numpy as np
import pytest
from sqlalchemy import Engine, delete, func, select

from catalog import store
from catalog.counts_tiles import counts_around, sky_map, write_counts
from catalog.tables import CountsTile, Observation
from sky.counts import CountsCube, HealpixCounts
from sky.survey import get_survey


@pytest.fixture(scope="module")
def cube() -> CountsCube:
    """A six-band sky of 20,000 photons: bands of orders 7 to 10, two event types."""
    survey, rng = get_survey("lat-6band"), np.random.default_rng(3)
    maps = {}
    for band, event_type in survey.planes:
        order = survey.bands[band].order
        pixels = rng.integers(0, 12 << (2 * order), 2000)
        maps[band, event_type, 0] = HealpixCounts.from_pixels(order, pixels)
    return CountsCube(survey, maps)


@pytest.fixture
def stored(engine: Engine, cube: CountsCube) -> tuple[Engine, int]:
    with engine.begin() as conn:
        observation = store.register_observation(
            conn, name="a", survey="lat-6band", irfs="x", content_sha256="ab" * 32,
            total_counts=cube.total(), manifest={},
        )  # fmt: skip
        write_counts(conn, observation, cube)
        write_counts(conn, observation, cube)
    return engine, observation


def test_the_whole_sky_holds_every_photon_where_it_was(stored, cube):
    engine, observation = stored
    with engine.connect() as conn:
        found = sky_map(conn, observation, 5)
        finer = sky_map(conn, observation, 8)
    by_hand = sum(cube.maps[key].degrade(5).dense() for key in cube.all_keys())
    assert found == pytest.approx(by_hand)
    # Finer than the coarsest bands, but the same sky.
    assert finer.sum() == pytest.approx(cube.total())
    assert finer.reshape(-1, 4**3).sum(axis=1) == pytest.approx(by_hand)


@pytest.mark.parametrize("glat_deg", [-90.0, -33.3, 0.0, 89.0])
def test_around_a_place_is_every_photon_of_the_band_there(stored, cube, glat_deg):
    engine, observation = stored
    with engine.connect() as conn:
        found = counts_around(conn, observation, 4, 123.4, glat_deg, 8.0)
    whole = cube.maps[4, "FRONT", 0] + cube.maps[4, "BACK", 0]
    centre = hp.ang2vec(123.4, glat_deg, lonlat=True)
    near = hp.query_disc(1 << whole.order, centre, np.radians(8.0), nest=True)
    assert np.array_equal(found.dense()[near], whole.dense()[near])
    assert whole.dense()[near].sum() > 0


def test_an_observation_without_photons_says_so_and_takes_them_with_it(stored):
    engine, observation = stored
    with engine.begin() as conn:
        assert sky_map(conn, observation + 1, 3) is None
        assert counts_around(conn, observation + 1, 0, 0.0, 0.0, 1.0) is None
        conn.execute(delete(Observation).where(Observation.id == observation))
        assert conn.scalar(select(func.count()).select_from(CountsTile)) == 0
