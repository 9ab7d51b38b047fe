"""The folder of a release: all its files, or none."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from catalog.columns import columns_markdown
from catalog.footprint import release_moc, write_moc
from catalog.formats.fits import write_fits
from catalog.formats.hats import write_hats
from catalog.formats.parquet import write_parquet
from catalog.formats.votable import write_votable
from catalog.release import release_record, release_table
from sky.readers.files import file_sha256

CHECKSUMS = "SHA256SUMS"


class FolderError(OSError):
    """A folder that cannot take a release."""


@contextmanager
def release_folder(target: Path) -> Iterator[Path]:
    """A new folder beside the target, which takes the target's place when the block ends well.

    On leaving, ``SHA256SUMS`` of all files in it is written. Nothing of it stays if the block fails.

    Raises
    ------
    FolderError
        If the target exists and is not an empty folder, or cannot be written.
    """
    target = target.absolute()
    if target.is_dir() and not any(target.iterdir()):
        pass
    elif target.exists() or target.is_symlink():
        raise FolderError(f"{target}: exists already and is not an empty folder")
    above = next(folder for folder in target.parents if folder.exists())
    if not above.is_dir():
        raise FolderError(f"{target}: {above} is not a folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    except OSError as error:
        raise FolderError(f"{target}: {error.strerror}") from None
    try:
        partial.chmod(0o755)
        yield partial
        write_checksums(partial)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_checksums(folder: Path) -> None:
    """Write ``SHA256SUMS`` of all files under a folder, for ``sha256sum -c``."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != CHECKSUMS)
    lines = [f"{file_sha256(p)}  {p.relative_to(folder).as_posix()}\n" for p in files]
    (folder / CHECKSUMS).write_text("".join(lines))


def write_catalogue_files(conn: Connection, version: str, folder: Path) -> Path:
    """Write the catalogue as FITS (twice: all of it, and in 4FGL's layout), VOTable, Parquet and HATS.

    ``columns.md`` and a map of the covered sky (MOC) go with it; the map is left out where the observation was read
    by a program that did not write down its coverage.

    Returns
    -------
    Path
        The FITS file.

    Raises
    ------
    ReleaseError
        If there is no such release.
    """
    record = release_record(conn, version)
    fits_path = folder / f"asid-{version}.fits"
    table = release_table(conn, version)
    write_fits(conn, record, table, fits_path, folder / f"asid-{version}-4fgl.fits")
    write_votable(record, table, folder / f"asid-{version}.vot")
    write_parquet(record, table, folder / f"asid-{version}.parquet")
    write_hats(record, table, folder / f"asid-{version}-hats")
    moc = release_moc(conn, record)
    if moc is not None:
        write_moc(moc, folder / f"asid-{version}-moc.fits")
    flags = {int(bit): text for bit, text in record.provenance["flags"].items()}
    (folder / "columns.md").write_text(columns_markdown(record.survey, flags, record.columns))
    return fits_path
