"""`asidcat release`, `publish`, `diff` and `report`: what people get."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from workers.cli.application import app
from workers.cli.errors import stoppable
from workers.cli.output import AsJson, print_answer
from workers.settings import load_settings

Version = Annotated[str, typer.Argument(metavar="VERSION", show_default=False)]
Before = Annotated[str, typer.Argument(metavar="V1", show_default=False)]
Now = Annotated[str, typer.Argument(metavar="V2", show_default=False)]
Run = Annotated[int, typer.Option("--run", metavar="RUN", help="The run to freeze.", show_default=False)]
After = Annotated[
    str | None,
    typer.Option("--after", metavar="VERSION", help="It follows this one, not the survey's last."),
]
First = Annotated[bool, typer.Option("--first", help="It follows no other release.")]
Draft = Annotated[bool, typer.Option("--draft", help="Do not make it public yet.")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Even if it is worse than the one before.")]
Against = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Another reference catalogue of the database; may be repeated."),
]
Simulated = Annotated[
    str | None,
    typer.Option(
        metavar="VERSION", help="Release of a simulated sky, for the report's completeness and purity."
    ),
]
Folder = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", show_default=False)]


@app.command()
def release(
    version: Version,
    run: Run,
    output: Folder,
    after: After = None,
    first: First = False,
    draft: Draft = False,
    simulated: Simulated = None,
) -> None:
    """Freeze a run as a release: FITS, VOTable and Parquet catalogue, report, checksums in a new folder."""
    if after is not None and first:
        raise typer.BadParameter("give either --after VERSION or --first")
    from workers.releasing import catalogue_path, make_release, report_path
    from workers.session import open_session

    with stoppable(), open_session(load_settings()) as session:
        refused = make_release(
            session,
            version,
            run,
            output,
            draft=draft,
            predecessor=after,
            first=first,
            simulated=simulated,
        )
    if refused is not None:
        print(
            f"asidcat: {refused}; make it public all the same: asidcat publish {version} --anyway",
            file=sys.stderr,
        )
    print(catalogue_path(output, version))
    print(report_path(output))


@app.command()
def publish(version: Version, anyway: Anyway = False, as_json: AsJson = False) -> None:
    """Make a draft public, unless it is worse than the public release before it; prints what was checked."""
    from catalog.engine import database_errors
    from catalog.publishing import checks_table
    from catalog.publishing import publish as make_public
    from workers.session import open_session

    with stoppable(), open_session(load_settings()) as session, database_errors(session.engine.url):
        with session.engine.begin() as conn:
            checks = make_public(conn, version, anyway=anyway)
        if checks or as_json:
            print_answer(checks_table(checks), as_json)
        else:
            print(f"{version} is public; it follows no release that it could be compared with")


@app.command()
def diff(before: Before, now: Now, as_json: AsJson = False) -> None:
    """New, lost, moved, brighter, fainter and reclassified sources (from 3 sigma on) between two releases."""
    from catalog.diff import diff as compare
    from catalog.engine import database_errors
    from workers.session import open_session

    with open_session(load_settings()) as session, database_errors(session.engine.url):
        with session.engine.connect() as conn:
            answer = compare(conn, before, now)
        print_answer(answer, as_json)


@app.command()
def report(version: Version, output: Folder, against: Against = None, simulated: Simulated = None) -> None:
    """Write the report of a release alone, from the database."""
    from catalog.engine import database_errors
    from reports.files import write_report
    from workers.session import open_session

    with stoppable(), open_session(load_settings()) as session, database_errors(session.engine.url):
        with session.engine.connect() as conn:
            path = write_report(conn, version, output, against or (), simulated)
        print(path)
