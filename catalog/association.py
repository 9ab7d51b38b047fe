"""Counterparts of detections in several catalogues at once: the probability of each, and one-to-one matches.

Everything here works on arrays and knows no database. The rows of all catalogues are first joined into objects
(`catalog.reference_objects`); a detection has one of them as its counterpart, or none (`catalog.posterior`). The
groups that have priors of their own are the objects listed in the same catalogues with the same class. Their
chance density is the local one of all objects in the same catalogues, times the share of the class there.

That one object may be the counterpart of one detection alone is left to the one-to-one matching.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.local_density import local_density_deg2
from catalog.matching import Floats, Ints, best_pairs_first, pairs_within
from catalog.positions import Positions, separation_density_deg2
from catalog.posterior import fit_priors, posterior
from catalog.reference_objects import ReferenceObjects, ReferenceRows, reference_objects
from sky.frames import icrs_to_galactic

CANDIDATE_RADIUS_DEG = 0.5
STRICT_RADIUS_DEG = 0.3
PLANE_DEG = 10.0
"""Classes are mixed otherwise below this galactic latitude than above."""
ZONE_WEIGHT = 5.0
"""Weight, in sources, of the whole sky's mix of classes against that of a zone."""


@dataclass(frozen=True)
class Associations:
    """Candidate pairs of detections and catalogue rows, by catalogue, detection and separation.

    Attributes
    ----------
    catalogue, detection, reference : ndarray of int, shape (n_pairs,)
        Indices of what was given.
    sep_deg : ndarray, shape (n_pairs,)
    prob : ndarray, shape (n_pairs,)
        Probability that the detection's counterpart is the row's object. Rows of one object, in one catalogue or in
        several, do not exclude each other: their probabilities do not sum to 1.
    matched_03, matched_05 : ndarray of bool, shape (n_pairs,)
        Whether the pair is one of the one-to-one matches with its catalogue within 0.3 and 0.5 degrees.
    none : ndarray, shape (n_detections,)
        Probability that a detection has no counterpart in any of the catalogues.
    """

    catalogue: Ints
    detection: Ints
    reference: Ints
    sep_deg: Floats
    prob: Floats
    matched_03: NDArray[np.bool_]
    matched_05: NDArray[np.bool_]
    none: Floats


@dataclass(frozen=True)
class Evidence:
    """What the positions say: pairs of detections and objects, n of them (see `catalog.posterior`).

    Attributes
    ----------
    detection, group : ndarray of int, shape (n_pairs,)
    ratio : ndarray, shape (n_pairs,)
    expected : ndarray, shape (n_detections, n_groups)
        Chance density of each group around each detection, a square degree.
    """

    detection: Ints
    group: Ints
    ratio: Floats
    expected: Floats

    @property
    def terms(self) -> tuple[Floats, Ints, Ints]:
        """Ratio, detection and group: what `posterior` and `fit_priors` begin with."""
        return self.ratio, self.detection, self.group


def associate(
    detections: Positions, catalogues: Sequence[ReferenceRows], strata: ArrayLike | None = None
) -> Associations:
    """All catalogue rows within `CANDIDATE_RADIUS_DEG` of each detection, with their probabilities and matches.

    Parameters
    ----------
    strata : array_like of int, optional
        Group of each detection, from 0 (by significance, say): the priors are fitted in each.
    """
    stratum = np.zeros(len(detections), np.int64) if strata is None else np.asarray(strata, dtype=np.int64)
    rows = near_rows(detections, catalogues)
    objects = reference_objects(catalogues)
    found, row, pair = evidence(detections, objects, rows)
    prob, none = posterior(*found.terms, stratum, stratum_priors(found, stratum))
    return Associations(
        **{name: getattr(rows, name) for name in ("catalogue", "detection", "reference", "sep_deg")},
        prob=np.minimum(np.bincount(row, prob[pair], minlength=len(rows.detection)), 1.0),
        matched_03=rows.matched & (rows.sep_deg <= STRICT_RADIUS_DEG),
        matched_05=rows.matched,
        none=none,
    )


@dataclass(frozen=True)
class NearRows:
    """Rows of catalogues near detections, as in `Associations`."""

    catalogue: Ints
    detection: Ints
    reference: Ints
    sep_deg: Floats
    matched: NDArray[np.bool_]


def near_rows(detections: Positions, catalogues: Sequence[ReferenceRows]) -> NearRows:
    """All pairs within `CANDIDATE_RADIUS_DEG`, and which of them are matches, one to one in each catalogue.

    The best pairs are matched first, so those within any smaller radius are as if there were no others.
    """
    parts = [NearRows(*(np.empty(0, t) for t in (np.int64, np.int64, np.int64, float, bool)))]
    for c, rows in enumerate(catalogues):
        i, j, sep_deg = pairs_within(detections.vectors, rows.positions.vectors, CANDIDATE_RADIUS_DEG)
        order = np.lexsort((j, sep_deg, i))
        matched = best_pairs_first(i, j)[order]
        parts.append(NearRows(np.full(len(i), c), i[order], j[order], sep_deg[order], matched))
    return NearRows(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(NearRows)))


def evidence(detections: Positions, objects: ReferenceObjects, rows: NearRows) -> tuple[Evidence, Ints, Ints]:
    """Pairs of detections and the objects that near rows may be of.

    Returns
    -------
    evidence : Evidence
    row, pair : ndarray of int, shape (n,)
        Which near row may be of the object of which pair.
    """
    row, candidate = _objects_of(rows, objects)
    key, pair = np.unique(rows.detection[row] * len(objects) + candidate, return_inverse=True)
    i, k = np.divmod(key, max(len(objects), 1))
    expected, group_of_object = expected_density_deg2(detections, objects)
    density = separation_density_deg2(detections.take(i), objects.positions.take(k))
    group = group_of_object[k]
    ratio = objects.prob[k] * density / expected[i, group]
    return Evidence(i, group, ratio, expected), row, pair.astype(np.int64)


def _objects_of(rows: NearRows, objects: ReferenceObjects) -> tuple[Ints, Ints]:
    """All pairs of a near row and an object it may be of; shapes (n,)."""
    which, found = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for c, place_of_row in enumerate(objects.place_of_row):
        own = np.flatnonzero(rows.catalogue == c)
        place = place_of_row[rows.reference[own]]
        order = np.argsort(objects.place[:, c], kind="stable")
        low, high = (np.searchsorted(objects.place[order, c], place, side) for side in ("left", "right"))
        count = high - low
        nth = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        which.append(np.repeat(own, count))
        found.append(order[np.repeat(low, count) + nth])
    return np.concatenate(which), np.concatenate(found)


def expected_density_deg2(detections: Positions, objects: ReferenceObjects) -> tuple[Floats, Ints]:
    """Chance density around each detection of each group of objects, and the group of each object.

    Returns
    -------
    density : ndarray, shape (n_detections, n_groups)
    group : ndarray of int, shape (n_objects,)
    """
    kinds, kind = np.unique(objects.listed, return_inverse=True)
    n_classes = int(objects.classes.max(initial=0)) + 1
    zone, zone_of_object = _zones(detections), _zones(objects.positions)
    parts = [np.empty((len(detections), 0))]
    for n in range(len(kinds)):
        own = kind == n
        shares = _class_shares(objects.classes[own], zone_of_object[own], objects.prob[own], n_classes)
        # More probable than not, so that each row is counted once.
        own = own & (objects.prob > 0.5) if np.any(objects.prob[own] > 0.5) else own
        density = local_density_deg2(detections.vectors, objects.positions.vectors[own])
        parts.append(density[:, None] * shares[zone])
    return np.concatenate(parts, axis=1), (kind * n_classes + objects.classes).astype(np.int64)


def stratum_priors(found: Evidence, stratum: Ints) -> Floats:
    """Priors of each stratum of detections; shape (n_strata, n_groups)."""
    shares = np.full((int(stratum.max(initial=0)) + 1, found.expected.shape[1]), 1e-300)
    np.add.at(shares, stratum, found.expected)
    return fit_priors(*found.terms, stratum, shares / shares.sum(axis=1, keepdims=True))


def _zones(positions: Positions) -> Ints:
    """1 in the galactic plane, 0 off it."""
    _, glat = icrs_to_galactic(positions.ra_deg, positions.dec_deg)
    return (np.abs(glat) < PLANE_DEG).astype(np.int64)


def _class_shares(classes: Ints, zone: Ints, prob: Floats, n_classes: int) -> Floats:
    """Share of each class in each zone, by the objects' probabilities; shape (2, n_classes), rows sum to 1."""
    counts = np.bincount(zone * n_classes + classes, prob, minlength=2 * n_classes).reshape(2, n_classes)
    mean = counts.sum(axis=0) / counts.sum()
    return np.asarray((counts + ZONE_WEIGHT * mean) / (counts.sum(axis=1, keepdims=True) + ZONE_WEIGHT))
