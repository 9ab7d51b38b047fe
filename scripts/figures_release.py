"""Pictures of a release's report for the documentation: its figures, and parts of the page as a browser shows it.

python -m scripts.figures_release VERSION FOLDER [--only KEY ...] [--report report.html]

The figures are drawn from the database. With ``--report`` the page is opened in a headless Chromium too (extra
``browser``), and its beginning, the map of the sky from near, and the bright misses are photographed. Those of the
documentation: ``--only sky ellipses-4fgl-dr2 --report RELEASE/report.html docs/figures``.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from catalog.engine import database_errors
from reports.report import make_report
from scripts.browser import headless
from workers.cli.errors import one_line_errors, stoppable
from workers.session import open_session
from workers.settings import load_settings

DPI = 110
WINDOW = (1240, 980)
# What is done before each picture; of the map's, only the map itself is taken.
VIEWS = {
    "page": "window.scrollTo(0, 0)",
    "misses": "document.querySelector('#missed-1').scrollIntoView()",
    "map": "document.querySelector('.map').scrollIntoView();"
    "document.querySelector('[name=find]').value = '79 1';"
    "document.querySelector('.map form').requestSubmit()",
}
DRAWN = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"


def draw(version: str, folder: Path, only: Sequence[str]) -> None:
    """Write one PNG a figure, named by the release and the figure."""
    with (
        open_session(load_settings()) as session,
        database_errors(session.engine.url),
        session.engine.connect() as conn,
    ):
        drawn = make_report(conn, version).figures
    for figure in drawn:
        if only and figure.key not in only:
            continue
        path = folder / f"{version}-{figure.key}.png"
        # No date and no version of the drawing library: the same release gives the same bytes.
        figure.figure.savefig(path, dpi=DPI, metadata={"Software": None})
        print(path)


def photograph(report: Path, folder: Path) -> None:
    """Write what a browser shows of the page, one PNG a view."""
    with headless(*WINDOW) as browser:
        browser.get(report.resolve().as_uri())
        browser.execute_script("document.documentElement.style.scrollBehavior = 'auto'")
        for name, script in VIEWS.items():
            browser.execute_script(script)
            browser.execute_async_script(DRAWN)
            path = folder / f"report-{name}.png"
            if name == "map":
                browser.find_element("css selector", ".map").screenshot(str(path))
            else:
                browser.save_screenshot(str(path))
            print(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=[], metavar="KEY")
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args()
    with one_line_errors(), stoppable():
        arguments.folder.mkdir(parents=True, exist_ok=True)
        draw(arguments.version, arguments.folder, arguments.only)
        if arguments.report:
            photograph(arguments.report, arguments.folder)
