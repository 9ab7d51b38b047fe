"""`observation.toml`: what it may say, and the one line that says what is wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sky.observation import ObservationError, load_observation
from sky.survey import get_survey
from tests.sky.fits_files import flat_exposure

GOOD = """
[observation]
name = "lat-8yr-10gev"
survey = "lat-10gev"
tstart = 239557417.0
tstop = 498694560.0

[[counts]]
path = "a.fits"
energy_gev = [10, 30]
event_type = "FRONT"
time_met = [239557417.0, 271093417.0]

[[events]]
path = "sub/photons.fits"

[exposure]
path = "a.fits"
event_type = "BOTH"
frame = "galactic"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    flat_exposure(tmp_path / "a.fits")
    flat_exposure(tmp_path / "sub" / "photons.fits")
    return tmp_path


def load(folder, text: str):
    (folder / "observation.toml").write_text(text)
    return load_observation(folder / "observation.toml")


def test_all_that_can_be_said(folder):
    manifest = load(folder, GOOD)
    assert manifest.name == "lat-8yr-10gev" and manifest.survey == get_survey("lat-10gev")
    assert (manifest.tstart_met_s, manifest.tstop_met_s) == (239557417.0, 498694560.0)
    assert manifest.irfs == "P8R2_SOURCE_V6"
    (counts,), (events,), (exposure,) = manifest.counts, manifest.events, manifest.exposure
    assert counts.path == folder / "a.fits" and events.path == folder / "sub" / "photons.fits"
    assert counts.energy_gev == (10, 30) and counts.event_type == "FRONT"
    assert counts.time_met == (239557417.0, 271093417.0)
    assert exposure.frame == "galactic" and exposure.event_type == "BOTH"
    assert manifest.document["observation"]["name"] == "lat-8yr-10gev"


def test_other_irfs_and_several_exposures(folder):
    text = GOOD.replace("tstop =", 'irfs = "P8R3_SOURCE_V3"\ntstop =').replace("[exposure]", "[[exposure]]")
    manifest = load(folder, text + '[[exposure]]\npath = "a.fits"\n')
    assert manifest.irfs == "P8R3_SOURCE_V3" and len(manifest.exposure) == 2


def test_paths_are_relative_to_the_file(folder, monkeypatch):
    (folder / "observation.toml").write_text(GOOD)
    monkeypatch.chdir(folder / "sub")
    assert load_observation("../observation.toml").counts[0].path.samefile(folder / "a.fits")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('name = "lat-8yr-10gev"', "", "'observation.name' is missing"),
        ('"lat-8yr-10gev"', '"a b"', "observation.name"),
        ('"lat-8yr-10gev"', '"../up"', "observation.name"),
        ('"lat-8yr-10gev"', '""', "observation.name"),
        ('"lat-8yr-10gev"', "7", "observation.name"),
        ('"lat-10gev"', '"lat-11gev"', "unknown survey 'lat-11gev'; known: lat-10gev, lat-6band"),
        ("tstart = 239557417.0", "tstart = 498694561.0", "tstop must be later than tstart"),
        ("tstart = 239557417.0", "tstart = nan", "observation.tstart"),
        ("tstart = 239557417.0", "tstrat = 1.0", "unknown key 'observation.tstrat'"),
        ("[10, 30]", "[30, 10]", "ascending"),
        ("[10, 30]", "[10]", "two numbers"),
        ("[10, 30]", '"10-30"', "two numbers"),
        ("[10, 30]", "[-1, 30]", "not negative"),
        ("[10, 30]", "[10, inf]", "finite"),
        ('"FRONT"', '"PSF3"', "counts.0.event_type: Input should be 'FRONT', 'BACK' or 'BOTH', not 'PSF3'"),
        ('"galactic"', '"ecliptic"', "exposure.0.frame"),
        ('path = "sub/photons.fits"', "", "'events.0.path' is missing"),
        ('"sub/photons.fits"', '"sub/none.fits"', "none.fits: no such file"),
        ('"sub/photons.fits"', '"sub"', "sub: no such file"),
        ("[[events]]", "[[photons]]", "unknown key 'photons'"),
        ("[exposure]", "[other]", "'exposure' is missing"),
        ("[[events]]", "[events]", "events"),
        ("[observation]", "[observation", "not a TOML file"),
    ],
)
def test_one_line_names_file_and_fault(folder, old, new, text):
    assert old in GOOD
    with pytest.raises(ObservationError) as caught:
        load(folder, GOOD.replace(old, new, 1))
    message = str(caught.value)
    assert text in message and "\n" not in message
    assert "observation.toml" in message


def test_neither_counts_nor_events(folder):
    head, _, tail = GOOD.partition("[[counts]]")
    with pytest.raises(ObservationError, match=r"neither \[\[counts\]\] nor \[\[events\]\]"):
        load(folder, head + tail[tail.index("[exposure]") :])


def test_file_that_cannot_be_read(folder):
    with pytest.raises(ObservationError, match="no such file"):
        load_observation(folder / "none.toml")
    with pytest.raises(ObservationError, match="sub"):
        load_observation(folder / "sub")
    (folder / "binary.toml").write_bytes(bytes(range(256)))
    with pytest.raises(ObservationError, match="not a TOML file"):
        load_observation(folder / "binary.toml")


@settings(max_examples=60)
@given(st.text(max_size=300))
def test_any_text_is_refused_in_one_line(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("toml") / "observation.toml"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(ObservationError) as caught:
        load_observation(path)
    assert len(str(caught.value).splitlines()) == 1
