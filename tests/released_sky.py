"""A small release in a real database: two runs of one sky, three reference catalogues, one of them not used."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import healpy as hp
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine, text

from catalog import store
from catalog.counts_tiles import write_counts
from catalog.engine import make_engine
from catalog.freezing import freeze
from catalog.ledger import advance, create_run, due_items, finish, lease, plan_stage
from catalog.tables import (
    ClassProbability,
    Detection,
    ModelCard,
    NetworkBandFlux,
    NetworkMeasurement,
    ReferenceCatalog,
    ReferenceSource,
    RunModel,
)
from sky.counts import CountsCube, HealpixCounts
from sky.survey import get_survey

VERSION = "small-1"
N_SOURCES, N_FGL, N_FHL = 60, 80, 30


def _uniform(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    glat = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    return {"glon_deg": rng.uniform(0, 360, n), "glat_deg": glat}


def _reference_rows(
    rng: np.random.Generator, name: str, near: dict[str, np.ndarray], n: int, flux_range
) -> dict:
    """A catalogue whose first rows lie within 0.05 deg in latitude of positions given."""
    place = _uniform(rng, n)
    shared = min(len(near["glon_deg"]), n)
    place["glon_deg"][:shared] = near["glon_deg"][:shared]
    place["glat_deg"][:shared] = near["glat_deg"][:shared] * 0.9995
    extended = np.arange(n) % 17 == 16
    return {
        "name": [f"{name} J{i:04d}.0+0000{'e' if e else ''}" for i, e in enumerate(extended)],
        **store.position_columns(place["glon_deg"], place["glat_deg"]),
        "conf_95_semimajor_deg": np.where(extended, np.nan, 0.08),
        "conf_95_semiminor_deg": np.where(extended, np.nan, 0.07),
        "conf_95_posang_deg": np.where(extended, np.nan, 30.0),
        "signif_avg": rng.uniform(4, 60, n),
        "flux_cm2_s": rng.uniform(1e-11, 1e-9, n),
        "unc_flux_cm2_s": np.full(n, 1e-11),
        "flux_range_gev": [flux_range] * n,
        "source_class": ["bll" if i % 2 else "" for i in range(n)],
        "association": ["<Mkn> & co" if i % 2 else "" for i in range(n)],
        "extended": extended,
        "flags": np.where(np.arange(n) % 5 == 0, 16, 0),
        "extra": [{"Sqrt_TS_Band": [9, 9, 9, 9, 9, 3.0, 4.0]} if name == "4FGL" else {} for _ in range(n)],
    }


def _reference(conn: sa.Connection, name: str, version: str, rows: dict) -> list[int]:
    sha = (f"{name}{version}".encode().hex() * 9)[:64]
    catalog = sa.insert(ReferenceCatalog).values(
        name=name, version=version, sha256=sha, file_name=f"{name}.fit.gz", citation="a paper"
    )
    catalog_id = conn.scalar(catalog.returning(ReferenceCatalog.id))
    n = len(rows["name"])
    store.copy_rows(conn, ReferenceSource, {"catalog_id": np.full(n, catalog_id), **rows})
    query = sa.select(ReferenceSource.id).where(ReferenceSource.catalog_id == catalog_id)
    return list(conn.scalars(query.order_by(ReferenceSource.name)))


def _done_run(
    conn: sa.Connection, observation: int, rng: np.random.Generator, place: dict
) -> tuple[int, list[int]]:
    """A finished run with detections and measurements at given places; their ids."""
    n = len(place["glon_deg"])
    settings = {"detector": "matched-filter", "batch": 16}
    run = create_run(
        conn, observation, detector="matched-filter", seed=7, settings=settings, software={"numpy": "2"}
    )
    for stage, tiles in (("detect", (3,)), ("characterise", (3,)), ("associate", ())):
        plan_stage(conn, run, stage, [tiles])
    advance(conn, run)
    found = {"tile": np.full(n, 3), **place, "ts": rng.uniform(20, 900, n), "det_prob": rng.uniform(0, 1, n)}
    found |= {"flux_cm2_s": rng.uniform(1e-11, 1e-9, n), "background_sr": rng.uniform(0, 1e4, (n, 3))}
    found |= {"disc_deg": np.zeros(n)}
    store.write_detections(conn, run, [3], found)
    order = sa.select(Detection.id).where(Detection.run_id == run).order_by(Detection.ordinal)
    ids = list(conn.scalars(order))
    minor = rng.uniform(0.02, 0.05, n)
    minor[0] = np.nan
    ellipse = {
        f"conf_{level}_{axis}_deg": minor * factor
        for level, scale in ((68, 1.0), (95, 1.62))
        for axis, factor in (("semimajor", 1.2 * scale), ("semiminor", scale))
    }
    flux = rng.uniform(1e-12, 1e-9, (n, 3))
    measured = {
        **place, **ellipse, "conf_posang_deg": np.where(np.isnan(minor), np.nan, 20.0),
        "signif_avg": rng.uniform(4, 40, n),
        "flux_cm2_s": flux.sum(axis=1), "unc_flux_cm2_s": 0.1 * flux.sum(axis=1), "index": np.full(n, 2.3),
        "unc_index": np.full(n, np.nan), "npred": rng.uniform(5, 90, n), "flags": np.zeros(n, int),
        "band_flux": flux, "band_unc_low": -0.3 * flux, "band_unc_high": 0.3 * flux,
        "band_sqrt_ts": np.ones((n, 3)), "band_npred": np.ones((n, 3)),
    }  # fmt: skip
    store.write_measurements(conn, ids, measured)
    while items := due_items(conn, run):
        for item in items:
            finish(conn, lease(conn, item, "test", 60.0), 0.1)
        advance(conn, run)
    return run, ids


@pytest.fixture(scope="session")
def released(database_server: Engine, template_database: str) -> Iterator[Engine]:
    """Engine on a database with one release of one of two runs, compared with two of three catalogues."""
    name = f"asidcat_released_{uuid.uuid4().hex[:12]}"
    with database_server.connect() as server:
        server.execute(text(f"CREATE DATABASE {name} TEMPLATE {template_database}"))
    engine = make_engine(database_server.url.set(database=name), pooled=False)
    fill(engine)
    yield engine
    with database_server.connect() as server:
        server.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def _cube(rng: np.random.Generator, place: dict[str, np.ndarray]) -> CountsCube:
    """A faint even sky with twenty photons on each source, in each band."""
    survey = get_survey("lat-10gev")
    on_sources = hp.ang2pix(1024, place["glon_deg"], place["glat_deg"], nest=True, lonlat=True)
    maps = {
        (band, event_type, 0): HealpixCounts.from_pixels(
            10, np.concatenate([rng.integers(0, 12 * 1024**2, 5000), np.repeat(on_sources, 20)])
        )
        for band, event_type in survey.planes
    }
    return CountsCube(survey, maps)


def _networks(conn: sa.Connection, run: int, ids: list[int], rng: np.random.Generator) -> None:
    """What networks said of all but the first detection."""
    told, n = ids[1:], len(ids) - 1
    flux = rng.uniform(1e-11, 1e-9, n)
    said = {
        "detection_id": told,
        "prob_real": rng.uniform(0.5, 1, n),
        "flux_cm2_s": flux,
        "flags": np.zeros(n, int),
    }
    store.copy_rows(conn, NetworkMeasurement, said | {"unc_flux_cm2_s": 0.2 * flux})
    for band in range(3):
        bands = {"detection_id": told, "band": np.full(n, band), "flux_cm2_s": flux / 3}
        store.copy_rows(conn, NetworkBandFlux, bands | {"unc_flux_cm2_s": 0.1 * flux})
    for variant in ("full", "blind"):
        parts = rng.dirichlet(np.ones(5), n)
        columns = dict(zip(("bll", "fsrq", "psr", "pwn_snr", "fake"), parts.T, strict=True))
        store.copy_rows(conn, ClassProbability, {"detection_id": told, "variant": [variant] * n} | columns)
    card = {"network": "characterise-class", "epochs": 7, "seeds": {"train": [1, 2]}, "note": "<small>"}
    conn.execute(sa.insert(ModelCard).values(sha256="e" * 64, name="characterise-class", card=card))
    conn.execute(sa.insert(RunModel).values(run_id=run, sha256="e" * 64))


def fill(engine: Engine) -> None:
    """Write the two runs, the catalogues and the release."""
    rng = np.random.default_rng(11)
    with engine.begin() as conn:
        observation = store.register_observation(
            conn, name="a-sky", survey="lat-10gev", irfs="P8R2_SOURCE_V6", content_sha256="ab" * 32,
            total_counts=4321, manifest={}, tstart_met_s=239557417.0, tstop_met_s=498643328.0,
        )  # fmt: skip
        place = _uniform(rng, N_SOURCES)
        write_counts(conn, observation, _cube(rng, place))
        run, ids = _done_run(conn, observation, rng, place)
        _networks(conn, run, ids, rng)
        _done_run(conn, observation, rng, _uniform(rng, 5))
        candidates = []
        for name, n, flux_range in (("4FGL-DR2", N_FGL, [1.0, 100.0]), ("3FHL", N_FHL, [10.0, 1000.0])):
            keys = _reference(conn, name, "v1", _reference_rows(rng, name[:4], place, n, flux_range))
            pairs = min(n, N_SOURCES)
            separation = 0.0005 * np.abs(place["glat_deg"][:pairs])
            frame = {"detection_id": ids[:pairs], "reference_source_id": keys[:pairs], "sep_deg": separation}
            candidates.append(pd.DataFrame(frame | {"prob": 0.9, "matched_03": True, "matched_05": True}))
        _reference(conn, "3FGL", "v16", _reference_rows(rng, "3FGL", place, 10, [1.0, 100.0]))
        store.write_associations(conn, run, pd.concat(candidates, ignore_index=True))
        freeze(conn, VERSION, run, released_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
