"""A catalogue release of the real LAT sky above 10 GeV: ``make release``.

The same steps as on the command line (an observation file, `asidcat run`, `asidcat release`), on public files
that are found or downloaded by name and checksum. An interrupted run of the same program is gone on with.
Releases never change: where the version is already that of another run, the next number is taken.
"""

import argparse
import re
import sys
import time
from pathlib import Path

from sqlalchemy import Connection, select

from catalog import ledger
from catalog.formats.folder import CHECKSUMS
from catalog.tables import Observation, Release, Run
from scripts.lat_10gev import NAME, write_observation
from workers.cli.errors import one_line_errors, stoppable
from workers.progress import make_progress
from workers.releasing import catalogue_path, make_release, report_path
from workers.runner import RunRequest, resume_run, start_run
from workers.session import Session, open_session
from workers.settings import load_settings
from workers.software import software_versions


def own_run(conn: Connection) -> tuple[int, str] | None:
    """Id and status of the newest run of this sky by exactly this program, if it has not failed."""
    software = software_versions()
    if software["code"].endswith("-dirty"):
        return None
    query = select(Run.id, Run.status).join(Observation, Observation.id == Run.observation_id)
    query = query.where(Observation.name == NAME, Run.software == software, Run.status != "failed")
    found = conn.execute(query.order_by(Run.id.desc()).limit(1)).one_or_none()
    return None if found is None else (found.id, found.status)


def free_version(conn: Connection, wanted: str, run_id: int) -> str:
    """`wanted`, or with the next number at its end that is free or this run's."""
    held = {row.version: row.run_id for row in conn.execute(select(Release.version, Release.run_id))}
    stem, number = re.fullmatch(r"(.*?)(?:-(\d+))?", wanted).groups()  # type: ignore[union-attr]
    version, n = wanted, int(number or 1)
    while held.get(version, run_id) != run_id:
        n += 1
        version = f"{stem}-{n}"
    return version


def make_run(session: Session) -> int:
    """Go on with the run of this program, or begin one; returns its id."""
    settings = load_settings()
    with session.engine.connect() as conn:
        found = own_run(conn)
    with make_progress() as progress:
        if found is not None:
            progress.step(f"run {found[0]} of this program is {found[1]}")
            return resume_run(settings, found[0], progress, lambda _: None)
        observation = write_observation(settings.home / "observations" / f"{NAME}.toml")
        return start_run(settings, observation, RunRequest(), progress, lambda _: None)


def main(version: str, output: Path) -> None:
    """Run, release, and say where the files are."""
    began = time.monotonic()
    with open_session(load_settings()) as session:
        run_id = make_run(session)
        ran = time.monotonic()
        with session.engine.connect() as conn:
            free = free_version(conn, version, run_id)
            stages = ledger.progress(conn, run_id)
        folder = output if free == version else output.with_name(free)
        if (folder / CHECKSUMS).exists():
            print(f"{folder} holds release {free} of run {run_id} already", file=sys.stderr)
        else:
            make_release(session, free, run_id, folder)
    for stage in stages:
        print(f"{stage.stage}: {stage.seconds:.1f} s of work", file=sys.stderr)
    print(f"run {ran - began:.1f} s, release {time.monotonic() - ran:.1f} s", file=sys.stderr)
    print(f"catalogue: {catalogue_path(folder, free).resolve()}")
    print(f"report:    {report_path(folder).resolve()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", default=f"{NAME}-1")
    parser.add_argument("--output", type=Path, default=Path("releases") / f"{NAME}-1")
    arguments = parser.parse_args()
    with one_line_errors(), stoppable():
        main(arguments.version, arguments.output)
