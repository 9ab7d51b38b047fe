"""The report as files: the page, the PDF, and the numbers as CSV."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from reports.beside import beside
from reports.page import csv, render
from reports.pdf import write_pdf
from reports.report import Report, make_report

PAGE, PDF, NUMBERS = "report.html", "report.pdf", "report-numbers"


def write_report(
    conn: sa.Connection,
    version: str,
    folder: Path | str,
    against: Sequence[str] = (),
    simulated: str | None = None,
) -> Path:
    """Write ``report.html``, ``report.pdf`` and ``report-numbers/*.csv`` of a release into a folder.

    The bytes depend on the release alone: the same release reported twice is the same files.

    Parameters
    ----------
    conn : Connection
        Read from, never written to.
    version : str
        Release version.
    folder : path
        Made if it does not exist. A report that is there is replaced.
    against : sequence of str
        Names of reference catalogues of the database to compare it with, besides those of its run.
    simulated : str, optional
        Release of a simulated sky (`reports.data.load`).

    Returns
    -------
    Path
        The page.

    Raises
    ------
    catalog.release.ReleaseError
        If there is no such release.
    reports.against.ReportError
        If there is no such catalogue, or `simulated` is not of a simulated sky of this survey.
    """
    return write_files(make_report(conn, version, against, simulated), folder)


def write_files(report: Report, folder: Path | str) -> Path:
    """The same of a report that is made already: nothing is read."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = report.figures  # once for page and PDF
    # Written beside its place and moved there: whoever looks finds a whole file or none.
    partial = Path(tempfile.mkdtemp(dir=folder, prefix=".report."))
    try:
        title = report.data.release.version
        with beside(write_pdf, partial / PDF, title, report.facts, report.headlines, drawn):
            (partial / PAGE).write_text(render(report), encoding="utf-8", newline="\n")
            (partial / NUMBERS).mkdir()
            for name, frame in report.numbers().items():
                (partial / NUMBERS / f"{name}.csv").write_text(csv(frame), encoding="utf-8", newline="\n")
        shutil.rmtree(folder / NUMBERS, ignore_errors=True)
        for name in (PAGE, PDF, NUMBERS):
            (partial / name).replace(folder / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / PAGE
