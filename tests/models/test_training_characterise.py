import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.characterise.inference import load_characteriser
from models.characterise.inputs import make_inputs
from models.characterise.networks import Characteriser, CharacteriserConfig
from models.cutouts import FAKE
from models.shipped import NetworkError
from models.training import tasks, whole
from models.training.characterise import FitConfig, fit_network
from models.training.pool import Pool, PoolConfig, draw_pool, load_pool, sky_file
from models.training.state import TrainingError
from models.weights import save_weights
from sky.survey import get_survey
from tests.models.known_cutouts import known_cutouts

SURVEY = get_survey("lat-10gev")
QUICK = FitConfig(epochs=3, batch=100, learning_rate=3e-3)


def known_pool(seed: int, n: int = 900) -> Pool:
    """Half of the cut-outs have no source, the others one of 10 to 300 photons."""
    rng = np.random.default_rng(seed)
    flux = np.where(np.arange(n) % 2, np.exp(rng.uniform(np.log(3e-11), np.log(1e-9), n)), 0.0)
    cutouts, truth = known_cutouts(flux, rng)
    return Pool(make_inputs(cutouts, SURVEY), truth)


@pytest.fixture(scope="module")
def pools() -> tuple[Pool, Pool]:
    return known_pool(1), known_pool(2)


@pytest.mark.parametrize("kind", ["real", "flux", "position", "class"])
def test_a_short_training_improves_the_score(kind: str, pools: tuple[Pool, Pool], tmp_path: Path) -> None:
    config = CharacteriserConfig(kind, SURVEY.name, 2)
    lines: list[str] = []
    network, told = fit_network(config, QUICK, *pools, tmp_path, lines.append)
    torch.manual_seed(0)
    task = tasks.task_of(kind, SURVEY)
    held_out = pools[1].select(task.rows(pools[1]))
    stage = task.stages[-1]
    before = task.score(Characteriser(config), held_out, stage)["score"]
    assert task.score(network, held_out, stage)["score"] > before
    assert [row["stage"] for row in told["history"]][-1] == stage
    assert any(line.startswith(f"{kind} ({stage}) epoch 1 of") for line in lines)
    if kind == "real":
        assert told["history"][-1]["auc"] > 0.97


def test_training_goes_on_where_it_was_interrupted_and_ends_alike(
    pools: tuple[Pool, Pool], tmp_path: Path
) -> None:
    config = CharacteriserConfig("position", SURVEY.name, 2)
    whole_way, _ = fit_network(config, QUICK, *pools, tmp_path / "a", str)
    asked = iter(range(1000))
    with pytest.raises(TrainingError, match="interrupted"):
        fit_network(config, QUICK, *pools, tmp_path / "b", str, lambda: next(asked) > 12)
    resumed, told = fit_network(config, QUICK, *pools, tmp_path / "b", str)
    assert len(told["history"]) == 5
    for name, value in whole_way.state_dict().items():
        assert torch.allclose(value, resumed.state_dict()[name], atol=1e-5), name


def test_the_second_stage_moves_the_spread_alone(pools: tuple[Pool, Pool], tmp_path: Path) -> None:
    config = CharacteriserConfig("flux", SURVEY.name, 1)
    fit_network(config, QUICK, *pools, tmp_path, str)
    stored = torch.load(tmp_path / "flux.pt", weights_only=True)
    history = json.loads(stored["history"])
    after = [row["rms_units_above_5_sigma"] for row in history if row["stage"] == "spread"]
    best = max(row["score"] for row in history if row["stage"] == "mean")
    assert after == pytest.approx([-best] * len(after))


def test_other_settings_are_refused(pools: tuple[Pool, Pool], tmp_path: Path) -> None:
    config = CharacteriserConfig("real", SURVEY.name, 1)
    fit_network(config, replace(QUICK, epochs=1), *pools, tmp_path, str)
    with pytest.raises(TrainingError, match=r"real\.pt: holds the training of another network"):
        fit_network(config, QUICK, *pools, tmp_path, str)
    (tmp_path / "real.pt").write_bytes(b"something else")
    with pytest.raises(TrainingError, match=r"real\.pt: not a checkpoint"):
        fit_network(config, QUICK, *pools, tmp_path, str)
    with pytest.raises(NetworkError, match="no time slices"):
        CharacteriserConfig.standard("class3d", SURVEY.name)


def test_rare_classes_have_the_same_say() -> None:
    code = torch.tensor([0] * 80 + [1] * 15 + [2] * 5)
    weights = tasks.class_weights(code)
    said = [float(weights[code][code == c].sum()) for c in range(3)]
    assert said == pytest.approx([100 / 3] * 3)
    assert weights[3] == weights[4] == 0


def test_the_truth_has_no_loss_however_the_sky_is_turned(pools: tuple[Pool, Pool]) -> None:
    pool = pools[0].select(tasks.sources(pools[0]))

    class Oracle(tasks.RegressionMember):
        def forward(self, inputs):  # type: ignore[no-untyped-def]
            turned = tasks.turn_vectors(pool.truth.shift_px, self.symmetry)
            wanted = tasks.position.targets(inputs, turned)
            return wanted, torch.zeros_like(wanted)

    oracle = Oracle(SURVEY, "position", 2)
    for oracle.symmetry in range(8):
        loss = tasks.task_of("position", SURVEY).loss(oracle, pool, oracle.symmetry, "mean", torch.ones(5))
        assert loss == 0


def test_a_pool_is_the_same_again_and_is_not_drawn_twice(tmp_path: Path) -> None:
    config = PoolConfig(seed=3, split="train", cutouts=150, per_sky=150)
    for folder in ("a", "b"):
        draw_pool(SURVEY, config, tmp_path / folder, str)
    first, second = (load_pool(SURVEY, config, tmp_path / folder) for folder in ("a", "b"))
    assert len(first) >= 150
    assert torch.equal(first.inputs.images, second.inputs.images)
    assert torch.equal(first.truth.flux_cm2_s, second.truth.flux_cm2_s)
    assert ((first.truth.class_code == FAKE) == ~first.truth.real).all()
    written = [sky_file(tmp_path / "a", config, k).stat().st_mtime_ns for k in range(config.skies)]
    lines: list[str] = []
    draw_pool(SURVEY, config, tmp_path / "a", lines.append)
    assert lines == []
    assert written == [sky_file(tmp_path / "a", config, k).stat().st_mtime_ns for k in range(config.skies)]


def test_the_command_writes_weights_that_can_be_loaded(tmp_path: Path) -> None:
    plan = whole.Plan("lat-10gev", FitConfig(epochs=1), cutouts=400, validation=400, test=400, per_sky=400)
    paths = whole.train_characterisers(("real",), plan, tmp_path, str, "asidcat train real")
    network, card = load_characteriser(paths[0], "lat-10gev")
    assert card["command"] == "asidcat train real"
    assert 0 < card["operating_threshold"] < 1
    assert set(card["figures"]) == {"b1", "b2"}
    assert network.n_parameters == card["parameters"]
    with pytest.raises(NetworkError, match="of survey 'lat-10gev', not 'lat-6band'"):
        load_characteriser(paths[0], "lat-6band")
    other = tmp_path / "other.safetensors"
    save_weights(other, network, {"network": CharacteriserConfig("real", "lat-6band", 2).to_dict()})
    with pytest.raises(NetworkError, match="do not fit"):
        load_characteriser(other)
