"""The command line: one module a family of commands; `main` turns a user's error into one line."""

from workers.cli import beat, db, look, reference, release, run, show, simulate, train, worker
from workers.cli.application import app
from workers.cli.errors import one_line_errors

__all__ = [
    "app",
    "beat",
    "db",
    "look",
    "main",
    "reference",
    "release",
    "run",
    "show",
    "simulate",
    "train",
    "worker",
]


def main() -> None:
    """Run a command and exit: 0 done, 1 failed (one line on standard error), 2 wrong usage."""
    with one_line_errors():
        app(prog_name="asidcat")
