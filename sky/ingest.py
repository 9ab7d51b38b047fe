"""From an observation's files to one counts cube and its exposure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import healpy as hp
import numpy as np

from sky.band_exposure import band_exposure
from sky.counts import CountsCube, HealpixCounts, Key
from sky.coverage import Coverage, Interval, band_index, require_type, same_energy, time_slices
from sky.exposure import ExposureMaps
from sky.observation import CountsEntry, EventsEntry, ObservationManifest
from sky.placement import channel_key, place_healpix, place_wcs
from sky.readers.files import InputError, file_sha256
from sky.readers.headers import resolve_frame
from sky.readers.healpix import HealpixTable
from sky.readers.maps import read_maps
from sky.readers.photon_list import read_photon_list
from sky.readers.wcs import WcsCube
from sky.storage import content_sha256, save_sky
from sky.survey import Band, Survey

PLACEMENT_SEED = 0
"""Seed of the places that photons of equatorial HEALPix and WCS pixels get on the way in."""

Parts = dict[Key, list[HealpixCounts]]


@dataclass(frozen=True)
class SourceFile:
    """One file an observation was read from: `role` is 'counts', 'events' or 'exposure'."""

    role: str
    ordinal: int
    file_name: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class IngestedSky:
    """An observation, read.

    Attributes
    ----------
    manifest : ObservationManifest
    cube : CountsCube
    exposure : ExposureMaps
    files : tuple of SourceFile
    content_sha256 : str
        Of photons, bands, exposure and response, however they were written.
    interval_met_s : tuple of float, or None
        First and last second: as the observation says, else of the files' good time intervals.
    """

    manifest: ObservationManifest
    cube: CountsCube
    exposure: ExposureMaps
    files: tuple[SourceFile, ...]
    content_sha256: str
    interval_met_s: Interval | None

    @property
    def irfs(self) -> str:
        """Instrument response functions of the observation."""
        return self.manifest.irfs

    def save(self, folder: str | Path) -> None:
        """Write counts and exposure to a folder for `sky.storage.load_sky`, atomically."""
        save_sky(Path(folder), self.cube, self.exposure, self.irfs, self.content_sha256)


def ingest(manifest: ObservationManifest) -> IngestedSky:
    """Read all files of an observation.

    Raises
    ------
    InputError
        If a file cannot be used; one line that names it.
    ObservationError
        If the files together do not make up the survey.
    """
    cube, read = read_counts(manifest)
    exposure = band_exposure(manifest, cube.slices_met_s)
    _require_exposed(manifest, cube, exposure)
    entries = {"counts": manifest.counts, "events": manifest.events, "exposure": manifest.exposure}
    files = tuple(
        SourceFile(role, i, entry.path.name, file_sha256(entry.path), entry.path.stat().st_size)
        for role, group in entries.items()
        for i, entry in enumerate(group)
    )
    return IngestedSky(
        manifest,
        cube,
        exposure,
        files,
        content_sha256(cube, exposure, manifest.irfs),
        _whole_interval(manifest, [*cube.slices_met_s, *(i for i in read if i)]),
    )


def _whole_interval(manifest: ObservationManifest, intervals: Sequence[Interval]) -> Interval | None:
    """Interval of an observation; what the manifest does not say is taken from its slices and files."""
    start, stop = manifest.tstart_met_s, manifest.tstop_met_s
    if intervals:
        start = min(i[0] for i in intervals) if start is None else start
        stop = max(i[1] for i in intervals) if stop is None else stop
    return None if start is None or stop is None else (start, stop)


def read_counts(manifest: ObservationManifest) -> tuple[CountsCube, list[Interval | None]]:
    """Read the counts maps and photon lists of an observation into one cube, and each file's interval."""
    survey = manifest.survey
    slices = time_slices(manifest.path, survey, [e.time_met for e in (*manifest.counts, *manifest.events)])
    coverage = Coverage(survey, max(1, len(slices)))
    parts: Parts = defaultdict(list)
    intervals = [_add_maps(counts, survey, slices, coverage, parts) for counts in manifest.counts]
    events, event_intervals = _read_events(manifest.events, survey, slices)
    for key, photons in events.items():
        b, event_type, s = key
        if parts[key]:
            path = manifest.events[0].path
            raise InputError(path, f"photons of {survey.bands[b].label}, which counts maps give already")
        parts[key] = photons
        coverage.add(
            manifest.events[0].path, event_type, s, survey.bands[b].emin_gev, survey.bands[b].emax_gev
        )
    coverage.require_complete(manifest.path)
    maps = {key: _summed(survey.bands[key[0]], group) for key, group in parts.items()}
    return CountsCube(survey, maps, slices), intervals + event_intervals


def _summed(band: Band, maps: Sequence[HealpixCounts]) -> HealpixCounts:
    total = HealpixCounts.from_pixels(band.order, [])
    for part in maps:
        total = part if not total.total() else total + part
    return total


def _add_maps(
    entry: CountsEntry, survey: Survey, slices: Sequence[Interval], coverage: Coverage, parts: Parts
) -> Interval | None:
    """Read one counts file into the maps it belongs to; returns its interval of time, where it says one."""
    source = read_maps(entry.path)
    target = require_type(entry.path, survey, entry.event_type)
    frame = resolve_frame(entry.path, source.frame, entry.frame)
    s = slices.index(entry.time_met) if entry.time_met else 0
    for channel, (low, high) in _channels(entry, source):
        ordinal = coverage.add(entry.path, entry.event_type, s, low, high)
        b = int(band_index(survey, np.array([np.sqrt(low * high)]))[0])
        band = survey.bands[b]
        _require_fine(source, band)
        key = channel_key(PLACEMENT_SEED, survey.planes.index((b, target)), s, ordinal)
        if isinstance(source, HealpixTable):
            placed = place_healpix(source, channel, frame, band.order, key)
        else:
            placed = place_wcs(source, channel, band.order, key)
        parts[b, target, s].append(placed)
    return source.interval_met_s


def _channels(entry: CountsEntry, source: HealpixTable | WcsCube) -> list[tuple[int, Interval]]:
    """Channels of a file to use, with their energies: all, or those inside the observation's `energy_gev`."""
    given, edges = entry.energy_gev, source.edges_gev
    if edges is None:
        if given is None:
            raise InputError(entry.path, "no energy bounds: neither an EBOUNDS table nor energy_gev")
        if len(source.values) != 1:
            raise InputError(
                entry.path, f"{len(source.values)} maps but no EBOUNDS table to say their energies"
            )
        return [(0, given)]
    channels = [(i, (float(low), float(high))) for i, (low, high) in enumerate(edges)]
    if given is None:
        return channels
    low, high = given
    chosen = [c for c in channels if np.sqrt(c[1][0] * c[1][1]) > low and np.sqrt(c[1][0] * c[1][1]) < high]
    if not chosen or not same_energy(chosen[0][1][0], low) or not same_energy(chosen[-1][1][1], high):
        bounds = f"{edges[0, 0]:g}-{edges[-1, 1]:g}"
        raise InputError(
            entry.path,
            f"energy bounds in the file ({bounds} GeV) do not fit energy_gev = [{low:g}, {high:g}]",
        )
    return chosen


def _require_fine(source: HealpixTable | WcsCube, band: Band) -> None:
    """Refuse maps whose pixels are larger than the band's."""
    if isinstance(source, HealpixTable):
        coarse = source.order < band.order
    else:
        coarse = source.pixel_deg > 1.01 * np.degrees(hp.nside2resol(band.nside))
    if coarse:
        raise InputError(
            source.path, f"{source.resolution} is coarser than NSIDE {band.nside} of {band.label}"
        )


def _read_events(
    entries: Sequence[EventsEntry], survey: Survey, slices: Sequence[Interval]
) -> tuple[Parts, list[Interval | None]]:
    """Bin photon lists; every plane of the slices they are for is there, be it empty. And their intervals."""
    parts: Parts = defaultdict(list)
    intervals = []
    for entry in entries:
        photons = read_photon_list(entry.path)
        intervals.append(photons.interval_met_s)
        start, stop = entry.time_met or (-np.inf, np.inf)
        s = slices.index(entry.time_met) if entry.time_met else 0
        bands = band_index(survey, photons.energy_gev)
        bands[(photons.time_met_s < start) | (photons.time_met_s >= stop)] = -1
        for b, event_type in survey.planes:
            chosen = bands == b
            if event_type != "BOTH":
                chosen &= photons.front == (event_type == "FRONT")
            order = survey.bands[b].order
            ipix = hp.ang2pix(
                1 << order, photons.glon_deg[chosen], photons.glat_deg[chosen], nest=True, lonlat=True
            )
            parts[b, event_type, s].append(HealpixCounts.from_pixels(order, ipix))
    return parts, intervals


def _require_exposed(manifest: ObservationManifest, cube: CountsCube, exposure: ExposureMaps) -> None:
    """Refuse photons from where no time was spent."""
    path = manifest.exposure[0].path
    for plane, (b, event_type) in enumerate(cube.survey.planes):
        band = cube.survey.bands[b]
        ipix, values = cube.plane(plane).sparse()
        seen = exposure.map(plane)[ipix >> (2 * (band.order - exposure.order))] > 0
        if not seen.all():
            lost = int(values[~seen].sum())
            raise InputError(path, f"zero where there are {lost} {event_type} photons of {band.label}")
