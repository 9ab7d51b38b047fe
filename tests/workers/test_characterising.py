"""The stage `characterise` with networks: every detection gets what they say of its own cut-out."""

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from sqlalchemy import Connection, Engine, text

from catalog import ledger, store
from models.characterise import characterise_networks, shipped
from models.characterise.inference import shipped as loaded_networks
from models.characterise.networks import Characteriser, CharacteriserConfig
from models.cutouts import cut_tile
from models.likelihood import Detections, Surroundings, measure
from sky.ingest import IngestedSky, ingest
from sky.observation import load_observation
from sky.response import load_response
from sky.survey import get_survey
from sky.tiles import N_TILES, TileGrid
from tests.workers.synthetic import write_observation
from workers.cubes import cube_folder
from workers.networks import NetworkChoiceError, models_used, network_settings
from workers.plan import plan, tile_batches
from workers.settings import Settings
from workers.tasks import work_on

SURVEY, TILES = "lat-10gev", [0, 3]
FLAT = {"x": [0.0, 10.0], "y": [0.0, 0.0]}
WIDTHS = {"x": [0.0, 10.0], "y": [1.0, 1.0]}


def untrained_card(kind: str, bands: int) -> dict[str, Any]:
    """A card that changes nothing of what the network says."""
    calibrations: dict[str, Any] = {
        "flux": {"move": [FLAT] * (1 + bands), "widen": [WIDTHS] * (1 + bands)},
        "position": {"radius_68": WIDTHS, "radius_95": {"x": [0.0, 10.0], "y": [1.6, 1.6]}},
        "real": {"intercept": 0.0, "slope": 1.0},
        "class": {
            name: {"slope": 1.0, "bias": [0.0] * 5}
            for name in ("full", "blind", "no_years", "no_years_blind")
        },
    }
    config = CharacteriserConfig(kind, SURVEY, 1)
    shifts = {"value": [[0.125] * 3] * 3}
    trained_to = {"log_flux": 100.0, "sqrt_ts": 1e6}
    return {
        "network": config.to_dict(),
        "calibration": calibrations[kind],
        "systematics": shifts,
        "trained_to": trained_to,
        "operating_threshold": 0.5,
    }


@pytest.fixture
def untrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Networks as they are before training, in the place of those that come with the program."""
    torch.manual_seed(5)
    for kind in shipped.NEEDED:
        path = tmp_path / f"characterise-{kind}-{SURVEY}.safetensors"
        save_file(Characteriser(CharacteriserConfig(kind, SURVEY, 1)).state_dict(), path)
        path.with_suffix(".json").write_text(json.dumps(untrained_card(kind, 3)))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    loaded_networks.cache_clear()
    yield tmp_path
    loaded_networks.cache_clear()


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, IngestedSky]:
    home = tmp_path_factory.mktemp("characterising")
    found = ingest(load_observation(write_observation(home / "sky")))
    found.save(cube_folder(home, found.content_sha256))
    return home, found


def finished(
    engine: Engine,
    database_url: str,
    sky: tuple[Path, IngestedSky],
    settings: dict[str, Any],
    tiles: list[int],
) -> int:
    """A run of some tiles in one batch, done in this process."""
    home, found = sky
    with engine.begin() as conn:
        observation = store.register_observation(
            conn,
            name="synthetic",
            survey=SURVEY,
            irfs="P8R2_SOURCE_V6",
            content_sha256=found.content_sha256,
            total_counts=1,
            manifest={},
        )
        common = {"references": [], "threshold": 0.5, **settings}
        run = ledger.create_run(
            conn, observation, detector="matched-filter", seed=1, settings=common, software={}
        )
        for stage, batches in plan(tile_batches(tiles, 2), np.ones(N_TILES, np.int64)).items():
            ledger.plan_stage(conn, run, stage, batches)
        ledger.advance(conn, run)
        queue = ledger.due_items(conn, run)
    plain = Settings(home=home, database_url=database_url, broker_url="memory://", max_attempts=1)
    while queue:
        work_on(plain, queue.pop(), queue.extend)
    with engine.connect() as conn:
        assert ledger.run_state(conn, run).status == "done"
    return run


def probable(conn: Connection, run: int) -> pd.DataFrame:
    """The detections that can be released."""
    rows = store.read_detections(conn, run, 0.5, len(get_survey(SURVEY).planes))
    return pd.DataFrame(rows | {"background_sr": list(rows["background_sr"])})


def test_what_is_too_improbable_is_kept_as_found_and_changes_no_source(
    engine: Engine, database_url: str, sky: tuple[Path, IngestedSky]
) -> None:
    run = finished(engine, database_url, sky, {"class_network": None}, TILES)
    with engine.connect() as conn:
        found, rows = store.read_detections(conn, run), probable(conn, run)
        measured = store.read_measurements(conn, run)
    assert 0.1 <= found["det_prob"].min() < 0.5 and len(rows) < len(found)
    assert measured["detection_id"].tolist() == rows["id"].tolist()
    alone = Detections(
        **{f.name: rows[f.name].to_numpy() for f in fields(Detections) if f.name != "background_sr"},
        background_sr=np.array(rows["background_sr"].to_list()),
    )
    cube, exposure = sky[1].cube, sky[1].exposure
    around = Surroundings.of(alone, np.arange(len(alone)), cube, exposure, load_response(sky[1].irfs))
    expected = measure(around, exposure)
    for name in ("glon_deg", "glat_deg", "flux_cm2_s", "signif_avg"):
        np.testing.assert_allclose(measured[name], getattr(expected, name), rtol=1e-12, err_msg=name)


@pytest.mark.usefixtures("untrained")
def test_each_source_gets_what_the_networks_say_of_it(
    engine: Engine, database_url: str, sky: tuple[Path, IngestedSky]
) -> None:
    run = finished(engine, database_url, sky, network_settings(SURVEY), TILES)
    with engine.connect() as conn:
        rows = probable(conn, run)
        query = "SELECT n.* FROM network_measurement n JOIN detection d ON d.id = n.detection_id"
        said = {row.detection_id: row for row in conn.execute(text(query))}
        classes = {
            (row.detection_id, row.variant): row
            for row in conn.execute(text("SELECT * FROM class_probability"))
        }
        bands = conn.scalar(text("SELECT count(*) FROM network_band_flux"))
    assert set(said) == set(rows["id"]) and set(rows["tile"]) == set(TILES)
    assert bands == 3 * len(rows) and len(classes) == 2 * len(rows)
    cube, exposure = sky[1].cube, sky[1].exposure
    for row in rows.itertuples():
        place = [row.glon_deg], [row.glat_deg]
        alone = cut_tile(cube, exposure, TileGrid(cube.survey), row.tile, 1, *place)
        expected = characterise_networks(alone, cube.survey)
        stored = said[row.id]
        assert stored.prob_real == pytest.approx(expected.prob_real[0], rel=1e-4)
        assert stored.flux_cm2_s == pytest.approx(expected.flux_cm2_s[0], rel=1e-3)
        assert stored.glat_deg == pytest.approx(expected.glat_deg[0], abs=1e-5)
        assert stored.sys_class == 0.125
        full = classes[row.id, "full"]
        np.testing.assert_allclose(full[2:], expected.class_prob[0], rtol=1e-3)


def test_a_run_without_networks_has_no_such_rows(
    engine: Engine, database_url: str, sky: tuple[Path, IngestedSky]
) -> None:
    run = finished(engine, database_url, sky, {"class_network": None}, TILES[:1])
    with engine.connect() as conn:
        assert len(store.read_measurements(conn, run)) > 0
        assert conn.scalar(text("SELECT count(*) FROM extension")) == len(probable(conn, run))
        for table in ("network_measurement", "network_band_flux", "class_probability"):
            assert conn.scalar(text(f"SELECT count(*) FROM {table}")) == 0


@pytest.mark.usefixtures("untrained")
def test_what_a_run_uses_is_known_by_its_content() -> None:
    used = list(models_used(SURVEY, "unet", "cutouts"))
    assert [name for _, name, _ in used] == [
        f"localise-{SURVEY}",
        *(f"characterise-{kind}-{SURVEY}" for kind in ("class", "flux", "position", "real")),
    ]
    assert len({sha256 for sha256, _, _ in used}) == 5
    assert used[1][2]["network"]["kind"] == "class"
    counts_alone = [name for _, name, _ in models_used("lat-6band", "unet-counts", None)]
    assert counts_alone == ["localise-counts-lat-6band"]


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("choice", "fault"),
    [
        ({"class_network": "oracle"}, "unknown class network 'oracle'; known: cutouts, cubes"),
        ({"class_network": "cubes"}, "no trained class network 'cubes' for survey 'lat-10gev'"),
    ],
)
def test_class_networks_that_are_not_there(choice: dict[str, Any], fault: str) -> None:
    with pytest.raises(NetworkChoiceError, match=fault):
        network_settings(SURVEY, **choice)


def test_a_survey_without_networks_uses_none(untrained: Path) -> None:
    for kind in shipped.NEEDED:
        (untrained / f"characterise-{kind}-{SURVEY}.safetensors").unlink()
    assert network_settings(SURVEY) == {"class_network": None}
    with pytest.raises(NetworkChoiceError, match="no trained class network for survey"):
        network_settings(SURVEY, blind=True)
