"""Counts maps: sparse and dense answer the same, and no photon is ever lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sky.counts import CountsCube, HealpixCounts, npix_of
from tests.sky.fits_files import SMALL

ORDER = 2
maps = arrays(np.int32, npix_of(ORDER), elements=st.integers(0, 9) | st.just(0), fill=st.just(0))
pixels = st.integers(0, npix_of(ORDER))


def both_forms(dense: np.ndarray) -> list[HealpixCounts]:
    ipix = np.flatnonzero(dense)
    return [
        HealpixCounts(ORDER, None, dense),
        HealpixCounts(ORDER, ipix, dense[ipix]),
        HealpixCounts.from_dense(ORDER, dense),
        HealpixCounts.from_pixels(ORDER, np.repeat(np.arange(dense.size), dense)[::-1]),
    ]


@given(maps, pixels, pixels)
def test_forms_agree(dense, first, last):
    for counts in both_forms(dense):
        np.testing.assert_array_equal(counts.dense(), dense)
        assert counts.total() == dense.sum()
        ipix, values = counts.within([[first, last]])
        expected = [p for p in range(first, last) if dense[p]]
        assert ipix.tolist() == expected and values.tolist() == dense[expected].tolist()
        every = np.arange(npix_of(ORDER))[::-1]
        np.testing.assert_array_equal(counts.at(every), dense[::-1])
        ranges = np.array([[0, min(first, last)], [max(first, last), npix_of(ORDER)]])
        assert (
            counts.within(ranges)[1].sum() == dense.sum() - dense[min(first, last) : max(first, last)].sum()
        )


@given(maps, maps)
def test_sum_and_degrade(a, b):
    total = HealpixCounts.from_dense(ORDER, a) + HealpixCounts.from_dense(ORDER, b)
    np.testing.assert_array_equal(total.dense(), a + b)
    np.testing.assert_array_equal(total.degrade(0).dense(), (a + b).reshape(12, -1).sum(axis=1))


def test_the_smaller_form_is_kept():
    dense = np.zeros(npix_of(ORDER), np.int32)
    dense[3] = 7
    assert HealpixCounts.from_dense(ORDER, dense).ipix is not None
    assert HealpixCounts.from_dense(ORDER, dense + 1).ipix is None


def test_wrong_pixels_and_shapes():
    with pytest.raises(ValueError, match="outside"):
        HealpixCounts.from_pixels(ORDER, [npix_of(ORDER)])
    with pytest.raises(ValueError, match="shape"):
        HealpixCounts.from_dense(ORDER, np.zeros(191))
    with pytest.raises(ValueError, match="refined"):
        HealpixCounts.from_pixels(0, [1]).degrade(1)
    with pytest.raises(ValueError, match="do not make up"):
        CountsCube(SMALL, {(0, "BOTH", 0): HealpixCounts.from_pixels(4, [1])})


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(0, 1000))
def test_slices_add_up(n_slices, seed):
    rng = np.random.default_rng(seed)
    dense = {
        (b, "BOTH", s): rng.poisson(0.3, band.npix)
        for b, band in enumerate(SMALL.bands)
        for s in range(n_slices)
    }
    cube = CountsCube(
        SMALL,
        {key: HealpixCounts.from_dense(SMALL.bands[key[0]].order, m) for key, m in dense.items()},
        tuple((float(s), s + 1.0) for s in range(n_slices)),
    )
    assert cube.n_slices == n_slices
    ranges = np.array([[10, 700], [900, 3000]])
    for plane in range(2):
        expected = sum(dense[plane, "BOTH", s] for s in range(n_slices))
        np.testing.assert_array_equal(cube.dense(plane), expected)
        assert cube.plane_totals()[plane] == expected.sum()
        ipix, values = cube.select(plane, ranges)
        whole = np.zeros_like(expected)
        whole[ipix] = values
        inside = np.zeros(expected.size, bool)
        inside[10:700] = inside[900:3000] = True
        np.testing.assert_array_equal(whole, np.where(inside, expected, 0))
    assert cube.total() == sum(m.sum() for m in dense.values())
