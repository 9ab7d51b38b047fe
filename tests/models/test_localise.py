import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.localise import centre_direction, disk, kmeans, local_maxima, log
from models.localise.centre import centre
from models.localise.direction import direction_field, direction_response

SHAPE = (64, 72)


def disc_mask(x: np.ndarray, y: np.ndarray, radius: float = 5.0, fine: int = 8) -> np.ndarray:
    """Discs with soft edges: the share of each pixel that lies inside."""
    rows, columns = (np.arange(n * fine) / fine - 0.5 + 0.5 / fine for n in SHAPE)
    inside = np.zeros((len(rows), len(columns)), bool)
    for cx, cy in zip(x, y, strict=True):
        inside |= np.hypot(columns[None, :] - cx, rows[:, None] - cy) <= radius
    return inside.reshape(SHAPE[0], fine, SHAPE[1], fine).mean(axis=(1, 3))


def run(name: str, x: np.ndarray, y: np.ndarray):
    mask = disc_mask(x, y)
    if name == "centre-direction":
        sine, cosine = direction_field(x, y, SHAPE)
        return centre_direction(sine, cosine, mask)
    return {"disk": disk, "log": log, "kmeans": kmeans}[name](mask)


@pytest.mark.parametrize("name", ["disk", "log", "kmeans", "centre-direction"])
@settings(max_examples=20, deadline=None)
@given(x=st.floats(12, 58), y=st.floats(12, 50))
def test_one_disc_is_found_to_a_fraction_of_a_pixel(name: str, x: float, y: float) -> None:
    peaks = run(name, np.array([x]), np.array([y]))
    assert len(peaks) == 1
    assert np.hypot(peaks.x[0] - x, peaks.y[0] - y) < 0.35


@pytest.mark.parametrize("name", ["disk", "log", "kmeans", "centre-direction"])
def test_separate_discs_are_all_found_once(name: str) -> None:
    x, y = np.array([12.3, 40.1, 58.8, 26.0]), np.array([14.2, 20.0, 50.6, 44.4])
    peaks = run(name, x, y)
    assert len(peaks) == 4
    gap = np.hypot(peaks.x[:, None] - x, peaks.y[:, None] - y)
    assert np.all(gap.min(axis=0) < 0.35)
    assert np.all(np.diff(peaks.score) <= 0)


@pytest.mark.parametrize(("name", "distance"), [("log", 9.0), ("centre-direction", 7.0), ("kmeans", 9.0)])
def test_touching_discs_are_told_apart(name: str, distance: float) -> None:
    x, y = np.array([30.0, 30.0 + distance]), np.array([30.0, 31.0])
    peaks = run(name, x, y)
    assert len(peaks) == 2
    assert np.hypot(peaks.x[:, None] - x, peaks.y[:, None] - y).min(axis=0).max() < 1.5


@pytest.mark.parametrize("localiser", [disk, log, kmeans])
def test_an_empty_mask_has_no_sources(localiser) -> None:
    assert len(localiser(np.zeros(SHAPE))) == 0
    assert len(centre_direction(np.zeros(SHAPE), np.zeros(SHAPE), np.zeros(SHAPE))) == 0


def test_every_pixel_counts_for_its_nearest_peak() -> None:
    rng = np.random.default_rng(2)
    probability = 1e-4 * rng.random((40, 50))
    x, y = np.array([10.3, 13.1, 49.2, 30.0]), np.array([12.0, 13.7, 0.4, 25.5])
    rows, columns = np.indices(probability.shape)
    distance = np.hypot(columns[..., None] - x, rows[..., None] - y)
    bumps = np.exp(-0.5 * distance**2).max(-1)
    found = centre(probability + bumps * 0.9)
    assert len(found) == 4
    far = np.hypot(columns[..., None] - found.x, rows[..., None] - found.y)
    nearest, near = far.argmin(-1), far.min(-1) < 3.84
    density = (probability + bumps * 0.9) / (2 * np.pi)
    assert found.score == pytest.approx([density[near & (nearest == k)].sum() for k in range(4)], rel=1e-9)


def test_direction_response_is_the_sum_it_says() -> None:
    rng = np.random.default_rng(0)
    sine, cosine, weight = rng.normal(size=(3, 20, 24))
    y, x, terms = 9, 13, []
    for dy in range(-5, 6):
        for dx in range(-5, 6):
            distance = np.hypot(dx, dy)
            if 0 < distance <= 5:
                pixel = (y + dy, x + dx)
                terms.append(-weight[pixel] * (cosine[pixel] * dx + sine[pixel] * dy) / distance)
    assert direction_response(sine, cosine, weight)[y, x] == pytest.approx(np.mean(terms))


@settings(max_examples=30, deadline=None)
@given(dx=st.floats(-0.45, 0.45), dy=st.floats(-0.45, 0.45), twist=st.floats(-0.3, 0.3))
def test_peaks_of_a_paraboloid_are_exact(dx: float, dy: float, twist: float) -> None:
    rows, columns = np.mgrid[:15, :15].astype(float)
    u, v = columns - 7 - dx, rows - 7 - dy
    image = 50 - u**2 - 1.3 * v**2 - twist * u * v
    peaks = local_maxima(image, 3, 0.0)
    assert peaks.x[0] == pytest.approx(7 + dx, abs=1e-9)
    assert peaks.y[0] == pytest.approx(7 + dy, abs=1e-9)


def test_peaks_keep_their_distance() -> None:
    image = np.random.default_rng(1).normal(size=(80, 80))
    peaks = local_maxima(image, 4, -np.inf)
    gap = np.hypot(np.rint(peaks.x)[:, None] - np.rint(peaks.x), np.rint(peaks.y)[:, None] - np.rint(peaks.y))
    np.fill_diagonal(gap, 99)
    assert gap.min() > 4 - np.sqrt(2)
