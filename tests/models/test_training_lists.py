"""Lists that the survey's detector makes of training skies, and the network that is taught with them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.characterise.inference import load_characteriser
from models.characterise.networks import CharacteriserConfig
from models.cutouts import FAKE, SIZE_PX
from models.likelihood import Detections
from models.shipped import NetworkError
from models.training import whole
from models.training.characterise import FitConfig, fit_network
from models.training.drawn_sky import Truths, inside_blocks
from models.training.lists import (
    BORDER_DEG,
    ListConfig,
    draw_lists,
    list_file,
    list_sky,
    list_truth,
    load_lists,
)
from models.training.pool import load_cutouts
from models.training.seeds import sky_rng
from models.training.state import TrainingError
from sky.readers.files import file_sha256
from sky.survey import get_survey
from sky.tiles import TileGrid, owner

SURVEY = get_survey("lat-10gev")
# One block of a sky of the training split, and another of the validation split.
FEW = ListConfig(seed=7, split="train", skies=1, every=48)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training's folder with the lists of one block of tiles."""
    out = tmp_path_factory.mktemp("lists")
    draw_lists(SURVEY, FEW, out, str)
    return out


def test_lists_hold_the_detectors_sources_and_its_fakes(folder: Path) -> None:
    cutouts, truth = load_cutouts(list_file(folder, SURVEY, FEW, 0))
    assert len(cutouts) == len(truth) > 60
    assert cutouts.counts.shape[1:] == (len(SURVEY.planes), SIZE_PX, SIZE_PX)
    assert bool(cutouts.covered.all())
    # All in the block that was searched, away from its border.
    lon, lat = cutouts.glon_deg.numpy(), cutouts.glat_deg.numpy()
    assert owner(lon, lat).max() < 16
    assert inside_blocks(lon, lat, range(16), BORDER_DEG).all()
    # A generous threshold: sources and the detector's own fakes, many of either.
    assert 0.2 < float(truth.real.float().mean()) < 0.8
    assert torch.equal(truth.real, truth.class_code != FAKE)
    assert bool((truth.limit_sigma[truth.real] >= 3).all())
    # Detections lie where the sources are: bright ones within a pixel of 0.08 degrees.
    bright = truth.limit_sigma > 8
    assert int(bright.sum()) >= 8
    assert float(truth.shift_px[bright].norm(dim=1).median()) < 1.0
    # More photons in the middle of sources than of fakes.
    middle = cutouts.counts[:, 0, 4:7, 4:7].sum((1, 2))
    assert middle[truth.real].mean() > 1.5 * middle[~truth.real].mean()


def test_searched_skies_are_searched_once_and_are_the_same_again(folder: Path, tmp_path: Path) -> None:
    path = list_file(folder, SURVEY, FEW, 0)
    before, lines = path.stat().st_mtime_ns, list[str]()
    draw_lists(SURVEY, FEW, folder, lines.append)
    assert (lines, path.stat().st_mtime_ns) == ([], before)
    with pytest.raises(TrainingError, match="interrupted while searching"):
        draw_lists(SURVEY, FEW, tmp_path, str, lambda: True)
    assert not list(tmp_path.glob("*.npz"))
    one, two = (list_sky(SURVEY, sky_rng(7, split, 1000, 0)) for split in ("train", "validation"))
    again = list_sky(SURVEY, sky_rng(7, "train", 1000, 0))
    assert one.seed == again.seed != two.seed
    assert np.array_equal(one.sources.glon_deg, again.sources.glon_deg)


def test_truths_are_given_to_the_detections_next_to_them() -> None:
    lon, lat = np.array([100.0, 101.0, 100.5]), np.array([30.0, 30.0, 31.0])
    tile = owner(lon, lat)
    n = len(lon)
    listed = Detections(
        tile=tile,
        glon_deg=lon,
        glat_deg=lat,
        ts=np.full(n, 25.0),
        det_prob=np.full(n, 0.9),
        flux_cm2_s=np.full(n, 1e-10),
        background_sr=np.ones((n, len(SURVEY.planes))),
        disc_deg=np.zeros(n),
    )
    truths = Truths(
        np.array([101.02, 100.0]),
        np.array([30.0, 30.03]),
        np.array([3e-10, 1e-10]),
        np.array([12.0, 5.0]),
        np.array([0.0, 0.4]),
        np.array([[2e-10, 1e-10, 0.0], [1e-10, 0.0, 0.0]]),
        np.array([2, 1]),
    )
    truth = list_truth(listed, truths, TileGrid(SURVEY))
    assert truth.real.tolist() == [True, True, False]
    assert truth.class_code.tolist() == [1, 2, FAKE]
    assert truth.limit_sigma.tolist() == [5.0, 12.0, 0.0]
    assert truth.flux_cm2_s.tolist() == pytest.approx([1e-10, 3e-10, 0.0])
    assert truth.extension_deg.tolist() == pytest.approx([0.4, 0.0, 0.0])
    distance_deg = truth.shift_px.norm(dim=1) * 10 / max(SURVEY.tile_pixels_per_10deg)
    assert distance_deg[:2].tolist() == pytest.approx([0.03, 0.02 * np.cos(np.radians(30))], rel=0.03)
    assert bool(torch.isnan(truth.shift_px[2]).all())


def test_weights_to_begin_with_are_kept_where_training_gains_nothing(folder: Path, tmp_path: Path) -> None:
    """Steps that lead away leave the parent as it was; the first row of the history is the parent's own."""
    lists = load_lists(SURVEY, FEW, folder)
    config = CharacteriserConfig("real", SURVEY.name, 1)
    quick = FitConfig(epochs=6, batch=20, learning_rate=3e-3)
    parent, _ = fit_network(config, quick, lists, lists, tmp_path / "a", str)
    state = {name: value.clone() for name, value in parent.state_dict().items()}
    wild = FitConfig(epochs=1, batch=20, learning_rate=3.0)
    child, told = fit_network(config, wild, lists, lists, tmp_path / "b", str, start=state)
    assert [row["epoch"] for row in told["history"]] == [0, 1]
    assert told["history"][0]["auc"] > 0.8 and told["history"][1]["auc"] < told["history"][0]["auc"]
    for name, value in child.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_real_or_fake_is_taught_with_the_lists(folder: Path, tmp_path: Path) -> None:
    """The same training with and without: it is taught with so many more, and the card says so."""
    lists = load_lists(SURVEY, FEW, folder)
    (tmp_path / "pool" / "lists").mkdir(parents=True)
    for split, skies in (("train", 1), ("validation", whole.LISTS_TO_VALIDATE)):
        for number in range(skies):
            config = ListConfig(3, split, skies, FEW.every)
            shutil.copy(
                list_file(folder, SURVEY, FEW, 0),
                list_file(tmp_path / "pool" / "lists", SURVEY, config, number),
            )
    taught, cards = {}, {}
    for searched in (0, 1):
        lines: list[str] = []
        fit = FitConfig(seed=3, epochs=1, searched=searched)
        plan = whole.Plan(
            "lat-10gev", fit, cutouts=400, validation=400, test=400, per_sky=400, every=FEW.every
        )
        (path,) = whole.train_characterisers(("real",), plan, tmp_path, lines.append)
        (tmp_path / "real.pt").unlink()
        _, cards[searched] = load_characteriser(path, "lat-10gev")
        (told,) = (line for line in lines if line.startswith("real: "))
        taught[searched] = int(told.split()[-2].replace(",", ""))
        assert not any(line.startswith("lists") for line in lines)
    assert taught[1] == taught[0] + len(lists)
    assert "lists" not in cards[0]
    assert cards[1]["lists"]["train"]["detections"] == len(lists)
    assert cards[1]["lists"]["validation"]["detections"] == whole.LISTS_TO_VALIDATE * len(lists)
    assert "lists of the default detector on 1 more" in cards[1]["data"]
    assert "never trained on" in cards[1]["data"]
    own = tmp_path / "own"
    plan = replace(plan, fit=FitConfig(seed=3, epochs=1))
    (own / "pool").parent.mkdir()
    (own / "pool").symlink_to(tmp_path / "pool", target_is_directory=True)
    (child,) = whole.train_characterisers(("real",), plan, own, str, start=path)
    _, card = load_characteriser(child)
    assert card["parent"]["sha256"] == file_sha256(path)
    assert 0 < card["parent"]["validation"]["auc"] < 1
    with pytest.raises(NetworkError, match="not weights of the network that is to be trained"):
        whole.train_characterisers(("class",), plan, own, str, start=path)
