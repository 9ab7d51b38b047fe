"""`asidcat beat`: scheduled releases."""

from typing import Annotated

import typer

from workers.cli.application import app
from workers.cli.errors import stoppable
from workers.settings import load_settings

Once = Annotated[bool, typer.Option("--once", help="Look once, now, and end.")]


@app.command()
def beat(once: Once = False) -> None:
    """Watch a folder on a schedule: each new observation becomes a run and a draft release."""
    from workers.session import open_session
    from workers.watching import look, watched_folder

    settings = load_settings()
    watched_folder(settings)
    if once:
        with stoppable():
            look(settings, print)
        return
    from workers.app import require_broker
    from workers.beat import make_beat, run_beat

    with open_session(settings, broker=True) as session:
        celery = make_beat(session.settings)
        require_broker(celery)
        run_beat(celery, session.settings)
