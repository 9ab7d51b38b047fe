"""Public data files, known by name and checksum.

A file is taken from the folder named by `ASIDCAT_DATA` where it is there, else downloaded once from its
public address into a cache folder. Either way its content is checked: a file that differs stops the program.
"""

import csv
import os
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import pooch
from platformdirs import user_cache_path

from sky.readers.files import file_sha256

TABLE = "public_data.tsv"


class DataError(OSError):
    """A public data file that is unknown, missing, unreachable or not the one it should be."""


@dataclass(frozen=True)
class PublicFile:
    """One public file: `name` is its path in a data folder, `url` its public address."""

    name: str
    bytes: int
    sha256: str
    url: str


@cache
def public_files() -> dict[str, PublicFile]:
    """All files the program and its derivation scripts use, by name."""
    with resources.files("sky.tables").joinpath(TABLE).open(encoding="utf-8") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return {r["name"]: PublicFile(r["name"], int(r["bytes"]), r["sha256"], r["url"]) for r in rows}


def data_folder() -> Path | None:
    """Folder named by `ASIDCAT_DATA`; None where it is not set.

    Raises
    ------
    DataError
        If it does not exist.
    """
    text = os.environ.get("ASIDCAT_DATA", "")
    if not text:
        return None
    folder = Path(text).expanduser().absolute()
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder (ASIDCAT_DATA)")
    return folder


def cache_folder() -> Path:
    """Where downloaded files are kept."""
    return user_cache_path("asidcat") / "data"


def data_path(name: str) -> Path:
    """Path of a public file, checked.

    Parameters
    ----------
    name : str
        Such as ``catalogs/gll_psc_v27.fit.gz``.

    Raises
    ------
    DataError
        If the name is unknown, the file cannot be had, or its checksum differs.
    """
    if name not in public_files():
        raise DataError(f"{name}: not a public file this program knows")
    return fetch(public_files()[name], data_folder(), cache_folder())


def fetch(file: PublicFile, folder: Path | None, cache: Path) -> Path:
    """Find a file in a folder, or in the cache, or download it there; raises as `data_path`."""
    for place in (folder, cache):
        if place is not None and (place / file.name).is_file():
            return _checked(file, place / file.name)
    target = cache / file.name
    try:
        pooch.retrieve(
            file.url,
            known_hash=f"sha256:{file.sha256}",
            fname=target.name,
            path=target.parent,
            progressbar=False,
        )
    except OSError as error:  # requests' errors are OSErrors too
        reason = type(error).__name__  # its text is a paragraph
        raise DataError(
            f"{file.name}: not in ASIDCAT_DATA, and cannot be downloaded from {file.url} ({reason})"
        ) from None
    except ValueError:
        raise DataError(f"{file.name}: what {file.url} sends has not the expected sha256") from None
    return target


def _checked(file: PublicFile, path: Path) -> Path:
    sha256 = file_sha256(path)
    if sha256 != file.sha256:
        raise DataError(f"{path}: sha256 is {sha256[:12]}..., not the expected {file.sha256[:12]}...")
    return path
