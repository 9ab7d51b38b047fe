"""A release on disk: the frozen catalogue in its formats, the report, checksums."""

from pathlib import Path

from sqlalchemy import Connection, select

from catalog.engine import database_errors
from catalog.formats.folder import release_folder, write_catalogue_files
from catalog.freezing import freeze
from catalog.publishing import PublicationRefused, publish
from catalog.tables import Release
from models.likelihood.flags import flag_meanings
from reports.beside import beside
from reports.files import PAGE, write_files
from reports.report import make_report
from workers.session import Session


def catalogue_path(folder: Path, version: str) -> Path:
    """The FITS file of a release."""
    return folder / f"asid-{version}.fits"


def report_path(folder: Path) -> Path:
    """The report of a release."""
    return folder / PAGE


def make_release(
    session: Session,
    version: str,
    run_id: int,
    target: Path,
    *,
    draft: bool = False,
    predecessor: str | None = None,
    first: bool = False,
    simulated: str | None = None,
) -> PublicationRefused | None:
    """Freeze a run as a release and write all its files into a new folder, or nothing at all.

    A new release is published too, unless it shall be a draft, or is worse than its predecessor. One that is
    there already keeps its status; its files are written again.

    Parameters
    ----------
    draft, predecessor, first, simulated
        As in `catalog.freezing.freeze`.

    Returns
    -------
    PublicationRefused or None
        Why it stays a draft though it should have been published.

    Raises
    ------
    ReleaseError, FolderError, DatabaseUnreachable
        One line each.
    """
    engine = session.engine
    # The transaction is the inner block: the release is in the database before its folder is in its place.
    with release_folder(target) as folder, database_errors(engine.url), engine.begin() as conn:
        new = not is_release(conn, version)
        freeze(
            conn,
            version,
            run_id,
            flags=flag_meanings(),
            predecessor=predecessor,
            first=first,
            draft=True,
            simulated=simulated,
        )
        with beside(write_files, make_report(conn, version), folder):
            write_catalogue_files(conn, version, folder)
        return _publish(conn, version) if new and not draft else None


def is_release(conn: Connection, version: str) -> bool:
    """Whether a version is held by a release."""
    return conn.scalar(select(Release.version).where(Release.version == version)) is not None


def _publish(conn: Connection, version: str) -> PublicationRefused | None:
    try:
        publish(conn, version)
    except PublicationRefused as refused:
        return refused
    return None
