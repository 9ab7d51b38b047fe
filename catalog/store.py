"""Bulk writes and reads of a run's rows.

Every write takes the caller's connection, stays in its transaction, and first removes what an earlier try of
the same work item left: an item can be done twice and counts once. Rows go in by PostgreSQL's binary COPY,
whose errors are psycopg's own.

Arrays come in as any object with attributes of the names given (the dataclasses of `models`), as a mapping or
as a data frame; positions are galactic degrees and the equatorial columns are made here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from psycopg.types.json import Jsonb
from sqlalchemy import Connection, Table, delete, insert, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as insert_or_skip

from catalog.bulk_read import Field, read
from catalog.tables import (
    Association,
    BandFlux,
    Base,
    ClassProbability,
    CurvedSpectrum,
    Detection,
    EnergyBand,
    Extension,
    InputFile,
    Measurement,
    NetworkBandFlux,
    NetworkMeasurement,
    NoCounterpart,
    Observation,
    SliceFlux,
    TimeSlice,
    Variability,
    WideDisc,
)
from sky.frames import galactic_to_icrs, hpx29_icrs, unit_vectors
from sky.survey import get_survey

POSITION = ("ra_deg", "dec_deg", "glon_deg", "glat_deg", "x", "y", "z", "hpx29")
MEASURED = (
    "conf_68_semimajor_deg",
    "conf_68_semiminor_deg",
    "conf_95_semimajor_deg",
    "conf_95_semiminor_deg",
    "conf_posang_deg",
    "signif_avg",
    "flux_cm2_s",
    "unc_flux_cm2_s",
    "index",
    "unc_index",
    "npred",
    "flags",
)


class FileRecord(Protocol):
    """One file an observation was read from (`sky.ingest.SourceFile`)."""

    @property
    def role(self) -> str: ...  # noqa: D102
    @property
    def ordinal(self) -> int: ...  # noqa: D102
    @property
    def file_name(self) -> str: ...  # noqa: D102
    @property
    def sha256(self) -> str: ...  # noqa: D102
    @property
    def bytes(self) -> int: ...  # noqa: D102


def register_observation(
    conn: Connection,
    *,
    name: str,
    survey: str,
    irfs: str,
    content_sha256: str,
    total_counts: int,
    manifest: Mapping[str, Any],
    files: Sequence[FileRecord] = (),
    tstart_met_s: float | None = None,
    tstop_met_s: float | None = None,
    slices_met_s: Sequence[tuple[float, float]] = (),
) -> int:
    """Record an ingested sky, its energy bands and its time slices.

    The same content is the same row, whatever its name or its files.

    Returns
    -------
    int
        The observation's id.
    """
    row = insert_or_skip(Observation).values(
        name=name,
        survey=survey,
        irfs=irfs,
        content_sha256=content_sha256,
        total_counts=int(total_counts),
        manifest=dict(manifest),
        tstart_met_s=tstart_met_s,
        tstop_met_s=tstop_met_s,
        flux_range_gev=list(get_survey(survey).flux_range_gev),
    )
    new = conn.scalar(row.on_conflict_do_nothing(index_elements=["content_sha256"]).returning(Observation.id))
    if new is None:
        found = select(Observation.id).where(Observation.content_sha256 == content_sha256)
        known = conn.execute(found).scalar_one()
        _write_layout(conn, known, survey, slices_met_s)
        return known
    _write_layout(conn, new, survey, slices_met_s)
    if files:
        conn.execute(insert(InputFile), [_file_row(new, file) for file in files])
    return new


def _write_layout(
    conn: Connection, observation_id: int, survey: str, slices_met_s: Sequence[tuple[float, float]]
) -> None:
    """Energy bands and time slices of an observation, where they are not recorded yet."""
    bands = [
        {"observation_id": observation_id, "band": k, "emin_gev": b.emin_gev, "emax_gev": b.emax_gev}
        for k, b in enumerate(get_survey(survey).bands)
    ]
    slices = [
        {"observation_id": observation_id, "slice": k, "tstart_met_s": start, "tstop_met_s": stop}
        for k, (start, stop) in enumerate(slices_met_s)
    ]
    for table, rows in ((EnergyBand, bands), (TimeSlice, slices)):
        if rows:
            conn.execute(insert_or_skip(table).on_conflict_do_nothing(), rows)


def write_detections(conn: Connection, run_id: int, tiles: Sequence[int], detections: Any) -> int:
    """Replace the detections of some tiles of a run, and all that was derived from them.

    Parameters
    ----------
    tiles : sequence of int
        The work item's tiles; detections of other tiles are refused.
    detections : arrays, mapping or data frame
        ``tile, glon_deg, glat_deg, ts, det_prob, flux_cm2_s, disc_deg`` of shape (n,), ``background_sr``
        (n, n_planes); `disc_deg` is 0 of all but wide sources.

    Returns
    -------
    int
        Number of rows written.

    Raises
    ------
    ValueError
        If a detection lies in none of the tiles, or the arrays differ in length.
    """
    tile = array_of(detections, "tile").astype(np.int64)
    background = array_of(detections, "background_sr")
    foreign = set(tile.tolist()) - {int(t) for t in tiles}
    if foreign:
        raise ValueError(f"detections of tiles {sorted(foreign)} in a work item of other tiles")
    conn.execute(delete(Detection).where(Detection.run_id == run_id, Detection.tile.in_(map(int, tiles))))
    columns: dict[str, Any] = {
        "run_id": np.full(len(tile), run_id),
        "tile": tile,
        "ordinal": _ordinals(tile),
        **{name: array_of(detections, name) for name in ("det_prob", "ts", "flux_cm2_s")},
        "background_sr": background if len(tile) else [],
        **position_columns(array_of(detections, "glon_deg"), array_of(detections, "glat_deg")),
    }
    written = copy_rows(conn, Detection, columns)
    disc = array_of(detections, "disc_deg")
    if disc.any():
        _write_discs(conn, run_id, columns["tile"], columns["ordinal"], disc)
    return written


def _write_discs(
    conn: Connection,
    run_id: int,
    tile: NDArray[np.int64],
    ordinal: NDArray[np.int64],
    disc_deg: NDArray[np.float64],
) -> None:
    query = select(Detection.tile, Detection.ordinal, Detection.id).where(
        Detection.run_id == run_id, Detection.tile.in_(np.unique(tile).tolist())
    )
    ids = {(row.tile, row.ordinal): row.id for row in conn.execute(query)}
    wide = np.flatnonzero(disc_deg > 0)
    numbers = [ids[int(tile[k]), int(ordinal[k])] for k in wide]
    copy_rows(conn, WideDisc, {"detection_id": np.array(numbers), "radius_deg": disc_deg[wide]})


def write_measurements(
    conn: Connection, detection_ids: NDArray[np.int64] | Sequence[int], measurements: Any
) -> int:
    """Replace the measurements and band fluxes of some detections.

    Parameters
    ----------
    detection_ids : array_like of int, shape (n,)
    measurements : arrays, mapping or data frame
        ``glon_deg, glat_deg`` and the columns of `MEASURED`, shape (n,); ``band_flux``, ``band_unc_low``,
        ``band_unc_high``, ``band_sqrt_ts``, ``band_npred``, shape (n, n_bands). NaN where there is no value:
        no ellipse, no index error, no lower error because the flux is an upper limit.

    Returns
    -------
    int
        Number of measurements written.
    """
    ids = np.asarray(detection_ids, dtype=np.int64)
    for table in (Measurement, BandFlux):
        conn.execute(delete(table).where(table.detection_id.in_(ids.tolist())))
    columns = {
        "detection_id": ids,
        **{name: array_of(measurements, name) for name in MEASURED},
        **position_columns(array_of(measurements, "glon_deg"), array_of(measurements, "glat_deg")),
    }
    written = copy_rows(conn, Measurement, columns)
    flux = array_of(measurements, "band_flux")
    n_bands = flux.shape[1] if len(ids) else 0
    bands = {
        "detection_id": np.repeat(ids, n_bands),
        "band": np.tile(np.arange(n_bands), len(ids)),
        "flux_cm2_s": flux.ravel(),
        "unc_low_cm2_s": array_of(measurements, "band_unc_low").ravel(),
        "unc_high_cm2_s": array_of(measurements, "band_unc_high").ravel(),
        "sqrt_ts": array_of(measurements, "band_sqrt_ts").ravel(),
        "npred": array_of(measurements, "band_npred").ravel(),
    }
    copy_rows(conn, BandFlux, bands)
    return written


def write_associations(
    conn: Connection, run_id: int, associations: Any, no_counterpart: Any | None = None
) -> int:
    """Replace all association candidates of a run, and the probabilities of no counterpart.

    Parameters
    ----------
    associations : arrays, mapping or data frame
        ``detection_id, reference_source_id, sep_deg, prob, matched_03, matched_05`` of shape (n,).
    no_counterpart : arrays, mapping or data frame, optional
        ``detection_id, prob`` of shape (m,): all detections that were looked at.

    Returns
    -------
    int
        Number of candidates written.
    """
    of_run = select(Detection.id).where(Detection.run_id == run_id)
    for table in (Association, NoCounterpart):
        conn.execute(delete(table).where(table.detection_id.in_(of_run)))
    if no_counterpart is not None:
        columns = {name: array_of(no_counterpart, name) for name in ("detection_id", "prob")}
        copy_rows(conn, NoCounterpart, columns)
    names = [column.name for column in Association.__table__.columns]
    return copy_rows(conn, Association, {name: array_of(associations, name) for name in names})


def read_detections(
    conn: Connection, run_id: int, threshold: float = 0.0, n_planes: int = 0
) -> dict[str, NDArray[Any]]:
    """Detections of a run, by tile and ordinal, as arrays: what they are measured by, and their ids.

    Parameters
    ----------
    threshold : float
        The detector's score from which on.
    n_planes : int
        How many backgrounds each has; none of them is read where not given.
    """
    numbers = ("glon_deg", "glat_deg", "ts", "det_prob", "flux_cm2_s")
    fields = [
        Field("id", "id", "long"),
        Field("tile", "tile", "long"),
        *(Field(name, name, "double") for name in numbers),
        Field("disc_deg", "coalesce(radius_deg, 0)", "double"),
    ]
    if n_planes:
        fields.append(Field("background_sr", "background_sr", "double", shape=(n_planes,)))
    body = """
    FROM detection LEFT JOIN wide_disc ON detection_id = id
    WHERE run_id = %s AND det_prob >= %s ORDER BY tile, ordinal
    """
    return read(conn, fields, body, (run_id, threshold))


def read_measurements(conn: Connection, run_id: int) -> pd.DataFrame:
    """Measurements of a run with tile, ordinal, detector's score and TS, by tile and ordinal."""
    query = (
        select(Detection.tile, Detection.ordinal, Detection.det_prob, Detection.ts, Measurement.__table__)
        .join(Measurement, Measurement.detection_id == Detection.id)
        .where(Detection.run_id == run_id)
        .order_by(Detection.tile, Detection.ordinal)
    )
    return _frame(conn, query)


def read_band_fluxes(conn: Connection, run_id: int) -> pd.DataFrame:
    """Band fluxes of a run, one row a detection and band."""
    query = (
        select(BandFlux.__table__)
        .join(Detection, Detection.id == BandFlux.detection_id)
        .where(Detection.run_id == run_id)
        .order_by(Detection.tile, Detection.ordinal, BandFlux.band)
    )
    return _frame(conn, query)


def analyze(conn: Connection) -> None:
    """Refresh the planner's statistics after bulk writes; without them range joins go wrong."""
    derived = (NetworkMeasurement, NetworkBandFlux, ClassProbability, Extension, SliceFlux, Variability)
    for table in (Detection, Measurement, BandFlux, CurvedSpectrum, Association, *derived):
        conn.execute(text(f"ANALYZE {table.__tablename__}"))


def position_columns(glon_deg: NDArray[np.float64], glat_deg: NDArray[np.float64]) -> dict[str, Any]:
    """All columns of a position (`POSITION`) from galactic degrees."""
    glon = np.asarray(glon_deg, dtype=np.float64) % 360.0
    glat = np.asarray(glat_deg, dtype=np.float64)
    ra, dec = galactic_to_icrs(glon, glat)
    vectors = unit_vectors(ra, dec)
    values = (ra, dec, glon, glat, vectors[:, 0], vectors[:, 1], vectors[:, 2], hpx29_icrs(glon, glat))
    return dict(zip(POSITION, values, strict=True))


def copy_rows(conn: Connection, model: type[Base], columns: Mapping[str, Any]) -> int:
    """Append rows to a table by binary COPY; NaN becomes NULL in columns that allow it.

    Parameters
    ----------
    columns : mapping of str to array_like
        All of one length; two-dimensional ones go into array columns, dictionaries into JSONB columns.
    """
    table = cast(Table, model.__table__)
    types = [table.c[name].type.compile(conn.dialect).lower() for name in columns]
    values = [_python_values(column, table.c[name]) for name, column in columns.items()]
    names = ", ".join(f'"{name}"' for name in columns)
    driver = conn.connection.driver_connection
    assert driver is not None
    rows = 0
    with driver.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN BINARY') as copy:
        copy.set_types(types)
        for rows, row in enumerate(zip(*values, strict=True), start=1):  # noqa: B007
            copy.write_row(row)
    return rows


def _python_values(values: Any, column: Any) -> list[Any]:
    plain = np.asarray(values).tolist() if not isinstance(values, list) else values
    if isinstance(column.type, JSONB):
        return [Jsonb(value) for value in plain]
    if column.nullable:
        return [None if value != value else value for value in plain]  # only NaN differs from itself
    return plain


def array_of(source: Any, name: str) -> NDArray[Any]:
    """One array of an object with attributes, a mapping or a data frame."""
    if isinstance(source, Mapping | pd.DataFrame):
        values = np.asarray(source[name])
        # A data frame keeps one array in each cell.
        return np.array(values.tolist()) if values.dtype == object else values
    return np.asarray(getattr(source, name))


def _file_row(observation_id: int, file: FileRecord) -> dict[str, Any]:
    names = ("role", "ordinal", "file_name", "sha256", "bytes")
    return {"observation_id": observation_id, **{name: getattr(file, name) for name in names}}


def _ordinals(tile: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each detection among those of its tile, in the order they came."""
    order = np.argsort(tile, kind="stable")
    first = np.searchsorted(tile[order], tile[order], side="left")
    ordinal = np.empty_like(tile)
    ordinal[order] = np.arange(len(tile)) - first
    return ordinal


def _frame(conn: Connection, query: Any) -> pd.DataFrame:
    return pd.read_sql_query(query, conn)
