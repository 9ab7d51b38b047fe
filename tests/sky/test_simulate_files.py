import shutil
import tomllib

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from sky.ingest import ingest
from sky.observation import load_observation
from sky.simulate import SimulationError, synthetic_sky
from sky.simulate_files import write_sky
from sky.survey import Survey, get_survey
from workers.cli import app

HARD = get_survey("lat-10gev")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    sky = synthetic_sky(HARD, 21)
    return sky, write_sky(sky, tmp_path_factory.mktemp("sky"))


def test_a_sky_is_read_like_a_real_observation(written):
    sky, path = written
    taken = ingest(load_observation(path))
    assert taken.irfs == "P8R2_SOURCE_V6"
    for plane in range(3):
        drawn = next(sky.draw_counts(plane))
        ipix, counts = taken.cube.plane(plane).sparse()
        filled = np.flatnonzero(drawn)
        assert np.array_equal(ipix, filled) and np.array_equal(counts, drawn[filled])
    # The real exposure of these bands: 3.68e11 cm2 s at 10 GeV, 3.79e11 between 35 and 65 GeV.
    assert taken.exposure.map(0).mean() == pytest.approx(3.67e11, rel=0.01)
    assert taken.exposure.map(1).mean() == pytest.approx(3.77e11, rel=0.01)


def test_the_truth_says_what_was_drawn(written):
    sky, path = written
    truth = fits.getdata(path.parent / "truth.fits", 1)
    assert len(truth) == len(sky.sources)
    assert truth["Flux_Band"].shape == truth["Npred_Band"].shape == (len(truth), 3)
    assert truth["Flux10000"] == pytest.approx(sky.sources.spectrum.photon_flux(10, 1000)[:, 0], rel=1e-5)
    exposure = ingest(load_observation(path)).exposure
    bright = slice(0, 50)
    at = exposure.at(0, truth["GLON"][bright], truth["GLAT"][bright])
    assert truth["Npred_Band"][bright, 0] == pytest.approx(truth["Flux_Band"][bright, 0] * at, rel=0.02)
    assert set(truth["CLASS1"]) == {"bll", "fsrq", "psr", "pwn"}
    assert np.all(np.diff(truth["Flux1000"]) <= 0)


def test_the_same_seed_gives_the_same_bytes(written, tmp_path):
    _, path = written
    again = write_sky(synthetic_sky(HARD, 21), tmp_path / "again")
    names = sorted(p.name for p in path.parent.iterdir())
    assert names == sorted(p.name for p in again.parent.iterdir())
    for name in names:
        assert (path.parent / name).read_bytes() == (again.parent / name).read_bytes(), name


def test_years_are_time_slices_of_the_observation(tmp_path):
    # The real survey has six bands and ten years; its two lowest bands and three slices take the same path.
    six = get_survey("lat-6band")
    few = Survey(**{**vars(six), "bands": six.bands[:2], "tile_pixels_per_10deg": (16, 16), "time_slices": 3})
    sky = synthetic_sky(few, 22, slices=3)
    path = write_sky(sky, tmp_path / "years")
    manifest = load_observation(path).model_copy(update={"survey": few})
    taken = ingest(manifest)
    assert len(taken.cube.slices_met_s) == 3
    for s, drawn in enumerate(sky.draw_counts(1)):
        assert taken.cube.maps[0, "BACK", s].total() == drawn.sum()
    truth = fits.getdata(path.parent / "truth.fits", 1)
    assert truth["Flux_History"].mean(axis=1) == pytest.approx(truth["Flux1000"], rel=1e-4)


def test_a_folder_that_is_not_empty_is_left_alone(written, tmp_path):
    sky, _ = written
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SimulationError, match="is not empty"):
        write_sky(sky, tmp_path)
    with pytest.raises(SimulationError, match="no synthetic sky that might be replaced"):
        write_sky(sky, tmp_path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_synthetic_sky_is_replaced_only_when_asked_to(written, tmp_path):
    sky, path = written
    copy = shutil.copytree(path.parent, tmp_path / "sky")
    (copy / "stale.txt").write_text("old")
    with pytest.raises(SimulationError, match="--overwrite replaces it"):
        write_sky(sky, copy)
    write_sky(sky, copy, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["sky"]
    assert sorted(p.name for p in copy.iterdir()) == sorted(p.name for p in path.parent.iterdir())


def test_a_full_disk_is_said_before_and_leaves_nothing(written, tmp_path, monkeypatch):
    sky, _ = written
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(SimulationError, match=r"needs about \d+ MB, 0 MB are free"):
        write_sky(sky, tmp_path / "sky")
    assert not list(tmp_path.iterdir())


def test_a_failure_on_the_way_leaves_nothing(written, tmp_path, monkeypatch):
    sky, _ = written

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sky.simulate_files.write_truth", broken)
    with pytest.raises(OSError, match="No space left"):
        write_sky(sky, tmp_path / "sky")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lat-3band", "--seed", "1"], "unknown survey 'lat-3band'"),
        (["lat-10gev", "--seed", "1", "--emission", "B3"], "unknown emission model 'B3'"),
        (["lat-10gev", "--seed", "1", "--population", "5fgl"], "unknown population '5fgl'"),
        (["lat-10gev", "--seed", "-3"], "seed must be a whole number"),
        (["lat-10gev", "--seed", "1", "--years"], "has 0 time slices"),
        (["lat-10gev", "--seed", "1", "--faintest", "2"], "faintest flux must be in"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, arguments, message):
    result = CliRunner().invoke(app, ["simulate", *arguments, "-o", str(tmp_path / "out")])
    assert isinstance(result.exception, ValueError) and message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_a_seed_that_is_not_a_number_is_wrong_usage(tmp_path):
    result = CliRunner().invoke(app, ["simulate", "lat-10gev", "--seed", "one", "-o", str(tmp_path / "out")])
    assert result.exit_code == 2


def test_the_command_prints_the_observation(tmp_path):
    target = tmp_path / "a sky"
    result = CliRunner().invoke(
        app, ["simulate", "lat-10gev", "--seed", "4", "--population", "4fgl-dr2", "-o", str(target)]
    )
    assert result.exit_code == 0
    written = result.output.strip().splitlines()[-1]
    head = tomllib.loads((target / "observation.toml").read_text())["observation"]
    assert written == str(target / "observation.toml")
    assert head["name"] == "sim-lat-10gev-B1-4fgl-dr2-4"
