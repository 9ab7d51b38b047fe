"""`asidcat run`: from an observation to a catalogue in the database."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from workers.cli.application import app
from workers.cli.errors import Terminated, stoppable
from workers.settings import load_settings

Observation = Annotated[
    Path | None, typer.Argument(metavar="OBSERVATION.toml", show_default=False, readable=False)
]
Detector = Annotated[
    str | None,
    typer.Option(
        help="How sources are found: matched-filter, unet or unet-counts (which never sees the filter's map); "
        "the survey's best if not given."
    ),
]
Localiser = Annotated[
    str | None,
    typer.Option(
        help="How the network's output becomes positions: centre-direction (the default), direction-field, "
        "disk, log or kmeans."
    ),
]
ClassNetwork = Annotated[
    str,
    typer.Option(
        help="What gives the classes: cutouts, or cubes (position, years and bands in one network)."
    ),
]
Blind = Annotated[bool, typer.Option("--blind", help="No class may rest on the place on the sky.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random draw.")]
Tiles = Annotated[str | None, typer.Option(help="Only these tiles of the sky, such as 0-15,40.")]
Threshold = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Least Det_Prob of the catalogue's sources; others stay in the database. By default the survey's.",
    ),
]
Reference = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Find counterparts in this catalogue too (asidcat reference list)."),
]
Resume = Annotated[int | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")]


@app.command()
def run(
    observation: Observation = None,
    detector: Detector = None,
    localiser: Localiser = None,
    class_network: ClassNetwork = "cutouts",
    blind: Blind = False,
    seed: Seed = 1,
    tiles: Tiles = None,
    threshold: Threshold = None,
    reference: Reference = None,
    resume: Resume = None,
) -> None:
    """Ingest, detect, characterise, associate; the run's id is the last line printed."""
    if (observation is None) == (resume is None):
        raise typer.BadParameter("give either OBSERVATION.toml or --resume RUN")
    wanted = parse_tiles(tiles) if tiles is not None else None
    from workers.progress import make_progress
    from workers.runner import RunRequest, resume_run, start_run

    settings = load_settings()
    known: list[int] = []
    try:
        with stoppable(), make_progress() as progress:
            if resume is not None:
                run_id = resume_run(settings, resume, progress, known.append)
            else:
                assert observation is not None
                request = RunRequest(
                    detector, seed, wanted, threshold, localiser, class_network, blind, reference or ()
                )
                run_id = start_run(settings, observation, request, progress, known.append)
    except (KeyboardInterrupt, Terminated):
        then = f"go on with: asidcat run --resume {known[0]}" if known else "nothing was written"
        print(f"asidcat: interrupted; {then}", file=sys.stderr)
        raise
    except OSError as error:
        if known:
            error.add_note(f"go on with: asidcat run --resume {known[0]}")
        raise
    print(run_id)


def parse_tiles(text: str) -> list[int]:
    """Tile numbers from text such as ``0-15,40``."""
    tiles: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            tiles += range(int(first), int(last if dash else first) + 1)
        except ValueError:
            raise typer.BadParameter(f"'{text}' is not a list of tiles such as 0-15,40") from None
    return tiles
