"""Probabilities of counterparts against skies whose truth is known."""

from itertools import pairwise

import numpy as np
import pytest

from catalog.association import Associations, associate, near_rows
from catalog.local_density import local_density_deg2
from catalog.positions import Positions, separation_density_deg2
from catalog.posterior import fit_priors
from catalog.reference_objects import ReferenceRows, reference_objects
from sky.frames import unit_vectors
from tests.catalog.two_catalogues import LISTED, KnownSky, known_sky

EDGES = [0, 0.02, 0.1, 0.3, 0.6, 0.9, 0.99, 1.0001]


@pytest.fixture(scope="module", params=[1, 2, 3])
def known(request: pytest.FixtureRequest) -> tuple[KnownSky, Associations]:
    sky = known_sky(request.param)
    return sky, associate(sky.detections, sky.catalogues, sky.strata)


def true_pairs(sky: KnownSky, found: Associations) -> np.ndarray:
    sources = [sky.source_of_row[c][j] for c, j in zip(found.catalogue, found.reference, strict=True)]
    return np.array(sources) == found.detection


def assert_calibrated(prob: np.ndarray, true: np.ndarray) -> None:
    """In every range of probability as many are true as it says, within 4 sigma and 1 %."""
    for low, high in pairwise(EDGES):
        part = (prob >= low) & (prob < high)
        expected, spread = prob[part].sum(), np.sqrt(np.sum(prob[part] * (1 - prob[part])))
        assert abs(true[part].sum() - expected) < 4 * spread + 0.01 * part.sum() + 2, (low, high)


@pytest.mark.parametrize("catalogue", [0, 1])
def test_probabilities_of_rows_are_calibrated(known: tuple[KnownSky, Associations], catalogue: int) -> None:
    sky, found = known
    own = found.catalogue == catalogue
    assert np.all(np.histogram(found.prob[own], EDGES)[0] > 10)
    assert_calibrated(found.prob[own], true_pairs(sky, found)[own])


def test_the_probability_of_no_counterpart_is_calibrated(known: tuple[KnownSky, Associations]) -> None:
    sky, found = known
    n = len(sky.detections)
    without = ~np.isin(np.arange(n), np.concatenate(sky.source_of_row))
    assert 0.2 < without.mean() < 0.5
    assert_calibrated(found.none, without)
    for stratum in (0, 1):
        part = sky.strata == stratum
        assert found.none[part].mean() == pytest.approx(without[part].mean(), abs=0.03)


def test_rows_of_a_catalogue_exclude_each_other(known: tuple[KnownSky, Associations]) -> None:
    sky, found = known
    place = objects_of(sky)
    for c in (0, 1):
        own = found.catalogue == c
        key = found.detection[own] * 100_000 + place[c][found.reference[own]]
        _, first = np.unique(key, return_index=True)
        sums = np.bincount(found.detection[own][first], found.prob[own][first], minlength=len(sky.detections))
        assert np.all(sums + found.none < 1 + 1e-9)
        # Components of one place say the same.
        np.testing.assert_allclose(found.prob[own], found.prob[own][first][np.searchsorted(key[first], key)])


def objects_of(sky: KnownSky) -> tuple[np.ndarray, ...]:
    return reference_objects(sky.catalogues).place_of_row


def test_a_second_catalogue_settles_more(known: tuple[KnownSky, Associations]) -> None:
    """Two positions of a source and its being in both catalogues tell more than one: fewer doubtful pairs."""
    sky, found = known
    alone = associate(sky.detections, sky.catalogues[:1], sky.strata)

    def doubt(of: Associations) -> float:
        prob = of.prob[of.catalogue == 0]
        return float(np.sum(prob * (1 - prob)))

    assert doubt(found) < 0.95 * doubt(alone)


def test_classes_have_priors_of_their_own() -> None:
    """Between two candidates at the same distance, that of the class detections are more often of is preferred."""
    sky = known_sky(4)
    found = associate(sky.detections, sky.catalogues, sky.strata)
    blind = associate(
        sky.detections, [ReferenceRows(c.positions, 0 * c.classes) for c in sky.catalogues], sky.strata
    )
    true = true_pairs(sky, found)

    def score(prob: np.ndarray) -> float:
        return float(np.mean(np.log(np.where(true, prob, 1 - prob) + 1e-12)))

    assert score(found.prob) > score(blind.prob)


def test_components_of_one_place_do_not_compete() -> None:
    """Three rows of the Crab, as 4FGL has them, and a detection on it: each has the probability of the place."""
    rng = np.random.default_rng(5)
    ra, dec = rng.uniform(0, 360, 3000), np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))
    crab_ra, crab_dec = [83.637, 83.633, 83.633], [22.0147, 22.0199, 22.0200]
    sizes = np.append(np.full(3000, 0.08), [0.0066, np.nan, np.nan])
    rows = Positions.from_ellipses(
        np.append(ra, crab_ra), np.append(dec, crab_dec), sizes, sizes, np.zeros(3003), 0.95
    )
    near = rng.permutation(3000)[:1500]
    detections = Positions.from_ellipses(
        np.append(ra[near], 83.634),
        np.append(dec[near], 22.0170),
        *2 * [np.full(1501, 0.02)],
        np.zeros(1501),
        0.95,
    )
    found = associate(detections, [ReferenceRows(rows, np.zeros(3003, np.int64))])
    crab = found.detection == 1500
    assert sorted(found.reference[crab]) == [3000, 3001, 3002]
    assert np.all(found.prob[crab] > 0.999)
    assert found.matched_05[crab].sum() == 1


def test_rows_near_but_apart_do_compete() -> None:
    detection = Positions.from_ellipses([10.0], [0.0], [0.1], [0.1], [0.0], 0.95)
    pair = Positions.from_ellipses([10.0, 10.05], [0.0, 0.0], *2 * [[0.02, 0.02]], [0.0, 0.0], 0.95)
    found = associate(detection, [ReferenceRows(pair, np.zeros(2, np.int64))])
    assert found.prob.sum() + found.none[0] == pytest.approx(1)
    assert found.prob[0] > found.prob[1] > 0.01


def test_the_fraction_with_counterparts_is_found() -> None:
    sky = known_sky(6)
    rows = sky.catalogues[1].positions
    near = near_rows(sky.detections, sky.catalogues[1:])
    density = local_density_deg2(sky.detections.vectors, rows.vectors)[near.detection]
    ratio = separation_density_deg2(sky.detections.take(near.detection), rows.take(near.reference)) / density
    group = np.zeros(len(ratio), np.int64)
    priors = fit_priors(ratio, near.detection, group, sky.strata, np.ones((2, 1)))
    for stratum in (0, 1):
        part = np.isin(np.flatnonzero(sky.strata == stratum), sky.source_of_row[1])
        assert priors[stratum, 0] == pytest.approx(part.mean(), abs=4 * np.sqrt(0.3 / len(part)))
    assert priors[0, 0] > 1.7 * priors[1, 0] and max(LISTED[0][1], LISTED[1][1]) > priors[0, 0]


def test_density_follows_the_sky() -> None:
    rng = np.random.default_rng(6)
    glat = np.degrees(np.arcsin(rng.uniform(-1, 1, 40_000)))
    thick = (glat > 0) | (rng.uniform(size=40_000) < 0.25)  # the south has a quarter of the north's density
    references = unit_vectors(rng.uniform(0, 360, thick.sum()), glat[thick])
    centres = unit_vectors(rng.uniform(0, 360, 2000), np.tile([1.0, -1.0], 1000) * rng.uniform(10, 90, 2000))
    density = local_density_deg2(centres, references)
    expected = np.array([1.0, 0.25]) * 40_000 / 41252.96
    np.testing.assert_allclose(density[::2].mean(), expected[0], rtol=0.04)
    np.testing.assert_allclose(density[1::2].mean(), expected[1], rtol=0.08)


def test_nothing_to_match() -> None:
    empty = Positions(np.empty(0), np.empty(0), np.empty((0, 2, 2)))
    here, there = (Positions.from_ellipses([ra], [0.0], [0.1], [0.1], [0.0], 0.95) for ra in (0.0, 90.0))
    for a, b in ((empty, here), (here, empty), (empty, empty), (here, there)):
        found = associate(a, [ReferenceRows(b, np.zeros(len(b), np.int64))])
        assert len(found.prob) == 0 and np.all(found.none == 1) and len(found.none) == len(a)
    assert np.all(associate(here, []).none == 1)
