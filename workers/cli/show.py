"""`asidcat show`: one source of a release, on the terminal or as a page."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli.application import app
from workers.cli.errors import stoppable
from workers.cli.output import AsJson
from workers.settings import load_settings

if TYPE_CHECKING:
    from reports.source import Source

Name = Annotated[str, typer.Argument(metavar="NAME", help="With or without 'ASID'.", show_default=False)]
Version = Annotated[
    str | None, typer.Option("--release", metavar="VERSION", help="By default the last public one.")
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE.html", help="Write a page instead.")
]


@app.command()
def show(name: Name, release: Version = None, output: Output = None, as_json: AsJson = False) -> None:
    """One source: counts, spectrum, light curve, classes, associations, flags."""
    from catalog.engine import database_errors
    from reports.naming import find_source
    from reports.source import load_source
    from reports.source_page import write_source_page
    from workers.session import open_session

    with (
        stoppable(),
        open_session(load_settings()) as session,
        database_errors(session.engine.url),
        session.engine.connect() as conn,
    ):
        source = load_source(conn, *find_source(conn, name, release))
    if output is not None:
        write_source_page(source, output)
        print(output)
    elif as_json:
        json.dump(source.as_json(), sys.stdout, default=str, ensure_ascii=False, indent=1)
        print()
    else:
        _print(source)


def _print(source: "Source") -> None:
    """Facts, small pictures in letters, and the tables."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from reports.source_text import facts, shaded, tables

    console = Console(highlight=False)
    console.print(Text(source.name, style="bold"), f"  release {source.release.version}", sep="")
    listed = Table.grid(padding=(0, 2))
    for fact in facts(source):
        listed.add_row(*map(Text, fact))
    console.print(listed)
    if source.images:
        pictures = Table.grid(padding=(0, 3))
        shown = [
            Text("\n".join([f"{i.label}, {i.width_deg:.0f}°, {i.photons} photons", *shaded(i.image)]))
            for i in source.images
        ]
        per_row = max(1, console.width // 30)
        for first in range(0, len(shown), per_row):
            pictures.add_row(*shown[first : first + per_row])
        console.print(Text("\nCounts", style="bold"))
        console.print(pictures)
    for title, table, words in tables(source):
        console.print(Text(f"\n{title}", style="bold"))
        if not table.rows:
            console.print(Text(words))
            continue
        drawn = Table(box=None, padding=(0, 2, 0, 0), header_style="")
        for column in table.columns:
            drawn.add_column(Text(column))
        for row in table.rows:
            drawn.add_row(*map(Text, row))
        console.print(drawn)
