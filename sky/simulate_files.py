"""A synthetic sky as files: what an observation's real files look like, and the truth beside them.

Counts are HEALPix cubes as gtbin writes them, NESTED and galactic, with the empty pixels left out where most
are empty; exposures are cubes as gtexpcube2 writes them. The same sky gives the same bytes.
"""

import gzip
import io
import shutil
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sky.frames import galactic_to_icrs
from sky.mission import pattern
from sky.population import CLASSES, EXTENDED_SHAPES, FORMS
from sky.simulate import SimulationError, SyntheticSky

EXPOSURE_NSIDE = 32
EXPOSURE_ENERGIES = 32
# Two threads keep two cores busy; a plane takes 0.3 GB.
THREADS = 2
# Compressed bytes a sky may take: more than any of them did.
BYTES_A_PHOTON, BYTES_A_FILE = 3.0, 2e6


def write_sky(sky: SyntheticSky, folder: Path, overwrite: bool = False) -> Path:
    """Write counts, exposures, `truth.fits` and `observation.toml` into a folder, all or nothing.

    Parameters
    ----------
    sky : SyntheticSky
    folder : Path
        New or empty, unless `overwrite`.
    overwrite : bool
        Replace a synthetic sky that is there.

    Returns
    -------
    Path
        The observation file.

    Raises
    ------
    SimulationError
        If the folder is not empty, or there is too little room on the disk.
    """
    folder = folder.absolute()
    require_target(folder, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _require_room(sky, folder)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        _write_all(sky, partial)
        partial.chmod(0o755)
        if folder.exists():
            old = partial.with_suffix(".old")
            folder.rename(old)
            partial.rename(folder)
            shutil.rmtree(old)
        else:
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / "observation.toml"


def require_target(folder: Path, overwrite: bool) -> None:
    """Check that a sky may be written to a folder; raises as `write_sky`."""
    if folder.exists() and not folder.is_dir():
        raise SimulationError(f"{folder}: is not a folder")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not all((folder / name).is_file() for name in ("observation.toml", "truth.fits")):
        raise SimulationError(f"{folder}: is not empty, and no synthetic sky that might be replaced")
    if not overwrite:
        raise SimulationError(f"{folder}: is not empty (--overwrite replaces it)")


def _require_room(sky: SyntheticSky, folder: Path) -> None:
    planes, slices = len(sky.survey.planes), len(sky.mission.slice_share)
    photons = 1.2 * sky.npred.sum() + 4 * np.pi * sky.isotropic_counts_sr.sum() + 1e6
    needed = min(photons * BYTES_A_PHOTON, planes * slices * 6e7) + planes * slices * BYTES_A_FILE
    free = shutil.disk_usage(folder.parent).free
    if free < needed:
        raise SimulationError(f"{folder}: needs about {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free")


def _write_all(sky: SyntheticSky, folder: Path) -> None:
    _ = sky.npred, sky.band_index, sky.isotropic_counts_sr  # once, before the threads ask for them
    for component in sky.emission.components:
        _ = component.alm
    with ThreadPoolExecutor(THREADS) as pool:
        counts = list(pool.map(lambda plane: _write_plane(sky, plane, folder), range(len(sky.survey.planes))))
    exposures = [_write_exposure(sky, t, folder) for t in sky.survey.event_types]
    write_truth(sky, folder / "truth.fits")
    entries = [("counts", e) for plane in counts for e in plane] + [
        ("exposure", e) for of_type in exposures for e in of_type
    ]
    (folder / "observation.toml").write_text(_observation(sky, entries))


def _write_plane(sky: SyntheticSky, plane: int, folder: Path) -> list[dict[str, Any]]:
    """Write the counts files of one plane; returns their entries in the observation."""
    b, event_type = sky.survey.planes[plane]
    band = sky.survey.bands[b]
    entries = []
    for time_slice, counts in enumerate(sky.draw_counts(plane)):
        suffix = _slice_suffix(sky, time_slice)
        name = f"counts_{band.emin_gev:g}-{band.emax_gev:g}GeV_{event_type}{suffix}.fits.gz"
        interval = _interval(sky, time_slice)
        ebounds = [
            fits.Column("CHANNEL", "I", array=[1]),
            fits.Column("E_MIN", "1D", "keV", array=[band.emin_gev * 1e6]),
            fits.Column("E_MAX", "1D", "keV", array=[band.emax_gev * 1e6]),
        ]
        tables = [
            _counts_table(counts, band.order),
            fits.BinTableHDU.from_columns(ebounds, name="EBOUNDS"),
            _gti(interval),
        ]
        _write_gz(folder / name, tables)
        entry = {
            "path": name,
            "energy_gev": [band.emin_gev, band.emax_gev],
            "event_type": event_type,
        }
        entries.append(entry | _time(sky, time_slice))
    return entries


def _counts_table(counts: NDArray[np.int32], order: int) -> fits.BinTableHDU:
    filled = np.flatnonzero(counts)
    explicit = len(filled) < len(counts) // 4
    columns = [fits.Column("CHANNEL1", "J", array=counts[filled] if explicit else counts)]
    if explicit:
        columns.insert(0, fits.Column("PIX", "J", array=filled.astype(np.int32)))
    table = fits.BinTableHDU.from_columns(columns, name="SKYMAP")
    header = {
        "PIXTYPE": "HEALPIX",
        "ORDERING": "NESTED",
        "COORDSYS": "GAL",
        "ORDER": order,
        "NSIDE": 1 << order,
        "INDXSCHM": "EXPLICIT" if explicit else "IMPLICIT",
    }
    if not explicit:
        header |= {"FIRSTPIX": 0, "LASTPIX": len(counts) - 1}
    table.header.update(header)
    return table


def _write_exposure(sky: SyntheticSky, event_type: str, folder: Path) -> list[dict[str, Any]]:
    bands = sky.survey.bands
    energy = np.unique(
        np.concatenate(
            [
                np.geomspace(bands[0].emin_gev, bands[-1].emax_gev, EXPOSURE_ENERGIES),
                [edge for band in bands for edge in (band.emin_gev, band.emax_gev)],
            ]
        ).round(6)
    )
    place = pattern(EXPOSURE_NSIDE)
    mean = sky.mission.mean_exposure_cm2_s(event_type, energy)
    entries = []
    for time_slice, share in enumerate(sky.mission.slice_share):
        name = f"exposure_{event_type}{_slice_suffix(sky, time_slice)}.fits.gz"
        columns = [
            fits.Column(f"ENERGY{i}", "E", "cm2 s", array=(share * m * place).astype(np.float32))
            for i, m in enumerate(mean, 1)
        ]
        table = fits.BinTableHDU.from_columns(columns, name="HPXEXPOSURES")
        table.header.update(
            {"PIXTYPE": "HEALPIX", "ORDERING": "NESTED", "COORDSYS": "GAL", "NSIDE": EXPOSURE_NSIDE}
        )
        energies = fits.Column("Energy", "1D", "MeV", array=energy * 1e3)
        tables = [
            table,
            fits.BinTableHDU.from_columns([energies], name="ENERGIES"),
            _gti(_interval(sky, time_slice)),
        ]
        _write_gz(folder / name, tables)
        entries.append({"path": name, "event_type": event_type} | _time(sky, time_slice))
    return entries


def write_truth(sky: SyntheticSky, path: Path) -> None:
    """Write the sources of a sky, brightest first, one row a source; columns as 4FGL names them."""
    s, survey = sky.sources, sky.survey
    low, high = np.array([[b.emin_gev, b.emax_gev] for b in survey.bands]).T
    of_band = [[p for p, (b, _) in enumerate(survey.planes) if b == k] for k in range(len(survey.bands))]
    npred = np.array([sky.npred[:, planes].sum(axis=1) for planes in of_band]).T
    ra, dec = galactic_to_icrs(s.glon_deg, s.glat_deg)
    n, flux = len(survey.bands), "cm-2 s-1"
    columns = [
        fits.Column("Source_Name", "18A", array=s.name),
        fits.Column("RAJ2000", "D", "deg", array=ra),
        fits.Column("DEJ2000", "D", "deg", array=dec),
        fits.Column("GLON", "D", "deg", array=s.glon_deg),
        fits.Column("GLAT", "D", "deg", array=s.glat_deg),
        fits.Column("CLASS1", "6A", array=np.array(CLASSES)[s.class_code]),
        fits.Column("Flux1000", "E", flux, array=s.flux1000),
        fits.Column("Energy_Flux100", "E", "erg cm-2 s-1", array=s.spectrum.energy_flux(0.1, 100.0)[:, 0]),
        fits.Column("Flux_Band", f"{n}E", flux, array=s.spectrum.photon_flux(low, high)),
        fits.Column("Npred_Band", f"{n}E", array=npred),
        fits.Column("SpectrumType", "17A", array=np.array(FORMS)[s.form]),
        fits.Column("Pivot_Energy", "E", "MeV", array=s.spectrum.pivot_gev * 1e3),
        fits.Column("Flux_Density", "E", "cm-2 MeV-1 s-1", array=s.spectrum.k / 1e3),
        fits.Column("Index", "E", array=s.spectrum.alpha),
        fits.Column("beta", "E", array=s.spectrum.beta),
        fits.Column("Expfactor", "E", array=s.spectrum.expfactor),
        fits.Column("Exp_Index", "E", array=s.spectrum.exp_index),
        fits.Column("Model_Form", "8A", array=np.array(EXTENDED_SHAPES)[s.shape]),
        fits.Column("Model_SemiMajor", "E", "deg", array=s.size_deg),
    ]
    if survey.flux_column != "Flux1000":
        wide = s.spectrum.photon_flux(*survey.flux_range_gev)[:, 0]
        columns.insert(7, fits.Column(survey.flux_column, "E", flux, array=wide))
    slices = sky.light_curves.shape[1]
    if slices > 1:
        history = sky.light_curves * s.flux1000[:, None]
        columns.append(fits.Column("Flux_History", f"{slices}E", flux, array=history))
    table = fits.BinTableHDU.from_columns(columns, name="LAT_Point_Source_Catalog")
    table.header["SEED"] = sky.seed
    table.header["IRFS"] = sky.mission.response.irfs
    table.header["EMISSION"] = sky.emission.name
    table.header["EDISP"] = sky.mission.dispersion
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)


def _observation(sky: SyntheticSky, entries: Iterable[tuple[str, dict[str, Any]]]) -> str:
    head = {
        "name": f"sim-{sky.survey.name}-{sky.emission.name}-{sky.population}-{sky.seed}",
        "survey": sky.survey.name,
        "irfs": sky.mission.response.irfs,
        "tstart": float(sky.mission.edges_met[0]),
        "tstop": float(sky.mission.edges_met[-1]),
    }
    tables = [("[observation]", head), *((f"[[{kind}]]", entry) for kind, entry in entries)]
    return "\n".join(
        title + "\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
        for title, table in tables
    )


def _toml(value: str | float | list[float]) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _interval(sky: SyntheticSky, time_slice: int) -> list[float]:
    return [float(edge) for edge in sky.mission.edges_met[time_slice : time_slice + 2]]


def _time(sky: SyntheticSky, time_slice: int) -> dict[str, Any]:
    return {"time_met": _interval(sky, time_slice)} if len(sky.mission.slice_share) > 1 else {}


def _slice_suffix(sky: SyntheticSky, time_slice: int) -> str:
    return f"_{time_slice + 1:02d}" if len(sky.mission.slice_share) > 1 else ""


def _gti(interval: list[float]) -> fits.BinTableHDU:
    columns = [fits.Column(n, "D", "s", array=[t]) for n, t in zip(("START", "STOP"), interval, strict=True)]
    return fits.BinTableHDU.from_columns(columns, name="GTI")


def _write_gz(path: Path, tables: list[fits.BinTableHDU]) -> None:
    plain = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(plain)
    # No time stamp in the header, or the same sky would give other bytes every second.
    path.write_bytes(gzip.compress(plain.getvalue(), compresslevel=1, mtime=0))
