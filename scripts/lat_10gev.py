"""The real LAT sky above 10 GeV as an observation: 8.2 years of public photons and their exposure."""

from pathlib import Path

from sky.data import data_path

NAME = "lat-8yr-10gev"
BANDS_GEV = ((10, 30), (30, 100), (100, 2000))
COUNTS = "photons/lat_8yr_counts_{}_{}GeV_nside1024.fits.gz"
EXPOSURE = "exposure/lat_8yr_exposure_nside32.fits.gz"
# First and last second of the exposure's good time intervals: 2008-08-04 to 2016-10-20.
INTERVAL_MET_S = (239557417.0, 498643328.6)


def write_observation(path: Path) -> Path:
    """Write ``observation.toml`` for the public files; returns its path."""
    lines = ["[observation]", f'name = "{NAME}"', 'survey = "lat-10gev"']
    lines += [f"{key} = {value}" for key, value in zip(("tstart", "tstop"), INTERVAL_MET_S, strict=True)]
    for low, high in BANDS_GEV:
        file = data_path(COUNTS.format(low, high)).as_posix()
        lines += ["", "[[counts]]", f'path = "{file}"', f"energy_gev = [{low}, {high}]"]
    # The file's header does not say its frame.
    lines += ["", "[exposure]", f'path = "{data_path(EXPOSURE).as_posix()}"', 'frame = "galactic"', ""]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))
    return path
