"""All that a report shows, made once for the page, the PDF and the CSV files."""

from collections.abc import Sequence
from datetime import UTC
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from numpy.typing import ArrayLike

from catalog.counts_tiles import sky_map
from reports.comparison import side_by_side
from reports.data import ReportData, load
from reports.headline import Headline, headlines
from reports.met import interval_text
from reports.missed_sky import Field
from reports.sections import all_misses, comparison, figures, new_rows, picture_bands
from reports.style import ReportFigure

MAP_ORDER = 9


class Report:
    """A release with its figures and tables.

    Parameters
    ----------
    data : ReportData
    counts : array, shape (npix,), optional
        HEALPix counts, galactic, NESTED: behind the sources, and around what was missed.
    """

    def __init__(self, data: ReportData, counts: ArrayLike | None = None) -> None:
        self.data = data
        self.counts = None if counts is None else np.asarray(counts)
        self.field = None if self.counts is None else Field(self.counts, data.sources)
        self.misses = all_misses(data)
        self.new, self.new_rows = new_rows(data, self.field)

    @cached_property
    def figures(self) -> list[ReportFigure]:
        """The figures, in their order."""
        return figures(self.data, self.counts, self.misses)

    @cached_property
    def comparisons(self) -> list[dict[str, Any]]:
        """The tables against each published catalogue."""
        return [
            comparison(self.data, catalog, self.field, self.misses[catalog])
            for catalog in self.data.published
        ]

    @cached_property
    def headlines(self) -> list[Headline]:
        """The few numbers in large type."""
        return headlines(self.data)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What was observed, how it was run, and when it was released."""
        observation, survey, run = self.data.observation, self.data.survey, self.data.run
        bands = ", ".join(band.label for band in survey.bands)
        released = self.data.release.released_at.astimezone(UTC)
        found = [
            ("Observation", f"{observation['name']}, {observation['total_counts']:,} photons"),
            ("Interval", interval_text(observation["tstart_met_s"], observation["tstop_met_s"]) or ""),
            ("Survey", f"{survey.name}: {bands}; {observation['irfs']}"),
            ("Run", f"{run['id']}, {run['detector']}, seed {run['seed']}"),
            ("Released", released.strftime("%Y-%m-%d %H:%M UTC")),
            ("Compared with", ", ".join(self.data.catalogs["label"])),
        ]
        return [(name, value) for name, value in found if value]

    @property
    def lists(self) -> dict[str, pd.DataFrame]:
        """The side-by-side tables by catalogue; without a catalogue, the sources alone."""
        if self.comparisons:
            return {part["catalog"]: part["table"] for part in self.comparisons}
        none = self.data.references.iloc[:0], self.data.associations.iloc[:0]
        return {"no reference": side_by_side(*none, self.data.sources)}

    def numbers(self) -> dict[str, pd.DataFrame]:
        """The numbers of every figure and table, by the stem of their CSV file."""
        found = {figure.key: figure.numbers for figure in self.figures}
        for part in self.comparisons:
            name = part["catalog"].lower()
            found[f"misses-{name}"] = part["misses"]
            found[f"recovery-by-class-{name}"] = part["founding"]
        found |= {f"side-by-side-{name.lower()}": table for name, table in self.lists.items()}
        return found | {"new-detections": self.new}


def make_report(
    conn: sa.Connection, version: str, against: Sequence[str] = (), simulated: str | None = None
) -> Report:
    """The report of a release, from the database alone.

    Parameters
    ----------
    version : str
    against : sequence of str
        Names of reference catalogues of the database to compare it with, besides those of its run.
    simulated : str, optional
        Release of a simulated sky (`reports.data.load`).

    Raises
    ------
    catalog.release.ReleaseError
        If there is no such release.
    reports.against.ReportError
        If there is no such catalogue, or `simulated` is not of a simulated sky of this survey.
    """
    data = load(conn, version, against, simulated)
    return Report(data, sky_map(conn, data.observation_id, MAP_ORDER, picture_bands(data.survey)))
