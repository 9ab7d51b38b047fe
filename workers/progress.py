"""How far a run is, on standard error: bars on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from catalog.ledger import StageProgress

LINE_S = 10.0


class PlainProgress:
    """A line now and then: whenever a stage ends, and every `LINE_S` seconds within one."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}
        self._ended: set[str] = set()
        self._last_s = time.monotonic()

    def step(self, text: str) -> None:
        """Say what happens before the stages."""
        print(text, file=sys.stderr, flush=True)

    def update(self, stages: Sequence[StageProgress], current: str | None) -> None:
        """Tell of the stages."""
        now = time.monotonic()
        for stage in stages:
            begun = self._begun.setdefault(stage.stage, now) if _reached(stage, current) else now
            ends = stage.done == stage.total and stage.stage not in self._ended
            due = stage.stage == current and now - self._last_s > LINE_S
            if ends:
                self._ended.add(stage.stage)
            if ends or due:
                self._last_s = now
                left = "" if ends or not stage.done else f", {_left_s(stage, now - begun):.0f} s left"
                print(
                    f"{stage.stage}: {stage.done}/{stage.total} in {now - begun:.0f} s{left}",
                    file=sys.stderr,
                    flush=True,
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class BarProgress:
    """One bar a stage, with the time left."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<14}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bars: dict[str, int] = {}

    def step(self, text: str) -> None:
        """Say what happens before the stages."""
        self._progress.console.print(text)

    def update(self, stages: Sequence[StageProgress], current: str | None) -> None:
        """Tell of the stages."""
        for stage in stages:
            if stage.stage not in self._bars:
                self._bars[stage.stage] = self._progress.add_task(stage.stage, start=False, total=stage.total)
            bar = self._progress.tasks[self._bars[stage.stage]]
            if not bar.started and _reached(stage, current):
                self._progress.start_task(bar.id)
            self._progress.update(bar.id, completed=stage.done)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def _reached(stage: StageProgress, current: str | None) -> bool:
    return stage.stage == current or stage.done > 0


def _left_s(stage: StageProgress, elapsed_s: float) -> float:
    return elapsed_s * (stage.total - stage.done) / stage.done


def make_progress() -> PlainProgress | BarProgress:
    """Bars where standard error is a terminal."""
    return BarProgress() if sys.stderr.isatty() else PlainProgress()
