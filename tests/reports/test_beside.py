"""Work beside other work: both are done, or neither goes on."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from reports.beside import beside


def write(path: Path) -> None:
    path.write_text(str(os.getpid()))


def fail(path: Path) -> None:
    raise FileNotFoundError(2, "No such file or directory", str(path))


def write_late(path: Path) -> None:
    with beside(time.sleep, 1):
        time.sleep(1)
    write(path)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_it_is_done_by_another_process(tmp_path: Path) -> None:
    with beside(write, tmp_path / "a"):
        write(tmp_path / "b")
    assert (tmp_path / "b").read_text() == str(os.getpid()) != (tmp_path / "a").read_text()


def test_its_error_is_raised_when_the_block_is_done(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="a file") as raised, beside(fail, tmp_path / "a file"):
        write(tmp_path / "b")
    assert raised.value.filename == str(tmp_path / "a file")
    assert (tmp_path / "b").exists()


def test_it_ends_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), beside(write_late, tmp_path / "a"):
        raise ZeroDivisionError
    time.sleep(1.5)
    assert not (tmp_path / "a").exists()


def write_beside(path: Path) -> None:
    with beside(write, path):
        pass


def test_a_daemon_may_do_work_beside_its_own(tmp_path: Path) -> None:
    """As the process in which Celery looks at the watched folder is one."""
    daemon = multiprocessing.Process(target=write_beside, args=(tmp_path / "a",), daemon=True)
    daemon.start()
    daemon.join()
    assert daemon.exitcode == 0
    assert int((tmp_path / "a").read_text()) not in (os.getpid(), daemon.pid)


def test_an_end_of_file_in_the_block_is_not_taken_for_its_death(tmp_path: Path) -> None:
    with pytest.raises(EOFError, match="cut off"), beside(write_late, tmp_path / "a"):
        raise EOFError("cut off")
    time.sleep(1.5)
    assert not (tmp_path / "a").exists()


def test_its_death_is_noticed() -> None:
    with pytest.raises(RuntimeError, match="kill_itself was killed"), beside(kill_itself):
        pass
