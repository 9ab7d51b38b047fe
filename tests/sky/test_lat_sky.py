"""The real LAT sky: figures that stand in its own files and in its documentation."""

from pathlib import Path

import healpy as hp
import numpy as np
import pytest
from astropy.io import fits

from sky.frames import separation_deg
from sky.ingest import IngestedSky, ingest
from sky.observation import load_observation
from sky.readers.exposure import read_exposure
from sky.readers.files import InputError
from sky.readers.maps import read_maps
from sky.readers.photon_list import read_photon_list
from sky.tiles import TileGrid

BANDS = {"10_30": (10, 30), "30_100": (30, 100), "100_2000": (100, 2000)}
HEAD = '[observation]\nname = "lat"\nsurvey = "lat-10gev"\n'


def exposure_text(data: Path, frame: str = "galactic") -> str:
    return f'[exposure]\npath = "{data}/exposure/lat_8yr_exposure_nside32.fits.gz"\nframe = "{frame}"\n'


def counts_text(data: Path) -> str:
    return "".join(
        f'[[counts]]\npath = "{data}/photons/lat_8yr_counts_{name}GeV_nside1024.fits.gz"\n'
        f"energy_gev = [{low}, {high}]\n"
        for name, (low, high) in BANDS.items()
    )


def write(folder: Path, body: str) -> Path:
    path = folder / "observation.toml"
    path.write_text(HEAD + body)
    return path


@pytest.fixture(scope="module")
def sky(lat_data, tmp_path_factory) -> IngestedSky:
    path = write(tmp_path_factory.mktemp("lat"), counts_text(lat_data) + exposure_text(lat_data))
    return ingest(load_observation(path))


def test_totals(sky):
    assert sky.cube.plane_totals().tolist() == [657117, 134471, 27521]
    assert sky.cube.total() == 819109


def test_brightest_pixels_are_vela_and_the_crab(sky):
    for plane, glon, glat, counts in (
        (0, 263.55, -2.79, 465),
        (1, 184.56, -5.78, 108),
        (2, 184.56, -5.78, 52),
    ):
        ipix, values = sky.cube.plane(plane).sparse()
        assert values.max() == counts
        found = hp.pix2ang(1024, ipix[values.argmax()], nest=True, lonlat=True)
        assert separation_deg(*found, glon, glat) < 0.06


def test_tiles_hold_the_crab(sky):
    grid = TileGrid(sky.cube.survey)
    tile = int(grid.owner(184.5575, -5.7843))
    image = grid.images(sky.cube, tile, 0)[0][0, 0]
    x, y = grid.sky_to_pixel(tile, 0, 184.5575, -5.7843)
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert np.hypot(row - y, column - x) < 1.5


def test_files_are_known_by_content(sky):
    assert [f.role for f in sky.files] == ["counts"] * 3 + ["exposure"]
    assert sky.files[0].sha256 == "a3de7ce501811fc0bcaf0bbb17e5af2703b238ae1936a5723e9b54937c6f3843"
    assert sky.files[3].bytes == 1449639


def test_exposure_of_eight_years(sky):
    """3.68e11 cm2 s on average; most at the celestial poles' side, least at the equator's."""
    means = sky.exposure.values_cm2_s.mean(axis=-1).ravel()
    np.testing.assert_allclose(means, 3.7e11, rtol=0.03)
    assert sky.exposure.at(0, 122.93, 27.13) > 1.25 * sky.exposure.at(
        0, 40.0, 5.0
    )  # pole against the equator


def test_the_two_cubes_agree_only_in_their_own_frames(lat_data):
    """Eight years, galactic, against seven, equatorial: the declination pattern is the same instrument's."""
    eight = read_exposure(lat_data / "exposure/lat_8yr_exposure_nside32.fits.gz", "galactic").values_cm2_s[0]
    path = lat_data / "exposure/lat_7yr_exposure_nside64_equatorial.fits.gz"
    right, wrong = (
        read_exposure(path, f).values_cm2_s[0].reshape(eight.size, -1).mean(-1)
        for f in ("equatorial", "galactic")
    )
    assert np.corrcoef(eight, right)[0, 1] > 0.99
    assert np.corrcoef(eight, wrong)[0, 1] < 0.2
    assert (right / eight).std() < 0.02


def test_cubes_do_not_say_their_frame(lat_data, tmp_path):
    body = counts_text(lat_data) + exposure_text(lat_data).replace('frame = "galactic"', "")
    with pytest.raises(InputError, match="no COORDSYS"):
        ingest(load_observation(write(tmp_path, body)))


def test_seventeen_bin_cube(lat_data, tmp_path):
    path = lat_data / "photons/lat_8yr_counts_17bins_nside32.fits.gz"
    cube = read_maps(path)
    assert sum(v.sum() for v in cube.values) == 818152
    assert cube.edges_gev is not None and cube.frame == "galactic" and not cube.nested
    np.testing.assert_allclose(cube.edges_gev[[0, -1], [0, 1]], [10, 2000])
    body = f'[[counts]]\npath = "{path}"\n' + exposure_text(lat_data)
    with pytest.raises(InputError, match="NSIDE 32 is coarser than NSIDE 1024") as caught:
        ingest(load_observation(write(tmp_path, body)))
    assert path.name in str(caught.value)


def test_photon_list_of_the_galactic_centre(lat_data, tmp_path):
    path = lat_data / "photons/lat_7yr_events_gc_10GeV.fits.gz"
    photons = read_photon_list(path)
    assert photons.energy_gev.size == 32843
    # |l| < 10 and |b| < 5, measured
    assert np.abs((photons.glon_deg + 180) % 360 - 180).max() == pytest.approx(10, abs=0.01)
    assert np.abs(photons.glat_deg).max() == pytest.approx(5, abs=0.01)
    # 32 logicals, most significant first: the conversion layer says the same in another column
    with fits.open(path) as hdus:
        np.testing.assert_array_equal(photons.front, hdus["EVENTS"].data["CONVERSION_TYPE"] == 0)
    body = f'[[events]]\npath = "{path}"\n' + exposure_text(lat_data)
    cube = ingest(load_observation(write(tmp_path, body))).cube
    assert cube.total() == 32843
    assert cube.plane_totals().tolist() == np.histogram(photons.energy_gev, [10, 30, 100, 2000])[0].tolist()


def test_interval_is_that_of_the_good_time(lat_data, tmp_path):
    """The headers' TSTOP is hours late; the good time intervals end the list where the seven years end."""
    body = f'[[events]]\npath = "{lat_data}/photons/lat_7yr_events_gc_10GeV.fits.gz"\n'
    found = ingest(load_observation(write(tmp_path, body + exposure_text(lat_data)))).interval_met_s
    assert found == pytest.approx((239557417, 460250000), abs=20_000)
    eight_years = read_maps(lat_data / "photons/lat_8yr_counts_17bins_nside32.fits.gz").interval_met_s
    assert eight_years is not None and eight_years[1] == pytest.approx(498643328.6, abs=1)


def test_photon_list_is_the_counts_map(sky, lat_data):
    """Seven years of the Galactic centre's photons, pixel by pixel among eight years of counts."""
    photons = read_photon_list(lat_data / "photons/lat_7yr_events_gc_10GeV.fits.gz")
    low = photons.energy_gev < 30
    ipix = hp.ang2pix(64, photons.glon_deg[low], photons.glat_deg[low], nest=True, lonlat=True)
    counts = np.bincount(ipix, minlength=12 * 64**2)
    eight_years = sky.cube.plane(0).degrade(6).dense()
    glon, glat = hp.pix2ang(64, np.arange(counts.size), nest=True, lonlat=True)
    whole = (np.abs((glon + 180) % 360 - 180) < 9) & (np.abs(glat) < 4)  # not cut by the list's border
    assert np.corrcoef(counts[whole], eight_years[whole])[0, 1] > 0.99
    assert np.all(counts[whole] <= eight_years[whole])
    assert counts[whole].sum() / eight_years[whole].sum() == pytest.approx(7 / 8.2, abs=0.02)
