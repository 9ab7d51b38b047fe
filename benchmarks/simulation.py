"""How long a synthetic sky takes: `python -m benchmarks.simulation`.

Measures `asidcat simulate` as a user runs it, files and all: wall-clock and processor seconds, and the
largest memory of the process.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import RESULTS, describe

CASES = {
    "lat-6band, ten years summed": ["lat-6band"],
    "lat-6band, ten yearly slices": ["lat-6band", "--years"],
    "lat-6band, physical population, random emission": [
        *("lat-6band", "--population", "physical", "--emission", "random"),
    ],
    "lat-10gev": ["lat-10gev"],
}


def measure(arguments: list[str]) -> dict[str, float]:
    """Run one simulation in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        # A process in between, so that the largest memory of the children is that of this case alone.
        command = [sys.executable, "-m", "workers.cli", "simulate", *arguments, "--seed", "1"]
        probe = (
            "import json, resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=2);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", probe, *command, "-o", f"{folder}/sky"], check=True, stdout=subprocess.PIPE
        )
        wall_s = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = sum(p.stat().st_size for p in Path(folder, "sky").iterdir())
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "wall_s": round(wall_s, 1),
        "processor_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "memory_gb": round(int(done.stdout) * unit / 1e9, 2),
        "files_mb": round(size / 1e6, 1),
    }


def main() -> None:
    """Measure all cases and write `benchmarks/results/simulation.json`."""
    load = [round(x, 1) for x in os.getloadavg()]  # of other work: wall-clock seconds grow with it
    result: dict[str, object] = {"machine": describe(), "load_average_before": load}
    for name, arguments in CASES.items():
        result[name] = measure(arguments)
        print(name, result[name], flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "simulation.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
