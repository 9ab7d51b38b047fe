"""Wide sources go through a run like all others: found, measured, released; without networks and light curves."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import Engine, text

from catalog import store
from catalog.formats.folder import write_catalogue_files
from catalog.freezing import freeze
from catalog.ledger import create_run
from models.detectors import make_detector
from models.likelihood import Detections, Flags
from sky.frames import separation_deg
from sky.response import load_response
from sky.storage import StoredSky
from sky.survey import get_survey
from sky.tiles import TileGrid, owner
from tests.models.known_sky import EXPOSURE_CM2_S, make_sky
from tests.models.test_likelihood_wide import EMISSION_SR
from workers.characterising import characterise_rows
from workers.networks import network_settings

SURVEY, PLACE, POINT, RADIUS_DEG, SEED = get_survey("lat-6band"), (40.0, 8.0), (40.4, 8.3), 1.3, 1


@pytest.fixture(scope="module")
def sky() -> StoredSky:
    """A hard disc, and a point in it."""
    glon, glat = np.array([PLACE, POINT]).T
    known = make_sky(
        glon,
        glat,
        np.array([2500.0, 400.0]) / EXPOSURE_CM2_S,
        np.array([1.7, 2.3]),
        5,
        background_sr=4 * EMISSION_SR,
        disc_deg=np.array([RADIUS_DEG, 0.0]),
        curves=np.ones((2, 2)),
        survey_name=SURVEY.name,
    )
    return StoredSky(known.cube, known.exposure, SURVEY.irfs, "a" * 64)


def test_a_wide_source_is_released_with_its_disc(engine: Engine, sky: StoredSky, tmp_path: Path) -> None:
    tile = int(owner(*PLACE))
    settings = {**network_settings(SURVEY.name), "threshold": 0.3, "references": []}
    detect = make_detector("unet")
    found = detect(sky.cube, sky.exposure, load_response(sky.irfs), TileGrid(SURVEY), [tile], SEED)
    assert (found.disc_deg > 0).sum() == 1
    with engine.begin() as conn:
        observation = store.register_observation(
            conn,
            name="synthetic",
            survey=SURVEY.name,
            irfs=SURVEY.irfs,
            content_sha256=sky.content_sha256,
            total_counts=1,
            manifest={},
            slices_met_s=sky.cube.slices_met_s,
        )
        run = create_run(conn, observation, detector="unet", seed=SEED, settings=settings, software={})
        store.write_detections(conn, run, [tile], found)
        columns = store.read_detections(conn, run, 0.3, len(SURVEY.planes))
        ids = columns.pop("id")
        listed = Detections(**columns)
        rows = np.arange(len(listed))
        characterise_rows(sky, listed, rows, ids, SEED, settings, "unet")(conn)
        conn.execute(text("UPDATE run SET status = 'done', finished_at = now()"))
        freeze(conn, "v1", run)
        write_catalogue_files(conn, "v1", tmp_path)
    table = fits.getdata(tmp_path / "asid-v1.fits", "LAT_Point_Source_Catalog")
    wide = (table["Flags"] & Flags.WIDE) > 0
    assert wide.sum() == 1 and len(table) > 1
    source, others = table[wide][0], table[~wide]
    assert separation_deg(source["GLON"], source["GLAT"], *PLACE) < 0.25
    assert source["Extended_Source_Name"] == source["Source_Name"]
    assert 1.0 <= source["Ext_Radius"] <= 1.6 and source["Flux_Method"] == "likelihood"
    assert source["Flux1000"] == pytest.approx(2500 / EXPOSURE_CM2_S, rel=0.3)
    for name in ("Prob_Real", "Variability_Index", "Flux_Network"):
        assert np.isnan(source[name]) and np.isfinite(others[name]).all(), name
    assert np.isnan(source["Flux_History"]).all() and np.isfinite(others["Flux_History"]).any()
    extended = fits.getdata(tmp_path / "asid-v1.fits", "ExtendedSources")
    assert source["Source_Name"] in extended["Source_Name"]
    near = separation_deg(others["GLON"], others["GLAT"], *POINT)
    assert near.min() < 0.05
    inside = separation_deg(others["GLON"], others["GLAT"], *PLACE)
    assert ((others["Flags"] & Flags.IN_WIDE) > 0)[inside < 0.9].all() and (inside < 0.9).any()
    assert not (others["Flags"] & Flags.IN_WIDE)[inside > 2.0].any()
