"""When to say again that items are due: hints get lost, and too many of them help nobody."""

import time
from collections.abc import Callable, Hashable

FIRST_S = 2.0
LONGEST_S = 60.0


class QuietWatch:
    """Tells when a run stands still, less and less often while it goes on standing still.

    A run whose ledger changes needs no hint. One that stands still may have lost its hints, or may just work
    on long items. Hints sent in vain pile up before the next stage's and cost a look into the ledger each: so
    the waits double, and while anyone works they are long from the first.

    Parameters
    ----------
    clock : callable
        Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: Hashable = None
        self._since_s = clock()
        self._wait_s = FIRST_S

    def is_quiet(self, state: Hashable, *, busy: bool = False) -> bool:
        """Whether `state` has been the same for so long that hints are due again; `busy`: somebody works."""
        now = self._clock()
        if state != self._seen:
            self._seen, self._since_s, self._wait_s = state, now, LONGEST_S if busy else FIRST_S
            return False
        if now - self._since_s < self._wait_s:
            return False
        self._since_s, self._wait_s = now, min(2 * self._wait_s, LONGEST_S)
        return True
