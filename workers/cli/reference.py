"""`asidcat reference`: the published catalogues in the database."""

from pathlib import Path
from typing import Annotated

import typer

from workers.cli.application import app
from workers.cli.output import AsJson, print_answer
from workers.settings import load_settings

commands = typer.Typer(help="Reference catalogues.", no_args_is_help=True)
app.add_typer(commands, name="reference")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is called here.", show_default=False)]
File = Annotated[Path | None, typer.Option(metavar="PATH", help="A FITS, VOTable or ECSV table.")]
Vizier = Annotated[str | None, typer.Option(metavar="TABLE", help="A table of VizieR, such as IX/72.")]
Citation = Annotated[str, typer.Option(help="What to cite for it.")]
Timeout = Annotated[float, typer.Option(min=1, help="How many seconds VizieR may be silent.")]


@commands.command()
def add(
    name: Name, file: File = None, vizier: Vizier = None, citation: Citation = "", timeout: Timeout = 120.0
) -> None:
    """Add a catalogue from a file or from VizieR; the same again changes nothing."""
    if (file is None) == (vizier is None):
        raise typer.BadParameter("give either --file PATH or --vizier TABLE")
    from catalog.added_references import add_file, add_vizier, require_name
    from catalog.engine import database_errors
    from catalog.vizier import fetch_table
    from workers.session import open_session

    require_name(name)
    fetched = fetch_table(vizier, timeout) if vizier is not None else None
    with open_session(load_settings()) as session:
        with database_errors(session.engine.url), session.engine.begin() as conn:
            if fetched is not None:
                catalog_id = add_vizier(conn, name, fetched, citation)
            else:
                assert file is not None
                catalog_id = add_file(conn, name, file, citation)
        print(catalog_id)


@commands.command("list")
def list_command(as_json: AsJson = False) -> None:
    """Catalogues, their versions and the number of their sources."""
    from catalog.added_references import list_references
    from catalog.engine import database_errors
    from workers.session import open_session

    with open_session(load_settings()) as session, database_errors(session.engine.url):
        with session.engine.connect() as conn:
            answer = list_references(conn)
        print_answer(answer, as_json)
