"""Error ellipses, their densities and their product, against plain numerical integration."""

import numpy as np
import pytest

from catalog.positions import Positions, combined, separation_density_deg2
from sky.frames import lon_lat, unit_vectors


def grid(ra: float, dec: float, half_deg: float, step_deg: float) -> tuple[np.ndarray, Positions]:
    """Points of a square in the tangent plane, exactly known; offsets of shape (n, 2), degrees."""
    dx, dy = np.meshgrid(*2 * [np.arange(-half_deg, half_deg, step_deg)])
    centre, east, north = unit_vectors(ra, dec), unit_vectors(ra + 90, 0.0), unit_vectors(ra, dec + 90)
    points = centre + np.radians(dx.ravel())[:, None] * east + np.radians(dy.ravel())[:, None] * north
    offsets = np.stack([dx.ravel(), dy.ravel()], axis=1)
    return offsets, Positions(*lon_lat(points), np.zeros((len(points), 2, 2)))


def one(ra: float, dec: float, *ellipse: float) -> Positions:
    return Positions.from_ellipses([ra], [dec], *([value] for value in ellipse), 0.95)


def test_ellipses_become_covariances() -> None:
    # Major axis to the north east: east and north errors are correlated.
    p = one(10.0, 20.0, 2.4477, 1.22387, 45.0)
    np.testing.assert_allclose(p.covariance_deg2[0], [[0.625, 0.375], [0.375, 0.625]], rtol=1e-4)
    north = one(10.0, 20.0, 2.0, 1.0, 0.0)
    assert north.covariance_deg2[0, 1, 1] / north.covariance_deg2[0, 0, 0] == pytest.approx(4)
    circle = one(0.0, 0.0, 2.0, 2.0, np.nan)
    assert circle.covariance_deg2[0, 0, 1] == 0 < circle.covariance_deg2[0, 0, 0]
    none = one(0.0, 0.0, np.nan, np.nan, np.nan)
    np.testing.assert_allclose(none.covariance_deg2[0], 0.01 * np.eye(2))


@pytest.mark.parametrize("dec", [0.0, 60.0, -89.0])
def test_the_density_integrates_to_one(dec: float) -> None:
    step = 0.01
    _, places = grid(33.0, dec, 1.0, step)
    around = Positions(places.ra_deg, places.dec_deg, np.broadcast_to(4e-4 * np.eye(2), (len(places), 2, 2)))
    first = one(33.0, dec, 0.3, 0.1, 30.0).take(np.zeros(len(places), int))
    assert separation_density_deg2(first, around).sum() * step**2 == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("dec", [0.0, 60.0, -85.0])
def test_the_product_of_two_ellipses_is_the_product_of_their_densities(dec: float) -> None:
    ra = 120.0
    first, second = one(ra, dec, 0.4, 0.15, 70.0), one(ra + 0.1, dec + 0.08, 0.25, 0.2, -20.0)
    offsets, places = grid(ra, dec, 0.6, 0.006)
    pick = np.zeros(len(places), int)
    weight = separation_density_deg2(first.take(pick), places) * separation_density_deg2(
        second.take(pick), places
    )
    weight /= weight.sum()
    mean = weight @ offsets
    covariance = (offsets - mean).T @ ((offsets - mean) * weight[:, None])
    both = combined(first, second)
    expected = grid(ra, dec, 0.6, 0.006)[1].take([np.argmin(np.hypot(*(offsets - mean).T))])
    np.testing.assert_allclose(both.vectors, expected.vectors, atol=np.radians(0.006))
    np.testing.assert_allclose(both.covariance_deg2[0], covariance, rtol=0.02, atol=2e-5)
