"""Settings come from the environment, then the file; what is wrong with them is one line."""

from pathlib import Path

import pytest

from workers.settings import SettingsError, load_settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("ASIDCAT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_nothing_set() -> None:
    settings = load_settings()
    assert settings.database_url is None
    assert settings.broker_url is None
    assert settings.workers >= 1
    assert settings.home.is_absolute()


def test_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("asidcat.toml").write_text('home = "here"\nworkers = 3\nlease_s = 7.5\n')
    monkeypatch.setenv("ASIDCAT_WORKERS", "5")
    settings = load_settings()
    assert settings.workers == 5
    assert settings.lease_s == 7.5
    assert settings.home == Path.cwd() / "here"


def test_named_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('broker_url = "redis://host/1"\n')
    monkeypatch.setenv("ASIDCAT_CONFIG", str(tmp_path / "other.toml"))
    assert load_settings().broker_url == "redis://host/1"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("worker = 2\n", r"^asidcat\.toml: unknown setting 'worker'$"),
        ("workers = -1\n", r"^asidcat\.toml: 'workers': input should be greater than or equal to 0$"),
        ("workers = \n", r"^asidcat\.toml: not TOML: "),
        ('log_level = "LOUD"\n', r"^asidcat\.toml: 'log_level': input should be 'DEBUG'"),
    ],
)
def test_faults_in_the_file(content: str, fault: str) -> None:
    Path("asidcat.toml").write_text(content)
    with pytest.raises(SettingsError, match=fault) as caught:
        load_settings()
    assert "\n" not in str(caught.value)


def test_faults_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASIDCAT_WORKERS", "many")
    with pytest.raises(
        SettingsError, match=r"^environment variable ASIDCAT_WORKERS: input should be a valid"
    ):
        load_settings()


def test_named_file_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASIDCAT_CONFIG", "nowhere.toml")
    with pytest.raises(SettingsError, match=r"^nowhere\.toml: no such settings file"):
        load_settings()
