"""The reliability diagrams of docs/methods.md, from what `benchmarks.characterisation` has measured.

Run ``python -m scripts.figures_reliability``.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from reports.statistics import wilson_interval

ROOT = Path(__file__).parent.parent
FIGURE = ROOT / "docs" / "figures" / "reliability.png"
SURVEYS = ("lat-10gev", "lat-6band")
SKY = "B1:physical:1"
# Bins of fewer detections say nothing.
FEWEST = 8


def panel(axes: Axes, curves: dict[str, list[list[float]]]) -> None:
    """Frequency against probability; bars are 68 % Wilson intervals."""
    axes.plot([0, 1], [0, 1], color="0.6", lw=0.8)
    for number, (name, bins) in enumerate(curves.items()):
        p, share, n = np.array([b for b in bins if b[2] >= FEWEST]).reshape(-1, 3).T
        low, high = wilson_interval(np.round(share * n), n)
        bars = np.maximum([share - low, high - share], 0)
        axes.errorbar(p, share, bars, fmt="o-", ms=3, lw=1, color=f"C{number}", label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(fontsize=7, loc="upper left")


def main() -> None:
    """Draw the figure."""
    figure, axes = plt.subplots(2, 2, figsize=(7.5, 7.5), layout="constrained")
    for row, survey in zip(axes, SURVEYS, strict=True):
        path = ROOT / "benchmarks" / "results" / f"characterisation-{survey}.json"
        sky: dict[str, Any] = json.loads(path.read_text())["skies"][SKY]
        panel(row[0], {"Prob_Real": sky["real or fake"]["reliability"]})
        panel(row[1], sky["class"]["reliability"])
        row[0].set_title(f"{survey}: real or fake", fontsize=10)
        row[1].set_title(f"{survey}: classes", fontsize=10)
        row[0].set_ylabel("share of the detections that are")
    for bottom in axes[1]:
        bottom.set_xlabel("probability stated")
    figure.savefig(FIGURE, dpi=110)


if __name__ == "__main__":
    main()
