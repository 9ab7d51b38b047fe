"""`observation.toml`: one file that says all that a catalogue run needs.

Paths in it are relative to the file. What is wrong with it is said in one line that names file and key.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from sky.survey import Survey, SurveyError, get_survey

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
EventType = Literal["FRONT", "BACK", "BOTH"]
Frame = Literal["galactic", "equatorial"]


class ObservationError(ValueError):
    """An observation file that cannot be used."""


def _interval(value: Any) -> Any:
    """Check a pair of ascending numbers."""
    if not (isinstance(value, list) and len(value) == 2 and all(type(v) in (int, float) for v in value)):
        raise ValueError("must be two numbers [low, high]")
    if not 0 <= value[0] < value[1] < float("inf"):
        raise ValueError("must be two ascending finite numbers, not negative")
    return float(value[0]), float(value[1])


Interval = Annotated[tuple[float, float], BeforeValidator(_interval)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _FileEntry(_Entry):
    path: Path = Field(strict=False)
    time_met: Interval | None = None


class CountsEntry(_FileEntry):
    """One counts map or cube."""

    energy_gev: Interval | None = None
    event_type: EventType = "BOTH"
    frame: Frame | None = None


class EventsEntry(_FileEntry):
    """One photon list (FT1); `time_met` keeps only the photons of that interval."""


class ExposureEntry(_FileEntry):
    """One exposure map or cube; `energy_gev` says for which energies a single map holds."""

    energy_gev: Interval | None = None
    event_type: EventType = "BOTH"
    frame: Frame | None = None


class _Head(_Entry):
    name: str = Field(pattern=NAME_PATTERN, max_length=100)
    survey: str
    irfs: str | None = Field(default=None, pattern=NAME_PATTERN)
    tstart: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    tstop: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _order(self) -> "_Head":
        if self.tstart is not None and self.tstop is not None and not self.tstart < self.tstop:
            raise ValueError("tstop must be later than tstart")
        return self


class _Document(_Entry):
    observation: _Head
    counts: tuple[CountsEntry, ...] = ()
    events: tuple[EventsEntry, ...] = ()
    exposure: Annotated[
        tuple[ExposureEntry, ...],
        BeforeValidator(lambda value: [value] if isinstance(value, dict) else value),
        Field(min_length=1),
    ]


class ObservationManifest(BaseModel):
    """A checked observation: all files exist (whatever is in them), all names are known.

    Attributes
    ----------
    path : Path
        The observation file.
    name : str
    survey : Survey
    irfs : str
        Instrument response functions: the file's, else the survey's.
    tstart_met_s, tstop_met_s : float or None
        Mission elapsed time, where the file says it.
    counts, events, exposure : tuple of entries
        Their `path` is absolute.
    document : dict
        The file as it was written (TOML as plain values): what the database keeps.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    path: Path
    name: str
    survey: Survey
    irfs: str
    tstart_met_s: float | None
    tstop_met_s: float | None
    counts: tuple[CountsEntry, ...]
    events: tuple[EventsEntry, ...]
    exposure: tuple[ExposureEntry, ...]
    document: dict[str, Any]


def _one_line(path: Path, error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "file"
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"{path}: unknown key '{where}'"
    if first["type"] == "missing":
        return f"{path}: '{where}' is missing"
    given = "" if first["type"] == "value_error" else f", not {first['input']!r}"
    return f"{path}: {where}: {text}{given}"[:500]


def load_observation(path: str | Path) -> ObservationManifest:
    """Read and check an observation file.

    Raises
    ------
    ObservationError
        With one line that names the file and the fault: not there, not TOML, unknown key, bad value,
        unknown survey, a photon file that does not exist.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ObservationError(f"{path}: no such file") from None
    except OSError as error:
        raise ObservationError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ObservationError(f"{path}: not a TOML file: {error}") from None
    try:
        document = _Document.model_validate(raw)
    except ValidationError as error:
        raise ObservationError(_one_line(path, error)) from None
    head = document.observation
    try:
        survey = get_survey(head.survey)
    except SurveyError as error:
        raise ObservationError(f"{path}: {error}") from None
    if not document.counts and not document.events:
        raise ObservationError(f"{path}: neither [[counts]] nor [[events]]")

    folder = path.absolute().parent
    files = {
        role: tuple(
            entry.model_copy(update={"path": folder / entry.path}) for entry in getattr(document, role)
        )
        for role in ("counts", "events", "exposure")
    }
    for entries in files.values():
        for entry in entries:
            if not entry.path.is_file():
                raise ObservationError(f"{entry.path}: no such file (named in {path})")
    return ObservationManifest(
        path=path.absolute(),
        name=head.name,
        survey=survey,
        irfs=head.irfs or survey.irfs,
        tstart_met_s=head.tstart,
        tstop_met_s=head.tstop,
        document=raw,
        **files,
    )
