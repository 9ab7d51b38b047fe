"""Exposure of a survey's planes from an observation's exposure files."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import healpy as hp
import numpy as np
from numpy.typing import NDArray
from scipy.special import exprel

from sky.coverage import EDGE_TOLERANCE, Interval, require_type, same_energy
from sky.exposure import ExposureMaps
from sky.observation import ExposureEntry, ObservationError, ObservationManifest
from sky.readers.exposure import ExposureCube, read_exposure
from sky.readers.files import InputError
from sky.survey import Band, Survey

Floats = NDArray[np.float64]


def band_average(energies_gev: Floats, exposure_cm2_s: Floats, band: Interval, index: float) -> Floats:
    """Exposure averaged over a band with the weight of a power law.

    Parameters
    ----------
    energies_gev : ndarray, shape (n,)
        Ascending.
    exposure_cm2_s : ndarray, shape (n, npix)
        At those energies; a power law in between (log-log), constant beyond the ends.
    band : tuple of float
        Lowest and highest energy, GeV.
    index : float
        Photon index of the weight E^-index.

    Returns
    -------
    ndarray, shape (npix,)
        Integral of exposure x E^-index over the band, divided by that of E^-index: counts over photon flux
        of a source with that spectrum.
    """
    if len(energies_gev) == 1:
        return np.array(exposure_cm2_s[0])
    low, high = band
    inside = energies_gev[(energies_gev > low) & (energies_gev < high)]
    edges = np.log(np.concatenate([[low], inside, [high]]))
    log_exposure = _interpolated(np.log(energies_gev), exposure_cm2_s, edges)
    # between two edges exposure x E^-index is a power law, whose integral is elementary
    total = np.zeros(exposure_cm2_s.shape[1])
    for (a, b), (start, stop) in zip(pairwise(edges), pairwise(log_exposure), strict=True):
        seen = np.isfinite(start) & np.isfinite(stop)
        slope = stop[seen] - start[seen]
        total[seen] += np.exp(start[seen]) * _power_law(a, b, slope, index, edges[0])
    return total / _power_law(edges[0], edges[-1], np.zeros(1), index, edges[0])


def _interpolated(log_table: Floats, exposure_cm2_s: Floats, log_energies: Floats) -> list[Floats]:
    """Logarithm of the exposure maps at some energies, minus infinity where it is zero."""
    upper = np.clip(np.searchsorted(log_table, log_energies), 1, len(log_table) - 1)
    part = np.clip((log_energies - log_table[upper - 1]) / (log_table[upper] - log_table[upper - 1]), 0, 1)
    with np.errstate(divide="ignore"):
        log_exposure = np.log(exposure_cm2_s)
    # at an energy of the table its neighbour must not matter: 0 x log(0) is not a number
    return [
        log_exposure[u]
        if f == 1
        else log_exposure[u - 1]
        if f == 0
        else (1 - f) * log_exposure[u - 1] + f * log_exposure[u]
        for u, f in zip(upper, part, strict=True)
    ]


def _power_law(a: float, b: float, rise: Floats, index: float, origin: float) -> Floats:
    """Integral over log energies a to b of E^-index dE times a power law rising from 1 to exp(rise).

    In units of the energy exp(origin), so that nothing overflows.
    """
    width = b - a
    return np.asarray(width * np.exp((1 - index) * (a - origin)) * exprel((1 - index) * width + rise))


def _holds(entry: ExposureEntry, cube: ExposureCube, band: Band) -> bool:
    """Whether a file is for a band; a cube that does not reach over its band is a fault."""
    if entry.energy_gev is not None:
        low, high = entry.energy_gev
        return (low <= band.emin_gev or same_energy(low, band.emin_gev)) and (
            high >= band.emax_gev or same_energy(high, band.emax_gev)
        )
    low, high = cube.reach_gev
    if low > band.emin_gev * (1 + EDGE_TOLERANCE) or high < band.emax_gev * (1 - EDGE_TOLERANCE):
        raise InputError(
            cube.path, f"its energies ({low:.3g}-{high:.3g} GeV) do not reach over the band {band.label}"
        )
    return True


def _slice_of(
    observation: Path, entries: Sequence[ExposureEntry], slices: Sequence[Interval]
) -> tuple[int, list[int]]:
    """Length of the exposure's slice axis, and the slice of each file."""
    given = [entry.time_met for entry in entries]
    if all(interval is None for interval in given):
        return 1, [0] * len(entries)
    unknown = [interval for interval in given if interval not in slices]
    if unknown:
        raise ObservationError(
            f"{observation}: exposure with time_met = {unknown[0]} is of no time slice of the counts"
        )
    return len(slices), [slices.index(interval) for interval in given if interval is not None]


def _refined(values: Floats, order: int) -> Floats:
    """A NESTED map at a finer or the same order, interpolated."""
    npix = 12 << (2 * order)
    if len(values) == npix:
        return values
    lon, lat = hp.pix2ang(1 << order, np.arange(npix), nest=True, lonlat=True)
    return np.asarray(hp.get_interp_val(values, lon, lat, nest=True, lonlat=True))


def band_exposure(manifest: ObservationManifest, slices: Sequence[Interval]) -> ExposureMaps:
    """Read an observation's exposure files and average them over the survey's bands.

    FRONT and BACK add up where the survey has BOTH.

    Raises
    ------
    InputError, ObservationError
        If a file cannot be used, or a plane has no exposure or two.
    """
    survey = manifest.survey
    n_slices, slice_of = _slice_of(manifest.path, manifest.exposure, slices)
    cubes = [read_exposure(entry.path, entry.frame) for entry in manifest.exposure]
    order = max(cube.order for cube in cubes)
    values = np.zeros((len(survey.planes), n_slices, 12 << (2 * order)))
    found: dict[tuple[int, int], set[str]] = {}
    for entry, cube, s in zip(manifest.exposure, cubes, slice_of, strict=True):
        target = require_type(entry.path, survey, entry.event_type)
        for plane, (b, event_type) in enumerate(survey.planes):
            band = survey.bands[b]
            if event_type != target or not _holds(entry, cube, band):
                continue
            types = found.setdefault((plane, s), set())
            if entry.event_type in types or (types and "BOTH" in (entry.event_type, *types)):
                raise InputError(entry.path, f"a second {entry.event_type} exposure for {band.label}")
            types.add(entry.event_type)
            nodes = np.ones(1) if cube.nodes_gev is None else cube.nodes_gev
            average = band_average(
                nodes, cube.values_cm2_s, (band.emin_gev, band.emax_gev), survey.reference_index
            )
            values[plane, s] += _refined(average, order)
    _require_all(manifest.path, survey, n_slices, found)
    return ExposureMaps(survey, order, values)


def _require_all(
    observation: Path, survey: Survey, n_slices: int, found: dict[tuple[int, int], set[str]]
) -> None:
    for plane, (b, event_type) in enumerate(survey.planes):
        for s in range(n_slices):
            types = found.get((plane, s), set())
            if event_type not in types and types != {"FRONT", "BACK"}:
                missing = "BACK" if "FRONT" in types else "FRONT" if "BACK" in types else event_type
                raise ObservationError(f"{observation}: no {missing} exposure for {survey.bands[b].label}")
