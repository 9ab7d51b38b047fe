"""Work that goes on in a process of its own, beside what this one does."""

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection


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
    process = multiprocessing.Process(target=_tell, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        yield
        error = ours.recv()
    except EOFError:
        raise RuntimeError(f"the process of {work.__name__} was killed") from None
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
        ours.close()
    if error is not None:
        raise error


def _tell(answer: Connection, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    """Do the work and say what went wrong, or None."""
    # Whoever waits decides; the other process's own handlers are not for this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        work(*arguments)
        answer.send(None)
    except Exception as error:
        answer.send(error)
