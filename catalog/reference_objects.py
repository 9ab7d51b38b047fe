"""The objects behind the rows of several catalogues: components of one place, and one source listed twice.

A detection has one counterpart, which may be listed in several catalogues, and in one of them in several rows:
4FGL gives the Crab nebula and pulsar three, which a detector cannot tell apart. So rows are first joined:

1. Rows of one catalogue within `COMPONENT_DEG` of the most precise of them are one place.
2. Catalogue after catalogue, each place may be the same source as an object of the catalogues before: one to one, the
   most probable pair first (`catalog.posterior`). The joint position is the product of both Gaussians, which is the
   recursion of Budavari & Szalay 2008 (ApJ 679, 301, section 5). All three stay: the joint object with the
   probability that both are one source, each alone with that of the contrary.

The errors of catalogues are taken as independent. Those of one instrument share photons, so that such an object's
error is too small by up to the square root of two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from catalog.local_density import local_density_deg2
from catalog.matching import Floats, Ints, best_pairs_first, pairs_within
from catalog.positions import Positions, combined, separation_density_deg2
from catalog.posterior import fit_priors, posterior

COMPONENT_DEG = 0.02
"""In 3FGL, 4FGL, 4FGL-DR2 and 3FHL the rows of the Crab are 0.006 degrees apart, no other two less than 0.04."""
JOIN_RADIUS_DEG = 0.5
JOIN_PROB = 0.01
"""Pairs less probably one source than this are not considered."""
FREE_STEPS = 5
LEAST_FREE = 0.01
"""Least share of a catalogue that is taken to be in none of those before."""
LEAST_PROB = 1e-6
"""Objects less probable than this are forgotten."""


@dataclass(frozen=True)
class ReferenceRows:
    """Rows of one catalogue, n of each.

    Attributes
    ----------
    positions : Positions
    classes : ndarray of int, shape (n,)
        Group of each row's class, from 0 (`catalog.source_classes`); 0 where it has none.
    """

    positions: Positions
    classes: Ints


@dataclass(frozen=True)
class ReferenceObjects:
    """Objects that may exist, n of each, of several catalogues.

    Attributes
    ----------
    positions : Positions
    prob : ndarray, shape (n,)
        That the catalogues' places are this one object: 1 where there is no doubt.
    place : ndarray of int, shape (n, n_catalogues)
        Its place in each catalogue; -1 where it is not listed.
    classes : ndarray of int, shape (n,)
        Class of the first catalogue that gives it one, of its most precise row.
    place_of_row : tuple of ndarray of int
        For each catalogue, the place of each of its rows.
    """

    positions: Positions
    prob: Floats
    place: Ints
    classes: Ints
    place_of_row: tuple[Ints, ...]

    def __len__(self) -> int:
        return len(self.prob)

    @property
    def listed(self) -> Ints:
        """In which catalogues: bit c is set if it is in catalogue c; shape (n,)."""
        return np.asarray((self.place >= 0) @ (1 << np.arange(self.place.shape[1])), dtype=np.int64)


def places(rows: ReferenceRows) -> tuple[Ints, Ints]:
    """The place of each row, shape (n_rows,), and the most precise row of each place, shape (n_places,)."""
    head = np.arange(len(rows.positions))
    vectors, area = rows.positions.vectors, rows.positions.area_deg2
    near: dict[int, list[int]] = {}
    i, j, _ = pairs_within(vectors, vectors, COMPONENT_DEG)
    for a, b in zip(i[i != j].tolist(), j[i != j].tolist(), strict=True):
        near.setdefault(a, []).append(b)
    taken: set[int] = set()
    for row in sorted(near, key=lambda row: (float(area[row]), row)):
        if row not in taken:
            own = [row, *(b for b in near[row] if b not in taken)]
            head[own] = row
            taken.update(own)
    heads, place = np.unique(head, return_inverse=True)
    return place.astype(np.int64), heads.astype(np.int64)


def reference_objects(catalogues: Sequence[ReferenceRows]) -> ReferenceObjects:
    """Join the rows of catalogues, in their order, into objects."""
    n_catalogues = len(catalogues)
    # What is joined with the next catalogue, and what is settled: alternatives to it.
    current = _Objects.empty(n_catalogues)
    settled = [_Objects.empty(n_catalogues)]
    place_of_row: list[Ints] = []
    for c, rows in enumerate(catalogues):
        place, heads = places(rows)
        place_of_row.append(place)
        new = _Objects(
            rows.positions.take(heads),
            np.ones(len(heads)),
            np.where(np.arange(n_catalogues) == c, np.arange(len(heads))[:, None], -1),
            _classes_of_places(rows, place, heads),
        )
        a, b, same = same_source(current.positions, new.positions)
        left, right = current.take(a), new.take(b)
        joined = _Objects(
            combined(left.positions, right.positions),
            left.prob * same,
            np.where(left.place >= 0, left.place, right.place),
            np.where(left.classes > 0, left.classes, right.classes),
        )
        settled += [left.with_prob(left.prob * (1 - same)), right.with_prob(1 - joined.prob)]
        current = _Objects.concatenate([current.without(a), joined, new.without(b)])
    objects = _Objects.concatenate([current, *settled])
    objects = objects.take(np.flatnonzero(objects.prob > LEAST_PROB))
    return ReferenceObjects(
        objects.positions, objects.prob, objects.place, objects.classes, tuple(place_of_row)
    )


def same_source(first: Positions, second: Positions) -> tuple[Ints, Ints, Floats]:
    """Pairs of both lists that may be one source, each member once, and the probability that they are."""
    i, j, _ = pairs_within(first.vectors, second.vectors, JOIN_RADIUS_DEG)
    if len(i) == 0:
        return i, j, np.empty(0)
    density = local_density_deg2(first.vectors, second.vectors)[i]
    ratio = separation_density_deg2(first.take(i), second.take(j)) / density
    group, stratum = np.zeros(len(i), np.int64), np.zeros(len(first), np.int64)
    free = 1.0
    for _ in range(FREE_STEPS):
        # What lies near an object by chance has no other object that it is: it is one of the second list's rest.
        priors = fit_priors(ratio / free, i, group, stratum, np.ones((1, 1)))
        prob = posterior(ratio / free, i, group, stratum, priors)[0]
        order = np.lexsort((j, i, -prob))
        order = order[prob[order] > JOIN_PROB]
        chosen = order[best_pairs_first(i[order], j[order])]
        free = max(1 - float(prob[chosen].sum()) / len(second), LEAST_FREE)
    return i[chosen], j[chosen], prob[chosen]


@dataclass(frozen=True)
class _Objects:
    """Columns as in `ReferenceObjects`."""

    positions: Positions
    prob: Floats
    place: Ints
    classes: Ints

    @classmethod
    def empty(cls, n_catalogues: int) -> "_Objects":
        none = np.empty(0, np.int64)
        return cls(Positions.empty(), np.empty(0), np.empty((0, n_catalogues), np.int64), none)

    @classmethod
    def concatenate(cls, parts: "list[_Objects]") -> "_Objects":
        arrays = (np.concatenate([getattr(p, name) for p in parts]) for name in ("prob", "place", "classes"))
        return cls(Positions.concatenate([part.positions for part in parts]), *arrays)

    def take(self, which: Ints) -> "_Objects":
        return _Objects(self.positions.take(which), self.prob[which], self.place[which], self.classes[which])

    def without(self, which: Ints) -> "_Objects":
        return self.take(np.setdiff1d(np.arange(len(self.prob)), which))

    def with_prob(self, prob: Floats) -> "_Objects":
        return _Objects(self.positions, prob, self.place, self.classes)


def _classes_of_places(rows: ReferenceRows, place: Ints, heads: Ints) -> Ints:
    """Class of each place: that of its most precise row, else of any other that has one."""
    classes = rows.classes[heads]
    for row in np.flatnonzero(rows.classes[heads][place] == 0):
        classes[place[row]] = classes[place[row]] or rows.classes[row]
    return classes
