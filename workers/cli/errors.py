"""Which errors are a user's to mend, and signals that end a command."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_PACKAGES = ("sky", "models", "catalog", "workers", "reports", "migrations")


class Terminated(BaseException):
    """A signal asked the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


def is_user_error(error: Exception) -> bool:
    """True for the errors this program raises in one line, and for the operating system's (a full disk).

    A bare ``ValueError`` from a library is a fault of the program and keeps its traceback.
    """
    ours = type(error).__module__.split(".")[0] in _PACKAGES
    return isinstance(error, OSError) or (ours and isinstance(error, ValueError))


def one_line(error: Exception) -> str:
    """An error for people: ``FILE: no space left on device`` of the operating system's, else its own words."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        reason = error.strerror[0].lower() + error.strerror[1:]
        return f"{error.filename}: {reason}"
    return " ".join(str(error).split())


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn a user's error into one line and exit status 1, an interruption into 128 + its signal."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Terminated as stopped:
        sys.exit(128 + stopped.signal)
    except Exception as error:
        if not is_user_error(error):
            raise
        text = "; ".join([one_line(error), *getattr(error, "__notes__", ())])
        print(f"asidcat: {' '.join(text.split())}", file=sys.stderr)
        sys.exit(1)


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `Terminated`, as Python does SIGINT into `KeyboardInterrupt`."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Terminated(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
