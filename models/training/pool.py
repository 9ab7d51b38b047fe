"""A pool of cut-outs, drawn once from the stream and kept in a folder: many networks train from it.

One file a sky, known by the stream's seed, split and the sky's number; drawing goes on where it was
interrupted, and gives the same pool again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from models.characterise.inputs import Inputs, join, make_inputs
from models.cutouts import Cutouts, CutoutStream, CutoutTruth
from models.stream import DrawSky
from models.training.state import TrainingError
from sky.survey import Survey

Report = Callable[[str], None]

# Counts above this are cut in the pool; a pixel of the brightest source holds less.
LARGEST_COUNT = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class PoolConfig:
    """Which cut-outs.

    Attributes
    ----------
    seed : int
    split : str
        `train`, `validation` or `test`.
    cutouts : int
        At least so many.
    per_sky : int
        Of each sky, at least.
    extended : bool
        Half of the skies have extended sources.
    """

    seed: int
    split: str
    cutouts: int
    per_sky: int = 4000
    extended: bool = True

    @property
    def skies(self) -> int:
        """Number of skies needed."""
        return -(-self.cutouts // self.per_sky)


@dataclass(frozen=True, eq=False)
class Pool:
    """Inputs of cut-outs and what is true of them."""

    inputs: Inputs
    truth: CutoutTruth

    def __len__(self) -> int:
        return len(self.inputs)

    def select(self, which: torch.Tensor) -> "Pool":
        """The rows of a mask or an index tensor."""
        return Pool(self.inputs.select(which), self.truth.select(which))

    def and_(self, other: "Pool") -> "Pool":
        """Both, one after the other."""
        truth = CutoutTruth.join([self.truth, other.truth])
        return Pool(join([self.inputs, other.inputs]), truth)


def draw_pool(
    survey: Survey,
    config: PoolConfig,
    folder: Path,
    report: Report,
    draw_sky: DrawSky | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Draw what the folder lacks, sky by sky; without `draw_sky`, of the stream's own mixture.

    Raises
    ------
    TrainingError
        If it was told to stop before the pool was whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    for number in range(config.skies):
        path = sky_file(folder, config, number)
        if path.exists():
            continue
        stream = CutoutStream(
            survey,
            config.seed,
            config.split,
            batches_per_sky=config.per_sky,
            draw_sky=draw_sky,
            first_sky=number,
            extended_share=0.5 if config.extended else 0.0,
        )
        parts, n = [], 0
        for cutouts, truth in stream:
            parts.append((cutouts, truth))
            n += len(cutouts)
            if stopped():
                raise TrainingError("interrupted while drawing cut-outs; what is drawn is kept")
            if n >= config.per_sky:
                break
        save_cutouts(path, Cutouts.join([c for c, _ in parts]), CutoutTruth.join([t for _, t in parts]))
        seconds = time.monotonic() - started
        report(f"cut-outs ({config.split}): sky {number + 1} of {config.skies}, {seconds / 60:.1f} min")


def load_pool(survey: Survey, config: PoolConfig, folder: Path, cubes: bool = False) -> Pool:
    """A drawn pool as inputs; `cubes` for networks on year cubes."""
    inputs, truths = [], []
    for number in range(config.skies):
        cutouts, truth = load_cutouts(sky_file(folder, config, number))
        good = usable(cutouts)
        inputs.append(make_inputs(cutouts.select(good), survey, cubes))
        truths.append(truth.select(good))
    return Pool(join(inputs), CutoutTruth.join(truths))


def sky_file(folder: Path, config: PoolConfig, number: int) -> Path:
    """Where the cut-outs of one sky lie."""
    shapes = "" if config.extended else "-points"
    return folder / f"{config.split}{shapes}-{config.seed}-{config.per_sky}-{number:04d}.npz"


def usable(cutouts: Cutouts) -> torch.Tensor:
    """Rows that a network can be taught with."""
    return cutouts.covered & (cutouts.exposure_cm2_s > 0).all(1)


def save_cutouts(path: Path, cutouts: Cutouts, truth: CutoutTruth) -> None:
    """Write all of them, or nothing."""
    arrays = {}
    for prefix, rows in (("c", cutouts), ("t", truth)):
        for f in fields(rows):
            value = getattr(rows, f.name)
            if value is None:
                continue
            array = value.numpy()
            if f.name in ("counts", "yearly"):
                array = np.minimum(array, LARGEST_COUNT).astype(np.uint16)
            arrays[f"{prefix}_{f.name}"] = array
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, **arrays)
    part.replace(path)


def load_cutouts(path: Path) -> tuple[Cutouts, CutoutTruth]:
    """What `save_cutouts` wrote."""
    with np.load(path) as stored:
        values = {name: stored[name] for name in stored.files}

    def tensor(name: str) -> torch.Tensor | None:
        if name not in values:
            return None
        array = values[name]
        return torch.as_tensor(array.astype(np.float32) if array.dtype == np.uint16 else array)

    cutouts = Cutouts(**{f.name: tensor(f"c_{f.name}") for f in fields(Cutouts)})  # type: ignore[arg-type]
    truth = CutoutTruth(**{f.name: tensor(f"t_{f.name}") for f in fields(CutoutTruth)})  # type: ignore[arg-type]
    return cutouts, truth
