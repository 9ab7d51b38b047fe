"""The figure of docs/methods.md: what the characterising networks see of a detection.

Run ``python -m scripts.figures_cutouts``.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import PowerNorm

from models.cutouts import CLASSES, FAKE, Cutouts, CutoutStream, CutoutTruth
from sky.survey import get_survey

FIGURE = Path(__file__).parent.parent / "docs" / "figures" / "cutouts.png"
SURVEY = get_survey("lat-6band")
SEED = 4
BATCHES = 6


def chosen(cutouts: Cutouts, truth: CutoutTruth) -> list[int]:
    """A source of each class of middling brightness, and a fake."""
    rows = []
    for code in range(len(CLASSES)):
        mine = torch.nonzero((truth.class_code == code) & (cutouts.glat_deg.abs() < 60))[:, 0]
        sigma = truth.limit_sigma[mine] if code != FAKE else cutouts.counts[mine].sum((1, 2, 3))
        rows.append(int(mine[sigma.argsort()[int(0.85 * len(mine))]]))
    return rows


def main() -> None:
    """Draw the figure."""
    stream = iter(CutoutStream(SURVEY, SEED, "test", random_share=0.0))
    parts = [next(stream) for _ in range(BATCHES)]
    cutouts, truth = Cutouts.join([c for c, _ in parts]), CutoutTruth.join([t for _, t in parts])
    assert cutouts.yearly is not None
    types, bands = len(SURVEY.event_types), len(SURVEY.bands)
    counts = cutouts.counts.unflatten(1, (bands, types)).sum(2).numpy()
    figure, axes = plt.subplots(
        len(CLASSES), bands + 1, figsize=(11, 7.6), width_ratios=[1] * bands + [1.5], layout="constrained"
    )
    for row, k in zip(axes, chosen(cutouts, truth), strict=True):
        code, sigma = int(truth.class_code[k]), float(truth.limit_sigma[k])
        name = CLASSES[code].replace("_", "+") + ("" if code == FAKE else f"\n{sigma:.0f} sigma")
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
        for band, panel in enumerate(row[:bands]):
            image = counts[k, band]
            panel.imshow(image, origin="lower", cmap="magma", norm=PowerNorm(0.6, 0, max(image.max(), 1)))
            x, y = 5 + cutouts.offset_px[k, band].numpy()
            panel.plot(x, y, "+", color="cyan", markersize=6)
            panel.set(xticks=[], yticks=[])
        years = cutouts.yearly[k, 2:, :, 2:5, 2:5].sum((0, 2, 3)).numpy()
        row[-1].errorbar(np.arange(1, 11), years, np.sqrt(np.maximum(years, 1)), fmt="o", ms=3)
        row[-1].set_ylim(0)
        row[-1].yaxis.tick_right()
    for panel, known, pixels in zip(axes[0], SURVEY.bands, SURVEY.tile_pixels_per_10deg, strict=False):
        panel.set_title(f"{known.label}\n{11 * 10 / pixels:.1f} deg wide", fontsize=9)
    axes[0, -1].set_title("counts a year, > 1 GeV,\n3 x 3 pixels", fontsize=9)
    axes[-1, -1].set_xlabel("year")
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, dpi=110)


if __name__ == "__main__":
    main()
