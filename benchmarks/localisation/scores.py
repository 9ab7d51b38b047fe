"""From detections to figures: skies of one kind are scored together, with one threshold."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.localisation.skies import Truths
from models import evaluate as ev

Array = NDArray[np.float64]

PURITIES = (0.90, 0.95)
LATITUDES = {"all": (0.0, 90.1), "b<5": (0.0, 5.0), "5<b<20": (5.0, 20.0), "b>20": (20.0, 90.1)}
CURVE_STEPS = 100
# Bounds of significances, sources brighter than which are placed by ever more photons.
PLACED_SIGMA = (3.0, 5.0, 8.0, 15.0, 40.0, np.inf)
# The founding paper's fluxes (Panes et al. 2021, A&A 656, A62), 1 to 100 GeV, and the half-width of their bins.
FOUNDING_FLUXES_CM2_S = (4.28e-10, 2.34e-10, 1.27e-10)
FOUNDING_BIN_DEX = 0.13


class Pooled:
    """Truths and detections of several skies that never match across skies."""

    def __init__(
        self, truths: Sequence[Truths], detections: Sequence[ev.Positions], scores: Sequence[Array]
    ) -> None:
        shown = [t.limit_sigma >= ev.LIMIT_SIGMA for t in truths]
        self.truths = _grouped([t.places.select(s) for t, s in zip(truths, shown, strict=True)])
        self.inside = _joined([t.inside[s] for t, s in zip(truths, shown, strict=True)]).astype(bool)
        self.flux = _joined([t.flux_cm2_s[s] for t, s in zip(truths, shown, strict=True)])
        self.sigma = _joined([t.limit_sigma[s] for t, s in zip(truths, shown, strict=True)])
        self.limit_deg = _joined([t.limit_deg[s] for t, s in zip(truths, shown, strict=True)])
        self.efficient_deg = _joined([t.efficient_deg[s] for t, s in zip(truths, shown, strict=True)])
        self.detections = _grouped(detections)
        self.score = _joined(scores)

    def figures(self) -> dict[str, Any]:
        """The figures of a row of the table, by latitude and purity."""
        return {label: self._at_latitude(*bounds) for label, bounds in LATITUDES.items()}

    def thresholds(self) -> dict[str, float]:
        """Scores from which on the whole list is as pure as asked, and pure enough within 5 degrees."""
        return {
            f"{purity:.2f}": self._curve(*LATITUDES["all"]).threshold_at_purity(purity) for purity in PURITIES
        }

    def at_threshold(self, threshold: float, label: str) -> dict[str, float]:
        """Completeness, and false detections, of a part of the sky at a threshold from elsewhere."""
        low, high = LATITUDES[label]
        truth, place = _between(self.truths, low, high), _between(self.detections, low, high)
        kept = self.detections.select(place & (self.score >= threshold))
        matches = ev.match(self.truths, self.flux, kept)
        counted = truth & self.inside
        return {
            "completeness": float(matches.found[counted].mean()) if counted.any() else np.nan,
            "detections": len(kept),
            "false": int((~matches.real).sum()),
        }

    def _curve(self, low: float, high: float) -> ev.ScoreCurve:
        place = _between(self.detections, low, high)
        return ev.score_curve(
            self.truths, self.flux, self.detections.select(place), self.score[place], steps=CURVE_STEPS
        )

    def _at_latitude(self, low: float, high: float) -> dict[str, Any]:
        place = _between(self.detections, low, high)
        counted = _between(self.truths, low, high) & self.inside
        curve = self._curve(low, high)
        row: dict[str, Any] = {"truths": int(counted.sum())}
        for purity in PURITIES:
            threshold = curve.threshold_at_purity(purity)
            kept = self.detections.select(place & (self.score >= threshold))
            row[f"{purity:.2f}"] = self._at(kept, counted) | {"threshold": threshold}
        return row

    def _at(self, kept: ev.Positions, counted: NDArray[np.bool_]) -> dict[str, Any]:
        matches = ev.match(self.truths, self.flux, kept)
        found, flux = matches.found[counted], self.flux[counted]
        strong = self.sigma[counted] >= 5.0
        separation = matches.separation_deg[counted][found]
        over_limit, over_efficient = (
            separation / least[counted][found] for least in (self.limit_deg, self.efficient_deg)
        )
        return {
            "detections": len(kept),
            "found": int(found.sum()),
            "completeness": _mean(found),
            "above_5_sigma": _mean(found[strong]),
            "flux_50": ev.value_at_completeness(flux, found, 0.5),
            "flux_90": ev.value_at_completeness(flux, found, 0.9),
            "at_founding_fluxes": [
                _mean(found[np.abs(np.log10(flux / f)) < FOUNDING_BIN_DEX]) for f in FOUNDING_FLUXES_CM2_S
            ],
            "median_separation_deg": float(np.median(separation)) if found.any() else np.nan,
            "position_error_over_limit": float(np.median(over_limit)) if found.any() else np.nan,
            "position_error_over_efficient": float(np.median(over_efficient)) if found.any() else np.nan,
            "over_efficient_by_sigma": _medians(over_efficient, self.sigma[counted][found]),
            "chance": ev.chance_share(self.truths, self.flux, kept, np.random.default_rng(1)),
        }


def _mean(found: NDArray[np.bool_]) -> float:
    return float(found.mean()) if found.size else np.nan


def _medians(values: Array, sigma: Array) -> list[dict[str, float]]:
    """Medians and numbers of values in the bins of `PLACED_SIGMA`, where there are five."""
    out = []
    for low, high in pairwise(PLACED_SIGMA):
        mine = values[(sigma >= low) & (sigma < high)]
        if len(mine) >= 5:
            out.append({"from_sigma": low, "sources": len(mine), "median": float(np.median(mine))})
    return out


def _between(places: ev.Positions, low: float, high: float) -> NDArray[np.bool_]:
    return (np.abs(places.glat_deg) >= low) & (np.abs(places.glat_deg) < high)


def _joined(parts: Sequence[NDArray[np.generic]]) -> Array:
    return np.concatenate([np.asarray(part, float) for part in parts])


def _grouped(parts: Sequence[ev.Positions]) -> ev.Positions:
    group = np.concatenate([np.full(len(part), k) for k, part in enumerate(parts)])
    return ev.Positions(_joined([p.glon_deg for p in parts]), _joined([p.glat_deg for p in parts]), group)
