"""`asidcat train`: weights and a model card out of synthetic skies."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from workers.cli.application import app

NETWORKS = ("localise", "flux", "real", "class", "class3d", "position", "characterise")

Kind = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help=f"Which network: {', '.join(NETWORKS[:-1])}; or {NETWORKS[-1]}, all but the first.",
        show_default=False,
    ),
]
Survey = Annotated[str, typer.Option(help="Survey it is for.")]
Folder = Annotated[Path, typer.Option("-o", "--output", help="Checkpoint, history, weights and model card.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of skies and weights.")]
Normalisation = Annotated[str, typer.Option(help="localise: likelihood, local-sqrt or patch-max.")]
Steps = Annotated[int, typer.Option(min=1, help="localise: batches of 16 tiles.")]
Minutes = Annotated[
    float, typer.Option(min=0.1, help="localise: stop after this long, resumed time included.")
]
From = Annotated[
    Path | None, typer.Option("--from", help="Weights to begin with, instead of none; not for characterise.")
]
Rate = Annotated[float, typer.Option(min=1e-6, help="localise: the highest learning rate.")]
Extended = Annotated[
    float, typer.Option(min=0, max=1, help="localise: share of the skies with extended sources.")
]
Every = Annotated[int, typer.Option(min=1, help="localise: steps from one validation to the next.")]
Patience = Annotated[int, typer.Option(min=1, help="Validations without a better score before it stops.")]
Processes = Annotated[int, typer.Option(min=0, help="localise: processes that make skies.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of the training itself.")]
Device = Annotated[str, typer.Option(help="localise: cpu or cuda; where there is a GPU, cuda.")]
Cutouts = Annotated[int, typer.Option(min=1, help="All but localise: cut-outs to train with.")]
Held = Annotated[int, typer.Option(min=1, help="All but localise: cut-outs to validate, and to test, with.")]
PerSky = Annotated[int, typer.Option(min=1, help="All but localise: cut-outs of each sky.")]
Searched = Annotated[
    int,
    typer.Option(
        min=0,
        help="real, class, class3d: skies that the survey's detector searches, and whose lists they learn from too.",
    ),
]
Epochs = Annotated[int, typer.Option(min=1, help="All but localise: passes over the cut-outs.")]


@app.command()
def train(
    network: Kind,
    survey: Survey,
    output: Folder,
    seed: Seed = 1,
    normalisation: Normalisation = "likelihood",
    steps: Steps = 2400,
    minutes: Minutes = 240.0,
    start: From = None,
    learning_rate: Rate = 3e-3,
    extended_share: Extended = 0.0,
    validate_every: Every = 300,
    patience: Patience = 6,
    processes: Processes = 1,
    threads: Threads = 1,
    device: Device = "",
    cutouts: Cutouts = 48_000,
    held_out: Held = 12_000,
    per_sky: PerSky = 4000,
    epochs: Epochs = 12,
    searched: Searched = 8,
) -> None:
    """Train a network, or go on with the training in the folder; the weights are the last line printed."""
    if network not in NETWORKS:
        raise typer.BadParameter(f"unknown network '{network}'; known: {', '.join(NETWORKS)}")
    import torch

    torch.set_num_threads(threads)
    # The card is public; where its maker keeps files is not.
    private = {str(output): "DIR", str(start): "WEIGHTS"}
    command = shlex.join(["asidcat", *(private.get(word, word) for word in sys.argv[1:])])

    def report(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    if network == "localise":
        from models.training.loop import TrainConfig
        from models.training.loop import train as train_network
        from models.unet import NetworkConfig

        config = TrainConfig(
            seed=seed,
            steps=steps,
            workers=processes,
            minutes=minutes,
            learning_rate=learning_rate,
            extended_share=extended_share,
            validate_every=validate_every,
            patience=patience,
            device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
        )
        print(train_network(config, NetworkConfig(survey, normalisation), output, report, command, start))
        return

    from models.training.characterise import FitConfig
    from models.training.whole import Plan, kinds_of, train_characterisers
    from sky.survey import get_survey

    # Weights that know the task already are led on by smaller steps.
    rate = FitConfig.learning_rate / (1 if start is None else 4)
    fit = FitConfig(seed, epochs, learning_rate=rate, patience=patience, searched=searched)
    plan = Plan(survey, fit, cutouts, held_out, held_out, per_sky)
    kinds = kinds_of(network, get_survey(survey))
    for path in train_characterisers(kinds, plan, output, report, command, start):
        print(path)
