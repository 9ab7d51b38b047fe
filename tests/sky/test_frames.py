"""Frames and angles against astropy."""

import astropy.units as u
import healpy as hp
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from sky.frames import (
    galactic_north_angle_deg,
    galactic_to_icrs,
    galactic_to_icrs_matrix,
    hpx29_icrs,
    icrs_to_galactic,
    lon_lat,
    position_angle_deg,
    separation_deg,
    unit_vectors,
)

MILLIARCSEC_DEG = 1 / 3.6e6
longitudes = st.floats(0, 360, exclude_max=True)
latitudes = st.floats(-90, 90)


@pytest.fixture(scope="module")
def places() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, 2000)))
    lat[:2] = 90, -90
    return rng.uniform(0, 360, 2000), lat


def test_icrs_is_astropys_to_a_microarcsecond(places):
    ours = SkyCoord(*galactic_to_icrs(*places), unit="deg", frame="icrs")
    theirs = SkyCoord(*places, unit="deg", frame="galactic").icrs
    assert ours.separation(theirs).max() < 1 * u.uas
    back = SkyCoord(*icrs_to_galactic(ours.ra.deg, ours.dec.deg), unit="deg", frame="galactic")
    assert back.separation(SkyCoord(*places, unit="deg", frame="galactic")).max() < 1 * u.uas


def test_rotation_is_exact():
    matrix = galactic_to_icrs_matrix()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-15)
    assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-14)


@given(longitudes, latitudes)
def test_vectors_and_back(lon, lat):
    lon2, lat2 = lon_lat(unit_vectors(lon, lat))
    assert 0 <= lon2 < 360
    assert separation_deg(lon, lat, lon2, lat2) < 1e-12


def test_longitude_is_never_360():
    assert lon_lat([1.0, -1e-300, 0.0])[0] == 0.0


@pytest.mark.parametrize("scale_deg", [1e-9, 1e-6, 1e-3, 1.0, 60.0, 179.0, 180.0 - 1e-9])
def test_separations(places, scale_deg):
    start = SkyCoord(*places, unit="deg")[2:]  # astropy's own offsets are coarse at the poles
    end = start.directional_offset_by(np.linspace(0, 360, 1998) * u.deg, scale_deg * u.deg)
    found = separation_deg(start.ra.deg, start.dec.deg, end.ra.deg, end.dec.deg)
    np.testing.assert_allclose(found, scale_deg, atol=2e-13 * 360)


def test_position_angles(places):
    start = SkyCoord(*places, unit="deg")[2:]
    angles = np.linspace(0, 359.9, 1998)
    end = start.directional_offset_by(angles * u.deg, 0.3 * u.deg)
    found = position_angle_deg(start.ra.deg, start.dec.deg, end.ra.deg, end.dec.deg)
    np.testing.assert_allclose((found - angles + 180) % 360 - 180, 0, atol=1e-7)


def test_north_angle_turns_galactic_into_equatorial_angles(places):
    start = SkyCoord(*places, unit="deg", frame="galactic")[2:]
    end = start.directional_offset_by(40 * u.deg, 0.01 * u.deg)
    expected = start.icrs.position_angle(end.icrs).deg
    found = 40 + galactic_north_angle_deg(start.l.deg, start.b.deg)
    np.testing.assert_allclose((found - expected + 180) % 360 - 180, 0, atol=1e-5)


def test_hpx29(places):
    cells = hpx29_icrs(*places)
    assert cells.dtype == np.int64
    found = SkyCoord(*hp.pix2ang(1 << 29, cells, nest=True, lonlat=True), unit="deg")
    theirs = SkyCoord(*places, unit="deg", frame="galactic").icrs
    assert found.separation(theirs).max() < 0.4 * u.mas  # a cell of order 29
