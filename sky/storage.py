"""A sky on disk: one folder of plain arrays, memory-mapped by every worker, complete or not there at all."""

import hashlib
import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sky.counts import CountsCube, HealpixCounts
from sky.exposure import ExposureMaps
from sky.survey import get_survey

FORMAT = 1
STALE_S = 3600.0  # writing takes seconds


class StoredSkyError(OSError):
    """A folder that holds no sky this program can read."""


@dataclass(frozen=True)
class StoredSky:
    """What `load_sky` gives back.

    Attributes
    ----------
    cube : CountsCube
    exposure : ExposureMaps
    irfs : str
    content_sha256 : str
    """

    cube: CountsCube
    exposure: ExposureMaps
    irfs: str
    content_sha256: str


def content_sha256(cube: CountsCube, exposure: ExposureMaps, irfs: str) -> str:
    """Checksum of what a catalogue is made from: photons, bands, time slices, exposure, response.

    It does not depend on how the files were written (compression, RING or NESTED, one file or many).
    """
    survey = cube.survey
    head = {
        "survey": survey.name,
        "irfs": irfs,
        "bands": [[b.emin_gev, b.emax_gev, b.order] for b in survey.bands],
        "event_types": survey.event_types,
        "slices": cube.slices_met_s,
        "exposure": exposure.values_cm2_s.shape,
    }
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for key in cube.all_keys():
        ipix, values = cube.maps[key].sparse()
        digest.update(np.int64(ipix.size).astype("<i8").tobytes())
        digest.update(ipix.astype("<i8").tobytes())
        digest.update(values.astype("<i8").tobytes())
    # single precision: the last bits of a sum depend on the machine, the exposure is known to percents
    digest.update(exposure.values_cm2_s.astype("<f4").tobytes())
    return digest.hexdigest()


def save_sky(folder: Path, cube: CountsCube, exposure: ExposureMaps, irfs: str, sha256: str) -> None:
    """Write a sky to a folder, which appears whole or not at all; one that is there is left as it is."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}.*.partial"):  # of a process that was killed
        if left.stat().st_mtime < time.time() - STALE_S:
            shutil.rmtree(left, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        maps = [cube.maps[key] for key in cube.all_keys()]
        ipix = [m.ipix if m.ipix is not None else np.empty(0, np.int64) for m in maps]
        np.save(partial / "ipix.npy", np.concatenate(ipix))
        np.save(partial / "counts.npy", np.concatenate([m.values for m in maps]))
        np.save(partial / "exposure.npy", exposure.values_cm2_s)
        head = {
            "format": FORMAT,
            "content_sha256": sha256,
            "survey": cube.survey.name,
            "irfs": irfs,
            "slices_met_s": cube.slices_met_s,
            "exposure_order": exposure.order,
            "maps": [[len(i), len(m.values)] for i, m in zip(ipix, maps, strict=True)],
        }
        (partial / "sky.json").write_text(json.dumps(head, indent=1))
        partial.chmod(0o755)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.exists():  # else another process has just written the same sky
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def load_sky(folder: str | Path) -> StoredSky:
    """Open a sky written by `save_sky`; the counts stay on disk until they are used.

    Raises
    ------
    StoredSkyError
        If there is none, or it is of another format.
    """
    folder = Path(folder)
    try:
        head = json.loads((folder / "sky.json").read_text())
        if head["format"] != FORMAT:
            raise StoredSkyError(f"{folder}: a sky of format {head['format']}, this program reads {FORMAT}")
        # as plain arrays: every slice of a `memmap` costs microseconds, and tiles take thousands
        ipix = np.asarray(np.load(folder / "ipix.npy", mmap_mode="r"))
        counts = np.asarray(np.load(folder / "counts.npy", mmap_mode="r"))
        exposure = np.load(folder / "exposure.npy")
    except FileNotFoundError as error:
        raise StoredSkyError(f"{folder}: no stored sky ({Path(error.filename).name} is missing)") from None
    except (ValueError, KeyError) as error:
        raise StoredSkyError(f"{folder}: not a stored sky ({error})") from None
    survey = get_survey(head["survey"])
    slices = tuple((start, stop) for start, stop in head["slices_met_s"])
    keys = [(b, t, s) for b, t in survey.planes for s in range(max(1, len(slices)))]
    maps = {}
    first_pixel = first_count = 0
    for key, (n_pixels, n_counts) in zip(keys, head["maps"], strict=True):
        pixels = ipix[first_pixel : first_pixel + n_pixels]
        values = counts[first_count : first_count + n_counts]
        order = survey.bands[key[0]].order
        dense = n_pixels != n_counts
        maps[key] = HealpixCounts(order, None if dense else pixels, values)
        first_pixel, first_count = first_pixel + n_pixels, first_count + n_counts
    return StoredSky(
        cube=CountsCube(survey, maps, slices),
        exposure=ExposureMaps(survey, head["exposure_order"], exposure),
        irfs=head["irfs"],
        content_sha256=head["content_sha256"],
    )
