import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from models import evaluate as ev


def scattered(rng: np.random.Generator, n: int, centre=(30.0, 80.0), spread=2.0) -> ev.Positions:
    lat = np.clip(centre[1] + rng.uniform(-spread, spread, n), -89, 89)
    lon = (centre[0] + rng.uniform(-spread, spread, n) / np.cos(np.radians(lat))) % 360
    return ev.Positions(lon, lat)


def greedy_with_astropy(truths, flux, detections, radius_deg):
    """The same rule by brute force on astropy's separations."""
    a = SkyCoord(truths.glon_deg, truths.glat_deg, unit="deg", frame="galactic")
    b = SkyCoord(detections.glon_deg, detections.glat_deg, unit="deg", frame="galactic")
    i, j, sep, _ = search_around_sky(a, b, radius_deg * u.deg)
    of_truth = np.full(len(truths), -1)
    taken: set[int] = set()
    for t in sorted(range(len(truths)), key=lambda k: -flux[k]):
        options = [(s, d) for k, d, s in zip(i, j, sep.deg, strict=True) if k == t and d not in taken]
        if options:
            of_truth[t] = min(options)[1]
            taken.add(of_truth[t])
    return of_truth


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.3, 0.5]))
def test_matching_is_the_greedy_rule(seed: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    truths, detections, flux = scattered(rng, 40), scattered(rng, 60), rng.lognormal(size=40)
    matches = ev.match(truths, flux, detections, radius)
    assert np.array_equal(matches.of_truth, greedy_with_astropy(truths, flux, detections, radius))
    used = matches.of_truth[matches.found]
    assert len(set(used)) == len(used) == matches.real.sum()
    assert np.all(matches.separation_deg[matches.found] <= radius * (1 + 1e-9))


def test_places_of_different_groups_never_match() -> None:
    here = ev.Positions(np.array([10.0, 10.0]), np.array([5.0, 5.0]), np.array([0, 1]))
    there = ev.Positions(np.array([10.0]), np.array([5.0]), np.array([1]))
    assert ev.match(here, [2.0, 1.0], there).of_truth.tolist() == [-1, 0]


def test_faint_truths_neither_count_nor_excuse() -> None:
    truths = ev.Positions(np.arange(40.0) * 3, np.zeros(40))
    sigma = np.where(np.arange(40) < 20, 6.0, 1.0)
    curve = ev.score_curve(truths, np.ones(40), truths, np.ones(40), limit_sigma=sigma)
    assert curve.completeness[0] == 1.0
    assert curve.purity[0] == 0.5


def test_threshold_gives_the_purity_asked_for() -> None:
    rng = np.random.default_rng(1)
    truths = ev.Positions(rng.uniform(0, 360, 800), np.degrees(np.arcsin(rng.uniform(-1, 1, 800))))
    false = ev.Positions(rng.uniform(0, 360, 800), np.degrees(np.arcsin(rng.uniform(-1, 1, 800))))
    detections = ev.Positions(
        np.concatenate([truths.glon_deg, false.glon_deg]), np.concatenate([truths.glat_deg, false.glat_deg])
    )
    score = np.concatenate([rng.normal(2, 1, 800), rng.normal(0, 1, 800)])
    curve = ev.score_curve(truths, np.ones(800), detections, score)
    threshold = curve.threshold_at_purity(0.9)
    kept = detections.select(score >= threshold)
    assert ev.match(truths, np.ones(800), kept).purity >= 0.9
    # Two unit Gaussians 2 apart: Phi(2 - t) = 9 Phi(-t) at t = 1.40, where Phi(2 - t) = 0.725.
    assert curve.completeness_at_purity(0.9) == pytest.approx(0.725, abs=0.05)


def test_no_detections_are_no_completeness() -> None:
    nothing = ev.Positions(np.empty(0), np.empty(0))
    some = ev.Positions(np.array([1.0]), np.array([1.0]))
    assert ev.score_curve(some, [1.0], nothing, []).completeness_at_purity(0.9) == 0.0
    assert np.isnan(ev.match(some, [1.0], nothing).purity)


def test_flux_at_a_completeness() -> None:
    rng = np.random.default_rng(2)
    log_flux = rng.uniform(-11, -9, 20000)
    found = rng.uniform(size=20000) < stats.norm.cdf((log_flux + 10) / 0.2)
    half = ev.value_at_completeness(10**log_flux, found, 0.5)
    ninety = ev.value_at_completeness(10**log_flux, found, 0.9)
    assert np.log10(half) == pytest.approx(-10, abs=0.03)
    assert np.log10(ninety) == pytest.approx(-10 + 0.2 * stats.norm.ppf(0.9), abs=0.04)
    assert np.isnan(ev.value_at_completeness(10**log_flux, np.zeros(20000), 0.5))


def test_chance_share_is_the_area_covered() -> None:
    rng = np.random.default_rng(3)
    truths = ev.Positions(rng.uniform(0, 360, 3000), np.degrees(np.arcsin(rng.uniform(-1, 1, 3000))))
    covered = 1 - np.exp(-3000 * (1 - np.cos(np.radians(0.3))) / 2)
    assert ev.chance_share(truths, np.ones(3000), truths, rng, repeats=8) == pytest.approx(covered, rel=0.25)


def test_limit_is_the_root_of_the_expected_likelihood_ratio() -> None:
    rng = np.random.default_rng(4)
    source, background = np.array([6.0, 3.0, 1.0, 0.2]), np.array([0.5, 0.6, 0.4, 0.5])
    draws = rng.poisson(source + background, (200_000, 4))
    ratio = 2 * (stats.poisson.logpmf(draws, source + background) - stats.poisson.logpmf(draws, background))
    assert ev.limit_significance(source, background) == pytest.approx(
        np.sqrt(ratio.sum(axis=1).mean()), rel=5e-3
    )


def test_mask_accuracy_of_the_founding_paper() -> None:
    target = np.zeros(1000, bool)
    target[:35] = True
    guess = target.copy()
    guess[:18] = False
    accuracy, adjusted = ev.mask_accuracy(guess, target)
    assert accuracy == pytest.approx(0.982)
    assert adjusted == pytest.approx((0.982 - 0.965) / 0.035)


def test_fraction_by_bin() -> None:
    p, error, n = ev.fraction_by([1, 1, 0, 0, 1], [0.5, 0.6, 0.7, 0.8, 1.5], [0, 1, 2, 3])
    assert p[:2].tolist() == [0.5, 1.0]
    assert n.tolist() == [4, 1, 0]
    assert np.isnan(p[2])
    assert error[0] == pytest.approx(np.sqrt(0.25 / 4 + 1 / 64) / 1.25)
