import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.shipped import NetworkError
from models.training import loop, whole
from models.unet import NetworkConfig
from sky.survey import SurveyError
from workers.cli import app


def call(*arguments: str) -> object:
    return CliRunner().invoke(app, ["train", *arguments])


def test_unknown_networks_are_wrong_usage(tmp_path: Path) -> None:
    result = call("classify", "--survey", "lat-10gev", "-o", str(tmp_path))
    assert result.exit_code == 2
    assert "unknown network 'classify'" in result.stderr


def test_unknown_surveys_and_devices_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = call("localise", "--survey", "lat-7band", "-o", str(tmp_path))
    assert isinstance(result.exception, SurveyError)
    monkeypatch.setattr(loop.torch.cuda, "is_available", lambda: False)
    with pytest.raises(loop.TrainingError, match="no GPU"):
        loop.train(loop.TrainConfig(device="cuda"), NetworkConfig("lat-10gev"), tmp_path, print)


def test_the_command_trains_what_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[loop.TrainConfig, NetworkConfig, Path, str, Path | None]] = []

    def note(config, network, folder, _report, command, start):
        told.append((config, network, folder, command, start))
        return folder / "w.safetensors"

    monkeypatch.setattr(loop, "train", note)
    monkeypatch.setattr(sys, "argv", ["asidcat", "train", "localise", "--steps", "7"])
    result = call("localise", "--survey", "lat-6band", "-o", str(tmp_path), "--steps", "7", "--seed", "3")
    assert result.exit_code == 0
    assert result.stdout.strip().endswith("w.safetensors")
    config, network, folder, command, start = told[0]
    assert (config.steps, config.seed, network.survey, folder) == (7, 3, "lat-6band", tmp_path)
    assert command == "asidcat train localise --steps 7"
    assert start is None
    old = str(tmp_path / "old.safetensors")
    monkeypatch.setattr(
        sys, "argv", ["asidcat", "train", "localise", "--from", old, "--learning-rate", "0.001"]
    )
    changed = "--from", old, "--learning-rate", "0.001", "--extended-share", "0.5"
    call("localise", "--survey", "lat-6band", "-o", str(tmp_path), *changed)
    config, _, _, command, start = told[1]
    assert (config.learning_rate, config.extended_share, start) == (0.001, 0.5, Path(old))
    assert command == "asidcat train localise --from WEIGHTS --learning-rate 0.001"


def test_the_command_trains_the_characterising_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[tuple[str, ...], whole.Plan, Path, str, Path | None]] = []

    def note(kinds, plan, folder, _report, command, start):
        told.append((kinds, plan, folder, command, start))
        return [folder / f"{kind}.safetensors" for kind in kinds]

    monkeypatch.setattr(whole, "train_characterisers", note)
    monkeypatch.setattr(sys, "argv", ["asidcat", "train", "characterise"])
    for survey, kinds in (
        ("lat-10gev", ("flux", "real", "class", "position")),
        ("lat-6band", ("flux", "real", "class", "class3d", "position")),
    ):
        result = call(
            "characterise", "--survey", survey, "-o", str(tmp_path), "--seed", "5", "--cutouts", "90"
        )
        assert result.exit_code == 0
        assert result.stdout.splitlines()[-1].endswith("position.safetensors")
        assert told[-1][0] == kinds
        assert (told[-1][1].survey, told[-1][1].cutouts, told[-1][1].fit.seed) == (survey, 90, 5)
    call("flux", "--survey", "lat-10gev", "-o", str(tmp_path))
    assert told[-1][0] == ("flux",) and told[-1][-1] is None
    old = tmp_path / "old.safetensors"
    call("real", "--survey", "lat-10gev", "-o", str(tmp_path), "--from", str(old), "--searched", "3")
    assert told[-1][0] == ("real",) and told[-1][-1] == old
    assert told[-1][1].fit.searched == 3
    assert (
        told[-1][1].fit.learning_rate < told[-2][1].fit.learning_rate
    )  # weights that know the task go on slowly


def test_a_network_that_a_survey_cannot_have_is_one_line(tmp_path: Path) -> None:
    result = call("class3d", "--survey", "lat-10gev", "-o", str(tmp_path))
    assert isinstance(result.exception, NetworkError)
    assert str(result.exception) == "survey 'lat-10gev' has no time slices for a network on years"
    assert not list(tmp_path.iterdir())
