"""Each thing that can be wrong with an observation ends in one line that names the file and the fault."""

import gzip

import numpy as np
import pytest
from astropy.io import fits

from sky.ingest import ingest
from sky.observation import ObservationError, load_observation
from sky.readers.files import InputError
from tests.sky.fits_files import (
    EDGES,
    HEAD,
    dense,
    flat_exposure,
    gammapy_map,
    gtbin_cube,
    gtexpcube,
    observation,
    photon_list,
    photons,
)

LOW, HIGH = photons(300, 1), photons(100, 2)
COUNTS = '[[counts]]\npath = "counts.fits"\n'
EXPOSURE = '[exposure]\npath = "exposure.fits"\n'


def maps(order: int = 5) -> list[np.ndarray]:
    return [dense(order, *p, nest=False).astype(float) for p in (LOW, HIGH)]


def fault(folder, body: str = COUNTS, exposure: str | None = None, kind=InputError, survey="small") -> str:
    with pytest.raises(kind) as caught:
        ingest(
            observation(folder, body, exposure=exposure, **({} if survey == "small" else {"survey": None}))
        )
    message = str(caught.value)
    assert "\n" not in message
    return message


def with_value(value: float) -> list[np.ndarray]:
    bad = maps()
    bad[1][7] = value
    return bad


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-1, "negative"),
        (np.nan, "not finite"),
        (np.inf, "not finite"),
        (1.5, "whole numbers"),
        (1e9, "impossibly large"),
        (-1.6375e30, "negative"),
    ],
)
def test_values_that_are_no_counts(tmp_path, value, text):
    gtbin_cube(tmp_path / "counts.fits", with_value(value))
    message = fault(tmp_path)
    assert "counts.fits" in message and text in message


def test_missing_file(tmp_path):
    message = fault(tmp_path, kind=ObservationError)
    assert "counts.fits: no such file" in message


def test_truncated_gzip(tmp_path):
    gtbin_cube(tmp_path / "plain.fits", maps())
    packed = gzip.compress((tmp_path / "plain.fits").read_bytes())
    (tmp_path / "counts.fits").write_bytes(packed[: len(packed) // 2])
    assert "counts.fits: truncated or damaged gzip" in fault(tmp_path)


def test_damaged_gzip(tmp_path):
    gtbin_cube(tmp_path / "plain.fits", maps())
    packed = bytearray(gzip.compress((tmp_path / "plain.fits").read_bytes()))
    packed[len(packed) // 2] ^= 0xFF
    (tmp_path / "counts.fits").write_bytes(packed)
    assert "counts.fits: truncated or damaged gzip" in fault(tmp_path)


@pytest.mark.parametrize("keep", [0.3, 0.999])
def test_truncated_fits(tmp_path, keep):
    gtbin_cube(tmp_path / "plain.fits", maps())
    content = (tmp_path / "plain.fits").read_bytes()
    (tmp_path / "counts.fits").write_bytes(content[: int(len(content) * keep)])
    message = fault(tmp_path)
    assert "counts.fits: truncated FITS file" in message


@pytest.mark.parametrize("content", [b"", b"not a FITS file at all\n" * 200, b"\x89PNG" + bytes(5000)])
def test_not_fits(tmp_path, content):
    (tmp_path / "counts.fits").write_bytes(content)
    assert "counts.fits: not a FITS file" in fault(tmp_path)


def test_fits_without_maps(tmp_path):
    fits.HDUList([fits.PrimaryHDU(np.zeros((4, 4)))]).writeto(tmp_path / "counts.fits")
    assert "neither a HEALPix table nor an image of the sky" in fault(tmp_path)


def test_photon_list_as_counts(tmp_path):
    photon_list(tmp_path / "counts.fits", *LOW, np.full(300, 12.0), np.ones(300, bool))
    assert "name it under [[events]]" in fault(tmp_path)


def test_counts_as_photon_list(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps())
    assert "not a photon list" in fault(tmp_path, '[[events]]\npath = "counts.fits"\n')


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ({"NSIDE": 64}, "12288 values, but NSIDE 64 has 49152 pixels"),
        ({"NSIDE": 33}, "NSIDE 33 is not a power of two"),
        ({"ORDERING": "SPIRAL"}, "RING or NESTED"),
        ({"COORDSYS": "E"}, "'E' is neither galactic nor equatorial"),
    ],
)
def test_headers(tmp_path, header, text):
    gtbin_cube(tmp_path / "counts.fits", maps(), **header)
    assert text in fault(tmp_path)


def test_wrong_length_without_nside(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", [m[:-5] for m in maps()], NSIDE=32)
    assert "12283 values, but NSIDE 32 has 12288 pixels" in fault(tmp_path)


def test_too_coarse(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps(3))
    assert "NSIDE 8 is coarser than NSIDE 16 of 10-30 GeV" in fault(tmp_path)


def test_pixel_outside_and_twice(tmp_path):
    gammapy_map(tmp_path / "counts.fits", [dense(5, *LOW), dense(5, *HIGH)], scheme="EXPLICIT")
    for pixel, text in ((12288, "outside NSIDE 32"), (-1, "outside NSIDE 32")):
        with fits.open(tmp_path / "counts.fits", mode="update") as hdus:
            hdus[1].data["PIX"][0] = pixel
        assert text in fault(tmp_path)
    with fits.open(tmp_path / "counts.fits", mode="update") as hdus:
        hdus[1].data["PIX"][0] = hdus[1].data["PIX"][1]
    assert "a pixel stands twice" in fault(tmp_path)


def test_no_energy_bounds(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps()[:1], edges=None)
    assert "no energy bounds" in fault(tmp_path)
    gtbin_cube(tmp_path / "two.fits", maps(), edges=None)
    assert "2 maps but no EBOUNDS" in fault(
        tmp_path, '[[counts]]\npath = "two.fits"\nenergy_gev = [10, 30]\n'
    )


def test_energy_bounds_that_contradict(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps()[:1], edges=[(10, 30)])
    assert "do not fit energy_gev = [10, 100]" in fault(tmp_path, COUNTS + "energy_gev = [10, 100]\n")


def test_channels_and_bounds_differ_in_number(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps(), edges=[(10, 30)])
    assert "2 channels but 1 energy bins" in fault(tmp_path)


@pytest.mark.parametrize("edges", [((10, 31), (31, 100)), ((5, 10), (10, 30)), ((10, 30), (100, 200))])
def test_bands_of_another_survey(tmp_path, edges):
    gtbin_cube(tmp_path / "counts.fits", maps(), edges=edges)
    assert "lies in no band of survey 'lat-10gev' (10-30 GeV, 30-100 GeV)" in fault(tmp_path)


def test_gap(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps()[:1], edges=EDGES[:1])
    assert "no BOTH counts for 30-100 GeV" in fault(tmp_path, kind=ObservationError)
    gtbin_cube(tmp_path / "part.fits", maps(), edges=((10, 30), (30, 70)))
    assert "no BOTH counts for 70-100 GeV" in fault(
        tmp_path, '[[counts]]\npath = "part.fits"\n', kind=ObservationError
    )


@pytest.mark.parametrize("edges", [((10, 30), (30, 100), (30, 100)), ((10, 20), (15, 30), (30, 100))])
def test_overlapping_bands(tmp_path, edges):
    gtbin_cube(tmp_path / "counts.fits", [*maps(), maps()[0]], edges=edges)
    assert "overlaps" in fault(tmp_path)


def test_overlapping_files(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps())
    message = fault(tmp_path, COUNTS + COUNTS + 'event_type = "FRONT"\n')
    assert "10-30 GeV FRONT overlaps 10-30 GeV BOTH of counts.fits" in message


def test_counts_and_photons_of_one_band(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps())
    photon_list(tmp_path / "photons.fits", *LOW, np.full(300, 12.0), np.ones(300, bool))
    assert "which counts maps give already" in fault(tmp_path, COUNTS + '[[events]]\npath = "photons.fits"\n')


def test_frames_of_counts(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps(), coordsys=None)
    assert "no COORDSYS" in fault(tmp_path)
    gtbin_cube(tmp_path / "gal.fits", maps())
    body = '[[counts]]\npath = "gal.fits"\nframe = "equatorial"\n'
    assert "the header says the frame is galactic, the observation says equatorial" in fault(tmp_path, body)


def test_exposures(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps())
    flat_exposure(tmp_path / "nowhere.fits", 0.0)
    flat_exposure(tmp_path / "no_frame.fits", coordsys=None)
    flat_exposure(tmp_path / "nan.fits", np.nan)
    flat_exposure(tmp_path / "negative.fits", -1.0)
    half = np.ones(192)
    half[:60] = 0.0
    gtexpcube(tmp_path / "half.fits", [half, half], [10, 2000], coordsys="G")
    gtexpcube(tmp_path / "narrow.fits", [np.ones(192)] * 2, [10, 40], coordsys="G")
    gtexpcube(tmp_path / "order.fits", [np.ones(192)] * 2, [2000, 10], coordsys="G")
    gtexpcube(tmp_path / "short.fits", [np.ones(192)] * 2, [10, 100, 2000], coordsys="G")
    for name, text in (
        ("nowhere", "the exposure is zero everywhere"),
        ("no_frame", "no COORDSYS"),
        ("nan", "not finite"),
        ("negative", "negative"),
        ("half", "zero where there are"),
        ("narrow", "(6.25-64 GeV) do not reach over the band 30-100 GeV"),
        ("order", "not positive and ascending"),
        ("short", "2 planes but 3 energies"),
    ):
        message = fault(tmp_path, exposure=f'[exposure]\npath = "{name}.fits"\n')
        assert text in message and f"{name}.fits" in message


def test_exposure_of_another_frame(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps())
    flat_exposure(tmp_path / "exposure.fits", coordsys="C")
    message = fault(tmp_path, exposure=EXPOSURE + 'frame = "galactic"\n')
    assert "the header says the frame is equatorial, the observation says galactic" in message


def test_two_exposures_and_half_an_exposure(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps())
    flat_exposure(tmp_path / "exposure.fits")
    twice = '[[exposure]]\npath = "exposure.fits"\n'
    assert "a second BOTH exposure for 10-30 GeV" in fault(tmp_path, exposure=twice + twice)
    front = twice + 'event_type = "FRONT"\n'
    assert "no BACK exposure" in fault(tmp_path, exposure=front, kind=ObservationError)


def test_time_slices(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps())
    body = COUNTS + "time_met = [0, 10]\n"
    assert "survey 'lat-10gev' has no time slices" in fault(tmp_path, body, kind=ObservationError)
    assert "given for some counts" in fault(tmp_path, body + COUNTS, kind=ObservationError)
    overlap = body + COUNTS + "time_met = [5, 20]\n"
    assert "time slices overlap" in fault(tmp_path, overlap, kind=ObservationError)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"front": np.ones(300, bool), "energy_gev": np.full(300, np.nan)}, "positive energy"),
        ({"lat": np.full(300, 91.0)}, "position"),
        ({"time_s": np.full(300, np.nan)}, "time"),
    ],
)
def test_photons_that_are_none(tmp_path, change, text):
    values = {"lon": LOW[0], "lat": LOW[1], "energy_gev": np.full(300, 12.0), "front": np.ones(300, bool)}
    photon_list(tmp_path / "photons.fits", **{**values, **change})
    assert text in fault(tmp_path, '[[events]]\npath = "photons.fits"\n')


def test_photon_neither_front_nor_back(tmp_path):
    photon_list(tmp_path / "photons.fits", *LOW, np.full(300, 12.0), np.ones(300, bool))
    with fits.open(tmp_path / "photons.fits", mode="update") as hdus:
        types = hdus["EVENTS"].data["EVENT_TYPE"].copy()
        types[4] = False
        hdus["EVENTS"].data["EVENT_TYPE"] = types
    assert "1 photons are not either FRONT or BACK" in fault(tmp_path, '[[events]]\npath = "photons.fits"\n')


def test_survey_that_keeps_types_apart(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps()[:1], edges=[(0.3, 0.5)])
    flat_exposure(tmp_path / "exposure.fits")
    path = tmp_path / "observation.toml"
    path.write_text(HEAD.replace("lat-10gev", "lat-6band") + COUNTS + EXPOSURE)
    with pytest.raises(
        InputError, match=r"event type BOTH, but survey 'lat-6band' keeps FRONT and BACK apart"
    ):
        ingest(load_observation(path))


def test_half_of_both(tmp_path):
    gtbin_cube(tmp_path / "counts.fits", maps())
    text = fault(tmp_path, COUNTS + 'event_type = "FRONT"\n', kind=ObservationError)
    assert "no BACK counts for 10-30 GeV" in text
