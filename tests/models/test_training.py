import hashlib
import json
import math
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from models.evaluate import Positions
from models.localise.names import LOCALISERS
from models.shipped import NetworkError
from models.stream import TileBatch, random_axes, render_batch
from models.training import loop
from models.training.losses import localisation_loss
from models.training.state import running_average
from models.training.validation import Found, Validation, calibrate, summary
from models.training_sky import TrainingSky
from models.unet import NetworkConfig, Segmentation, UNet
from models.weights import load_weights, save_weights
from sky.survey import Survey, get_survey
from tests.models.point_sky import point_sky

SURVEY = get_survey("lat-10gev")
SMALL = NetworkConfig("lat-10gev", "local-sqrt", (8, 8, 8, 8))


def bright_sky(survey: Survey, rng: np.random.Generator) -> TrainingSky:
    """Bright sources on a dim and even background: a task that a few steps can learn something of."""
    n = 3000
    place = rng.normal(size=(n, 3))
    counts = rng.uniform(30, 200, n)[:, None] * np.array([0.75, 0.2, 0.05])
    diffuse_sr = np.full((3, 12 * 16**2), 2000.0) * np.array([[5.0], [1.0], [0.2]])
    vectors = place / np.linalg.norm(place, axis=1, keepdims=True)
    return point_sky(survey, vectors, counts, diffuse_sr, flux_cm2_s=counts[:, 0] * 1e-12)


@pytest.fixture(scope="module")
def batch() -> TileBatch:
    rng = np.random.default_rng(0)
    return render_batch(bright_sky(SURVEY, rng), random_axes(rng, 3), rng)


def perfect(batch: TileBatch) -> Segmentation:
    def logit(p: torch.Tensor) -> torch.Tensor:
        return torch.logit(p.clamp(1e-6, 1 - 1e-6))

    background = (torch.cat(batch.background, 1),)
    return Segmentation(logit(batch.mask), batch.direction, logit(batch.centre), background)


def test_the_truth_has_the_least_loss(batch: TileBatch) -> None:
    best = localisation_loss(perfect(batch), batch)
    network = UNet(NetworkConfig("lat-10gev", widths=(8, 8, 8, 8)))
    other = localisation_loss(network(batch.images), batch)
    assert best["mask"] < 1e-4
    assert best["direction"] == 0
    assert best["background"] < 1e-6
    # The cross-entropy of a soft target is least, not nothing, at the target.
    assert all(best[name] < other[name] for name in best)


def test_the_truth_is_found_whole(batch: TileBatch) -> None:
    validation = Validation([batch])
    for localiser in ("centre-direction", "direction-field", "log"):
        scores = summary(validation.detect([perfect(batch)], localiser))
        assert scores["completeness_0.95"] > 0.85
        assert scores["position_error_deg_0.95"] < 0.02


def test_calibration_is_the_share_of_real_detections() -> None:
    rng = np.random.default_rng(1)
    n = 8000
    score = rng.uniform(0.01, 0.99, size=n)
    odds = np.exp(-0.7) * (score / (1 - score)) ** 1.5
    real = rng.uniform(size=n) < odds / (1 + odds)
    # One truth or none on a small sky of its own for every detection.
    detections = Positions(np.zeros(n), np.zeros(n), np.arange(n))
    found = Found(detections.select(real), detections, np.ones(real.sum()), np.full(real.sum(), 9.0), score)
    table = calibrate(found)
    assert table["intercept"] == pytest.approx(-0.7, abs=0.1)
    assert table["slope"] == pytest.approx(1.5, abs=0.12)


def quick(**changes: object) -> loop.TrainConfig:
    settings = {"steps": 4, "batch_tiles": 2, "workers": 0, "validate_every": 2, "validation_tiles": 4}
    return loop.TrainConfig(**(settings | {"validation_skies": 1, "warmup_steps": 2} | changes))  # type: ignore[arg-type]


@pytest.fixture
def small_skies(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = loop.TileStream.__init__
    monkeypatch.setattr(
        loop.TileStream, "__init__", lambda self, *a, **k: drawn(self, *a, **(k | {"draw_sky": bright_sky}))
    )


@pytest.mark.usefixtures("small_skies")
def test_training_resumes_where_it_was_interrupted(tmp_path: Path) -> None:
    lines: list[str] = []

    def interrupt(line: str) -> None:
        lines.append(line)
        if line.startswith("step 2"):
            signal.raise_signal(signal.SIGTERM)

    loop.train(quick(steps=6), SMALL, tmp_path, interrupt)
    stopped = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["progress"]["step"]
    assert stopped == 3
    weights = loop.train(quick(steps=6), SMALL, tmp_path, lines.append)
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in history] == [2, 3, 4, 6]
    network, card = load_weights(weights)
    assert card["network"] == json.loads(json.dumps(SMALL.to_dict()))
    assert card["tiles"] == 2 * card["step"]
    assert set(card["calibration"]) == set(LOCALISERS)
    assert network.n_parameters == card["parameters"]


def test_extended_sources_are_drawn_for_training_and_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares, drawn = {}, loop.TileStream.__init__

    def note(self, survey, seed, split, *rest, extended_share, **others) -> None:
        shares[split] = extended_share
        drawn(self, survey, seed, split, *rest, **(others | {"draw_sky": bright_sky}))

    monkeypatch.setattr(loop.TileStream, "__init__", note)
    _, card = load_weights(loop.train(quick(extended_share=0.5), SMALL, tmp_path, str))
    assert shares == {"train": 0.5, "validation": 0.5}
    assert "extended sources on 50% of the skies" in card["data"]
    assert "point sources alone" not in card["limits"]


@pytest.mark.usefixtures("small_skies")
def test_training_stops_early_without_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = loop.Validation.run
    monkeypatch.setattr(loop.Validation, "run", lambda *a, **k: real(*a, **k) | {"score": 0.0})
    loop.train(quick(steps=40, patience=2), SMALL, tmp_path, str)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["progress"]["step"] == 6


@pytest.mark.usefixtures("small_skies")
def test_a_folder_of_another_network_is_refused(tmp_path: Path) -> None:
    loop.train(quick(steps=1), SMALL, tmp_path, str)
    with pytest.raises(loop.TrainingError, match="another network"):
        loop.train(quick(), NetworkConfig("lat-10gev", "patch-max", (8, 8, 8, 8)), tmp_path, str)


@pytest.mark.usefixtures("small_skies")
def test_a_training_goes_on_from_weights_on_skies_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_skies: list[int] = []
    drawn = loop.TileStream.__init__

    def note(self: loop.TileStream, *a: object, **k: object) -> None:
        if k.get("first_sky") is not None:
            first_skies.append(k["first_sky"])  # type: ignore[arg-type]
        drawn(self, *a, **k)  # type: ignore[arg-type]

    monkeypatch.setattr(loop.TileStream, "__init__", note)
    parent = loop.train(quick(), SMALL, tmp_path / "parent", str)
    before, parents_card = load_weights(parent)
    still = quick(steps=2, learning_rate=1e-9, weight_decay=0.0)
    child = loop.train(still, SMALL, tmp_path / "child", str, start=parent)
    after, card = load_weights(child)
    assert parents_card["parent"] == {}
    assert card["parent"]["sha256"] == hashlib.sha256(parent.read_bytes()).hexdigest()
    assert card["parent"]["tiles"] == parents_card["tiles"]
    assert card["parent"]["generation"] == 1
    assert "score" in card["parent"]
    for old, new in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=1e-6)
    # A folder goes on with its own, and says still where that came from.
    again = loop.train(quick(steps=4), SMALL, tmp_path / "child", str)
    assert load_weights(again)[1]["parent"] == card["parent"]
    grandchild = loop.train(still, SMALL, tmp_path / "grandchild", str, start=again)
    assert load_weights(grandchild)[1]["parent"]["generation"] == 2
    assert first_skies == sorted(set(first_skies))
    with pytest.raises(loop.TrainingError, match="weights of another network"):
        loop.train(still, NetworkConfig("lat-10gev", "patch-max", (8, 8, 8, 8)), tmp_path, str, start=parent)
    with pytest.raises(NetworkError, match="not the weights"):
        loop.train(still, SMALL, tmp_path / "none", str, start=tmp_path / "none.safetensors")


def test_training_learns(batch: TileBatch) -> None:
    torch.manual_seed(0)
    network = UNet(SMALL)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2)
    losses = []
    for _ in range(20):
        loss = localisation_loss(network(batch.images), batch)["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < 0.5 * losses[0]


def test_learning_rate_follows_steps_or_minutes() -> None:
    config = quick(steps=1000, warmup_steps=10, minutes=10.0)
    at = lambda step, seconds: loop.schedule(loop.Progress(step, seconds), config)  # noqa: E731
    assert at(0, 0) == pytest.approx(0.1)
    assert at(500, 0) == at(11, 300) == pytest.approx(0.02 + 0.98 / 2)
    assert at(1000, 0) == pytest.approx(0.02)
    assert math.isclose(at(600, 60), at(600, 0))


def test_weights_come_back_as_they_were(tmp_path: Path, batch: TileBatch) -> None:
    network = UNet(SMALL).eval()
    path = tmp_path / "w.safetensors"
    save_weights(path, network, {"network": SMALL.to_dict()})
    again, card = load_weights(path)
    with torch.no_grad():
        assert torch.equal(network(batch.images).mask_logit, again(batch.images).mask_logit)
    assert {"machine", "written"} <= set(card)
    path.with_suffix(".json").write_text(
        json.dumps({"network": NetworkConfig("lat-10gev", "local-sqrt", (16, 8, 8, 8)).to_dict()})
    )
    with pytest.raises(NetworkError, match="do not fit"):
        load_weights(path)
    path.write_bytes(b"not weights")
    with pytest.raises(NetworkError, match=r"w\.safetensors: not the weights"):
        load_weights(path)


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"something else")
    with pytest.raises(loop.TrainingError, match=r"checkpoint\.pt: not a checkpoint"):
        loop.train(quick(), SMALL, tmp_path, str)


def test_the_average_forgets_its_start() -> None:
    average, kept = running_average(0.99), [torch.zeros(3), torch.tensor(0)]
    for n in range(1, 60):
        average(kept, [torch.ones(3), torch.tensor(n)], n)
    assert kept[0].min() > 0.99
    assert kept[1] == 59
