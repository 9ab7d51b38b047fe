"""An open database, and a broker where one is needed: what every command works with."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine

from catalog.engine import make_engine, require_schema, upgrade
from workers.local import services
from workers.settings import Settings


@dataclass(frozen=True)
class Session:
    """An engine on a database of the right schema, and settings with all URLs filled in."""

    settings: Settings
    engine: Engine


@contextmanager
def open_session(settings: Settings, *, broker: bool = False) -> Iterator[Session]:
    """Open the database (and the broker), starting the embedded ones where no URL is set.

    An embedded database belongs to the program and is brought to its schema; another is only checked.

    Raises
    ------
    LocalServiceError, DatabaseUnreachable, SchemaError
        One line each.
    """
    if settings.data is not None:
        os.environ["ASIDCAT_DATA"] = str(settings.data)  # where `sky.data` looks
    with services(settings, broker=broker) as found:
        assert found.database_url is not None
        if settings.database_url is None:
            upgrade(found.database_url)
        engine = make_engine(found.database_url)
        try:
            require_schema(engine)
            yield Session(found, engine)
        finally:
            engine.dispose()
