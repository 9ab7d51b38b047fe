"""Wall time, processor time and memory of `make release`: the real sky above 10 GeV, from files to published folder.

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
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import RESULTS, describe
from benchmarks.watch import Watch

STAGE_LINE = re.compile(r"^(?P<stage>\w+): (?P<done>\d+)/(?P<total>\d+) in (?P<seconds>\d+) s")
TOTAL_LINE = re.compile(r"^run (?P<run>[\d.]+) s, release (?P<release>[\d.]+) s$")
START = "start and ingest"


@dataclass
class Steps:
    """Wall and processor seconds of the steps of commands, told apart by the lines that they print.

    Attributes
    ----------
    watch : Watch
        Of the home that the commands work in.
    wall_s, cpu_s : dict of str to float
        By step.
    """

    watch: Watch
    wall_s: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    _last: tuple[float, float] = (0.0, 0.0)

    def run(self, command: Sequence[str], environment: dict[str, str], last: str) -> str:
        """Run a command; each stage of a run is a step, what follows the last of them is the step `last`."""
        self._last = (time.monotonic(), self.watch.cpu_s())
        begun = False
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None and process.stdout is not None
            for line in process.stderr:
                print(line, end="", file=sys.stderr, flush=True)
                stage = STAGE_LINE.match(line)
                if stage is None:
                    continue
                if not begun:
                    self._end(START, float(stage["seconds"]))
                    begun = True
                if stage["done"] == stage["total"]:
                    self._end(stage["stage"])
            said = process.stdout.read()
        self._end(last)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}")
        return said

    def _end(self, step: str, ago_s: float = 0.0) -> None:
        now = (time.monotonic() - ago_s, self.watch.cpu_s())
        self.wall_s[step] = self.wall_s.get(step, 0.0) + now[0] - self._last[0]
        self.cpu_s[step] = self.cpu_s.get(step, 0.0) + now[1] - self._last[1]
        self._last = now

    def rows(self) -> list[dict[str, float | str]]:
        """One row a step, the sum last."""
        found: list[dict[str, float | str]] = [
            {"step": step, "wall_s": round(self.wall_s[step], 1), "cpu_s": round(self.cpu_s[step], 1)}
            for step in self.wall_s
        ]
        wall, cpu = sum(self.wall_s.values()), sum(self.cpu_s.values())
        return [*found, {"step": "all", "wall_s": round(wall, 1), "cpu_s": round(cpu, 1)}]


def table(rows: Sequence[dict[str, float | str]], peak_mib: float) -> str:
    """Rows of `Steps` as Markdown."""
    lines = [f"| {row['step']} | {row['wall_s']} | {row['cpu_s']} |" for row in rows]
    head = "| step | wall (s) | processor (s) |\n|---|---|---|\n"
    return head + "\n".join(lines) + f"\n\nPeak memory of all processes: {peak_mib:.0f} MiB.\n"


def machine_lines(where: dict[str, str], load: float) -> str:
    """Where it was measured, and how busy the machine was with other things before."""
    lines = [f"- {key}: {value}" for key, value in where.items()]
    return "\n".join([*lines, f"- load average before: {load:.1f}"])


def measure(folder: Path) -> tuple[Steps, float]:
    """One release; its steps and the peak of memory."""
    home = folder / "home"
    environment = {**os.environ, "ASIDCAT_HOME": str(home)}
    watch = Watch(home)
    watch.start()
    steps = Steps(watch)
    command = [sys.executable, "-m", "scripts.release_lat_10gev", "--output", str(folder / "release")]
    steps.run(command, environment, "release and report")
    watch.end()
    return steps, watch.peak_mib


def main(keep: Path | None) -> None:
    """Measure once and write the results; the release and its home stay in the folder `keep`, if there is one."""
    load, where = os.getloadavg()[0], describe()
    if keep is not None:
        steps, peak_mib = measure(keep.absolute())
    else:
        with tempfile.TemporaryDirectory(prefix="asidcat-benchmark-") as folder:
            steps, peak_mib = measure(Path(folder))
    result = {
        "machine": where,
        "load_average_before": round(load, 1),
        "steps": steps.rows(),
        "peak_memory_mib": round(peak_mib, 1),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "release-lat-10gev.json").write_text(json.dumps(result, indent=1) + "\n")
    text = "# `make release`: real sky above 10 GeV, 768 tiles, installation not counted\n\n"
    text += machine_lines(where, load) + "\n\n" + table(steps.rows(), peak_mib)
    (RESULTS / "release-lat-10gev.md").write_text(text)
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="empty folder for the release and its home")
    main(parser.parse_args().keep)
