"""`asidcat simulate`: a synthetic sky in the format of a real observation."""

from pathlib import Path
from typing import Annotated

import typer

from workers.cli.application import app
from workers.cli.errors import stoppable


@app.command("simulate")
def simulate_command(
    survey: Annotated[str, typer.Argument(metavar="SURVEY", help="lat-10gev or lat-6band.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="New or empty folder.")],
    seed: Annotated[int, typer.Option(help="Seed of every random draw.")],
    emission: Annotated[str, typer.Option(help="Interstellar emission: B1, B2 or random.")] = "B1",
    population: Annotated[str, typer.Option(help="Sources: founding, physical or 4fgl-dr2.")] = "founding",
    years: Annotated[bool, typer.Option("--years", help="In time slices of a year.")] = False,
    irfs: Annotated[str | None, typer.Option(help="Event class, if not the survey's.")] = None,
    faintest: Annotated[float, typer.Option(help="Faintest flux, over the catalogue's threshold.")] = 0.1,
    extended: Annotated[bool, typer.Option("--extended", help="Extended sources as such.")] = False,
    dispersion: Annotated[bool, typer.Option("--dispersion", help="Scatter measured energies.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder.")] = False,
) -> None:
    """A synthetic sky with its truth; the observation file's path is the last line printed."""
    from sky.simulate import synthetic_sky
    from sky.simulate_files import require_target, write_sky
    from sky.survey import get_survey

    known = get_survey(survey)
    require_target(output, overwrite)
    slices = max(known.time_slices, 2) if years else 1
    sky = synthetic_sky(known, seed, emission, population, slices, irfs, extended, faintest, dispersion)
    with stoppable():
        print(write_sky(sky, output, overwrite))
