"""Tables of the VizieR service (Ochsenbein et al. 2000, A&AS 143, 23), by astroquery.

VizieR has 3FGL (J/ApJS/218/23), 3FHL (J/ApJS/232/18), 4FGL (J/ApJS/247/33), 4FGL-DR3 (IX/67) and 4FGL-DR4
(IX/72), but not 4FGL-DR2: that one is a file known by its checksum (`sky.data`).
"""

from dataclasses import dataclass
from pathlib import Path

from astropy.table import Table

from catalog.recognition import has_positions
from catalog.table_files import parse_votable
from sky.readers.files import InputError

TIMEOUT_S = 120.0
CONNECT_TIMEOUT_S = 10.0


class VizierError(OSError):
    """VizieR cannot be reached, does not answer, or has no such table."""


@dataclass(frozen=True)
class VizierTable:
    """A table, its full name at VizieR, and how VizieR describes its catalogue."""

    table: Table
    name: str
    description: str


def fetch_table(name: str, timeout_s: float = TIMEOUT_S) -> VizierTable:
    """Fetch all rows and columns of a table.

    Parameters
    ----------
    name : str
        Of the table, ``IX/72/4fgldr4``, or of a catalogue in which one table alone has positions, ``IX/72``.
    timeout_s : float
        How long VizieR may be silent.

    Raises
    ------
    VizierError
        One line, whatever went wrong.
    """
    server, content = _query(name, timeout_s)
    try:
        document = parse_votable(content, Path(name))
    except InputError:
        raise VizierError(f"VizieR ({server}) sends something else than a table for '{name}'") from None
    for info in [*document.infos, *(i for resource in document.resources for i in resource.infos)]:
        if info.name == "Error" or (info.name == "QUERY_STATUS" and info.value in ("ERROR", "OVERFLOW")):
            fault = " ".join((info.content or info.value).split())
            raise VizierError(f"VizieR ({server}) refuses '{name}': {fault}")
    found = [
        VizierTable(table, str(tree.name), " ".join(str(resource.description or "").split()))
        for resource in document.resources
        for tree in resource.tables
        if has_positions(table := tree.to_table(use_names_over_ids=True)) or tree.name == name
    ]
    if not found:
        raise VizierError(f"VizieR ({server}) has no table of positions '{name}'")
    if len(found) > 1:
        tables = ", ".join(table.name for table in found)
        raise VizierError(f"'{name}' has several tables of positions at VizieR, name one: {tables}")
    return found[0]


def _query(name: str, timeout_s: float) -> tuple[str, bytes]:
    """Address of the server and its answer, of which astroquery's own cache knows nothing."""
    from astroquery import cache_conf
    from astroquery.vizier import VizierClass, conf
    from requests import RequestException

    timeouts = (min(CONNECT_TIMEOUT_S, timeout_s), timeout_s)
    columns = ["**", "_RAJ2000", "_DEJ2000"]
    vizier = VizierClass(columns=columns, row_limit=-1, timeout=timeouts, vizier_server=conf.server)
    server = vizier.VIZIER_SERVER
    try:
        with cache_conf.set_temp("cache_active", False):
            response = vizier.get_catalogs_async(name)
    except RequestException as error:
        raise VizierError(f"VizieR ({server}) does not answer ({type(error).__name__})") from None
    if not response.ok:
        raise VizierError(f"VizieR ({server}) answers {response.status_code} {response.reason}")
    return server, response.content
