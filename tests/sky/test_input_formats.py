"""Every promised format gives the counts that healpy alone gives from the same photons."""

import gzip
import shutil
from dataclasses import replace

import healpy as hp
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from sky.frames import galactic_to_icrs, separation_deg
from sky.ingest import ingest
from sky.readers.files import InputError
from sky.readers.photon_list import read_photon_list
from sky.survey import get_survey
from tests.sky.fits_files import (
    EDGES,
    SMALL,
    dense,
    gammapy_map,
    gtbin_cube,
    gtexpcube,
    observation,
    photon_list,
    photons,
    wcs_cube,
)

LOW, HIGH = photons(5000, 1), photons(900, 2)
EXPECTED = (dense(4, *LOW), dense(5, *HIGH))
COUNTS = '[[counts]]\npath = "counts.fits"\n'


def check_exact(folder, body: str = COUNTS) -> None:
    cube = ingest(observation(folder, body)).cube
    for plane, expected in enumerate(EXPECTED):
        np.testing.assert_array_equal(cube.dense(plane), expected)


@pytest.mark.parametrize("nest", [False, True])
@pytest.mark.parametrize("order", [5, 7])
def test_gtbin_cube(tmp_path, nest, order):
    gtbin_cube(tmp_path / "counts.fits", [dense(order, *p, nest=nest) for p in (LOW, HIGH)], nest=nest)
    check_exact(tmp_path)


def test_gzip_under_any_name(tmp_path):
    gtbin_cube(tmp_path / "plain.fits", [dense(5, *LOW, nest=False), dense(5, *HIGH, nest=False)])
    with (tmp_path / "plain.fits").open("rb") as source, gzip.open(tmp_path / "counts.fits", "wb") as target:
        shutil.copyfileobj(source, target)
    check_exact(tmp_path)


def test_channels_of_one_band_add_up(tmp_path):
    halves = [(LOW[0][:2000], LOW[1][:2000]), (LOW[0][2000:], LOW[1][2000:]), HIGH]
    maps = [dense(5, *p, nest=False) for p in halves]
    gtbin_cube(tmp_path / "counts.fits", maps, edges=((10, 17.32), (17.32, 30), (30, 100)))
    check_exact(tmp_path)


def test_energy_gev_chooses_channels(tmp_path):
    maps = [dense(5, *p, nest=False) for p in (HIGH, LOW, HIGH, LOW)]
    gtbin_cube(tmp_path / "counts.fits", maps, edges=((3, 10), *EDGES, (100, 2000)))
    check_exact(tmp_path, COUNTS + "energy_gev = [10, 100]\n")


@pytest.mark.parametrize("nest", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_healpy_maps(tmp_path, nest, dtype):
    body = ""
    for i, (p, (low, high)) in enumerate(zip((LOW, HIGH), EDGES, strict=True)):
        # healpy writes 1024 values a row from order 5 on
        hp.write_map(
            tmp_path / f"{i}.fits", dense(6, *p, nest=nest).astype(dtype), nest=nest, coord="G", dtype=dtype
        )
        body += f'[[counts]]\npath = "{i}.fits"\nenergy_gev = [{low}, {high}]\n'
    assert fits.getheader(tmp_path / "0.fits", 1)["TFORM1"].startswith("1024")
    check_exact(tmp_path, body)


@pytest.mark.parametrize("scheme", ["IMPLICIT", "EXPLICIT", "SPARSE"])
@pytest.mark.parametrize("unit", ["TeV", "keV", "MeV", None])
def test_gammapy_maps(tmp_path, scheme, unit):
    gammapy_map(tmp_path / "counts.fits", [dense(5, *LOW), dense(5, *HIGH)], scheme=scheme, unit=unit)
    check_exact(tmp_path)


@pytest.mark.parametrize("code", ["32X", "32L"])
def test_photon_list(tmp_path, code):
    lon, lat = np.concatenate([LOW, HIGH], axis=1)
    energy = np.where(np.arange(lon.size) < len(LOW[0]), 10.0, 99.9)
    energy[0] = 29.999
    photon_list(tmp_path / "photons.fits", lon, lat, energy, np.arange(lon.size) % 3 == 0, code=code)
    check_exact(tmp_path, '[[events]]\npath = "photons.fits"\n')


def test_photons_of_no_band_are_left_out(tmp_path):
    lon, lat = np.concatenate([LOW, HIGH, HIGH], axis=1)
    energy = np.repeat([12.0, 40.0, 9.99], [len(LOW[0]), len(HIGH[0]), len(HIGH[0])])
    photon_list(tmp_path / "photons.fits", lon, lat, energy, np.ones(lon.size, bool))
    check_exact(tmp_path, '[[events]]\npath = "photons.fits"\n')


def test_front_and_back_files_make_both(tmp_path):
    body = ""
    for name, part in (("FRONT", slice(0, None, 2)), ("BACK", slice(1, None, 2))):
        maps = [dense(5, lon[part], lat[part], nest=False) for lon, lat in (LOW, HIGH)]
        gtbin_cube(tmp_path / f"{name}.fits", maps)
        body += f'[[counts]]\npath = "{name}.fits"\nevent_type = "{name}"\n'
    check_exact(tmp_path, body)


def test_photon_list_into_front_and_back_and_slices(tmp_path):
    survey = get_survey("lat-6band")
    rng = np.random.default_rng(5)
    lon, lat = photons(4000, 9)
    energy = 10 ** rng.uniform(np.log10(0.3), 2.9, lon.size).astype(np.float32)
    front, time = rng.random(lon.size) < 0.5, rng.uniform(0, 300, lon.size)
    photon_list(tmp_path / "photons.fits", lon, lat, energy, front, time)
    for name in ("FRONT", "BACK"):
        gtexpcube(tmp_path / f"{name}.fits", [np.ones(192)] * 2, [0.3, 1000.0], coordsys="GAL")
    body = "".join(
        f'[[events]]\npath = "photons.fits"\ntime_met = [{a}, {a + 100}]\n' for a in (0, 100, 200)
    ).replace("lat-10gev", "lat-6band")
    exposure = "".join(f'[[exposure]]\npath = "{n}.fits"\nevent_type = "{n}"\n' for n in ("FRONT", "BACK"))
    cube = ingest(observation(tmp_path, body, survey, exposure)).cube
    assert cube.n_slices == 3
    energy = energy.astype(np.float32) * np.float32(1e3) / 1e3
    for (b, event_type, s), counts in cube.maps.items():
        band = survey.bands[b]
        chosen = (energy >= band.emin_gev) & (energy < band.emax_gev) & (front == (event_type == "FRONT"))
        chosen &= (time >= 100 * s) & (time < 100 * (s + 1))
        pixels = hp.ang2pix(band.nside, lon[chosen], lat[chosen], nest=True, lonlat=True)
        np.testing.assert_array_equal(counts.sparse(), np.unique(pixels, return_counts=True))


def moved_as_expected(folder, blur_deg: float) -> None:
    """Photons moved whole, none lost, none farther than a pixel of the file, none systematically."""
    cube = ingest(observation(folder, COUNTS)).cube
    for plane, expected in enumerate(EXPECTED):
        counts = cube.dense(plane)
        assert counts.sum() == expected.sum()
        nside = SMALL.bands[plane].nside
        vectors = np.stack(hp.pix2vec(nside, np.arange(counts.size), nest=True))
        scatter = np.sqrt(expected.sum()) * np.radians(np.hypot(blur_deg, np.degrees(hp.nside2resol(nside))))
        assert np.linalg.norm(vectors @ (counts - expected)) < 3 * scatter
        coarse = (m.reshape(192, -1).sum(axis=1) for m in (counts, expected))
        assert np.corrcoef(*coarse)[0, 1] > 0.98


@pytest.mark.parametrize("nest", [False, True])
def test_equatorial_healpix(tmp_path, nest):
    maps = [dense(5, *p, nest=nest, frame="equatorial") for p in (LOW, HIGH)]
    gtbin_cube(tmp_path / "counts.fits", maps, nest=nest, coordsys="CEL")
    moved_as_expected(tmp_path, 1.8)


@pytest.mark.parametrize("frame", ["galactic", "equatorial"])
@pytest.mark.parametrize("projection", ["CAR", "AIT", "HPX"])
def test_wcs_cubes(tmp_path, projection, frame):
    wcs_cube(tmp_path / "counts.fits", [LOW, HIGH], projection, frame, 1.5)
    moved_as_expected(tmp_path, 1.5)


@pytest.mark.parametrize("projection", ["AIT", "HPX"])
def test_corners_off_the_sky_may_be_nan(tmp_path, projection):
    """As gammapy fills them; a NaN on the sky is a fault."""
    path = wcs_cube(tmp_path / "counts.fits", [LOW, HIGH], projection, "galactic", 1.5)
    with fits.open(path, mode="update") as hdus:
        hdus[0].data[:, :3, :3] = np.nan
    moved_as_expected(tmp_path, 1.5)
    with fits.open(path, mode="update") as hdus:
        hdus[0].data[0, hdus[0].data.shape[1] // 2, hdus[0].data.shape[2] // 2] = np.nan
    with pytest.raises(InputError, match="counts are not finite in 1 pixels"):
        ingest(observation(tmp_path, COUNTS))


@settings(max_examples=40)
@given(st.floats(0, 360, exclude_max=True), st.floats(-90, 90), st.sampled_from(["CAR", "AIT", "HPX"]))
def test_no_wcs_pixel_loses_its_photon(tmp_path_factory, lon, lat, projection):
    folder = tmp_path_factory.mktemp("wcs")
    place = np.array([lon]), np.array([lat])
    wcs_cube(folder / "counts.fits", [place, place], projection, "galactic", 1.7)
    cube = ingest(observation(folder, COUNTS)).cube
    ipix, values = cube.maps[1, "BOTH", 0].sparse()
    assert values.tolist() == [1]
    found = hp.pix2vec(32, ipix[0], nest=True)
    assert np.degrees(hp.rotator.angdist(found, hp.ang2vec(lon, lat, lonlat=True)))[0] < 1.7 * 1.5 + 1.9


@pytest.mark.parametrize(
    ("said", "interval"),
    [("", (100.0, 900.0)), ("tstart = 50\n", (50.0, 900.0)), ("tstart = 50\ntstop = 70\n", (50.0, 70.0))],
)
def test_interval_of_the_observation(tmp_path, said, interval):
    """The good time intervals of the files, where the observation does not say it."""
    gtbin_cube(tmp_path / "counts.fits", [dense(5, *p, nest=False) for p in (LOW, HIGH)])
    assert ingest(observation(tmp_path, said + COUNTS)).interval_met_s == interval


def test_time_slices_of_maps_and_exposures(tmp_path):
    """Two years, FRONT and BACK, each with counts and exposure of its own, named in any sequence."""
    survey = replace(SMALL, event_types=("FRONT", "BACK"), time_slices=10)
    years = {1: (100.0, 200.0), 0: (0.0, 100.0)}
    body = exposure = ""
    for s, met in years.items():
        for t, event_type in enumerate(survey.event_types):
            name = f"{event_type}{s}.fits"
            places = photons(1000, 10 + 2 * s + t)
            gtbin_cube(tmp_path / name, [dense(5, *places, nest=False)] * 2)
            gtexpcube(
                tmp_path / f"x{name}", [np.full(192, 1e10 * (1 + 2 * s + t))] * 2, [10, 2000], coordsys="G"
            )
            key = f'event_type = "{event_type}"\ntime_met = {list(met)}\n'
            body += f'[[counts]]\npath = "{name}"\n{key}'
            exposure += f'[[exposure]]\npath = "x{name}"\n{key}'
    sky = ingest(observation(tmp_path, body, survey, exposure))
    assert sky.cube.slices_met_s == ((0.0, 100.0), (100.0, 200.0))
    for plane, (b, event_type) in enumerate(survey.planes):
        t = survey.event_types.index(event_type)
        for s in (0, 1):
            expected = dense(survey.bands[b].order, *photons(1000, 10 + 2 * s + t))
            np.testing.assert_array_equal(sky.cube.maps[b, event_type, s].dense(), expected)
            np.testing.assert_allclose(sky.exposure.map(plane, s), 1e10 * (1 + 2 * s + t))
        np.testing.assert_allclose(sky.exposure.at(plane, 3.0, 4.0), 1e10 * (4 + 2 * t))


@pytest.mark.parametrize("kind", ["integer", "conversion layer", "neither"])
def test_photon_lists_of_older_passes(tmp_path, kind):
    """Event types as one integer, or the conversion layer alone; positions equatorial alone."""
    lon, lat = LOW
    front = np.arange(lon.size) % 3 == 0
    ra, dec = galactic_to_icrs(lon, lat)
    columns = [fits.Column(n, "D", array=a) for n, a in (("RA", ra), ("DEC", dec), ("TIME", 0 * ra))]
    columns.append(fits.Column("ENERGY", "E", "MeV", array=np.full(lon.size, 2e4)))
    if kind == "integer":
        columns.append(fits.Column("EVENT_TYPE", "J", array=np.where(front, 0b1001, 0b10010)))
    elif kind == "conversion layer":
        columns.append(fits.Column("CONVERSION_TYPE", "I", array=~front))
    fits.BinTableHDU.from_columns(columns, name="EVENTS").writeto(tmp_path / "photons.fits")
    if kind == "neither":
        with pytest.raises(InputError, match="neither EVENT_TYPE nor CONVERSION_TYPE"):
            read_photon_list(tmp_path / "photons.fits")
        return
    found = read_photon_list(tmp_path / "photons.fits")
    np.testing.assert_array_equal(found.front, front)
    assert separation_deg(found.glon_deg, found.glat_deg, lon, lat).max() < 1e-9
