"""Bulk writes of what characterisation adds to the measurements; the rules of `catalog.store` hold here too."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, insert
from sqlalchemy.dialects.postgresql import insert as insert_or_skip

from catalog.store import array_of, copy_rows
from catalog.tables_base import Base
from catalog.tables_characterisation import (
    CLASSES,
    ClassProbability,
    CurvedSpectrum,
    Extension,
    ModelCard,
    NetworkBandFlux,
    NetworkMeasurement,
    RunModel,
    SliceFlux,
    Variability,
)
from sky.frames import galactic_to_icrs

Ids = NDArray[np.int64] | Sequence[int]

_AS_THEY_COME = (
    "prob_real",
    "conf_68_semimajor_deg",
    "conf_68_semiminor_deg",
    "conf_95_semimajor_deg",
    "conf_95_semiminor_deg",
    "conf_posang_deg",
    "flux_cm2_s",
    "unc_flux_cm2_s",
    "sys_flux",
    "sys_pos_deg",
    "sys_class",
    "flags",
)
_SLICE = ("flux_cm2_s", "unc_low_cm2_s", "unc_high_cm2_s", "sqrt_ts", "npred")


def write_networks(conn: Connection, detection_ids: Ids, said: Any) -> int:
    """Replace what the networks say of some detections.

    Parameters
    ----------
    detection_ids : array_like of int, shape (n,)
    said : arrays or mapping
        ``prob_real, glon_deg, glat_deg, conf_68_semimajor_deg, conf_68_semiminor_deg, conf_95_semimajor_deg,
        conf_95_semiminor_deg, conf_posang_deg, flux_cm2_s, unc_flux_cm2_s, sys_flux, sys_pos_deg, sys_class,
        flags``, shape (n,); ``flux_band_cm2_s, unc_flux_band_cm2_s``, shape (n, n_bands); ``class_prob,
        class_prob_blind``, shape (n, 5) in the order of `CLASSES`. NaN where the networks do not say.

    Returns
    -------
    int
        Number of rows of `NetworkMeasurement` written.
    """
    ids = _cleared(conn, detection_ids, (NetworkMeasurement, NetworkBandFlux, ClassProbability))
    glon, glat = (array_of(said, name).astype(float) for name in ("glon_deg", "glat_deg"))
    placed = np.isfinite(glon) & np.isfinite(glat)
    place = np.full((4, len(ids)), np.nan)
    place[:, placed] = [*galactic_to_icrs(glon[placed], glat[placed]), glon[placed] % 360.0, glat[placed]]
    columns = {
        "detection_id": ids,
        **dict(zip(("ra_deg", "dec_deg", "glon_deg", "glat_deg"), place, strict=True)),
        **{name: array_of(said, name) for name in _AS_THEY_COME},
    }
    written = copy_rows(conn, NetworkMeasurement, columns)
    flux, unc = (array_of(said, name) for name in ("flux_band_cm2_s", "unc_flux_band_cm2_s"))
    bands = {"flux_cm2_s": flux, "unc_flux_cm2_s": unc}
    copy_rows(conn, NetworkBandFlux, _by_number(ids, "band", bands))
    for variant, name in (("full", "class_prob"), ("blind", "class_prob_blind")):
        probability = array_of(said, name).astype(float).reshape(len(ids), len(CLASSES))
        known = np.isfinite(probability).all(axis=1)
        # Networks answer in single precision; what is stored adds up to 1.
        probability = probability[known] / probability[known].sum(axis=1, keepdims=True)
        rows = {"detection_id": ids[known], "variant": [variant] * int(known.sum())}
        copy_rows(conn, ClassProbability, rows | dict(zip(CLASSES, probability.T, strict=True)))
    return written


def write_extensions(conn: Connection, detection_ids: Ids, extension: Any) -> int:
    """Replace the extensions of some detections; no row where `ts_ext` is NaN, because none was tried.

    Parameters
    ----------
    detection_ids : array_like of int, shape (n,)
    extension : arrays or mapping
        ``ext_radius_deg, unc_ext_radius_deg, ts_ext``, shape (n,).
    """
    ids = _cleared(conn, detection_ids, (Extension,))
    names = ("ext_radius_deg", "unc_ext_radius_deg", "ts_ext")
    tried = np.isfinite(array_of(extension, "ts_ext"))
    columns = {"detection_id": ids, **{name: array_of(extension, name) for name in names}}
    return copy_rows(conn, Extension, {name: values[tried] for name, values in columns.items()})


def write_curved_spectra(conn: Connection, detection_ids: Ids, measured: Any) -> int:
    """Replace the log-parabolas of some detections; no row where `curvature` is NaN, because none was fitted.

    Parameters
    ----------
    detection_ids : array_like of int, shape (n,)
    measured : arrays or mapping
        ``pivot_gev, curved_density_cm2_s_gev, curved_index, unc_curved_index, curvature, unc_curvature,
        cov_index_curvature, ts_curvature``, shape (n,).
    """
    ids = _cleared(conn, detection_ids, (CurvedSpectrum,))
    fitted = np.isfinite(array_of(measured, "curvature").astype(float))
    columns = {
        "detection_id": ids,
        "pivot_gev": array_of(measured, "pivot_gev"),
        "density_cm2_s_gev": array_of(measured, "curved_density_cm2_s_gev"),
        "index": array_of(measured, "curved_index"),
        "unc_index": array_of(measured, "unc_curved_index"),
        **{name: array_of(measured, name) for name in ("curvature", "unc_curvature")},
        **{name: array_of(measured, name) for name in ("cov_index_curvature", "ts_curvature")},
    }
    return copy_rows(conn, CurvedSpectrum, {name: values[fitted] for name, values in columns.items()})


def write_light_curves(conn: Connection, detection_ids: Ids, curves: Any) -> int:
    """Replace the light curves of some detections; no row for a slice whose flux is NaN.

    Parameters
    ----------
    detection_ids : array_like of int, shape (n,)
    curves : arrays or mapping
        ``flux_cm2_s, unc_low_cm2_s, unc_high_cm2_s, sqrt_ts, npred``, shape (n, n_slices);
        ``variability_index``, shape (n,).

    Returns
    -------
    int
        Number of slice fluxes written.
    """
    ids = _cleared(conn, detection_ids, (SliceFlux, Variability))
    index = array_of(curves, "variability_index").astype(float)
    known = np.isfinite(index)
    copy_rows(conn, Variability, {"detection_id": ids[known], "variability_index": index[known]})
    rows = _by_number(ids, "slice", {name: array_of(curves, name) for name in _SLICE})
    measured = np.isfinite(rows["flux_cm2_s"])
    return copy_rows(conn, SliceFlux, {name: values[measured] for name, values in rows.items()})


def register_models(
    conn: Connection, run_id: int, models: Iterable[tuple[str, str, Mapping[str, Any]]]
) -> None:
    """Record the weights a run uses.

    Parameters
    ----------
    models : iterable of (sha256 of the weights, name, model card)
    """
    for sha256, name, card in models:
        known = insert_or_skip(ModelCard).values(sha256=sha256, name=name, card=dict(card))
        conn.execute(known.on_conflict_do_nothing())
        conn.execute(insert(RunModel).values(run_id=run_id, sha256=sha256))


def _cleared(conn: Connection, detection_ids: Ids, tables: tuple[type[Base], ...]) -> NDArray[np.int64]:
    ids = np.asarray(detection_ids, dtype=np.int64)
    for table in tables:
        key = table.__table__.c.detection_id
        conn.execute(delete(table).where(key.in_(ids.tolist())))
    return ids


def _by_number(
    ids: NDArray[np.int64], key: str, values: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Rows (detection, number) of arrays of shape (n, numbers)."""
    numbers = next(iter(values.values())).shape[1] if len(ids) else 0
    return {
        "detection_id": np.repeat(ids, numbers),
        key: np.tile(np.arange(numbers), len(ids)),
        **{name: np.asarray(array, float).ravel() for name, array in values.items()},
    }
