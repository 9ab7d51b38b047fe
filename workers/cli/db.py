"""`asidcat db`: the database schema."""

import typer

from workers.cli.application import app
from workers.settings import load_settings

commands = typer.Typer(help="The database schema.", no_args_is_help=True)
app.add_typer(commands, name="db")


@commands.command()
def upgrade() -> None:
    """Bring the database to this program's schema; its rows are kept."""
    from catalog.engine import describe_url, head_revision
    from catalog.engine import upgrade as upgrade_database
    from workers.local import services

    with services(load_settings(), broker=False) as found:
        assert found.database_url is not None
        upgrade_database(found.database_url)
        print(f"{describe_url(found.database_url)} is at {head_revision()}")
