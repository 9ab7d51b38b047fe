"""Rows of a small run, written into a real database."""

from pathlib import Path

import numpy as np
from sqlalchemy import Connection, text

from catalog.footprint import write_coverage
from catalog.formats.folder import write_catalogue_files
from catalog.ledger import create_run
from catalog.store import (
    copy_rows,
    position_columns,
    register_observation,
    write_associations,
    write_detections,
    write_measurements,
)
from catalog.store_characterisation import (
    register_models,
    write_curved_spectra,
    write_extensions,
    write_light_curves,
    write_networks,
)
from catalog.tables import ReferenceSource
from sky.footprint import FOOTPRINT_ORDER
from sky.survey import get_survey

SHA = "0123456789abcdef" * 4
YEAR_S = 365.25 * 86400.0


def new_observation(
    conn: Connection, sha256: str = SHA, name: str = "a-sky", survey: str = "lat-10gev", n_slices: int = 0
) -> int:
    observation_id = register_observation(
        conn,
        name=name,
        survey=survey,
        irfs="P8R2_SOURCE_V6",
        content_sha256=sha256,
        total_counts=1234,
        manifest={"name": name},
        tstart_met_s=239557417.0,
        tstop_met_s=498643328.0,
        slices_met_s=[(239557417.0 + YEAR_S * k, 239557417.0 + YEAR_S * (k + 1)) for k in range(n_slices)],
    )
    # The northern two thirds of the sky (ICRS): the first eight of the twelve base cells.
    write_coverage(conn, observation_id, np.arange(12 * 4**FOOTPRINT_ORDER) < 8 * 4**FOOTPRINT_ORDER)
    return observation_id


def new_run(conn: Connection, seed: int = 1, survey: str = "lat-10gev", n_slices: int = 0) -> int:
    return create_run(
        conn,
        new_observation(conn, survey=survey, n_slices=n_slices),
        detector="matched-filter",
        seed=seed,
        settings={"detector": "matched-filter"},
        software={"asidcat": "0.1.0"},
    )


def found_before(conn: Connection, run_id: int) -> dict[str, np.ndarray]:
    """Ids and places of a run's detections, at any revision."""
    query = text("SELECT id, glon_deg, glat_deg FROM detection WHERE run_id = :run ORDER BY tile, ordinal")
    columns = zip(*conn.execute(query, {"run": run_id}), strict=True)
    return dict(zip(("id", "glon_deg", "glat_deg"), map(np.array, columns), strict=True))


def some_detections(
    rng: np.random.Generator, tiles: list[int], n: int, n_planes: int = 3
) -> dict[str, np.ndarray]:
    return {
        "tile": rng.choice(tiles, n),
        "glon_deg": rng.uniform(0, 360, n),
        "glat_deg": np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
        "ts": rng.uniform(10, 1000, n),
        "det_prob": rng.uniform(0, 1, n),
        "flux_cm2_s": rng.uniform(1e-12, 1e-9, n),
        "background_sr": rng.uniform(0, 1e5, (n, n_planes)),
        "disc_deg": np.zeros(n),
    }


def some_measurements(
    rng: np.random.Generator, glon_deg, glat_deg, n_bands: int = 3
) -> dict[str, np.ndarray]:
    n = len(glon_deg)
    minor, ratio = rng.uniform(0.005, 0.05, n), rng.uniform(1, 1.5, n)
    flux = rng.uniform(1e-12, 1e-9, (n, n_bands))
    lower = -0.3 * flux
    lower[rng.uniform(size=(n, n_bands)) < 0.3] = np.nan
    return {
        "glon_deg": np.asarray(glon_deg),
        "glat_deg": np.asarray(glat_deg),
        "conf_68_semimajor_deg": minor * ratio,
        "conf_68_semiminor_deg": minor,
        "conf_95_semimajor_deg": 1.6215 * minor * ratio,
        "conf_95_semiminor_deg": 1.6215 * minor,
        "conf_posang_deg": rng.uniform(-89, 90, n),
        "signif_avg": rng.uniform(4, 50, n),
        "flux_cm2_s": flux.sum(axis=1),
        "unc_flux_cm2_s": 0.1 * flux.sum(axis=1),
        "index": rng.normal(2.2, 0.2, n),
        "unc_index": np.full(n, np.nan),
        "npred": rng.uniform(5, 500, n),
        "flags": rng.integers(0, 8, n),
        "band_flux": flux,
        "band_unc_low": lower,
        "band_unc_high": 0.3 * flux,
        "band_sqrt_ts": rng.uniform(0, 10, (n, n_bands)),
        "band_npred": rng.uniform(0, 100, (n, n_bands)),
    }


def some_networks(rng: np.random.Generator, glon_deg, glat_deg, n_bands: int = 3) -> dict[str, np.ndarray]:
    """What networks might say; of the first detection nothing, of the second no position."""
    n = len(glon_deg)
    minor, ratio = rng.uniform(0.005, 0.05, n), rng.uniform(1, 1.5, n)
    said = {
        "prob_real": rng.uniform(0, 1, n),
        "glon_deg": np.array(glon_deg, float),
        "glat_deg": np.array(glat_deg, float),
        "conf_68_semimajor_deg": minor * ratio,
        "conf_68_semiminor_deg": minor,
        "conf_95_semimajor_deg": 1.6215 * minor * ratio,
        "conf_95_semiminor_deg": 1.6215 * minor,
        "conf_posang_deg": rng.uniform(-89, 90, n),
        "flux_cm2_s": rng.uniform(1e-12, 1e-9, n),
        "unc_flux_cm2_s": rng.uniform(1e-13, 1e-10, n),
        "flux_band_cm2_s": rng.uniform(1e-12, 1e-9, (n, n_bands)),
        "unc_flux_band_cm2_s": rng.uniform(1e-13, 1e-10, (n, n_bands)),
        "class_prob": rng.dirichlet(np.ones(5), n).astype(np.float32),
        "class_prob_blind": rng.dirichlet(np.ones(5), n).astype(np.float32),
        "sys_flux": rng.uniform(0, 0.2, n),
        "sys_pos_deg": rng.uniform(0, 0.05, n),
        "sys_class": rng.uniform(0, 1, n),
    }
    place = ("glon_deg", "glat_deg", "conf_posang_deg", *(k for k in said if k.startswith("conf_6")))
    for name, values in said.items():
        values[:1] = np.nan
        if name in place or name.startswith("conf_9"):
            values[1:2] = np.nan
    return said | {"flags": np.where(np.arange(n) == 0, 1 << 20, 0)}


def some_curved_spectra(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Log-parabolas of all detections but the last."""
    error, bent = rng.uniform(0.05, 0.3, n), rng.uniform(0.02, 0.2, n)
    curved = {
        "pivot_gev": np.full(n, 2.2),
        "curved_density_cm2_s_gev": rng.uniform(1e-13, 1e-10, n),
        "curved_index": rng.normal(2.2, 0.3, n),
        "unc_curved_index": error,
        "curvature": rng.normal(0.16, 0.17, n),
        "unc_curvature": bent,
        "cov_index_curvature": rng.uniform(-0.9, 0.9, n) * error * bent,
        "ts_curvature": rng.uniform(0, 30, n),
    }
    for values in curved.values():
        values[-1:] = np.nan
    return curved


def some_light_curves(rng: np.random.Generator, n: int, n_slices: int) -> dict[str, np.ndarray]:
    """Light curves with upper limits, and one slice of one detection that was not measured."""
    flux = rng.uniform(1e-12, 1e-9, (n, n_slices))
    low = np.where(rng.uniform(size=flux.shape) < 0.3, np.nan, -0.3 * flux)
    curves = {
        "flux_cm2_s": flux,
        "unc_low_cm2_s": low,
        "unc_high_cm2_s": 0.3 * flux,
        "sqrt_ts": rng.uniform(0, 10, flux.shape),
        "npred": rng.uniform(0, 100, flux.shape),
    }
    for values in curves.values():
        values[2:3, 1:2] = np.nan
    return curves | {"variability_index": rng.uniform(0, 100, n)}


def characterise_run(
    conn: Connection, run_id: int, n_bands: int = 3, n_slices: int = 0, curved: bool = False
) -> None:
    """Add to a run what networks, extension, light-curve fits and log-parabolas say of its detections."""
    rng = np.random.default_rng(run_id)
    rows = found_before(conn, run_id)
    ids = rows["id"]
    write_networks(conn, ids, some_networks(rng, rows["glon_deg"], rows["glat_deg"], n_bands))
    tried = np.arange(len(ids)) % 2 == 0
    extension = {
        "ext_radius_deg": np.where(tried, rng.uniform(0, 1, len(ids)), np.nan),
        "unc_ext_radius_deg": np.where(tried, 0.05, np.nan),
        "ts_ext": np.where(tried, rng.uniform(0, 50, len(ids)), np.nan),
    }
    write_extensions(conn, ids, extension)
    if n_slices:
        write_light_curves(conn, ids, some_light_curves(rng, len(ids), n_slices))
    if curved:
        write_curved_spectra(conn, ids, some_curved_spectra(rng, len(ids)))
    register_models(conn, run_id, [("d" * 64, "characterise-class", {"survey": "lat-10gev"})])


def finished_run(
    conn: Connection, n: int = 60, seed: int = 1, survey: str = "lat-10gev", n_slices: int = 0
) -> int:
    """A run that is done, with references, associations, two sources of one name and upper limits."""
    rng = np.random.default_rng(seed)
    run_id = new_run(conn, seed, survey, n_slices)
    n_bands = len(get_survey(survey).bands)
    conn.execute(
        text(
            "INSERT INTO reference_catalog (name, version, sha256, file_name, citation) VALUES"
            " ('4FGL-DR2', 'v27', repeat('a', 64), 'gll_psc_v27.fit.gz', 'Ballet et al.'),"
            " ('3FHL', 'v13', repeat('b', 64), 'gll_psch_v13.fit.gz', 'Ajello et al.')"
            " ON CONFLICT DO NOTHING"
        )
    )
    detections = some_detections(rng, [0, 1, 2], n)
    detections["glon_deg"][1], detections["glat_deg"][1] = (
        detections["glon_deg"][0],
        detections["glat_deg"][0],
    )
    write_detections(conn, run_id, [0, 1, 2], detections)
    rows = found_before(conn, run_id)
    ids = rows["id"]
    measured = some_measurements(rng, rows["glon_deg"], rows["glat_deg"], n_bands)
    for name in ("conf_68_semimajor_deg", "conf_68_semiminor_deg", "conf_95_semimajor_deg"):
        measured[name][3] = np.nan
    measured["conf_95_semiminor_deg"][3] = measured["conf_posang_deg"][3] = np.nan
    write_measurements(conn, ids, measured)
    catalogs = conn.scalars(text("SELECT id FROM reference_catalog ORDER BY id")).all()
    pairs = []
    for catalog_id in catalogs:
        names = [f"REF{catalog_id} {run_id}-{k:03d}" for k in range(n)]
        plain = {
            "catalog_id": np.full(n, catalog_id),
            "name": names,
            "source_class": ["bll", "", "PSR"] * (n // 3),
            "association": [""] * n,
            "extended": np.zeros(n, bool),
            "flags": np.zeros(n, int),
            "extra": [{}] * n,
        }
        near = position_columns(rows["glon_deg"], np.clip(rows["glat_deg"] + 0.05, -90, 90))
        copy_rows(conn, ReferenceSource, plain | near)
        sources = conn.scalars(
            text("SELECT id FROM reference_source WHERE catalog_id = :c AND name = ANY(:n) ORDER BY name"),
            {"c": catalog_id, "n": names},
        ).all()
        pairs.append((ids[: n // 2], np.array(sources[: n // 2])))
    detection, source = (np.concatenate(part) for part in zip(*pairs, strict=True))
    associations = {
        "detection_id": detection,
        "reference_source_id": source,
        "sep_deg": rng.uniform(0, 0.5, len(source)),
        "prob": rng.uniform(0, 1, len(source)),
        "matched_03": np.zeros(len(source), bool),
        "matched_05": np.arange(len(source)) % 5 > 0,
    }
    write_associations(conn, run_id, associations)
    conn.execute(text("UPDATE run SET status = 'done', finished_at = now() WHERE id = :r"), {"r": run_id})
    return run_id


def catalogue_rows(conn: Connection) -> list[dict[str, object]]:
    """Rows of the view for the release v1, by name."""
    query = text("SELECT * FROM catalogue WHERE version = 'v1' ORDER BY source_name")
    return [dict(row) for row in conn.execute(query).mappings()]


def written(conn: Connection, folder: Path) -> dict[str, bytes]:
    """Files of the release v1, by their paths in its folder."""
    folder.mkdir()
    write_catalogue_files(conn, "v1", folder)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
