"""A sky whose true counterparts are known: detections, and catalogues that list some of the same sources."""

from dataclasses import dataclass

import numpy as np

from catalog.positions import Positions
from catalog.reference_objects import ReferenceRows
from sky.frames import galactic_to_icrs, lon_lat

LISTED = {0: (0.75, 0.35), 1: (0.4, 0.8)}
"""Chance of a source of each class to be in the first and in the second catalogue."""


@dataclass(frozen=True)
class KnownSky:
    detections: Positions
    strata: np.ndarray
    catalogues: list[ReferenceRows]
    source_of_row: list[np.ndarray]
    """Which source a row is of; detections are of the sources 0 to n - 1, all others of none."""


def seen(rng: np.random.Generator, ra: np.ndarray, dec: np.ndarray, low: float, high: float) -> Positions:
    """Measured positions with ellipses of random size and angle, drawn from them; 1 sigma axes in degrees."""
    n = len(ra)
    major = rng.uniform(low, high, n)
    minor, angle = major * rng.uniform(0.5, 1, n), rng.uniform(-90, 90, n)
    u, v = rng.normal(size=(2, n)) * [major, minor]
    radians = np.radians(angle)
    east = u * np.sin(radians) + v * np.cos(radians)
    north = u * np.cos(radians) - v * np.sin(radians)
    r, d = np.radians(ra), np.radians(dec)
    axis_east = np.stack([-np.sin(r), np.cos(r), 0 * r], axis=1)
    axis_north = np.stack([-np.sin(d) * np.cos(r), -np.sin(d) * np.sin(r), np.cos(d)], axis=1)
    centre = np.stack([np.cos(d) * np.cos(r), np.cos(d) * np.sin(r), np.sin(d)], axis=1)
    vectors = centre + np.radians(east)[:, None] * axis_east + np.radians(north)[:, None] * axis_north
    scale = np.sqrt(-2 * np.log(1 - 0.68))
    return Positions.from_ellipses(*lon_lat(vectors), major * scale, minor * scale, angle, 0.68)


def known_sky(seed: int, n: int = 4000) -> KnownSky:
    """A sky with a crowded belt: n sources that are detected, 2 n that are not, of two classes, in two catalogues.

    Every second detection is of a stratum whose sources are in the catalogues less often. Some rows of the first
    catalogue come twice, as two components of one place.
    """
    rng = np.random.default_rng(seed)
    total = 3 * n
    glon, belt = rng.uniform(0, 360, total), rng.uniform(size=total) < 0.4
    glat = np.where(belt, rng.normal(0, 4, total), np.degrees(np.arcsin(rng.uniform(-1, 1, total))))
    ra, dec = galactic_to_icrs(glon, np.clip(glat, -90, 90))
    # Detections are of class 1 less often than what else the catalogues list.
    classes = (rng.uniform(size=total) < np.where(np.arange(total) < n, 0.2, 0.6)).astype(int)
    strata = np.arange(n) % 2
    catalogues, source_of_row = [], []
    for c in (0, 1):
        chance = np.array([LISTED[0][c], LISTED[1][c]])[classes]
        chance[:n] *= np.where(strata == 1, 0.5, 1.0)
        source = np.flatnonzero(rng.uniform(size=total) < chance)
        rows = seen(rng, ra[source], dec[source], 0.02, 0.08)
        if c == 0:  # components: the same place, 0.001 degrees off
            again = np.arange(0, len(source), 10)
            copies = rows.take(again)
            copies = Positions(copies.ra_deg, copies.dec_deg + 0.001, 2 * copies.covariance_deg2)
            rows, source = Positions.concatenate([rows, copies]), np.append(source, source[again])
        catalogues.append(ReferenceRows(rows, classes[source] + 1))
        source_of_row.append(source)
    return KnownSky(seen(rng, ra[:n], dec[:n], 0.03, 0.15), strata, catalogues, source_of_row)
