"""`asidcat status`, `cone` and `sql`: look at runs and sources."""

from typing import Annotated

import typer

from workers.cli.application import app
from workers.cli.output import AsJson, print_answer
from workers.settings import load_settings

# Negative latitudes are not options.
_NUMBERS = {"ignore_unknown_options": True}
Run = Annotated[int | None, typer.Argument(metavar="[RUN]", show_default=False)]
Longitude = Annotated[float, typer.Argument(metavar="L", help="Galactic longitude, degrees.")]
Latitude = Annotated[float, typer.Argument(metavar="B", help="Galactic latitude, degrees.")]
Radius = Annotated[float, typer.Argument(metavar="RADIUS", help="Degrees.")]
Statement = Annotated[str, typer.Argument(metavar="'SELECT …'", show_default=False)]
Timeout = Annotated[float, typer.Option(min=0.001, help="Time limit, s.")]


@app.command()
def status(run: Run = None, as_json: AsJson = False) -> None:
    """All runs, or the stages of one."""
    from catalog.engine import database_errors
    from catalog.query import describe_run, list_runs
    from workers.session import open_session

    with open_session(load_settings()) as session, database_errors(session.engine.url):
        with session.engine.connect() as conn:
            answer = list_runs(conn) if run is None else describe_run(conn, run)
        print_answer(answer, as_json)


@app.command(context_settings=_NUMBERS)
def cone(glon: Longitude, glat: Latitude, radius: Radius, as_json: AsJson = False) -> None:
    """Sources of the newest public release around a galactic position, the nearest first."""
    from catalog.engine import database_errors
    from catalog.query import cone as cone_of_release
    from workers.session import open_session

    with open_session(load_settings()) as session, database_errors(session.engine.url):
        with session.engine.connect() as conn:
            answer = cone_of_release(conn, glon, glat, radius)
        print_answer(answer, as_json)


@app.command()
def sql(statement: Statement, as_json: AsJson = False, timeout: Timeout = 60.0) -> None:
    """One SQL statement that only reads."""
    from catalog.query import read_only
    from workers.session import open_session

    with open_session(load_settings()) as session:
        answer = read_only(session.engine, statement, timeout)
    print_answer(answer, as_json)
