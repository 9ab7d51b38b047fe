"""What stands beside the catalogue in a release's folder: the raw list, the lineage, HATS, the covered sky."""

import resource
from pathlib import Path

import healpy as hp
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.coordinates import Latitude, Longitude, SkyCoord
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from mocpy import MOC
from sqlalchemy import Engine, text

from catalog.formats.folder import release_folder, write_catalogue_files
from catalog.formats.hats import INDEX, MOST_ROWS, partitions
from catalog.freezing import freeze
from sky.exposure import ExposureMaps
from sky.footprint import FOOTPRINT_ORDER, cells_of_tiles, covered_cells, exposed_tiles
from sky.survey import get_survey
from tests.catalog.small_run import finished_run


@pytest.fixture
def folder(engine: Engine, tmp_path: Path) -> Path:
    with engine.begin() as conn:
        run = finished_run(conn)
        conn.execute(text('UPDATE run SET settings = settings || \'{"threshold": 0.4, "tiles": [0, 1, 2]}\''))
        freeze(conn, "v1", run)
        freeze(conn, "v2", run)
        with release_folder(tmp_path / "r") as partial:
            write_catalogue_files(conn, "v2", partial)
    return tmp_path / "r"


def test_the_raw_list_says_why_a_detection_is_no_source(folder: Path) -> None:
    with fits.open(folder / "asid-v2.fits") as hdus:
        raw, sources = hdus["RawDetections"].data, hdus["LAT_Point_Source_Catalog"].data
    assert len(raw) == 60 > len(sources) > 0
    kept = raw["Source_Name"] != ""
    assert sorted(raw["Source_Name"][kept]) == sorted(sources["Source_Name"])
    assert set(raw["Rejected"][~kept]) == {"below threshold"} and set(raw["Rejected"][kept]) == {""}
    assert raw["Det_Prob"][kept].min() >= 0.4 > raw["Det_Prob"][~kept].max()


def test_the_lineage_names_what_each_source_was(folder: Path) -> None:
    with fits.open(folder / "asid-v2.fits") as hdus:
        lineage, sources = hdus["Lineage"].data, hdus["LAT_Point_Source_Catalog"].data
        provenance = dict(zip(hdus["PROVENANCE"].data["Key"], hdus["PROVENANCE"].data["Value"], strict=True))
    assert provenance["release.predecessor"] == "v1"
    same = lineage[lineage["Same"]]
    assert sorted(same["Source_Name"]) == sorted(sources["Source_Name"])
    assert np.all(same["Source_ID"] == same["Prev_ID"]) and set(same["Prev_Release"]) == {"v1"}
    assert np.all(same["Source_Name"] == same["Prev_Name"]) and np.all(same["Sep"] == 0)


def test_the_covered_sky_is_the_observations_inside_the_runs_tiles(folder: Path) -> None:
    moc = MOC.from_fits(str(folder / "asid-v2-moc.fits"))
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 20_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 20_000)))
    inside = moc.contains_lonlat(Longitude(ra * u.deg), Latitude(dec * u.deg))
    galactic = SkyCoord(ra * u.deg, dec * u.deg).galactic
    tile = hp.ang2pix(8, galactic.l.deg, galactic.b.deg, nest=True, lonlat=True)
    covered = hp.ang2pix(1, ra, dec, nest=True, lonlat=True) < 8  # what the observation of these tests covers
    expected = (tile < 3) & covered
    assert 0 < expected.sum() < 200
    assert np.mean(inside != expected) < 2e-3  # only on the edge, within a cell of 0.23 deg


def test_hats_partitions_hold_what_their_cells_hold(folder: Path) -> None:
    hats = folder / "asid-v2-hats"
    whole = pq.read_table(folder / "asid-v2.parquet")
    rows = [line.split(",") for line in (hats / "partition_info.csv").read_text().split()[1:]]
    found = []
    for order, cell in (map(int, row) for row in rows):
        (path,) = hats.glob(f"dataset/Norder={order}/Dir=*/Npix={cell}.parquet")
        part = pq.read_table(path, partitioning=None)
        index = part[INDEX].to_numpy()
        assert np.all(index >> 2 * (29 - order) == cell) and np.all(np.diff(index) >= 0)
        found += part["Source_Name"].to_pylist()
    assert sorted(found) == sorted(whole["Source_Name"].to_pylist())
    assert pq.read_metadata(hats / "dataset" / "_metadata").num_rows == len(found)
    properties = dict(line.split("=") for line in (hats / "hats.properties").read_text().splitlines())
    assert properties["hats_nrows"] == str(len(found)) and properties["hats_col_healpix"] == INDEX


@given(st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_partitions_cover_all_rows_once_and_none_is_too_large(seed: int, crowds: int) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 12 * 4**29, crowds)
    crowd = np.repeat(centres, MOST_ROWS // 3) + rng.integers(0, 4**12, crowds * (MOST_ROWS // 3))
    cells = np.sort(np.minimum(np.concatenate([crowd, rng.integers(0, 12 * 4**29, 1000)]), 12 * 4**29 - 1))
    parts = list(partitions(cells))
    assert [part[2] for part in parts] == [0, *(part[3] for part in parts[:-1])] and parts[-1][3] == len(
        cells
    )
    for order, cell, first, last in parts:
        assert last - first <= MOST_ROWS
        assert np.all(cells[first:last] >> 2 * (29 - order) == cell)


def test_the_footprint_is_where_the_exposure_is() -> None:
    values = np.zeros((3, 1, 12 * 4**5))
    glat = hp.pix2ang(32, np.arange(12 * 4**5), nest=True, lonlat=True)[1]
    values[1, 0, glat > 30] = 1e11
    exposure = ExposureMaps(get_survey("lat-10gev"), 5, values)
    covered = covered_cells(exposure)
    assert covered.mean() == pytest.approx(0.25, abs=0.02)  # (1 - sin 30 deg) / 2
    ra, dec = hp.pix2ang(2**FOOTPRINT_ORDER, np.flatnonzero(covered), nest=True, lonlat=True)
    assert SkyCoord(ra * u.deg, dec * u.deg).galactic.b.deg.min() > 30 - 2
    tiles = exposed_tiles(exposure)
    assert not np.any(covered & ~cells_of_tiles(tiles))
    assert hp.pix2ang(8, tiles, nest=True, lonlat=True)[1].min() > 30 - 8


def test_a_disk_without_room_leaves_nothing_behind(engine: Engine, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with engine.begin() as conn:
        freeze(conn, "v1", finished_run(conn))
        try:
            with pytest.raises(OSError, match="File too large"), release_folder(tmp_path / "r") as partial:
                resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
                write_catalogue_files(conn, "v1", partial)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
