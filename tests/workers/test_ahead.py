"""Workers are made ready for what a run will ask of them, and a run that cannot be worked on is refused."""

import shutil
from pathlib import Path

import pytest

from models.characterise.inference import shipped
from models.likelihood.extension import disc_table
from models.likelihood.matched_filter import matched_filter
from models.likelihood.optics import healpix_point_spread
from sky.response import load_response
from sky.survey import get_survey
from sky.tiles import TileGrid
from tests.workers.program import Asidcat
from workers.ahead import Expected, load_networks, make_tables

EXPECTED = Expected("lat-10gev", "P8R3_SOURCE_V3", "matched-filter")


def test_tables_are_those_that_the_stages_take() -> None:
    make_tables(EXPECTED)
    survey, response = get_survey(EXPECTED.survey), load_response(EXPECTED.irfs)
    made = [table.cache_info().misses for table in (healpix_point_spread, matched_filter, disc_table)]
    healpix_point_spread(survey, response)
    matched_filter(survey, response, TileGrid(survey, together=(1, 2)))
    disc_table(survey, response)
    assert made == [table.cache_info().misses for table in (healpix_point_spread, matched_filter, disc_table)]


def test_networks_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    load_networks(EXPECTED)
    monkeypatch.setattr("models.characterise.inference.load_characteriser", None)
    assert {"flux", "real", "position", "class"} <= set(shipped(EXPECTED.survey).networks)


def test_unknown_response_is_refused(asidcat: Asidcat, observation: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad" / "observation.toml"
    shutil.copytree(observation.parent, bad.parent)
    bad.write_text(observation.read_text().replace("[observation]", '[observation]\nirfs = "P9"'))
    line = asidcat("run", bad, status=1)
    assert line.startswith("asidcat: unknown instrument response 'P9'; known: ")
    assert not asidcat.home.exists()
