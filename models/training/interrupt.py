"""Ctrl-C and SIGTERM as a question that a training asks at safe places."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within it the signals end nothing; what it gives says whether one has come."""
    asked: list[int] = []
    kept = {
        s: signal.signal(s, lambda number, _frame: asked.append(number))
        for s in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
