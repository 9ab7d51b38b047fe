"""Which published catalogues a run is compared with, and that they are in the database."""

from collections.abc import Callable, Sequence

from sqlalchemy import Engine, select

from catalog.engine import database_errors
from catalog.references import load_reference
from catalog.tables import ReferenceCatalog
from sky.data import data_path, public_files

REFERENCE_FILES = ("catalogs/gll_psc_v27.fit.gz", "catalogs/gll_psch_v13.fit.gz")  # 4FGL-DR2, 3FHL


class ReferenceNotFound(ValueError):
    """A reference catalogue that is not in the database; one line."""


def named_references(engine: Engine, names: Sequence[str]) -> list[str]:
    """Checksums of reference catalogues by their names, the newest version of each; those of every run left out.

    Raises
    ------
    ReferenceNotFound
        If there is none of a name.
    """
    always = [public_files()[name].sha256 for name in REFERENCE_FILES]
    checksums = []
    with database_errors(engine.url), engine.connect() as conn:
        for name in dict.fromkeys(names):
            query = select(ReferenceCatalog.sha256).where(ReferenceCatalog.name == name)
            found = conn.scalar(query.order_by(ReferenceCatalog.id.desc()).limit(1))
            if found is None:
                known = ", ".join(conn.scalars(select(ReferenceCatalog.name).distinct().order_by("name")))
                raise ReferenceNotFound(
                    f"there is no reference catalogue {name} (known: {known or 'none'}): asidcat reference add"
                )
            checksums.append(found)
    return [sha256 for sha256 in checksums if sha256 not in always]


def require_references(engine: Engine, tell: Callable[[str], None]) -> list[str]:
    """Load the reference catalogues that are not in the database yet.

    Parameters
    ----------
    engine : Engine
    tell : callable
        Told what is being loaded.

    Returns
    -------
    list of str
        Checksums of the catalogues, by which a run remembers them.

    Raises
    ------
    DataError, InputError
        If a file cannot be had, or is not the one it should be.
    """
    checksums = [public_files()[name].sha256 for name in REFERENCE_FILES]
    for name, sha256 in zip(REFERENCE_FILES, checksums, strict=True):
        with database_errors(engine.url), engine.connect() as conn:
            if conn.scalar(select(ReferenceCatalog.id).where(ReferenceCatalog.sha256 == sha256)):
                continue
        tell(f"loading {name}")
        path = data_path(name)
        with database_errors(engine.url), engine.begin() as conn:
            load_reference(conn, path)
    return checksums
