"""Settings: environment variables ``ASIDCAT_*`` first, then ``asidcat.toml``, then defaults.

With nothing set the program brings its own PostgreSQL and broker (`workers.local`).
"""

import os
import tomllib
from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

CONFIG_NAME = "asidcat.toml"


class SettingsError(ValueError):
    """A setting that is unknown or has a value that cannot be used."""


def usable_cores() -> int:
    """CPU cores this process may use (a container or ``taskset`` may allow fewer than the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Settings(BaseSettings):
    """What a user may set.

    Attributes
    ----------
    database_url : str or None
        SQLAlchemy URL of a PostgreSQL 14 or later; None for the embedded one.
    broker_url : str or None
        ``amqp://``, ``redis://`` or any broker kombu knows; None for the embedded one.
    queue : str
        The broker's queue; one name for each database where several share a broker.
    data : Path or None
        Folder with the public data files; None to download them once.
    home : Path
        Folder of the embedded database and of the counts cubes. Shared by all machines of a cluster.
    workers : int
        Worker processes a run starts on this machine; 0 when workers run elsewhere (``asidcat worker``).
    gpu : str
        Where networks detect: `auto`, on this machine's GPU if it has one; `queue`, on machines that run
        ``asidcat worker --gpu``; `off`, on processors.
    lease_s : float
        How long a worker may hold a work item, s, before others may take it.
    batch_tiles : int
        Tiles of a work item. A batch is what is lost when a worker is killed, and what keeps one busy for
        much longer than the ledger's bookkeeping.
    max_attempts : int
        Tries of one work item before the run fails.
    log_level : str
        Of the workers' log.
    beat_folder : Path or None
        Folder in which `asidcat beat` looks for new observations.
    beat_schedule : str
        When it looks, UTC, as in a crontab: minute, hour, day of the month, month, day of the week.
    beat_releases : Path or None
        Folder of the draft releases it makes; None for ``releases`` in the home.
    """

    model_config = SettingsConfigDict(env_prefix="ASIDCAT_", env_ignore_empty=True, extra="forbid")

    database_url: str | None = None
    broker_url: str | None = None
    queue: str = Field(default="asidcat", pattern=r"^[A-Za-z0-9._-]+$")
    data: Path | None = None
    home: Path = Field(default_factory=lambda: user_data_path("asidcat"))
    workers: int = Field(default_factory=usable_cores, ge=0)
    gpu: Literal["auto", "queue", "off"] = "auto"
    lease_s: float = Field(default=600.0, gt=0)
    batch_tiles: int = Field(default=16, ge=1)
    max_attempts: int = Field(default=3, ge=1, le=100)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    beat_folder: Path | None = None
    beat_schedule: str = "0 6 * * *"
    beat_releases: Path | None = None

    @field_validator("home", "data", "beat_folder", "beat_releases")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    def environment(self) -> dict[str, str]:
        """The same settings as environment variables, for worker processes."""
        values = self.model_dump(exclude_none=True)
        return {f"ASIDCAT_{name.upper()}": str(value) for name, value in values.items()}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of the sources: arguments, environment, file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_path())


def config_path() -> Path:
    """The settings file: ``ASIDCAT_CONFIG``, or ``asidcat.toml`` in the working folder, if it exists."""
    named = os.environ.get("ASIDCAT_CONFIG")
    return Path(named) if named else Path(CONFIG_NAME)


def load_settings() -> Settings:
    """Read the settings.

    Raises
    ------
    SettingsError
        Unknown key, bad value, unreadable or missing file; one line.
    """
    path = config_path()
    if os.environ.get("ASIDCAT_CONFIG") and not path.is_file():
        raise SettingsError(f"{path}: no such settings file (ASIDCAT_CONFIG)")
    try:
        return Settings()
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise SettingsError(f"{path}: unknown setting '{key}'") from error
        source = f"ASIDCAT_{key.upper()}"
        where = f"environment variable {source}" if os.environ.get(source) else f"{path}: '{key}'"
        raise SettingsError(f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}") from error
