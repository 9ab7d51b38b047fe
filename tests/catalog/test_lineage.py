"""Which sources of two releases are the same."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, norm

from catalog.lineage import MATCH_RADIUS_DEG, relate, separation_sigma
from catalog.positions import Positions

SIGMA_TO_95 = np.sqrt(chi2.ppf(0.95, 2))


def circles(ra_deg, dec_deg, sigma_deg) -> Positions:
    r95 = SIGMA_TO_95 * np.broadcast_to(sigma_deg, np.shape(ra_deg))
    return Positions.from_ellipses(ra_deg, dec_deg, r95, r95, np.zeros_like(r95), containment=0.95)


def test_sigma_is_that_of_the_same_probability() -> None:
    sigma_deg, sep_deg = 0.03, np.array([0.0, 0.05, 0.1, 0.2])
    first = circles(np.zeros(4), np.zeros(4), sigma_deg)
    second = circles(np.zeros(4), sep_deg, sigma_deg)
    expected = norm.isf(chi2.sf(sep_deg**2 / (2 * sigma_deg**2), 2) / 2)
    np.testing.assert_allclose(separation_sigma(first, second), expected, rtol=1e-3, atol=1e-6)


def test_far_beyond_all_doubt_is_still_finite() -> None:
    sigma = separation_sigma(circles(np.zeros(1), np.zeros(1), 1e-4), circles(np.zeros(1), np.ones(1), 1e-4))
    assert 5000 < sigma[0] < 8000


def test_each_source_goes_on_as_the_nearest_and_what_is_left_over_is_related() -> None:
    before = circles([10.0, 20.0, 20.3, 50.0], [0.0, 0.0, 0.0, 0.0], 0.05)
    now = circles([10.02, 10.2, 20.1, 80.0], [0.0, 0.0, 0.0, 0.0], 0.05)
    found = relate(before, now)
    same = {(int(i), int(j)) for i, j, s in zip(found.before, found.now, found.same, strict=True) if s}
    other = {(int(i), int(j)) for i, j, s in zip(found.before, found.now, found.same, strict=True) if not s}
    assert same == {(0, 0), (1, 2)}
    assert other == {(0, 1), (2, 2)}  # one split in two; two became one


def test_a_bright_source_goes_on_though_it_moved_by_many_of_its_tiny_errors() -> None:
    found = relate(circles([10.0], [0.0], 0.002), circles([10.05, 10.2], [0.0, 0.0], [0.002, 0.1]))
    assert found.sep_sigma[0] > 5 and found.same[0] and found.now[0] == 0


def test_a_vague_source_does_not_go_on_far_away() -> None:
    found = relate(circles([10.0], [0.0], 1.0), circles([10.0], [MATCH_RADIUS_DEG + 0.01], 1.0))
    assert len(found.same) == 0


@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.integers(0, 30))
def test_no_source_goes_on_twice(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    lists = [circles(rng.uniform(10, 12, k), rng.uniform(0, 2, k), 0.05) for k in (n, m)]
    found = relate(*lists)
    for chosen in (found.before[found.same], found.now[found.same]):
        assert len(set(chosen.tolist())) == len(chosen)
    swapped = relate(*reversed(lists))
    pairs = set(zip(found.before[found.same].tolist(), found.now[found.same].tolist(), strict=True))
    back = set(zip(swapped.now[swapped.same].tolist(), swapped.before[swapped.same].tolist(), strict=True))
    assert pairs == back
