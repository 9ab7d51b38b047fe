"""Matching against its definition."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from catalog.association import near_rows
from catalog.matching import match_one_to_one, pairs_within
from catalog.positions import Positions
from catalog.reference_objects import ReferenceRows
from sky.frames import lon_lat, separation_deg, unit_vectors


def patches(max_size: int = 25) -> st.SearchStrategy[np.ndarray]:
    """Unit vectors in a patch of a few degrees around a pole or a point of the equator."""
    offsets = st.integers(0, max_size).flatmap(
        lambda n: arrays(np.float64, (n, 3), elements=st.floats(-0.0625, 0.0625, width=32))
    )
    axes = st.sampled_from([(0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0)])
    return st.builds(
        lambda o, axis: (np.array(axis) + o) / np.linalg.norm(np.array(axis) + o, axis=1)[:, None],
        offsets,
        axes,
    )


def definition(a: np.ndarray, b: np.ndarray, radius_deg: float) -> set[tuple[int, int]]:
    """The iterative rule, literally: take the nearest pair of all, remove both, again."""
    limit = 2 * np.sin(np.radians(radius_deg) / 2)
    distance = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2)) if len(a) and len(b) else np.empty((0, 0))
    pairs = set()
    while distance.size and np.nanmin(np.where(np.isnan(distance), np.inf, distance)) <= limit:
        i, j = np.unravel_index(np.nanargmin(distance), distance.shape)
        pairs.add((int(i), int(j)))
        distance[i, :] = np.nan
        distance[:, j] = np.nan
        if np.isnan(distance).all():
            break
    return pairs


@settings(deadline=None, max_examples=150)
@given(a=patches(), b=patches(), radius=st.sampled_from([0.0, 0.3, 0.5, 3.0]))
def test_matching_is_its_definition(a: np.ndarray, b: np.ndarray, radius: float) -> None:
    i, j, sep = match_one_to_one(a, b, radius)
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == definition(a, b, radius)
    assert len(set(i)) == len(i) and len(set(j)) == len(j)
    assert np.all(np.diff(sep) >= 0) and np.all(sep <= radius * (1 + 1e-9))
    _, _, candidates = pairs_within(a, b, radius)
    if len(np.unique(candidates)) == len(candidates):  # without ties the roles do not matter
        back = match_one_to_one(b, a, radius)
        assert set(zip(i, j, strict=True)) == set(zip(back[1], back[0], strict=True))


@settings(deadline=None, max_examples=60)
@given(a=patches(), b=patches())
def test_matches_of_each_radius_are_among_those_of_the_largest(a: np.ndarray, b: np.ndarray) -> None:
    first, second = (circles(v) for v in (a, b))
    found = near_rows(first, [ReferenceRows(second, np.zeros(len(b), int))])
    for radius in (0.3, 0.5):
        i, j, _ = match_one_to_one(first.vectors, second.vectors, radius)
        flag = found.matched & (found.sep_deg <= radius)
        pairs = zip(found.detection[flag], found.reference[flag], strict=True)
        assert set(pairs) == set(zip(i, j, strict=True))


def circles(vectors: np.ndarray, sigma_deg: float = 0.05) -> Positions:
    n = len(vectors)
    return Positions(*lon_lat(vectors), np.broadcast_to(sigma_deg**2 * np.eye(2), (n, 2, 2)).copy())


def test_separations_are_angles() -> None:
    rng = np.random.default_rng(7)
    a, b = (unit_vectors(rng.uniform(0, 2, 200), rng.uniform(-1, 1, 200)) for _ in range(2))
    i, j, sep = pairs_within(a, b, 0.5)
    np.testing.assert_allclose(sep, separation_deg(*lon_lat(a[i]), *lon_lat(b[j])), atol=1e-12)
