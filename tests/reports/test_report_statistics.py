import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.statistics import (
    Fraction,
    binned_fraction,
    displaced_separation,
    median_and_spread,
    nearest_separation,
    wilson_interval,
)


def test_wilson_interval_of_eight_in_ten():
    # With z = 1: centre (8 + 1/2) / 11, half-width sqrt(8 * 2 / 10 + 1/4) / 11.
    low, high = wilson_interval([8], [10])
    assert low[0] == pytest.approx(8.5 / 11 - np.sqrt(1.85) / 11, abs=1e-5)
    assert high[0] == pytest.approx(8.5 / 11 + np.sqrt(1.85) / 11, abs=1e-5)


def test_wilson_interval_at_the_ends_and_of_nothing():
    low, high = wilson_interval([0, 5, 0], [5, 5, 0])
    assert low[0] == pytest.approx(0, abs=1e-12)
    assert high[0] == pytest.approx(1 / 6, abs=1e-4)  # z^2 / (n + z^2)
    assert (low[1], high[1]) == (pytest.approx(5 / 6, abs=1e-4), pytest.approx(1))
    assert np.isnan([low[2], high[2]]).all()


def test_wilson_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(5)
    k = rng.binomial(60, 0.7, 4000)
    low, high = wilson_interval(k, np.full(4000, 60))
    assert ((low <= 0.7) & (high >= 0.7)).mean() == pytest.approx(0.6827, abs=0.06)


def test_binned_fraction_by_hand():
    value = [1.0, 2.0, 2.5, 5.0, 10.0, np.nan]
    success = [True, False, True, True, False, True]
    bins = binned_fraction(value, success, [0, 2, 5, 7, 10])
    assert bins["n"].tolist() == [1, 2, 1, 1]  # an edge opens its bin; the last one closes too
    assert bins["k"].tolist() == [1, 1, 1, 0]
    assert bins["fraction"].tolist() == [1.0, 0.5, 1.0, 0.0]


def test_an_empty_bin_has_no_fraction():
    bins = binned_fraction([1.0], [True], [0, 2, 4])
    assert bins["n"].tolist() == [1, 0]
    assert np.isnan(bins.loc[1, ["fraction", "fraction_low", "fraction_high"]].astype(float)).all()


@given(
    st.lists(st.tuples(st.floats(-90, 90), st.booleans()), max_size=60),
    st.lists(st.floats(-90, 90), min_size=2, max_size=8, unique=True).map(sorted),
)
def test_bins_hold_every_value_between_the_edges_once(rows, edges):
    value, success = np.array([v for v, _ in rows]), np.array([s for _, s in rows], dtype=bool)
    bins = binned_fraction(value, success, edges)
    inside = (value >= edges[0]) & (value <= edges[-1])
    assert bins["n"].sum() == inside.sum()
    assert bins["k"].sum() == (success & inside).sum()
    some = bins[bins["n"] > 0]
    assert (some["fraction_low"] <= some["fraction"] + 1e-12).all()
    assert (some["fraction"] <= some["fraction_high"] + 1e-12).all()


def test_nearest_separation_across_the_meridian_and_the_pole():
    separation, index = nearest_separation([359.9, 0.0], [0.0, 89.9], [0.1, 180.0], [0.0, 89.9])
    assert separation == pytest.approx([0.2, 0.2], abs=1e-9)
    assert index.tolist() == [0, 1]
    assert np.isinf(nearest_separation([0.0], [0.0], [], [])[0]).all()


def test_displaced_positions_leave_the_true_counterparts_and_keep_the_latitude():
    rng = np.random.default_rng(3)
    sky = pd.DataFrame({"glon_deg": rng.uniform(0, 360, 200), "glat_deg": rng.uniform(-89.9, 89.9, 200)})
    displaced = displaced_separation(sky, sky)
    # Alone, a source displaced by d along its parallel is d (or the way over the pole) from itself.
    alone = np.array([displaced_separation(sky.iloc[[i]], sky.iloc[[i]])[:, 0] for i in range(200)])
    far = sky["glat_deg"].abs() < 80
    assert alone[far].min() > 2.9
    assert alone.max() < 5.2
    assert (displaced <= alone.T + 1e-9).all()


def test_displaced_positions_meet_a_uniform_sky_as_often_as_its_density_says():
    rng = np.random.default_rng(4)

    def uniform(n):
        return pd.DataFrame(
            {"glon_deg": rng.uniform(0, 360, n), "glat_deg": np.degrees(np.arcsin(rng.uniform(-1, 1, n)))}
        )

    displaced = displaced_separation(uniform(4000), uniform(5000))
    expected = -np.expm1(-5000 * np.pi * 0.5**2 / 41253)
    assert (displaced <= 0.5).mean() == pytest.approx(expected, rel=0.05)


def test_median_and_spread_of_a_gaussian():
    values = np.append(np.random.default_rng(1).normal(3, 2, 20000), [np.nan, np.inf])
    median, spread = median_and_spread(values)
    assert median == pytest.approx(3, abs=0.06)
    assert spread == pytest.approx(2, abs=0.06)
    assert np.isnan(median_and_spread([])).all()


def test_a_fraction_of_nothing_is_nan():
    assert np.isnan(Fraction(0, 0).value)
    assert np.isnan(Fraction(0, 0).interval).all()
    assert Fraction.of([True, False, True, True]) == Fraction(3, 4)
