"""Work that goes on in a process of its own, beside what this one does."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NoReturn


@contextmanager
def beside(work: Callable[..., object], *arguments: object) -> Iterator[None]:
    """Call a function in another process while the block runs; both are done when it ends, or neither goes on.

    Parameters
    ----------
    work : callable
        What it changes in memory or returns is lost: it writes files. It must leave open connections alone.

    Raises
    ------
    Exception
        That of the function, at the end of the block.
    RuntimeError
        If its process was killed.
    """
    ours, theirs = multiprocessing.Pipe(duplex=False)
    # Not a `multiprocessing.Process`: a look of the beat is in a daemon of Celery's, which may start none.
    # Signals wait until both sides are ready for them: what a handler raises while Python forks is dropped.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        child = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        raise
    if not child:
        _tell(theirs, unblocked, work, arguments)
    try:
        theirs.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        yield
        try:
            error = ours.recv()
        except EOFError:
            error = RuntimeError(f"the process of {work.__name__} was killed")
    except BaseException:
        os.kill(child, signal.SIGTERM)
        raise
    finally:
        os.waitpid(child, 0)
        ours.close()
    if error is not None:
        raise error


def _tell(
    answer: Connection, unblocked: Iterable[int], work: Callable[..., object], arguments: tuple[object, ...]
) -> NoReturn:
    """Do the work, say what went wrong, or None, and end the process with nothing of its parent's touched."""
    try:
        # Whoever waits decides; the other process's own handlers are not for this one.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        work(*arguments)
        answer.send(None)
    except Exception as error:
        answer.send(error)
    finally:
        os._exit(0)
