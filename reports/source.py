"""All that the database knows of one released source."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from catalog.counts_tiles import counts_around
from catalog.release import ReleaseRecord, release_record
from catalog.tables import (
    Association,
    BandFlux,
    NetworkBandFlux,
    ReferenceCatalog,
    ReferenceSource,
    Run,
    SliceFlux,
    TimeSlice,
)
from catalog.tables_characterisation import CLASSES
from reports.cutouts import cutout
from reports.queries import columns, frame

LEAST_WIDTH_DEG, MOST_WIDTH_DEG, WIDTH_PIXELS = 3.0, 10.0, 40
FLUX = "flux_cm2_s unc_low_cm2_s unc_high_cm2_s sqrt_ts npred"


@dataclass(frozen=True)
class BandImage:
    """Counts per square degree around the source in one band; `image` as `reports.cutouts.cutout`."""

    label: str
    width_deg: float
    photons: int
    image: np.ndarray


@dataclass(frozen=True)
class Source:
    """One source.

    Attributes
    ----------
    release : ReleaseRecord
    row : dict
        Its row of the view `catalogue`, by SQL name.
    spectrum : DataFrame
        One row a band: band (label), emin_gev, emax_gev, flux_cm2_s, unc_low_cm2_s (NaN: an upper limit),
        unc_high_cm2_s, sqrt_ts, npred; network_flux_cm2_s, unc_network_flux_cm2_s, NaN where networks say nothing.
    light_curve : DataFrame
        One row a time slice: tstart_met_s, tstop_met_s and the same fluxes; empty where time is not resolved.
    classes : DataFrame
        class, full, blind: probabilities; empty where the run had no class networks.
    associations : DataFrame
        catalog, name, sep_deg, prob, matched (within 0.3 deg, one to one), source_class, association.
    neighbours : DataFrame
        source_name, glon_deg, glat_deg of the other released sources near it.
    images : list of BandImage
        Empty where the photons are not stored.
    flags : list of (int, str)
        The bits that are set, with what they mean.
    """

    release: ReleaseRecord
    row: dict[str, Any]
    spectrum: pd.DataFrame
    light_curve: pd.DataFrame
    classes: pd.DataFrame
    associations: pd.DataFrame
    neighbours: pd.DataFrame
    images: list[BandImage]
    flags: list[tuple[int, str]]

    @property
    def name(self) -> str:
        """Its name in the release."""
        return str(self.row["source_name"])

    def as_json(self) -> dict[str, Any]:
        """Everything but the pictures, plain types; NaN as None."""
        tables = {
            name: [{k: _plain(v) for k, v in row.items()} for row in getattr(self, name).to_dict("records")]
            for name in ("spectrum", "light_curve", "classes", "associations")
        }
        catalogue = {name: _plain(value) for name, value in self.row.items()}
        flags = [{"bit": bit, "meaning": meaning} for bit, meaning in self.flags]
        return {"release": self.release.version, "catalogue": catalogue, **tables, "flags": flags}


def load_source(conn: sa.Connection, version: str, name: str) -> Source:
    """Read one source of a release, by its full name."""
    release = release_record(conn, version)
    view = sa.table("catalogue", sa.column("version"), sa.column("source_name"))
    where = (view.c.version == version) & (view.c.source_name == name)
    row = dict(conn.execute(sa.select(sa.text("*")).select_from(view).where(where)).one()._mapping)
    detection, place = int(row["detection_id"]), (float(row["glon"]), float(row["glat"]))
    bits = {int(bit): text for bit, text in release.provenance["flags"].items()}
    return Source(
        release=release,
        row=row,
        spectrum=_spectrum(conn, release, detection),
        light_curve=_light_curve(conn, release, detection),
        classes=_classes(row),
        associations=_associations(conn, detection),
        neighbours=_neighbours(conn, version, name, place),
        images=_images(conn, release, *place),
        flags=[
            (bit, bits.get(bit, "not described")) for bit in (1 << i for i in range(31)) if bit & row["flags"]
        ],
    )


def _spectrum(conn: sa.Connection, release: ReleaseRecord, detection: int) -> pd.DataFrame:
    own = sa.select(*columns(BandFlux, f"band {FLUX}")).where(BandFlux.detection_id == detection)
    network = sa.select(
        NetworkBandFlux.band,
        NetworkBandFlux.flux_cm2_s.label("network_flux_cm2_s"),
        NetworkBandFlux.unc_flux_cm2_s.label("unc_network_flux_cm2_s"),
    ).where(NetworkBandFlux.detection_id == detection)
    found = frame(conn, own.order_by(BandFlux.band)).merge(frame(conn, network), on="band", how="left")
    bands = [release.survey.bands[i] for i in found.pop("band")]
    found.insert(0, "band", [band.label for band in bands])
    found.insert(1, "emin_gev", [band.emin_gev for band in bands])
    found.insert(2, "emax_gev", [band.emax_gev for band in bands])
    return found


def _light_curve(conn: sa.Connection, release: ReleaseRecord, detection: int) -> pd.DataFrame:
    query = (
        sa.select(TimeSlice.tstart_met_s, TimeSlice.tstop_met_s, *columns(SliceFlux, FLUX))
        .join(SliceFlux, SliceFlux.slice == TimeSlice.slice)
        .join(Run, Run.observation_id == TimeSlice.observation_id)
        .where(Run.id == release.run_id, SliceFlux.detection_id == detection)
    )
    return frame(conn, query.order_by(TimeSlice.slice))


def _classes(row: dict[str, Any]) -> pd.DataFrame:
    full, blind = ([row[f"prob_{name}{end}"] for name in CLASSES] for end in ("", "_blind"))
    found = pd.DataFrame({"class": CLASSES, "full": full, "blind": blind})
    return found.astype({"full": float, "blind": float}).dropna(how="all", subset=["full", "blind"])


def _associations(conn: sa.Connection, detection: int) -> pd.DataFrame:
    query = (
        sa.select(
            ReferenceCatalog.name.label("catalog"), ReferenceSource.name, Association.sep_deg, Association.prob,
            Association.matched_03.label("matched"), ReferenceSource.source_class, ReferenceSource.association,
            ReferenceSource.glon_deg, ReferenceSource.glat_deg,
        )
        .join(ReferenceSource, ReferenceSource.id == Association.reference_source_id)
        .join(ReferenceCatalog, ReferenceCatalog.id == ReferenceSource.catalog_id)
        .where(Association.detection_id == detection)
    )  # fmt: skip
    return frame(conn, query).sort_values(["prob", "sep_deg"], ascending=[False, True], ignore_index=True)


def _neighbours(conn: sa.Connection, version: str, name: str, place: tuple[float, float]) -> pd.DataFrame:
    cone = sa.text(
        "SELECT s.source_name, m.glon_deg, m.glat_deg"
        " FROM cone_search('measurement', :glon, :glat, :radius, 'detection_id') near"
        " JOIN release_source s ON s.detection_id = near.id AND s.version = :version"
        " JOIN measurement m ON m.detection_id = near.id WHERE s.source_name <> :name"
    )
    radius = MOST_WIDTH_DEG * 0.75
    where = {"glon": place[0], "glat": place[1], "radius": radius, "version": version, "name": name}
    rows = conn.execute(cone, where).all()
    return pd.DataFrame(rows, columns=["source_name", "glon_deg", "glat_deg"])


def _images(conn: sa.Connection, release: ReleaseRecord, glon_deg: float, glat_deg: float) -> list[BandImage]:
    observation = conn.scalar(sa.select(Run.observation_id).where(Run.id == release.run_id))
    images = []
    for i, band in enumerate(release.survey.bands):
        pixel_deg = float(np.degrees(np.sqrt(np.pi / 3)) / 2**band.order)
        width = float(np.clip(WIDTH_PIXELS * pixel_deg, LEAST_WIDTH_DEG, MOST_WIDTH_DEG))
        counts = counts_around(conn, int(observation or 0), i, glon_deg, glat_deg, width)
        if counts is None:
            return []
        image = cutout(counts, glon_deg, glat_deg, width, 2 * WIDTH_PIXELS, smoothing_deg=pixel_deg)
        raw = cutout(counts, glon_deg, glat_deg, width, 4 * WIDTH_PIXELS, smoothing_deg=0.0)
        photons = round(float(raw.mean()) * width**2)
        images.append(BandImage(band.label, width, photons, image))
    return images


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
