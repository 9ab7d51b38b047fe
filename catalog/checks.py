"""Is a release as good as the one before? Stated checks of its number of sources, its recovery and its calibration.

A share of fewer than `FEWEST` sources says nothing and passes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from astropy import units as u
from mocpy import MOC
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from catalog.diff import compared_sources
from catalog.footprint import release_moc
from catalog.lineage import places, separation_sigma
from catalog.release import release_record
from catalog.tables import (
    Association,
    Measurement,
    ReferenceCatalog,
    ReferenceSource,
    ReleaseSource,
)

FEWEST = 20
BRIGHT_SIGMA = 10.0
SOURCES_KEPT = 0.95
RECOVERY_LOSS = 0.01
CONTAINMENT_LOSS = 0.03
FLUX_CHANGE = 0.05
_INSIDE_SIGMA = 1.959964  # 95 %


@dataclass(frozen=True)
class Check:
    """One check of a release against its predecessor.

    Attributes
    ----------
    name : str
    value, before : float or None
        The quantity in the release and in its predecessor; None where there are too few sources to say.
    passed : bool
    rule : str
        What is asked, with both numbers, for people.
    """

    name: str
    value: float | None
    before: float | None
    passed: bool
    rule: str


def check_release(conn: Connection, version: str) -> list[Check]:
    """Compare a release with its predecessor; nothing if it has none.

    Raises
    ------
    ReleaseError
        If there is no such release.
    """
    record = release_record(conn, version)
    if record.predecessor is None:
        return []
    before = release_record(conn, record.predecessor)
    catalogs = sorted({r["sha256"] for r in record.provenance["references"]})
    seen = [release_moc(conn, r) for r in (before, record)]
    bright = bright_references(conn, catalogs, [moc for moc in seen if moc is not None])
    pairs = [matched_references(conn, v, catalogs) for v in (before.version, version)]
    sources = [compared_sources(conn, v) for v in (before.version, version)]
    return [
        check_number(before.n_sources, record.n_sources),
        check_recovery(bright, *(set(p["id"]) for p in pairs)),
        check_positions(*(offsets_sigma(p) for p in pairs)),
        check_fluxes(*sources),
    ]


def check_number(before: int, now: int) -> Check:
    """The number of sources must not fall much."""
    rule = f"{now} sources, at least {SOURCES_KEPT:.0%} of {before}"
    return Check("number of sources", now, before, now >= SOURCES_KEPT * before, rule)


def check_recovery(bright: set[int], before: set[int], now: set[int]) -> Check:
    """The share of the bright reference sources that are found must not fall."""
    name = "recovery of bright references"
    if len(bright) < FEWEST:
        return Check(name, None, None, True, f"only {len(bright)} references above {BRIGHT_SIGMA:g} sigma")
    old, new = (len(found & bright) / len(bright) for found in (before, now))
    rule = (
        f"{new:.1%} of {len(bright)} references above {BRIGHT_SIGMA:g} sigma, "
        f"at most {RECOVERY_LOSS:.0%} less than {old:.1%}"
    )
    return Check(name, new, old, new >= old - RECOVERY_LOSS, rule)


def check_positions(before: NDArray[np.float64], now: NDArray[np.float64]) -> Check:
    """The share of counterparts inside the 95 % error must not depart further from 95 %."""
    name = "position errors"
    if min(len(before), len(now)) < FEWEST:
        return Check(name, None, None, True, f"only {len(now)} bright counterparts")
    old, new = (float(np.mean(sigma <= _INSIDE_SIGMA)) for sigma in (before, now))
    rule = (
        f"{new:.1%} of {len(now)} counterparts inside the 95 % error, "
        f"at most {CONTAINMENT_LOSS:.0%} further from 95 % than {old:.1%}"
    )
    return Check(name, new, old, abs(new - 0.95) <= abs(old - 0.95) + CONTAINMENT_LOSS, rule)


def check_fluxes(before: pd.DataFrame, now: pd.DataFrame) -> Check:
    """The fluxes of bright sources must keep their scale; frames of `catalog.diff.compared_sources`."""
    name = "flux scale"
    both = before.merge(now, on="source_id", suffixes=("_before", "_now"))
    both = both[(both["signif_avg_before"] >= BRIGHT_SIGMA) & (both["signif_avg_now"] >= BRIGHT_SIGMA)]
    if len(both) < FEWEST:
        return Check(name, None, None, True, f"only {len(both)} sources above {BRIGHT_SIGMA:g} sigma in both")
    ratio = float(np.median(both["flux_now"] / both["flux_before"]))
    rule = f"median ratio of {len(both)} bright fluxes {ratio:.3f}, within {FLUX_CHANGE:.0%} of 1"
    return Check(name, ratio, 1.0, abs(ratio - 1) <= FLUX_CHANGE, rule)


def bright_references(conn: Connection, catalogs: list[str], seen: Sequence[MOC]) -> set[int]:
    """Ids of the point-like reference sources above `BRIGHT_SIGMA` in catalogues given by checksum.

    Only those inside all of some coverage maps count: what nobody looked for can be neither found nor lost.
    """
    query = (
        select(ReferenceSource.id, ReferenceSource.ra_deg, ReferenceSource.dec_deg)
        .join(ReferenceCatalog)
        .where(ReferenceCatalog.sha256.in_(catalogs), ReferenceSource.signif_avg >= BRIGHT_SIGMA)
        .where(~ReferenceSource.extended)
    )
    found = pd.read_sql_query(query, conn)
    for moc in seen:
        if found.empty:  # which MOCs do not take
            break
        inside = moc.contains_lonlat(found["ra_deg"].to_numpy() * u.deg, found["dec_deg"].to_numpy() * u.deg)
        found = found[inside]
    return set(found["id"])


def matched_references(conn: Connection, version: str, catalogs: list[str]) -> pd.DataFrame:
    """Bright reference sources that match sources of a release one to one, with both places and errors."""
    query = (
        select(
            ReferenceSource.id,
            Measurement.ra_deg,
            Measurement.dec_deg,
            Measurement.conf_95_semimajor_deg,
            Measurement.conf_95_semiminor_deg,
            Measurement.conf_posang_deg,
            ReferenceSource.ra_deg.label("ref_ra_deg"),
            ReferenceSource.dec_deg.label("ref_dec_deg"),
            ReferenceSource.conf_95_semimajor_deg.label("ref_conf_95_semimajor_deg"),
            ReferenceSource.conf_95_semiminor_deg.label("ref_conf_95_semiminor_deg"),
            ReferenceSource.conf_95_posang_deg.label("ref_conf_posang_deg"),
        )
        .join(Association, Association.reference_source_id == ReferenceSource.id)
        .join(ReleaseSource, ReleaseSource.detection_id == Association.detection_id)
        .join(Measurement, Measurement.detection_id == Association.detection_id)
        .join(ReferenceCatalog, ReferenceCatalog.id == ReferenceSource.catalog_id)
        .where(ReleaseSource.version == version, Association.matched_03)
        .where(ReferenceCatalog.sha256.in_(catalogs), ReferenceSource.signif_avg >= BRIGHT_SIGMA)
        .where(~ReferenceSource.extended)
    )
    return pd.read_sql_query(query, conn)


def offsets_sigma(matched: pd.DataFrame) -> NDArray[np.float64]:
    """Separations of `matched_references` in sigma of both errors."""
    names = ("ra_deg", "dec_deg", "conf_95_semimajor_deg", "conf_95_semiminor_deg", "conf_posang_deg")
    ours, theirs = (places(matched, [prefix + name for name in names]) for prefix in ("", "ref_"))
    return separation_sigma(ours, theirs)
