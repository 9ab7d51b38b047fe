"""Wall time and memory of `make release`: the real sky above 10 GeV, from the files to the published folder.

Runs the release in an empty home, in processes of its own, and watches them: `python -m benchmarks.release`.
Results go to `benchmarks/results/release-lat-10gev.json` and `.md`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.machine import RESULTS, describe

WATCH_S = 1.0
STAGE_LINE = re.compile(r"^(?P<stage>\w+): (?P<done>\d+)/(?P<total>\d+) in (?P<seconds>\d+) s$")
TOTAL_LINE = re.compile(r"^run (?P<run>[\d.]+) s, release (?P<release>[\d.]+) s$")


def memory_mib(home: Path) -> float:
    """Memory of all processes that serve a home, shared pages counted once (PSS), MiB."""
    total = 0
    for process in psutil.process_iter():
        try:
            serves = process.environ().get("ASIDCAT_HOME") == str(home)
            if serves or any(str(home) in part for part in process.cmdline()):
                total += process.memory_full_info().pss
        except psutil.Error:
            continue  # it has ended, or is another user's
    return total / 2**20


class MemoryWatch(threading.Thread):
    """The peak of `memory_mib` while it runs."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self.home = home
        self.peak_mib = 0.0
        self.ended = threading.Event()

    def run(self) -> None:
        """Sample until `ended` is set."""
        while not self.ended.wait(WATCH_S):
            self.peak_mib = max(self.peak_mib, memory_mib(self.home))


def measure(folder: Path) -> dict[str, float]:
    """One release; seconds by step and the peak of memory."""
    home = folder / "home"
    environment = {**os.environ, "ASIDCAT_HOME": str(home)}
    command = [sys.executable, "-m", "scripts.release_lat_10gev", "--output", str(folder / "release")]
    watch = MemoryWatch(home)
    watch.start()
    began = time.monotonic()
    times: dict[str, float] = {}
    first_stage: float | None = None
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            now = time.monotonic() - began
            if stage := STAGE_LINE.match(line):
                if first_stage is None:
                    first_stage = now - float(stage["seconds"])
                if stage["done"] == stage["total"]:
                    times[stage["stage"]] = now - first_stage - sum(times.values())
            elif total := TOTAL_LINE.match(line):
                times["release and report"] = float(total["release"])
    wall = time.monotonic() - began
    watch.ended.set()
    watch.join()
    if process.returncode:
        raise SystemExit(f"the release failed with exit status {process.returncode}")
    start = {"start and ingest": first_stage or 0.0}
    return {**start, **times, "wall": wall, "peak memory (MiB)": watch.peak_mib}


def main(keep: Path | None) -> None:
    """Measure once and write the results; the release and its home stay in the folder `keep`, if there is one."""
    if keep is not None:
        figures = measure(keep.absolute())
    else:
        with tempfile.TemporaryDirectory(prefix="asidcat-benchmark-") as folder:
            figures = measure(Path(folder))
    where = describe()
    result = {"machine": where, "figures": {name: round(value, 1) for name, value in figures.items()}}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "release-lat-10gev.json").write_text(json.dumps(result, indent=1) + "\n")
    rows = [f"| {name} | {value:.1f} |" for name, value in figures.items()]
    machine = "\n".join(f"- {key}: {value}" for key, value in where.items())
    head = "# `make release`: real sky above 10 GeV, 768 tiles, installation not counted\n\n"
    table = "| step | s (memory: MiB) |\n|---|---|\n" + "\n".join(rows)
    (RESULTS / "release-lat-10gev.md").write_text(head + machine + "\n\n" + table + "\n")
    print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="empty folder for the release and its home")
    main(parser.parse_args().keep)
