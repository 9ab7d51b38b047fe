"""One look at the watched folder: every new observation becomes a run and a draft release, once.

An observation is known by the checksum of its files. What has become of it is written down step by step
(`catalog.watched`), each step in the transaction that makes it true; so a look that dies anywhere is gone on with by
the next one.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine

from catalog import watched
from catalog.checks import check_release
from catalog.engine import database_errors
from catalog.formats.folder import CHECKSUMS
from catalog.publishing import reasons
from sky.observation import ObservationError, ObservationManifest, load_observation
from sky.readers.files import file_sha256
from workers.cli.errors import is_user_error, one_line
from workers.progress import PlainProgress
from workers.releasing import is_release, make_release
from workers.runner import RunRequest, resume_run, start_run
from workers.session import Session, open_session
from workers.settings import Settings

FILE_NAME = "observation.toml"
Say = Callable[[str], None]


class FolderMissing(OSError):
    """There is no folder to watch."""


def look(settings: Settings, say: Say, stopping: Callable[[], bool] = lambda: False) -> None:
    """Take up all new observations of the watched folder, one after the other.

    Parameters
    ----------
    settings : Settings
        With `beat_folder`.
    say : callable
        Told one line for each observation that something became of.
    stopping : callable
        Asked before each observation whether the look shall end here; the next one takes up the rest.

    Raises
    ------
    FolderMissing, DatabaseUnreachable, BrokerUnreachable, WorkersLost
        One line each; the next look goes on where this one stopped.
    """
    folder = watched_folder(settings)
    with open_session(settings, broker=True) as session, watched.only_look(session.engine) as mine:
        if not mine:
            say(f"{folder}: another look is under way")
            return
        for path in sorted(path for path in folder.rglob(FILE_NAME) if path.is_file()):
            if stopping():
                return
            take_up(session, path, say)


def watched_folder(settings: Settings) -> Path:
    """The folder to watch.

    Raises
    ------
    FolderMissing
    """
    if settings.beat_folder is None:
        raise FolderMissing("no folder to watch: set beat_folder in asidcat.toml or ASIDCAT_BEAT_FOLDER")
    if not settings.beat_folder.is_dir():
        raise FolderMissing(f"{settings.beat_folder}: no such folder to watch")
    return settings.beat_folder


def take_up(session: Session, path: Path, say: Say) -> None:
    """Make an observation's run and draft, or go on with them; nothing if that is done or cannot be done."""
    try:
        sha256, found = identify(path)
        with _transaction(session.engine) as conn:
            status, run_id = watched.take(conn, sha256, path)
        if status != "taken":
            return
        try:
            if isinstance(found, ObservationError):
                raise found
            say(f"{path}: {_run_and_draft(session, found, sha256, run_id)}")
        except ValueError as error:
            if not is_user_error(error):
                raise
            with _transaction(session.engine) as conn:
                watched.broken(conn, sha256, _one_line(path, error))
            say(f"{_one_line(path, error)}; not tried again until it changes")
    except ConnectionError:
        raise
    except OSError as error:
        say(f"{_one_line(path, error)}; the next look tries again")


def identify(path: Path) -> tuple[str, ObservationManifest | ObservationError]:
    """Checksum of an observation, with its manifest, or with the fault of a file that has none.

    The checksum is of what the file says and of the content of all files it names; of the bytes of a faulty one, and
    of the names, sizes and times of all files beside it, one of which may be what it lacks.
    """
    try:
        manifest = load_observation(path)
    except ObservationError as error:
        files = sorted(p for p in path.parent.rglob("*") if p.is_file())
        beside = [(p.relative_to(path.parent), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
        return _sha256(path.read_text(errors="replace"), beside), error
    entries = (*manifest.counts, *manifest.events, *manifest.exposure)
    return _sha256(manifest.document, [file_sha256(entry.path) for entry in entries]), manifest


def _run_and_draft(session: Session, manifest: ObservationManifest, sha256: str, run_id: int | None) -> str:
    """Do what is left to do; returns what came of it."""
    run_id = _run(session, manifest.path, sha256, run_id)
    version = f"{manifest.name}-run{run_id}"
    _draft(session, version, run_id)
    with _transaction(session.engine) as conn:
        watched.released(conn, sha256, version)
        failed = [check for check in check_release(conn, version) if not check.passed]
    worse = f"; it is worse than the one before: {reasons(failed)}" if failed else ""
    return f"run {run_id}, draft release {version}{worse}"


def _run(session: Session, path: Path, sha256: str, run_id: int | None) -> int:
    progress = PlainProgress()
    if run_id is not None:
        return resume_run(session.settings, run_id, progress, lambda _: None)

    def write_down(conn: Connection, begun: int) -> None:
        watched.run_begun(conn, sha256, begun)

    return start_run(session.settings, path, RunRequest(), progress, lambda _: None, write_down)


def _draft(session: Session, version: str, run_id: int) -> None:
    """The draft release and its folder, if they are not there."""
    folder = session.settings.beat_releases or session.settings.home / "releases"
    with _transaction(session.engine) as conn:
        made = is_release(conn, version)
    if made and (folder / version / CHECKSUMS).is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f".{version}.*.partial"):  # by a look that was killed
        shutil.rmtree(left)
    make_release(session, version, run_id, folder / version, draft=True)


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    with database_errors(engine.url), engine.begin() as conn:
        yield conn


def _sha256(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _one_line(path: Path, error: Exception) -> str:
    text = one_line(error)
    return text if str(path.parent) in text else f"{path}: {text}"
