"""One page of a small release, open in a real headless browser; skipped where there is none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from reports.files import write_report
from scripts.browser import BrowserMissingError, headless
from tests.released_sky import VERSION, released

__all__ = ["released"]


@pytest.fixture(scope="session")
def page(released: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with released.connect() as conn:
        return write_report(conn, VERSION, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def window() -> Iterator[Any]:
    opened = headless(1280, 900)
    try:
        driver = opened.__enter__()
    except BrowserMissingError as missing:
        pytest.skip(str(missing))
    yield driver
    opened.__exit__(None, None, None)


@pytest.fixture
def browser(window: Any, page: Path) -> Any:
    """The page, freshly loaded."""
    window.get(page.as_uri())
    return window
