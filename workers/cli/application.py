"""The Typer application that the command modules add themselves to."""

import typer

app = typer.Typer(
    name="asidcat",
    help="From a gamma-ray sky to a published source catalogue.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
