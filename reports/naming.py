"""Which source of which release a name means."""

import difflib
import re

import numpy as np
import sqlalchemy as sa

from catalog.release import release_record
from catalog.tables import Release, ReleaseSource

POSITION = re.compile(r"J(\d{2})(\d{2}(?:\.\d+)?)([+-])(\d{2})(\d{2})?", re.IGNORECASE)
NEAREST = 3


class SourceNameError(ValueError):
    """A name that no source has; one line, with the nearest names."""


def latest_version(conn: sa.Connection) -> str:
    """The public release that came last.

    Raises
    ------
    SourceNameError
        If there is none.
    """
    order = Release.published_at.desc(), Release.released_at.desc(), Release.version.desc()
    query = sa.select(Release.version).where(Release.status == "public").order_by(*order).limit(1)
    version = conn.scalar(query)
    if version is None:
        raise SourceNameError("there is no public release yet; name a draft with --release")
    return version


def find_source(conn: sa.Connection, name: str, version: str | None = None) -> tuple[str, str]:
    """The release and the full name of a source.

    Parameters
    ----------
    name : str
        With or without ``ASID``, in capitals or not.
    version : str, optional
        By default the public release that came last.

    Raises
    ------
    SourceNameError
        If no source has that name, or there is no public release.
    catalog.release.ReleaseError
        If there is no such release.
    """
    version = latest_version(conn) if version is None else release_record(conn, version).version
    names = list(conn.scalars(sa.select(ReleaseSource.source_name).where(ReleaseSource.version == version)))
    wanted = "ASID " + re.sub(r"^ASID\s*", "", " ".join(name.split()), flags=re.IGNORECASE).upper()
    if wanted in names:
        return version, wanted
    near = ", ".join(nearest_names(wanted, names))
    hint = f"the nearest names: {near}" if near else "names are JHHMM.m+DDMM"
    raise SourceNameError(f"release {version} has no source '{name}'; {hint}")


def nearest_names(wanted: str, names: list[str]) -> list[str]:
    """Names nearest on the sky where the wanted one says a place, in spelling where it does not."""
    place = _place(wanted)
    if place is None:
        return difflib.get_close_matches(wanted, sorted(names), NEAREST, cutoff=0.5)
    known = sorted(name for name in names if _place(name) is not None)
    if not known:
        return []
    vectors = np.array([_place(name) for name in known])
    order = np.argsort(-(vectors @ place), kind="stable")
    return [known[i] for i in order[:NEAREST]]


def _place(name: str) -> np.ndarray | None:
    """Unit vector of the place in a name (JHHMM.m+DDMM); None if there is none."""
    found = POSITION.search(name)
    if found is None:
        return None
    hours, minutes, sign, degrees, arcmin = found.groups()
    ra = np.radians(15 * (int(hours) + float(minutes) / 60))
    dec = np.radians(float(f"{sign}1") * (int(degrees) + int(arcmin or 0) / 60))
    return np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
