"""Photons' places: inside their pixels, uniform, independent, and the same however they are asked for."""

import healpy as hp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sky.counts import CountsCube, HealpixCounts
from sky.frames import separation_deg
from sky.photons import photon_positions, place_pixels, plane_photons, splitmix64, stream_key
from tests.sky.fits_files import SMALL, dense, photons


def test_splitmix64_is_the_published_generator():
    # first outputs for seed 1234567 of Vigna's reference implementation
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    found = splitmix64(np.arange(1, 5, dtype=np.uint64), np.uint64(1234567))
    assert found.tolist() == expected


@settings(max_examples=50)
@given(st.integers(0, 11), st.integers(0, 2**63 - 1), st.integers(0, 10**6))
def test_every_photon_stays_in_its_pixel(order, seed, salt):
    rng = np.random.default_rng(salt)
    ipix = np.sort(rng.choice(12 << (2 * order), size=min(12 << (2 * order), 30), replace=False))
    counts = HealpixCounts(order, ipix, rng.integers(1, 20, ipix.size).astype(np.int32))
    lon, lat = photon_positions(counts, 0, seed)
    found = hp.ang2pix(1 << order, lon, lat, nest=True, lonlat=True)
    np.testing.assert_array_equal(found, np.repeat(ipix, counts.values))


def test_parts_give_the_same_photons_as_the_whole():
    counts = HealpixCounts.from_dense(5, dense(5, *photons(4000)))
    lon, lat = photon_positions(counts, 3, 17)
    ranges = np.array([[5, 90], [4000, 7000], [7000, 12288]])
    part_lon, part_lat = photon_positions(counts, 3, 17, ranges=ranges)
    ipix = hp.ang2pix(32, lon, lat, nest=True, lonlat=True)
    inside = ((ipix >= 5) & (ipix < 90)) | (ipix >= 4000)
    np.testing.assert_array_equal(part_lon, lon[inside])
    np.testing.assert_array_equal(part_lat, lat[inside])


@pytest.mark.parametrize("other", [(4, 17, 0), (3, 18, 0), (3, 17, 1)])
def test_planes_seeds_and_slices_are_independent(other):
    counts = HealpixCounts.from_dense(5, dense(5, *photons(4000)))
    plane, seed, time_slice = other
    a = np.stack(photon_positions(counts, 3, 17))
    b = np.stack(photon_positions(counts, plane, seed, time_slice=time_slice))
    assert not np.any(np.all(a == b, axis=0))


def test_uniform_inside_pixels_and_poisson_in_subpixels():
    """Counts of 100,000 subpixels, two orders down, against a flat expectation: chi2 and dispersion."""
    order = 5
    rng = np.random.default_rng(8)
    counts = rng.poisson(200, 6300).astype(np.int32)
    cells = place_pixels(order, np.arange(6300), counts, stream_key(1, 0, 0))
    sub = np.bincount(cells >> (2 * (29 - order - 2)), minlength=6300 * 16)
    # given its pixel's photons a subpixel is one of 16 equal bins
    expected = np.repeat(counts, 16) / 16
    chi2 = np.sum((sub - expected) ** 2 / expected)
    assert stats.chi2(6300 * 15).sf(chi2) > 1e-4 and stats.chi2(6300 * 15).cdf(chi2) > 1e-4
    # photons of a Poisson sky stay Poisson: variance equals mean
    assert sub.var() / sub.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / sub.size))
    # no preferred place: summed over pixels all 16 are alike
    assert stats.chisquare(sub.reshape(-1, 16).sum(axis=0)).pvalue > 1e-4
    # neighbouring ranks and pixels are uncorrelated
    low_bits = (cells & ((1 << 40) - 1)) / 2**40
    assert abs(np.corrcoef(low_bits[:-1], low_bits[1:])[0, 1]) < 5 / np.sqrt(low_bits.size)


@pytest.mark.parametrize(("order", "rms_deg"), [(7, 0.274), (8, 0.137), (9, 0.0684), (10, 0.0342)])
def test_rms_displacement_of_the_docstring(order, rms_deg):
    """Photons truly uniform over the sky, and where the hash puts them."""
    rng = np.random.default_rng(order)
    lon, lat = rng.uniform(0, 360, 40_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 40_000)))
    ipix = hp.ang2pix(1 << order, lon, lat, nest=True, lonlat=True)
    by_pixel = np.argsort(ipix, kind="stable")
    found = photon_positions(HealpixCounts.from_pixels(order, ipix), 0, 5)
    moved = separation_deg(lon[by_pixel], lat[by_pixel], *found)
    assert np.sqrt(np.mean(moved**2)) == pytest.approx(rms_deg, rel=0.01)


def test_plane_photons_take_all_slices():
    rng = np.random.default_rng(1)
    maps = {
        (b, "BOTH", s): HealpixCounts.from_dense(band.order, rng.poisson(0.2, band.npix))
        for b, band in enumerate(SMALL.bands)
        for s in range(2)
    }
    cube = CountsCube(SMALL, maps, ((0.0, 1.0), (1.0, 2.0)))
    lon, lat = plane_photons(cube, 1, 4)
    ipix = hp.ang2pix(32, lon, lat, nest=True, lonlat=True)
    np.testing.assert_array_equal(np.bincount(ipix, minlength=12288), cube.dense(1))
