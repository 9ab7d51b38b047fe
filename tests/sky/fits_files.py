"""Writes small files as the LAT tools, healpy and gammapy write them, from photons whose places are known."""

from pathlib import Path

import healpy as hp
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from sky.frames import galactic_to_icrs
from sky.observation import ObservationManifest, load_observation
from sky.survey import Band, Survey

SMALL = Survey(
    name="lat-10gev",
    irfs="P8R2_SOURCE_V6",
    bands=(Band(10.0, 30.0, 4), Band(30.0, 100.0, 5)),
    event_types=("BOTH",),
    time_slices=0,
    flux_column="Flux10000",
    flux_range_gev=(10.0, 1000.0),
    reference_index=2.3,
    tile_pixels_per_10deg=(16, 32),
)
EDGES = ((10.0, 30.0), (30.0, 100.0))
HEAD = '[observation]\nname = "test-sky"\nsurvey = "lat-10gev"\n'


def photons(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Galactic longitudes and latitudes, degrees: half of them isotropic, half near the plane."""
    rng = np.random.default_rng(seed)
    glat = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    glat[::2] = np.clip(rng.normal(0, 3, glat[::2].size), -90, 90)
    return rng.uniform(0, 360, n), glat


def dense(
    order: int, lon: np.ndarray, lat: np.ndarray, nest: bool = True, frame: str = "galactic"
) -> np.ndarray:
    """Counts of photons in a whole map, by healpy alone."""
    if frame == "equatorial":
        lon, lat = galactic_to_icrs(lon, lat)
    ipix = hp.ang2pix(1 << order, lon, lat, nest=nest, lonlat=True)
    return np.bincount(ipix, minlength=12 << (2 * order))


def ebounds(edges, name: str = "EBOUNDS", unit: str | None = "keV") -> fits.BinTableHDU:
    scale = {"keV": 1e6, "MeV": 1e3, "TeV": 1e-3, None: 1e6}[unit]
    low, high = np.array(edges).T * scale
    columns = [
        fits.Column("CHANNEL", "I", array=np.arange(1, len(low) + 1)),
        fits.Column("E_MIN", "1E", unit, array=low),
        fits.Column("E_MAX", "1E", unit, array=high),
    ]
    return fits.BinTableHDU.from_columns(columns, name=name)


def write(path: Path, *hdus) -> Path:
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    return path


def gtbin_cube(path: Path, maps, edges=EDGES, *, nest=False, coordsys="GAL", **header) -> Path:
    """A gtbin HPXCUBE: SKYMAP with CHANNEL1.., EBOUNDS in keV, GTI."""
    columns = [fits.Column(f"CHANNEL{i}", "D", array=m) for i, m in enumerate(maps, 1)]
    table = fits.BinTableHDU.from_columns(columns, name="SKYMAP")
    table.header.update(
        PIXTYPE="HEALPIX",
        ORDERING="NESTED" if nest else "RING",
        NSIDE=int(np.sqrt(len(maps[0]) / 12)),
        FIRSTPIX=0,
        LASTPIX=len(maps[0]) - 1,
        INDXSCHM="IMPLICIT",
    )
    if coordsys:
        table.header["COORDSYS"] = coordsys
    table.header.update(header)
    gti = [
        fits.Column("START", "D", "s", array=[100.0, 500.0]),
        fits.Column("STOP", "D", "s", array=[400.0, 900.0]),
    ]
    tables = [table, fits.BinTableHDU.from_columns(gti, name="GTI")]
    return write(path, *(tables if edges is None else [*tables, ebounds(edges)]))


def gammapy_map(path: Path, maps, edges=EDGES, *, scheme: str, coordsys="GAL", unit="TeV") -> Path:
    """A gammapy HpxNDMap: NESTED, whole, explicit or sparse, energies in a SKYMAP_BANDS table."""
    maps = [np.asarray(m) for m in maps]
    header = {"PIXTYPE": "HEALPIX", "ORDERING": "NESTED", "COORDSYS": coordsys, "INDXSCHM": scheme}
    if scheme == "IMPLICIT":
        columns = [fits.Column(f"CHANNEL{i}", "E", array=m) for i, m in enumerate(maps, 1)]
    elif scheme == "EXPLICIT":
        kept = np.flatnonzero(np.sum(maps, axis=0))[::-1]
        columns = [fits.Column("PIX", "J", array=kept)]
        columns += [fits.Column(f"CHANNEL{i}", "E", array=m[kept]) for i, m in enumerate(maps, 1)]
    else:
        channel, pixel = np.nonzero(maps)
        columns = [
            fits.Column("PIX", "J", array=pixel),
            fits.Column("CHANNEL", "I", array=channel),
            fits.Column("VALUE", "E", array=np.array(maps)[channel, pixel]),
        ]
    table = fits.BinTableHDU.from_columns(columns, name="SKYMAP")
    table.header.update(header, NSIDE=hp.npix2nside(len(maps[0])), BANDSHDU="SKYMAP_BANDS")
    return write(path, table, ebounds(edges, "SKYMAP_BANDS", unit))


def gtexpcube(path: Path, maps, energies_gev, *, coordsys=None, nest=False) -> Path:
    """A gtexpcube2 HEALPix cube, which says no frame."""
    columns = [fits.Column(f"ENERGY{i}", "D", array=m) for i, m in enumerate(maps, 1)]
    table = fits.BinTableHDU.from_columns(columns, name="HPXEXPOSURES")
    table.header.update(
        PIXTYPE="HEALPIX", ORDERING="NESTED" if nest else "RING", NSIDE=hp.npix2nside(len(maps[0]))
    )
    if coordsys:
        table.header["COORDSYS"] = coordsys
    energy = fits.Column("Energy", "1D", array=np.array(energies_gev) * 1e3)
    return write(path, table, fits.BinTableHDU.from_columns([energy], name="ENERGIES"))


def flat_exposure(path: Path, value: float = 3e11, coordsys: str | None = "GAL", order: int = 2) -> Path:
    return gtexpcube(path, [np.full(12 << (2 * order), value)] * 2, [10.0, 2000.0], coordsys=coordsys)


def wcs_header(projection: str, frame: str, pixel_deg: float) -> fits.Header:
    """An all-sky header as gtbin CCUBE writes it for a projection."""
    lon, lat = ("GLON", "GLAT") if frame == "galactic" else ("RA--", "DEC-")
    size = {
        "CAR": (360, 180),
        "AIT": (360 * 2 * np.sqrt(2) / np.pi, 180 * 2 * np.sqrt(2) / np.pi),
        "HPX": (360, 180),
    }[projection]
    nx, ny = (int(np.ceil(s / pixel_deg)) for s in size)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"{lon}-{projection}", f"{lat}-{projection}"]
    wcs.wcs.crval = [0.0, 0.0]
    wcs.wcs.crpix = [(nx + 1) / 2, (ny + 1) / 2]
    wcs.wcs.cdelt = [-pixel_deg, pixel_deg]
    wcs.wcs.cunit = ["deg", "deg"]
    header = wcs.to_header()
    header["NX"], header["NY"] = nx, ny
    return header


def wcs_cube(
    path: Path, lonlat_of_channels, projection: str, frame: str, pixel_deg: float, edges=EDGES
) -> Path:
    """A gtbin CCUBE: primary image, EBOUNDS."""
    header = wcs_header(projection, frame, pixel_deg)
    nx, ny = header.pop("NX"), header.pop("NY")
    cube = np.zeros((len(lonlat_of_channels), ny, nx))
    for image, (lon, lat) in zip(cube, lonlat_of_channels, strict=True):
        if frame == "equatorial":
            lon, lat = galactic_to_icrs(lon, lat)
        x, y = WCS(header).wcs_world2pix(lon, lat, 0)
        np.add.at(image, (np.rint(y).astype(int).clip(0, ny - 1), np.rint(x).astype(int).clip(0, nx - 1)), 1)
    fits.HDUList([fits.PrimaryHDU(cube, header), ebounds(edges)]).writeto(path)
    return path


def photon_list(path: Path, lon, lat, energy_gev, front, time_s=None, code: str = "32X") -> Path:
    """An FT1 file; event types as 32 bits or 32 logicals, the most significant first."""
    n = len(lon)
    bits = np.zeros((n, 32), dtype=bool)
    bits[:, 31], bits[:, 30] = front, ~np.asarray(front)
    ra, dec = galactic_to_icrs(lon, lat)
    columns = [
        fits.Column("ENERGY", "E", "MeV", array=np.asarray(energy_gev) * 1e3),
        fits.Column("RA", "D", "deg", array=ra),
        fits.Column("DEC", "D", "deg", array=dec),
        fits.Column("L", "D", "deg", array=lon),
        fits.Column("B", "D", "deg", array=lat),
        fits.Column("TIME", "D", "s", array=np.zeros(n) if time_s is None else time_s),
        fits.Column("EVENT_TYPE", code, array=bits),
    ]
    return write(path, fits.BinTableHDU.from_columns(columns, name="EVENTS"))


def observation(
    folder: Path, body: str, survey: Survey | None = SMALL, exposure: str | None = None
) -> ObservationManifest:
    """An observation file with a flat exposure beside it, on the small survey (None: the one it names)."""
    if exposure is None:
        if not (folder / "exposure.fits").exists():
            flat_exposure(folder / "exposure.fits")
        exposure = '[exposure]\npath = "exposure.fits"\n'
    path = folder / "observation.toml"
    path.write_text(HEAD + body + exposure)
    manifest = load_observation(path)
    return manifest if survey is None else manifest.model_copy(update={"survey": survey})
