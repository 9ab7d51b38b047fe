"""Pictures of what was missed and of what is new: counts around each place, with what the release has there."""

import healpy as hp
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from reports.cutouts import DEEP, WIDTH_DEG, Mark, cutout, picture, plane_offsets, stretched
from reports.style import INK, ORANGE, WIDTH_IN, ReportFigure, styled

PANELS = 24
COLUMNS = 6
CAPTION = """
Counts within {half:g} degrees of each row of {catalog} above 10 sigma in this survey's own energies that has no
one-to-one counterpart within 0.3 degrees{first}: {energies}, smoothed, each with its own square-root scale, galactic
north up. Cross: the reference position; rings: sources of the release.
"""


class Field:
    """The sky that the pictures show: counts, and the released sources by place.

    Parameters
    ----------
    counts : array, shape (npix,)
        HEALPix counts, galactic, NESTED.
    sources : DataFrame
        source_name, glon_deg, glat_deg.
    """

    def __init__(self, counts: ArrayLike, sources: pd.DataFrame) -> None:
        self.counts = np.asarray(counts)
        self._names = sources["source_name"].to_numpy()
        self._place = sources[["glon_deg", "glat_deg"]].to_numpy(dtype=float)
        self._tree = cKDTree(hp.ang2vec(*self._place.T, lonlat=True)) if len(sources) else None

    def around(
        self, glon_deg: float, glat_deg: float
    ) -> tuple[NDArray[np.float64], list[tuple[str, float, float]]]:
        """Counts per square degree in a square, and name and offsets (left, up; deg) of the sources in it."""
        image = cutout(self.counts, glon_deg, glat_deg)
        if self._tree is None:
            return image, []
        half = WIDTH_DEG / 2
        centre = hp.ang2vec(glon_deg, glat_deg, lonlat=True)
        near = self._tree.query_ball_point(centre, 2 * np.sin(np.radians(1.5 * half) / 2))
        left, up = plane_offsets(self._place[near, 0], self._place[near, 1], glon_deg, glat_deg)
        inside = (np.abs(left) <= half) & (np.abs(up) <= half)
        return image, list(zip(self._names[near][inside], left[inside], up[inside], strict=True))


def row_picture(field: Field, glon_deg: float, glat_deg: float, name: str) -> Markup:
    """An inline SVG of the counts around a place, the place crossed, the release's sources ringed."""
    image, view = field.around(glon_deg, glat_deg)
    marks = [Mark("ring", left, up, of, 0.22) for of, left, up in view]
    marks.append(Mark("cross", 0.0, 0.0, name, 0.3))
    label = f"Counts around {name}; {len(view) or 'no'} sources of the release in view"
    return picture(image, WIDTH_DEG, marks, label)


@styled
def misses_figure(catalog: str, misses: pd.DataFrame, field: Field, energies: str) -> ReportFigure | None:
    """Panels of the expected bright misses; None where there are none."""
    expected = misses[misses["expected"]]
    shown = expected.head(PANELS)
    if shown.empty:
        return None
    n_rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(WIDTH_IN, 2.05 * n_rows))
    panels = figure.subplots(n_rows, COLUMNS, squeeze=False).ravel()
    half = WIDTH_DEG / 2
    for axes in panels[len(shown) :]:
        axes.axis("off")
    for axes, row in zip(panels, shown.to_dict("records"), strict=False):
        image, view = field.around(row["glon_deg"], row["glat_deg"])
        extent = (half, -half, -half, half)
        axes.imshow(stretched(image), cmap=DEEP, vmin=0, vmax=1, origin="lower", extent=extent)
        places = [left for _, left, _ in view], [up for *_, up in view]
        axes.scatter(*places, 70, facecolors="none", edgecolors=ORANGE, linewidths=1.4)
        axes.plot(
            0, 0, "+", color=INK, ms=10, mew=1.5, path_effects=[withStroke(linewidth=3, foreground="white")]
        )
        axes.set(xlim=(half, -half), ylim=(-half, half), xticks=[], yticks=[])
        axes.set_title(row["name_ref"], fontsize=7.5, pad=3)
        axes.grid(False)
    caption = CAPTION.format(
        half=half, catalog=catalog, energies=energies,
        first=f" (the first {PANELS} of {len(expected)})" if len(expected) > PANELS else "",
    )  # fmt: skip
    title = f"Bright sources of {catalog} without counterpart"
    return ReportFigure(f"misses-{catalog.lower()}", title, caption, figure, misses)
