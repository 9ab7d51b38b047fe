"""Child processes that do not outlive their parent, and servers that refuse to run as root.

PostgreSQL will not run as root, and the files it must reach (its own programs, the data folder) may lie
under folders that only root may enter. So a supervisor that runs as root gives its PostgreSQL another user's
id but keeps one capability through the change, CAP_DAC_READ_SEARCH: it may enter and read any folder, and
write only its own. See capabilities(7), "ambient", and prctl(2), PR_SET_PDEATHSIG.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from workers.local.errors import LocalServiceError

_LINUX = sys.platform.startswith("linux")
_LIBC = ctypes.CDLL(None, use_errno=True) if _LINUX else None
_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522


def unprivileged_user(folder: Path) -> int | None:
    """User id a server with data in `folder` must run as, or None to run as oneself.

    As root: the folder's owner, else ``nobody``.

    Raises
    ------
    LocalServiceError
        If a plain user meets a folder of another user, or root finds no user to become.
    """
    owner = folder.stat().st_uid if folder.exists() else 0
    if os.geteuid() != 0:
        if folder.exists() and owner != os.geteuid():
            raise LocalServiceError(
                f"{folder} belongs to another user (uid {owner}): use another ASIDCAT_HOME"
            )
        return None
    if owner != 0:
        return owner
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError as error:
        raise LocalServiceError(
            "PostgreSQL does not run as root and there is no user 'nobody': set ASIDCAT_DATABASE_URL"
        ) from error


def _become(uid: int) -> None:
    """Change to user `uid`; keep the capability to read and enter any folder, where the kernel allows it."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    gid = pwd.getpwuid(uid).pw_gid
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if _LIBC is not None:
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        mask = 1 << _CAP_DAC_READ_SEARCH
        sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)  # effective, permitted, inheritable
        if _LIBC.capset(ctypes.byref(header), ctypes.byref(sets)) == 0:
            _LIBC.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH, 0, 0)


def start(
    command: Sequence[str | Path],
    *,
    log: Path,
    uid: int | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start `command` in its own session; on Linux it gets `death_signal` when this process dies.

    Parameters
    ----------
    log : Path
        Receives standard output and error, from its beginning.
    uid : int, optional
        User to run as.

    Raises
    ------
    LocalServiceError
        If the program cannot be started, or not as that user.
    """
    parent = os.getpid()

    def prepare() -> None:
        if uid is not None:
            _become(uid)
        if _LIBC is not None:
            # After the change of user, which clears it.
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    try:
        with log.open("wb") as out:
            # preexec_fn is safe here: callers are single-threaded (the supervisor).
            return subprocess.Popen(
                [str(part) for part in command],
                stdin=stdin,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(environment) if environment is not None else None,
                start_new_session=True,
                preexec_fn=prepare,
            )
    except (OSError, subprocess.SubprocessError) as error:
        as_user = "" if uid is None else f" as user id {uid}"
        raise LocalServiceError(f"cannot start {Path(command[0]).name}{as_user}: {error}") from error


def stop(process: subprocess.Popen[bytes], signals: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal in turn and wait that many seconds for the end; SIGKILL after the last."""
    for number, seconds in (*signals, (signal.SIGKILL, 30.0)):
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


def last_line(log: Path) -> str:
    """The last line of a log that is not empty, for error messages."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no output"
