"""`asidcat worker`: a Celery worker, on this or on any machine that sees the database, broker and home."""

import subprocess
import sys
from typing import Annotated

import typer

from workers.cli.application import app
from workers.settings import load_settings, usable_cores

Concurrency = Annotated[
    int | None, typer.Option(min=1, help="Processes; default: one a core, or one for the GPU.")
]
Gpu = Annotated[bool, typer.Option("--gpu", help="Only detection by networks, on this machine's GPU.")]
# torch may not be loaded in the process that forks the workers.
_ASK_GPU = "import sys; from models.detectors import gpu_here; sys.exit(not gpu_here())"


class NoGpu(OSError):
    """A GPU is asked for where there is none."""


@app.command()
def worker(concurrency: Concurrency = None, gpu: Gpu = False) -> None:
    """Work on the runs of the database until stopped (SIGTERM or Ctrl-C: after the items in hand)."""
    from workers.app import make_app, require_broker
    from workers.celery_worker import run_worker
    from workers.session import open_session

    settings = load_settings()
    if gpu and subprocess.run([sys.executable, "-c", _ASK_GPU], check=False).returncode:
        raise NoGpu("torch finds no GPU on this machine: start the worker without --gpu")
    processes = concurrency or (1 if gpu else settings.workers or usable_cores())
    with open_session(settings, broker=True) as session:
        celery = make_app(session.settings)
        require_broker(celery)
        run_worker(celery, session.settings, processes, gpu=gpu)
