"""Tiles: every place inside its own, photons counted once in the right pixel, borders exact."""

import healpy as hp
import numpy as np
import pytest
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from sky.counts import CountsCube, HealpixCounts
from sky.frames import separation_deg
from sky.photons import photon_positions, plane_photons
from sky.survey import get_survey
from sky.tiles import N_TILES, TileGrid, owner, tile_axes
from tests.sky.fits_files import SMALL, dense, photons

GRID = TileGrid(get_survey("lat-6band"))
TEN_GEV = TileGrid(get_survey("lat-10gev"))
places = st.tuples(st.floats(0, 360, exclude_max=True), st.floats(-90, 90))


def test_pixels_of_the_founding_paper():
    assert [GRID.npix(b) for b in range(6)] == [24, 24, 48, 96, 192, 192]
    assert GRID.pixel_deg(0) == 0.625 and GRID.pixel_deg(5) == pytest.approx(10 / 128)


def margin_deg(glon, glat) -> np.ndarray:
    """Angle from each place to the nearest border of the tile that owns it, negative outside."""
    vectors = hp.ang2vec(glon, glat, lonlat=True)
    axes = tile_axes()[owner(glon, glat)]
    east, north, out = np.moveaxis(np.einsum("nij,nj->ni", axes, vectors), -1, 0)
    half = np.radians(7.5)
    # distance to a great circle: a border of a gnomonic image is one
    to_sides = [(half * out - s * c) / np.hypot(1, half) for c in (east, north) for s in (1, -1)]
    return np.degrees(np.arcsin(np.min(to_sides, axis=0)))


def test_true_minimum_margin():
    """Borders of all cells, densely: the worst place of the whole sky lies on one."""
    worst = np.inf
    for tile in range(N_TILES):
        # a hair towards the cell's own centre, so that the cell owns it
        border = hp.boundaries(8, tile, step=100, nest=True).T * (1 - 1e-9) + 1e-9 * tile_axes()[tile, 2]
        glon, glat = hp.vec2ang(border, lonlat=True)
        assert np.all(owner(glon, glat) == tile)
        worst = min(worst, margin_deg(glon, glat).min())
    assert worst == pytest.approx(0.99, abs=0.005)


def test_dense_sample_of_the_sky_has_the_margin():
    glon, glat = hp.pix2ang(256, np.arange(12 * 256**2), nest=True, lonlat=True)
    assert margin_deg(glon, glat).min() > 0.98


@given(places)
def test_every_place_is_inside_its_own_tile(place):
    tile = int(owner(*place))
    assert margin_deg(np.array([place[0]]), np.array([place[1]]))[0] > 0.98
    for band in range(6):
        x, y = GRID.sky_to_pixel(tile, band, *place)
        n, margin = GRID.npix(band), 0.98 / GRID.pixel_deg(band)
        assert margin - 0.5 < x < n - 0.5 - margin and margin - 0.5 < y < n - 0.5 - margin


@given(st.integers(0, N_TILES - 1), st.integers(0, 5), st.floats(-0.5, 191.5), st.floats(-0.5, 191.5))
def test_pixel_to_sky_and_back(tile, band, x, y):
    glon, glat = GRID.pixel_to_sky(tile, band, x, y)
    x2, y2 = GRID.sky_to_pixel(tile, band, glon, glat)
    assert abs(x2 - x) < 1e-9 and abs(y2 - y) < 1e-9


@pytest.mark.parametrize("tile", [0, 63, 255, 300, 767])
def test_projection_is_fits_tan(tile):
    n = GRID.npix(4)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["GLON-TAN", "GLAT-TAN"]
    wcs.wcs.crval = GRID.centre(tile)
    wcs.wcs.crpix = [(n + 1) / 2] * 2
    wcs.wcs.cdelt = [-GRID.pixel_deg(4), GRID.pixel_deg(4)]
    x, y = np.random.default_rng(tile).uniform(-0.5, n - 0.5, (2, 200))
    lon, lat = wcs.wcs_pix2world(x, y, 0)
    assert separation_deg(lon, lat, *GRID.pixel_to_sky(tile, 4, x, y)).max() < 1e-10


def test_far_hemisphere_has_no_pixel():
    glon, glat = GRID.centre(10)
    x, y = GRID.sky_to_pixel(10, 0, (glon + 180) % 360, -glat)
    assert np.isnan(x) and np.isnan(y)


@pytest.mark.parametrize("band", [0, 4])
def test_solid_angles(band):
    """Against the textbook density cos^3 of the gnomonic plane, and the sky's area inside the border."""
    area = GRID.solid_angle_sr(band)
    n = GRID.npix(band)
    plane = np.radians(GRID.pixel_deg(band)) * (np.arange(n) - (n - 1) / 2)
    density = (1 + plane[None, :] ** 2 + plane[:, None] ** 2) ** -1.5
    expected = density * np.radians(GRID.pixel_deg(band)) ** 2
    np.testing.assert_allclose(area, expected, rtol=2e-4)
    half = np.radians(7.5)
    assert area.sum() == pytest.approx(4 * np.arcsin(half**2 / (1 + half**2)), rel=1e-10)


def test_cells_tile_the_sky():
    """All cell masks together see the whole sky once."""
    total = sum(GRID.solid_angle_sr(4)[GRID.cell_mask(tile, 4)].sum() for tile in range(0, N_TILES, 16))
    assert total == pytest.approx(4 * np.pi / 16, rel=3e-3)


@pytest.fixture(scope="module")
def small_cube() -> CountsCube:
    maps = {
        (b, "BOTH", s): HealpixCounts.from_dense(band.order, dense(band.order, *photons(30_000, 10 * b + s)))
        for b, band in enumerate(SMALL.bands)
        for s in range(2)
    }
    return CountsCube(SMALL, maps, ((0.0, 1.0), (1.0, 2.0)))


@settings(max_examples=15)
@given(tile=st.integers(0, N_TILES - 1), seed=st.integers(0, 2**40))
def test_images_hold_exactly_the_photons_inside(small_cube, tile, seed):
    """Against all photons of the sky projected by brute force."""
    grid = TileGrid(SMALL)
    images = grid.images(small_cube, tile, seed)
    for band, image in enumerate(images):
        n = grid.npix(band)
        assert image.shape == (1, 2, n, n) and image.dtype == np.int32
        x, y = grid.sky_to_pixel(tile, band, *plane_photons(small_cube, band, seed))
        expected, _, _ = np.histogram2d(y, x, bins=n, range=[[-0.5, n - 0.5]] * 2)
        np.testing.assert_array_equal(image.sum(axis=(0, 1)), expected)
        for s in range(2):
            of = small_cube.maps[band, "BOTH", s]
            x, y = grid.sky_to_pixel(tile, band, *photon_positions(of, band, seed, time_slice=s))
            expected, _, _ = np.histogram2d(y, x, bins=n, range=[[-0.5, n - 0.5]] * 2)
            np.testing.assert_array_equal(image[0, s], expected)
    for image, together in zip(images, grid.images(small_cube, tile, seed, summed=True), strict=True):
        np.testing.assert_array_equal(together, image.sum(axis=1, keepdims=True))


def test_neighbours_see_the_same_photons(small_cube):
    """A photon owned by one tile appears in that tile: summed over owners nothing is lost or doubled."""
    grid = TileGrid(SMALL)
    glon, glat = plane_photons(small_cube, 1, 3)
    owners = owner(glon, glat)
    seen = 0
    for tile in range(N_TILES):
        x, y = grid.sky_to_pixel(tile, 1, glon[owners == tile], glat[owners == tile])
        image = grid.images(small_cube, tile, 3)[1].sum(axis=(0, 1))
        own = np.zeros_like(image)
        np.add.at(own, (np.rint(y).astype(int), np.rint(x).astype(int)), 1)
        assert np.all(own <= image)
        seen += own.sum()
    assert seen == glon.size


def test_tiles_asked_for_together_see_the_same(small_cube):
    together = TileGrid(SMALL, together=(40, 41, 300))
    for tile in (300, 41, 5, 40):  # 5 is none of them
        alone = TileGrid(SMALL).images(small_cube, tile, 3)
        for image, same in zip(alone, together.images(small_cube, tile, 3), strict=True):
            assert image.any()
            np.testing.assert_array_equal(image, same)


def test_blur_of_the_docstring():
    """True places of photons against the centres of the tile pixels that count them."""
    rng = np.random.default_rng(4)
    tile, n = 333, 20_000
    x, y = rng.uniform(40, 150, (2, n))
    glon, glat = TEN_GEV.pixel_to_sky(tile, 0, x, y)
    survey = TEN_GEV.survey
    empty = HealpixCounts.from_pixels(10, [])
    ipix = hp.ang2pix(1024, glon, glat, nest=True, lonlat=True)
    maps = {(0, "BOTH", 0): HealpixCounts.from_pixels(10, ipix), (1, "BOTH", 0): empty, (2, "BOTH", 0): empty}
    cube = CountsCube(survey, maps)
    found = TEN_GEV.sky_to_pixel(tile, 0, *plane_photons(cube, 0, 9))
    by_pixel = np.argsort(ipix, kind="stable")
    moved = (np.rint(found) - np.stack([x, y])[:, by_pixel]) * TEN_GEV.pixel_deg(0)
    assert np.sqrt((moved**2).mean()) == pytest.approx(0.0331, rel=0.02)
    assert np.abs(moved.mean(axis=1)).max() < 4 * 0.0331 / np.sqrt(n)
