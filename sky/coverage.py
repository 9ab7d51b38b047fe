"""Which input channels make up which band: they must fill it exactly, without gap and without overlap."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sky.observation import ObservationError
from sky.readers.files import InputError
from sky.survey import Band, Survey

EDGE_TOLERANCE = 1e-3
Interval = tuple[float, float]
Place = tuple[int, str, int]
"""Band index, event type of the file, time slice."""


def same_energy(a: float, b: float) -> bool:
    """Whether two band edges are the same but for rounding (single-precision keV)."""
    return abs(a - b) <= EDGE_TOLERANCE * max(a, b)


def band_holding(path: Path, survey: Survey, low_gev: float, high_gev: float) -> int:
    """Index of the survey's band in which an energy interval lies.

    Raises
    ------
    InputError
        If it lies in none, or across an edge.
    """
    for index, band in enumerate(survey.bands):
        above = low_gev > band.emin_gev or same_energy(low_gev, band.emin_gev)
        below = high_gev < band.emax_gev or same_energy(high_gev, band.emax_gev)
        if above and below:
            return index
    raise InputError(
        path,
        f"{low_gev:g}-{high_gev:g} GeV lies in no band of survey '{survey.name}' ({band_list(survey.bands)})",
    )


def band_list(bands: Iterable[Band]) -> str:
    """Bands in words."""
    return ", ".join(band.label for band in bands)


def require_type(path: Path, survey: Survey, event_type: str) -> str:
    """Event type of the survey to which a file's event type adds.

    FRONT and BACK together are BOTH; BOTH cannot be told apart.

    Raises
    ------
    InputError
        If the survey keeps FRONT and BACK apart and the file does not.
    """
    if event_type in survey.event_types:
        return event_type
    if survey.event_types == ("BOTH",):
        return "BOTH"
    raise InputError(path, f"event type {event_type}, but survey '{survey.name}' keeps FRONT and BACK apart")


@dataclass
class Coverage:
    """What has been read so far, and whether it is the whole survey."""

    survey: Survey
    n_slices: int
    seen: dict[Place, list[tuple[float, float, Path]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, path: Path, event_type: str, time_slice: int, low_gev: float, high_gev: float) -> int:
        """Note one channel; returns its ordinal among those of its map.

        Raises
        ------
        InputError
            If it overlaps one that was there before.
        """
        band = band_holding(path, self.survey, low_gev, high_gev)
        # BOTH holds what FRONT and BACK hold
        rivals = [t for t in ("FRONT", "BACK", "BOTH") if t == event_type or "BOTH" in (t, event_type)]
        for rival in rivals:
            for low, high, other in self.seen[band, rival, time_slice]:
                common = min(high, high_gev) - max(low, low_gev)
                if common > EDGE_TOLERANCE * min(high, high_gev):
                    raise InputError(
                        path,
                        f"{low_gev:g}-{high_gev:g} GeV {event_type} overlaps "
                        f"{low:g}-{high:g} GeV {rival} of {other.name}",
                    )
        places = self.seen[band, event_type, time_slice]
        places.append((low_gev, high_gev, path))
        return len(places) - 1

    def require_complete(self, observation: Path) -> None:
        """Check that every band is filled, for all event types and slices.

        Raises
        ------
        ObservationError
            Naming the first gap.
        """
        for b, band in enumerate(self.survey.bands):
            for event_type in self.survey.event_types:
                for s in range(self.n_slices):
                    for kind in self._kinds(b, event_type, s):
                        intervals = [(low, high) for low, high, _ in self.seen[b, kind, s]]
                        self._require_filled(observation, band, kind, intervals)

    def _kinds(self, band: int, event_type: str, time_slice: int) -> tuple[str, ...]:
        """Event types of the files that make up a map: BOTH may come as FRONT and BACK."""
        halves = any(self.seen[band, kind, time_slice] for kind in ("FRONT", "BACK"))
        whole = self.seen[band, "BOTH", time_slice]
        return ("FRONT", "BACK") if event_type == "BOTH" and halves and not whole else (event_type,)

    def _require_filled(
        self, observation: Path, band: Band, event_type: str, intervals: Sequence[Interval]
    ) -> None:
        reached = band.emin_gev
        for low, high in sorted(intervals):
            if not same_energy(low, reached):
                break
            reached = high
        if not same_energy(reached, band.emax_gev):
            raise ObservationError(
                f"{observation}: no {event_type} counts for {reached:g}-{band.emax_gev:g} GeV "
                f"of survey '{self.survey.name}'"
            )


def time_slices(
    observation: Path, survey: Survey, intervals: Sequence[Interval | None]
) -> tuple[Interval, ...]:
    """Time slices of an observation from the `time_met` of its entries, ascending; empty where none has one.

    Raises
    ------
    ObservationError
        If only some have one, slices overlap, or the survey has not so many.
    """
    if all(interval is None for interval in intervals):
        return ()
    if any(interval is None for interval in intervals):
        raise ObservationError(f"{observation}: time_met is given for some counts and missing for others")
    slices = sorted({interval for interval in intervals if interval is not None})
    if any(later[0] < earlier[1] for earlier, later in itertools.pairwise(slices)):
        raise ObservationError(f"{observation}: time slices overlap (time_met)")
    if len(slices) > survey.time_slices:
        known = f"{survey.time_slices} time slices" if survey.time_slices else "no time slices"
        raise ObservationError(
            f"{observation}: {len(slices)} time slices, but survey '{survey.name}' has {known}"
        )
    return tuple(slices)


def band_index(survey: Survey, energy_gev: np.ndarray) -> np.ndarray:
    """Index of each photon's band, -1 where it lies in none."""
    index = np.full(energy_gev.shape, -1, dtype=np.int64)
    for b, band in enumerate(survey.bands):
        index[(energy_gev >= band.emin_gev) & (energy_gev < band.emax_gev)] = b
    return index
