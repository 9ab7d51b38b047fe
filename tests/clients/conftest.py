"""Released catalogues for the clients: one of each survey, or a folder that ``ASIDCAT_RELEASE_DIR`` names."""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from astropy.table import Table
from sqlalchemy import Engine, text

from catalog.engine import make_engine
from catalog.formats.folder import release_folder, write_catalogue_files
from catalog.freezing import freeze
from tests.catalog.small_run import characterise_run, finished_run

# Only where the clients are: in the environment of `make test-clients`.
collect_ignore_glob = [] if importlib.util.find_spec("gammapy") else ["test_*.py"]

N_SLICES = 10


@dataclass(frozen=True)
class Released:
    """A release's folder."""

    folder: Path

    @property
    def version(self) -> str:
        """From the file's name."""
        return next(self.folder.glob("asid-*.vot")).stem.removeprefix("asid-")

    @property
    def fits(self) -> Path:
        """The catalogue."""
        return self.folder / f"asid-{self.version}.fits"

    @property
    def fgl(self) -> Path:
        """The catalogue in 4FGL's layout."""
        return self.folder / f"asid-{self.version}-4fgl.fits"

    @property
    def votable(self) -> Path:
        """The catalogue as VOTable."""
        return self.folder / f"asid-{self.version}.vot"

    @property
    def table(self) -> Table:
        """Its rows, blank texts as such."""
        return Table.read(self.fits, hdu="LAT_Point_Source_Catalog", mask_invalid=False)

    @property
    def flux_range_mev(self) -> tuple[float, float]:
        """Energy range of the headline flux."""
        return (1e4, 1e6) if "Flux_History" not in self.table.colnames else (1e3, 1e5)


def _written(conn_engine: Engine, survey: str, n_bands: int, n_slices: int, target: Path) -> Released:
    with conn_engine.begin() as conn:
        run = finished_run(conn, survey=survey, n_slices=n_slices)
        characterise_run(conn, run, n_bands, n_slices)
        freeze(conn, f"{survey}-1", run)
        with release_folder(target) as folder:
            write_catalogue_files(conn, f"{survey}-1", folder)
    return Released(target)


SURVEYS = {"lat-10gev": (3, 0), "lat-6band": (6, N_SLICES)}
GIVEN = os.environ.get("ASIDCAT_RELEASE_DIR")


@pytest.fixture(scope="session")
def made(
    tmp_path_factory: pytest.TempPathFactory, database_server: Engine, template_database: str
) -> Callable[[str], Released]:
    """The release of a survey, made when it is first asked for."""

    @cache
    def release(survey: str) -> Released:
        name = f"{template_database}_{survey.replace('-', '_')}"
        with database_server.connect() as server:
            server.execute(text(f"CREATE DATABASE {name} TEMPLATE {template_database}"))
        engine = make_engine(database_server.url.set(database=name), pooled=False)
        bands, slices = SURVEYS[survey]
        found = _written(engine, survey, bands, slices, tmp_path_factory.mktemp("release") / survey)
        engine.dispose()
        with database_server.connect() as server:
            server.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        return found

    return release


@pytest.fixture(params=[*SURVEYS, *(["given"] if GIVEN else [])])
def released(request: pytest.FixtureRequest) -> Released:
    """A release of each survey, and the one the environment names."""
    if request.param == "given":
        return Released(Path(str(GIVEN)))
    return request.getfixturevalue("made")(request.param)
