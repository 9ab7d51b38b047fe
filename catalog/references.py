"""Published catalogues as versioned tables: the 4FGL family (3FGL, 4FGL and its data releases) and 3FHL.

Each file is one version, known by its sha256, and never changes once loaded. The quantities that all of them
have get columns of their own; everything else a file says of a source stays in `extra` under its name there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from sqlalchemy import Connection, insert, select

from catalog.store import copy_rows, position_columns
from catalog.tables import ReferenceCatalog, ReferenceSource
from sky.frames import icrs_to_galactic
from sky.readers.files import InputError, file_sha256, open_fits

TABLE = "LAT_Point_Source_Catalog"
CITATIONS = {
    "3FGL": "Acero et al. 2015, ApJS 218, 23 (arXiv:1501.02003)",
    "3FHL": "Ajello et al. 2017, ApJS 232, 18 (arXiv:1702.00664)",
    "4FGL": "Abdollahi et al. 2020, ApJS 247, 33 (arXiv:1902.10045)",
    "4FGL-DR2": "Ballet et al. 2020 (arXiv:2005.11208)",
    "4FGL-DR3": "Abdollahi et al. 2022, ApJS 260, 53 (arXiv:2201.11184)",
    "4FGL-DR4": "Ballet et al. 2023 (arXiv:2307.12546)",
}
FLUXES = {"3FHL": ("Flux", (10.0, 1000.0))}
LAT_FLUX = ("Flux1000", (1.0, 100.0))
OWN = {
    "Source_Name",
    "RAJ2000",
    "DEJ2000",
    "GLON",
    "GLAT",
    "Signif_Avg",
    "Flags",
    "CLASS",
    "CLASS1",
    "ASSOC1",
}
DERIVED = ("nuFnu", "Flux_History", "Unc_Flux_History", "Sqrt_TS_History")


def load_reference(conn: Connection, path: Path) -> int:
    """Load a published catalogue, unless the same file is there already.

    Positions are FK5 in the files, which at their float32 precision is ICRS.

    Parameters
    ----------
    path : Path
        FITS as published, plain or gzip.

    Returns
    -------
    int
        Id of the catalogue.

    Raises
    ------
    InputError
        If the file is not one of the catalogues known here; one line that names it.
    """
    sha256 = file_sha256(path) if path.is_file() else ""
    known = conn.scalar(select(ReferenceCatalog.id).where(ReferenceCatalog.sha256 == sha256))
    if known is not None:
        return known
    with open_fits(path) as hdus:
        names = [hdu.name.upper() for hdu in hdus]
        if TABLE.upper() not in names:
            raise InputError(path, f"no table {TABLE}")
        table = hdus[names.index(TABLE.upper())]
        name = catalogue_name(path, table)
        version = str(hdus[0].header.get("VERSION") or table.header.get("VERSION"))
        columns = source_columns(table.data, *FLUXES.get(name, LAT_FLUX))
    return write_catalogue(
        conn,
        columns,
        name=name,
        version=version,
        sha256=sha256,
        file_name=path.name,
        citation=CITATIONS[name],
    )


def write_catalogue(conn: Connection, columns: Mapping[str, Any], **identity: str) -> int:
    """Write a catalogue (the columns of `reference_catalog`) with its sources; its id."""
    row = insert(ReferenceCatalog).values(**identity).returning(ReferenceCatalog.id)
    catalog_id = conn.execute(row).scalar_one()
    n_rows = len(columns["name"])
    copy_rows(conn, ReferenceSource, {"catalog_id": np.full(n_rows, catalog_id), **columns})
    return catalog_id


def catalogue_name(path: Path, table: Any) -> str:
    """Name such as ``3FHL`` or ``4FGL-DR2``, by the header and the newest data release among the rows."""
    name = str(table.header.get("CDS-NAME", ""))
    if "DataRelease" in table.columns.names and (newest := int(table.data["DataRelease"].max())) > 1:
        name = f"{name}-DR{newest}"
    if name not in CITATIONS:
        raise InputError(path, f"unknown catalogue '{name}'; known: {', '.join(sorted(CITATIONS))}")
    return name


def source_columns(
    data: fits.FITS_rec, flux_name: str, flux_range_gev: tuple[float, float]
) -> Mapping[str, Any]:
    """Columns of `reference_source`, all of one length, from a catalogue's table."""
    n_rows = len(data)
    ra_deg, dec_deg = (np.asarray(data[name], dtype=np.float64) for name in ("RAJ2000", "DEJ2000"))
    errors = {axis: finite_decimals(data[f"Conf_95_{axis}"]) for axis in ("SemiMajor", "SemiMinor", "PosAng")}
    own = OWN | {f"Conf_95_{axis}" for axis in errors} | {flux_name, f"Unc_{flux_name}"}
    kept = [name for name in data.names if name not in own and not name.startswith(DERIVED)]
    extra = {name: json_values(data[name]) for name in kept}
    return {
        "name": stripped_texts(data["Source_Name"]),
        "conf_95_semimajor_deg": errors["SemiMajor"],
        "conf_95_semiminor_deg": errors["SemiMinor"],
        "conf_95_posang_deg": errors["PosAng"],
        "signif_avg": finite_decimals(data["Signif_Avg"]),
        "flux_cm2_s": finite_decimals(data[flux_name]),
        "unc_flux_cm2_s": finite_decimals(data[f"Unc_{flux_name}"]),
        "flux_range_gev": np.tile(flux_range_gev, (n_rows, 1)),
        "source_class": stripped_texts(data["CLASS1" if "CLASS1" in data.names else "CLASS"]),
        "association": stripped_texts(data["ASSOC1"]),
        "extended": [name != "" for name in stripped_texts(data["Extended_Source_Name"])],
        "flags": np.asarray(data["Flags"] if "Flags" in data.names else np.zeros(n_rows, dtype=int)),
        "extra": [dict(zip(kept, values, strict=True)) for values in zip(*extra.values(), strict=True)],
        **position_columns(*icrs_to_galactic(ra_deg, dec_deg)),
    }


def finite_decimals(values: Any) -> NDArray[np.float64]:
    """Shortest decimal of each float32, NaN for the infinities with which old files say 'none'."""
    plain = np.asarray(values)
    shortest = np.array([float(str(value)) for value in plain.ravel()]).reshape(plain.shape)
    return np.where(np.isfinite(shortest), shortest, np.nan)


def stripped_texts(values: Any) -> list[str]:
    """Text without the blanks that FITS pads it with."""
    return [str(value).strip() for value in values]


def json_values(values: Any) -> list[Any]:
    """Values as JSON can hold them, `null` where a number is none."""
    array = np.asarray(values)
    if array.dtype.kind in "US":
        return stripped_texts(array)
    if array.dtype.kind != "f":
        return array.tolist()
    finite = finite_decimals(array)
    return [_null(value) for value in finite.tolist()]


def _null(value: Any) -> Any:
    if isinstance(value, list):
        return [_null(v) for v in value]
    return None if value != value else value
