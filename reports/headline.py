"""The few numbers that say how good a release is."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.counterparts import counterpart_pairs
from reports.data import ReportData
from reports.fluxes import flux_pairs
from reports.recovery import recovered
from reports.separation import matched_pairs, normalised_separation
from reports.significance import is_associated
from reports.simulated import overall
from reports.statistics import Fraction, median_and_spread

CLEAR_SIGMA = 5
LIKELY = 0.5


@dataclass(frozen=True)
class Headline:
    """One number in large type: what it is, and what it counts."""

    value: str
    label: str
    detail: str


def headlines(data: ReportData) -> list[Headline]:
    """Number of sources, counterparts, recovery of each reference catalogue, positions and fluxes."""
    associated = Fraction.of(is_associated(data.sources, data.associations))
    detail = f"run {data.run['id']}, {data.run['detector']}"
    if (likely := _likely(data.sources)).any():
        detail += f"; {int(likely.sum()):,} of them with Prob_Real of {LIKELY:g} or more"
    found = [Headline(f"{associated.n:,}", "sources", detail)]
    if associated.n:
        detail = f"{associated.k:,} within 0.3° of a reference source, one to one"
        found.append(Headline(_percent(associated), "have a counterpart", detail))
        r95 = np.nanmedian(data.sources["conf_95_semimajor_deg"].to_numpy())
        if np.isfinite(r95):
            found.append(Headline(f"{r95:.3f}°", "median r95", "long axis of the 95 % error ellipse"))
    for truth in data.truths:
        purity = overall(*data.of_catalog(truth), data.sources)
        detail = f"{purity.k:,} of {purity.n:,} within 0.3° of a simulated source, one to one"
        detail += _of_the_likely(*data.of_catalog(truth), data.sources)
        found.append(Headline(_percent(purity), f"are true ({truth})", detail))
        found += _known_places(truth, *data.of_catalog(truth), data)
    if (simulation := data.simulation) is not None:
        for truth in simulation.truths:
            purity = overall(*simulation.of_catalog(truth), simulation.sources)
            detail = f"{purity.k:,} of {purity.n:,} sources of release {simulation.release.version}"
            detail += _of_the_likely(*simulation.of_catalog(truth), simulation.sources)
            found.append(Headline(_percent(purity), "are true on a simulated sky", detail))
    for catalog in data.published:
        references, associations = data.of_catalog(catalog)
        part = Fraction.of(recovered(references, associations, 0.3))
        wide = Fraction.of(recovered(references, associations, 0.5))
        detail = f"{part.k:,} of {part.n:,} within 0.3°; {_percent(wide)} within 0.5°"
        clear = references["signif_above"].to_numpy() >= CLEAR_SIGMA
        if clear.any():
            seen = Fraction.of(recovered(references, associations, 0.3)[clear])
            emin_gev = data.survey.bands[0].emin_gev
            detail += f"; {_percent(seen)} of the {seen.n:,} above {CLEAR_SIGMA} σ over {emin_gev:g} GeV"
        found.append(Headline(_percent(part), f"of {catalog} recovered", detail))
        if catalog in data.placed:
            found += _known_places(catalog, references, associations, data)
        pairs = matched_pairs(references[~references["extended"]], associations, data.sources, "matched_03")
        x = normalised_separation(pairs)
        if np.isfinite(x).any():
            inside = Fraction.of(x[np.isfinite(x)] <= 1)
            detail = f"of {inside.n:,} point-like pairs, both errors added"
            found.append(Headline(_percent(inside), f"of {catalog} within r95", detail))
        ratio, spread = median_and_spread(
            flux_pairs(references, associations, data.sources, data.survey.flux_range_gev)["ratio"]
        )
        if np.isfinite(ratio):
            detail = f"16 to 84 %: ± {spread:.2f}"
            found.append(Headline(f"{ratio:.3f}", f"flux over {catalog} flux, median", detail))
    return found


def _known_places(
    catalog: str, references: pd.DataFrame, associations: pd.DataFrame, data: ReportData
) -> list[Headline]:
    """The honest test of the ellipse: places that no photon of ours had a part in."""
    pairs = counterpart_pairs(references, associations, data.sources)
    if pairs.empty:
        return []
    inside = Fraction.of(pairs["over_r95"] <= 1)
    detail = f"of {inside.n:,} galaxies and pulsars with places in {catalog}; 95 % expected"
    return [Headline(_percent(inside), "of known places within r95", detail)]


def _likely(sources: pd.DataFrame) -> NDArray[np.bool_]:
    """Which sources the networks hold for more probably real than not; none where there are no networks."""
    return sources["prob_real"].to_numpy(float) >= LIKELY


def _of_the_likely(truth: pd.DataFrame, associations: pd.DataFrame, sources: pd.DataFrame) -> str:
    """The same of those sources alone, where there are others."""
    likely = _likely(sources)
    if not likely.any() or likely.all():
        return ""
    return f"; {_percent(overall(truth, associations, sources[likely]))} of those with Prob_Real of {LIKELY:g} or more"


def _percent(fraction: Fraction) -> str:
    return f"{100 * fraction.value:.1f} %"
