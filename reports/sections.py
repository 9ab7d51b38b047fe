"""What stands in the report, section by section: figures, and tables with pictures."""

from typing import Any

import pandas as pd
from numpy.typing import ArrayLike

from reports.classes import class_figure
from reports.comparison import side_by_side
from reports.counterparts import counterpart_figure
from reports.data import ReportData
from reports.fluxes import flux_figure
from reports.founding import founding_rows, founding_table
from reports.in_range import same_range
from reports.missed_sky import Field, misses_figure, row_picture
from reports.misses import bright_misses
from reports.plane import plane_figure
from reports.recovery import recovered, recovery_figure
from reports.separation import separation_figure
from reports.significance import significance_figure
from reports.simulated import simulated_figure
from reports.skymap import sky_figure
from reports.style import ReportFigure
from reports.tables import MISSED, NEW, columns_of, text_rows
from reports.unassociated import new_detections
from sky.survey import Survey

SHARP_GEV = 1.0  # below, the PSF is wider than what the pictures shall show
BRIEF_ROWS = 25
PICTURED_NEW = 25
NEW_ROWS = 100


def picture_bands(survey: Survey) -> list[int]:
    """Bands sharp enough for pictures; all where none is."""
    sharp = [i for i, band in enumerate(survey.bands) if band.emin_gev >= SHARP_GEV]
    return sharp or list(range(len(survey.bands)))


def picture_energies(survey: Survey) -> str:
    """The energies of the pictures in words."""
    bands = [survey.bands[i] for i in picture_bands(survey)]
    return f"{bands[0].emin_gev:g} to {bands[-1].emax_gev:g} GeV"


def all_misses(data: ReportData) -> dict[str, pd.DataFrame]:
    """The bright misses of each published catalogue."""
    emin_gev = data.survey.bands[0].emin_gev
    return {
        catalog: bright_misses(
            *data.of_catalog(catalog), data.sources, data.candidates, emin_gev, data.interval_met_s
        )
        for catalog in data.published
    }


def figures(
    data: ReportData, counts: ArrayLike | None = None, misses: dict[str, pd.DataFrame] | None = None
) -> list[ReportFigure]:
    """All figures of the report, in its order; those that have nothing to show are left out."""
    flux_range_gev, emin_gev = data.survey.flux_range_gev, data.survey.bands[0].emin_gev
    everything = data.sources, data.associations
    of = {catalog: data.of_catalog(catalog) for catalog in data.catalogs["label"]}
    misses = all_misses(data) if misses is None else misses
    shown: list[ReportFigure | None] = [sky_figure(*everything, counts)]
    for catalog in data.published:
        references, associations = of[catalog]
        if same_range(references, flux_range_gev).any():
            missed = references[~recovered(references, associations, 0.3)]
            shown.append(plane_figure(*everything, missed, catalog, counts))
    shown += [recovery_figure(catalog, *of[catalog], data.sources, emin_gev) for catalog in data.published]
    if counts is not None:
        energies, field = picture_energies(data.survey), Field(counts, data.sources)
        shown += [misses_figure(name, rows, field, energies) for name, rows in misses.items()]
    shown.append(separation_figure(data.references, data.associations, data.sources))
    shown += [counterpart_figure(catalog, *of[catalog], data.sources) for catalog in data.placed]
    shown += [flux_figure(catalog, *of[catalog], data.sources, flux_range_gev) for catalog in data.published]
    shown += [simulated_figure(truth, *of[truth], data.sources, flux_range_gev) for truth in data.truths]
    if (simulation := data.simulation) is not None:
        shown += [
            simulated_figure(
                truth,
                *simulation.of_catalog(truth),
                simulation.sources,
                flux_range_gev,
                simulation.release.version,
            )
            for truth in simulation.truths
        ]
    shown += [class_figure(catalog, *of[catalog], data.classes) for catalog in data.catalogs["label"]]
    shown.append(significance_figure(*everything))
    return [figure for figure in shown if figure]


def comparison(data: ReportData, catalog: str, field: Field | None, misses: pd.DataFrame) -> dict[str, Any]:
    """All that the page's tables say of one published catalogue."""
    references, associations = data.of_catalog(catalog)
    table = side_by_side(references, associations, data.sources)
    missed, new = table[table["status"] == "missed"], table[table["status"] == "new"]
    founding = founding_table(references, associations, data.sources)
    return {
        "catalog": catalog,
        "table": table,
        "counts": table["status"].value_counts().to_dict(),
        "missed": _brief(missed.head(BRIEF_ROWS), MISSED),
        "new": _brief(new.head(BRIEF_ROWS), NEW),
        "founding": founding,
        "founding_rows": founding_rows(founding),
        "misses": misses,
        "bright": [_pictured(field, row, "name_ref") for row in misses.to_dict("records")],
    }


def new_rows(data: ReportData, field: Field | None) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """New detections: the whole table, and its first rows with pictures."""
    table = new_detections(data.sources, data.associations)
    rows = table.head(NEW_ROWS).to_dict("records")
    pictured = [_pictured(field, row, "source_name") for row in rows[:PICTURED_NEW]]
    return table, pictured + [{"row": row, "picture": None} for row in rows[PICTURED_NEW:]]


def _pictured(field: Field | None, row: dict[Any, Any], name: str) -> dict[str, Any]:
    return {
        "row": row,
        "picture": field and row_picture(field, row["glon_deg"], row["glat_deg"], row[name]),
    }


def _brief(table: pd.DataFrame, keys: set[str]) -> dict[str, Any]:
    columns = columns_of(table, keys)
    return {"columns": columns, "rows": text_rows(table, columns)}
