"""Exposure: band averages against numerical integrals, frames and formats against an analytic sky."""

import healpy as hp
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from sky.band_exposure import band_average
from sky.exposure import ExposureMaps
from sky.frames import galactic_to_icrs, icrs_to_galactic
from sky.ingest import ingest
from sky.readers.exposure import read_exposure
from sky.readers.files import InputError
from tests.sky.fits_files import (
    SMALL,
    dense,
    ebounds,
    flat_exposure,
    gtbin_cube,
    gtexpcube,
    observation,
    photons,
    wcs_header,
    write,
)

NODES = [10.0, 30.0, 100.0, 2000.0]
COUNTS = '[[counts]]\npath = "counts.fits"\n'


def pattern(glon, glat, energy_gev):
    """A smooth exposure, odd in every galactic axis, and a power law in energy, cm2 s."""
    x, y, z = hp.ang2vec(glon, glat, lonlat=True).T
    return 3e11 * (1 + 0.3 * z + 0.2 * x * y - 0.1 * y) * (energy_gev / 10) ** 0.1


def pattern_map(order: int, energy_gev: float, nest: bool, frame: str) -> np.ndarray:
    lon, lat = hp.pix2ang(1 << order, np.arange(12 << (2 * order)), nest=nest, lonlat=True)
    if frame == "equatorial":
        lon, lat = icrs_to_galactic(lon, lat)
    return pattern(lon, lat, energy_gev)


def check_pattern(path, frame: str | None, tolerance: float) -> None:
    cube = read_exposure(path, frame)
    np.testing.assert_allclose(cube.nodes_gev, NODES)
    lon, lat = hp.pix2ang(1 << cube.order, np.arange(cube.values_cm2_s.shape[1]), nest=True, lonlat=True)
    for energy, values in zip(NODES, cube.values_cm2_s, strict=True):
        np.testing.assert_allclose(values, pattern(lon, lat, energy), rtol=tolerance)


@pytest.mark.parametrize("nest", [False, True])
@pytest.mark.parametrize("order", [5, 8])
def test_galactic_cubes(tmp_path, nest, order):
    maps = [pattern_map(order, e, nest, "galactic") for e in NODES]
    gtexpcube(tmp_path / "exposure.fits", maps, NODES, nest=nest)
    check_pattern(tmp_path / "exposure.fits", "galactic", 1e-12 if order < 8 else 2e-4)
    assert read_exposure(tmp_path / "exposure.fits", "galactic").order == min(order, 7)


@pytest.mark.parametrize("coordsys", [None, "C", "CEL", "EQU"])
def test_equatorial_cubes(tmp_path, coordsys):
    maps = [pattern_map(6, e, False, "equatorial") for e in NODES]
    gtexpcube(tmp_path / "exposure.fits", maps, NODES, coordsys=coordsys)
    check_pattern(tmp_path / "exposure.fits", None if coordsys else "equatorial", 1e-3)


@pytest.mark.parametrize("frame", ["galactic", "equatorial"])
@pytest.mark.parametrize("projection", ["CAR", "AIT"])
def test_wcs_cubes(tmp_path, projection, frame):
    header = wcs_header(projection, frame, 1.0)
    nx, ny = header.pop("NX"), header.pop("NY")
    x, y = np.meshgrid(np.arange(nx), np.arange(ny))
    lon, lat = WCS(header).wcs_pix2world(x, y, 0)
    on_sky = np.isfinite(lon) & (np.hypot(*(np.array(WCS(header).wcs_world2pix(lon, lat, 0)) - (x, y))) < 0.1)
    lon, lat = np.where(on_sky, lon, 0), np.where(on_sky, lat, 0)
    if frame == "equatorial":
        lon, lat = icrs_to_galactic(lon, lat)
    corners = np.nan if frame == "galactic" else 0.0  # as gammapy and as gtexpcube2 leave them
    cube = np.array(
        [np.where(on_sky, pattern(lon.ravel(), lat.ravel(), e).reshape(ny, nx), corners) for e in NODES]
    )
    energies = fits.BinTableHDU.from_columns([fits.Column("Energy", "D", "MeV", array=np.array(NODES) * 1e3)])
    energies.name = "ENERGIES"
    fits.HDUList([fits.PrimaryHDU(cube, header), energies]).writeto(tmp_path / "exposure.fits")
    check_pattern(tmp_path / "exposure.fits", None, 0.01)


@settings(max_examples=50)
@given(
    st.floats(0.3, 1000),
    st.floats(1.05, 100),
    st.floats(0, 4),
    st.lists(st.floats(1e9, 1e12), min_size=2, max_size=8),
)
def test_band_average_is_the_integral(emin, ratio, index, values):
    energies = np.geomspace(0.1, 3000, len(values))
    emax = emin * ratio

    def exposure(log_e):
        return np.exp(np.interp(log_e, np.log(energies), np.log(values)))

    knots = [e for e in np.log(energies) if np.log(emin) < e < np.log(emax)]
    top, bottom = (
        quad(
            lambda t, f=f: f(t) * np.exp((1 - index) * (t - np.log(emin))),
            np.log(emin),
            np.log(emax),
            points=knots or None,
            limit=200,
        )[0]
        for f in (exposure, np.ones_like)
    )
    found = band_average(energies, np.array(values)[:, None], (emin, emax), index)
    assert found[0] == pytest.approx(top / bottom, rel=1e-6)


def test_band_average_between_exact_nodes():
    """A power law exposure with a power law weight has a closed form."""
    energies = np.geomspace(1, 1000, 7)
    found = band_average(energies, (energies**0.3)[:, None], (10.0, 100.0), 2.2)
    expected = (1.2 / 0.9) * (10**-0.9 - 100**-0.9) / (10**-1.2 - 100**-1.2)
    assert found[0] == pytest.approx(expected, rel=1e-12)


def test_band_average_with_zero_exposure():
    values = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    np.testing.assert_allclose(band_average(np.array([1.0, 10.0, 100.0]), values, (1.0, 100.0), 2.0), [0, 1])


def ingested(tmp_path, exposure: str) -> ExposureMaps:
    maps = [dense(5, *photons(500, s), nest=False) for s in (1, 2)]
    if not (tmp_path / "counts.fits").exists():
        gtbin_cube(tmp_path / "counts.fits", maps)
    return ingest(observation(tmp_path, COUNTS, exposure=exposure)).exposure


def test_front_and_back_add_up(tmp_path):
    flat_exposure(tmp_path / "front.fits", 2e11)
    flat_exposure(tmp_path / "back.fits", 1e11, order=4)
    text = '[[exposure]]\npath = "front.fits"\nevent_type = "FRONT"\n[[exposure]]\npath = "back.fits"\n'
    exposure = ingested(tmp_path, text + 'event_type = "BACK"\n')
    assert exposure.order == 4
    np.testing.assert_allclose(exposure.values_cm2_s, 3e11)


def test_planes_and_slices_together_are_those_one_by_one():
    survey, (glon, glat) = SMALL, photons(50, 3)
    planes, slices = range(len(survey.planes)), range(3)
    exposure = ExposureMaps(survey, 2, np.random.default_rng(2).uniform(1, 2, (len(planes), 3, 192)))
    each = [[exposure.at(p, glon, glat, s) for s in slices] for p in planes]
    np.testing.assert_array_equal(exposure.of_slices(glon, glat), np.transpose(each, (2, 0, 1)))
    whole = [exposure.at(p, glon, glat) for p in planes]
    np.testing.assert_array_equal(exposure.of_planes(glon, glat), np.transpose(whole))


def test_single_maps_for_bands(tmp_path):
    for name, value in (("low", 1e11), ("high", 4e11)):
        hp.write_map(tmp_path / f"{name}.fits", np.full(192, value), coord="G", dtype=np.float64)
    text = "".join(
        f'[[exposure]]\npath = "{name}.fits"\nenergy_gev = {energy}\n'
        for name, energy in (("low", [10, 30]), ("high", [30, 100]))
    )
    exposure = ingested(tmp_path, text)
    np.testing.assert_allclose(exposure.at(0, [0, 90.0], [0, -90.0]), 1e11)
    np.testing.assert_allclose(exposure.at(1, 10.0, 20.0), 4e11)


def test_a_single_map_holds_for_all_energies(tmp_path):
    table = fits.BinTableHDU.from_columns(
        [fits.Column("EXPOSURE", "E", array=pattern_map(5, 10, True, "galactic"))]
    )
    table.header.update(PIXTYPE="HEALPIX", ORDERING="NESTED", COORDSYS="G")
    write(tmp_path / "exposure.fits", table)
    exposure = ingested(tmp_path, '[exposure]\npath = "exposure.fits"\n')
    glon, glat = photons(500, 7)
    for plane in range(len(SMALL.planes)):
        np.testing.assert_allclose(exposure.at(plane, glon, glat), pattern(glon, glat, 10), rtol=2e-3)


def test_frame_is_that_of_the_observation(tmp_path):
    """The same file read as galactic and as equatorial gives two different skies."""
    gtexpcube(tmp_path / "exposure.fits", [pattern_map(5, e, False, "galactic") for e in NODES], NODES)
    as_galactic = ingested(tmp_path, '[exposure]\npath = "exposure.fits"\nframe = "galactic"\n')
    as_equatorial = ingested(tmp_path, '[exposure]\npath = "exposure.fits"\nframe = "equatorial"\n')
    ra, dec = galactic_to_icrs(123.0, 45.0)
    np.testing.assert_allclose(as_equatorial.at(0, 123.0, 45.0), as_galactic.at(0, ra, dec), rtol=2e-3)
    assert abs(as_equatorial.at(0, 123.0, 45.0) / as_galactic.at(0, 123.0, 45.0) - 1) > 0.02


@pytest.mark.parametrize(
    ("where", "unit", "scale"), [("BUNIT", "m2 s", 1e-4), ("TUNIT1", "cm2 s", 1.0), (None, "", 1.0)]
)
def test_units_of_the_header(tmp_path, where, unit, scale):
    """gammapy keeps exposure in m2 s."""
    gtexpcube(tmp_path / "exposure.fits", [np.full(192, 3e11 * scale)] * 4, NODES, coordsys="G")
    if where:
        with fits.open(tmp_path / "exposure.fits", mode="update") as hdus:
            hdus[1].header[where] = unit
    np.testing.assert_allclose(read_exposure(tmp_path / "exposure.fits", None).values_cm2_s, 3e11)


def test_unit_of_something_else(tmp_path):
    gtexpcube(tmp_path / "exposure.fits", [np.ones(192)] * 4, NODES, coordsys="G")
    with fits.open(tmp_path / "exposure.fits", mode="update") as hdus:
        hdus[1].header["BUNIT"] = "cm-2 s-1"
    with pytest.raises(InputError, match="unit 'cm-2 s-1' is not one of exposure"):
        read_exposure(tmp_path / "exposure.fits", None)


def test_cube_of_wide_bins_reaches_to_their_edges(tmp_path):
    """gammapy's cubes may be averages over bins: their centres lie far inside the bands."""
    table = fits.BinTableHDU.from_columns(
        [fits.Column(f"CHANNEL{i}", "D", array=np.ones(192)) for i in (1, 2)]
    )
    table.header.update(
        PIXTYPE="HEALPIX", ORDERING="NESTED", NSIDE=4, COORDSYS="GAL", BANDSHDU="SKYMAP_BANDS"
    )
    write(tmp_path / "exposure.fits", table, ebounds([(10, 30), (30, 2000)], "SKYMAP_BANDS", "TeV"))
    np.testing.assert_allclose(ingested(tmp_path, '[exposure]\npath = "exposure.fits"\n').values_cm2_s, 1)
