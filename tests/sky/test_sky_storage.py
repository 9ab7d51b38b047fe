"""A stored sky comes back as it was, and is there wholly or not at all."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from sky.counts import HealpixCounts
from sky.ingest import IngestedSky, ingest
from sky.storage import StoredSkyError, content_sha256, load_sky, save_sky
from sky.survey import get_survey
from tests.sky.fits_files import dense, gammapy_map, gtbin_cube, observation, photons

LOW, HIGH = photons(3000, 1), photons(900, 2)


@pytest.fixture
def sky(tmp_path) -> IngestedSky:
    """A sky of the real survey, so that it can be opened by name; one map dense, two sparse."""
    survey = get_survey("lat-10gev")
    whole = np.zeros(12 << 20, np.int32)
    whole[5::4999] = 3
    gtbin_cube(tmp_path / "counts.fits", [dense(5, *p, nest=False) for p in (LOW, HIGH)])
    small = ingest(observation(tmp_path, '[[counts]]\npath = "counts.fits"\n'))
    maps = {
        (0, "BOTH", 0): HealpixCounts(10, None, whole),
        (1, "BOTH", 0): HealpixCounts.from_pixels(10, np.arange(0, 12 << 20, 1001)),
        (2, "BOTH", 0): HealpixCounts.from_pixels(10, []),
    }
    cube = type(small.cube)(survey, maps)
    exposure = type(small.exposure)(survey, 2, np.random.default_rng(1).uniform(1, 2, (3, 1, 192)))
    sha256 = content_sha256(cube, exposure, small.irfs)
    return IngestedSky(small.manifest, cube, exposure, small.files, sha256, None)


def test_round_trip(sky, tmp_path):
    sky.save(tmp_path / "store" / "sky")
    back = load_sky(tmp_path / "store" / "sky")
    assert back.content_sha256 == sky.content_sha256 and back.irfs == sky.irfs
    assert back.cube.slices_met_s == () and back.cube.survey == sky.cube.survey
    for key, counts in sky.cube.maps.items():
        assert (back.cube.maps[key].ipix is None) == (counts.ipix is None)
        np.testing.assert_array_equal(back.cube.maps[key].sparse(), counts.sparse())
    np.testing.assert_array_equal(back.exposure.values_cm2_s, sky.exposure.values_cm2_s)
    assert content_sha256(back.cube, back.exposure, back.irfs) == sky.content_sha256
    assert [p.name for p in (tmp_path / "store").iterdir()] == ["sky"]


def test_saving_again_changes_nothing(sky, tmp_path):
    sky.save(tmp_path / "sky")
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "sky").iterdir()}
    sky.save(tmp_path / "sky")
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "sky").iterdir()} == before


def test_killed_while_saving_leaves_no_sky(sky, tmp_path):
    """A process killed after the first array: no folder of that name, and the next save succeeds."""
    program = """
        import os, signal, sys
        from pathlib import Path
        import numpy as np
        from sky import storage
        from sky.storage import load_sky, save_sky
        sky = load_sky(sys.argv[1])
        save = np.save
        def save_and_die(*args):
            save(*args)
            os.kill(os.getpid(), signal.SIGKILL)
        storage.np.save = save_and_die
        save_sky(Path(sys.argv[2]), sky.cube, sky.exposure, sky.irfs, sky.content_sha256)
    """
    sky.save(tmp_path / "first")
    target = tmp_path / "store" / "sky"
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "first"), str(target)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = target.parent.iterdir()
    os.utime(left, (1e9, 1e9))
    save_sky(target, sky.cube, sky.exposure, sky.irfs, sky.content_sha256)
    assert load_sky(target).content_sha256 == sky.content_sha256
    assert list(target.parent.iterdir()) == [target]


def test_folders_that_are_no_sky(sky, tmp_path):
    with pytest.raises(StoredSkyError, match=r"no stored sky \(sky.json is missing\)"):
        load_sky(tmp_path / "none")
    sky.save(tmp_path / "sky")
    head = json.loads((tmp_path / "sky" / "sky.json").read_text())
    (tmp_path / "sky" / "sky.json").write_text(json.dumps(head | {"format": 99}))
    with pytest.raises(StoredSkyError, match="format 99"):
        load_sky(tmp_path / "sky")
    (tmp_path / "sky" / "sky.json").write_text("{")
    with pytest.raises(StoredSkyError, match="not a stored sky"):
        load_sky(tmp_path / "sky")


def checksum(folder, write, **change) -> str:
    folder.mkdir()
    write(folder / "counts.fits")
    manifest = observation(folder, '[[counts]]\npath = "counts.fits"\n')
    return ingest(manifest.model_copy(update=change)).content_sha256


def test_checksum_is_of_the_content_alone(tmp_path):
    ring = [dense(5, *p, nest=False) for p in (LOW, HIGH)]
    nested = [dense(5, *p) for p in (LOW, HIGH)]
    first = checksum(tmp_path / "ring", lambda path: gtbin_cube(path, ring))
    assert first == checksum(tmp_path / "nested", lambda path: gtbin_cube(path, nested, nest=True))
    assert first == checksum(tmp_path / "sparse", lambda path: gammapy_map(path, nested, scheme="SPARSE"))
    one_more = [ring[0].copy(), ring[1]]
    one_more[0][100] += 1
    assert first != checksum(tmp_path / "more", lambda path: gtbin_cube(path, one_more))
    assert first != checksum(tmp_path / "irfs", lambda path: gtbin_cube(path, ring), irfs="P8R3_SOURCE_V3")
