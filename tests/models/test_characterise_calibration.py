import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax
from scipy.stats import norm

from models.characterise import calibration as cal
from models.characterise import flux, position
from models.characterise.systematics import Table, table
from sky.frames import galactic_to_icrs, position_angle_deg, separation_deg
from sky.survey import get_survey
from sky.tiles import TileGrid

RNG = np.random.default_rng


def test_a_mixture_has_the_moments_of_its_draws() -> None:
    rng = RNG(1)
    mean, sigma = rng.normal(size=(4, 3, 2)), rng.uniform(0.2, 2.0, (4, 3, 2))
    centre, covariance = cal.mixture(mean, sigma)
    member = rng.integers(4, size=400_000)
    for row in range(3):
        drawn = rng.normal(mean[member, row], sigma[member, row])
        assert np.allclose(drawn.mean(0), centre[row], atol=0.02)
        assert np.allclose(np.cov(drawn.T), covariance[row], atol=0.04)


def test_platt_finds_the_line_behind_the_labels() -> None:
    rng = RNG(2)
    logit = rng.normal(0, 2, 40_000)
    real = rng.uniform(size=logit.size) < expit(-0.7 + 1.5 * logit)
    line = cal.platt(logit, real)
    assert line["intercept"] == pytest.approx(-0.7, abs=0.06)
    assert line["slope"] == pytest.approx(1.5, abs=0.06)


def test_vector_scaling_undoes_balanced_training() -> None:
    rng = RNG(3)
    n, prior = 60_000, np.array([0.5, 0.2, 0.05, 0.05, 0.2])
    code = rng.choice(5, n, p=prior)
    shown = rng.normal(size=(n, 5)) + 1.5 * np.eye(5)[code]
    # Bayes with equal priors, as weighting teaches, and too sure of itself.
    logits = 2.0 * 1.5 * shown
    scaling = cal.vector_scaling(logits, code)
    wanted = softmax(1.5 * shown + np.log(prior), axis=1)
    assert np.abs(cal.scaled_probabilities(logits, scaling) - wanted).mean() < 0.01
    assert scaling["slope"] == pytest.approx(0.5, abs=0.02)
    assert np.allclose(np.exp(log_softmax(scaling["bias"])), prior, atol=0.02)


def test_roc_of_two_gaussians_is_the_textbook_one() -> None:
    rng = RNG(4)
    real = rng.uniform(size=100_000) < 0.3
    score = rng.normal(np.where(real, 2.0, 0.0))
    assert cal.area_under_roc(score, real) == pytest.approx(norm.cdf(2.0 / 2**0.5), abs=0.004)
    # Equal likelihoods half way between the means.
    assert cal.operating_threshold(score, real) == pytest.approx(1.0, abs=0.15)
    assert cal.area_under_roc(np.zeros(10), np.arange(10) < 5) == 0.5
    assert cal.area_under_roc([0.1, 0.4, 0.35, 0.8], [False, False, True, True]) == 0.75


def test_calibration_error_is_the_gap_between_promise_and_share() -> None:
    p = np.repeat([0.1, 0.9], 1000)
    hit = np.concatenate([np.arange(1000) < 300, np.arange(1000) < 900])
    assert cal.expected_calibration_error(p, hit) == pytest.approx(0.1)
    assert cal.balanced_accuracy(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), range(3)) == pytest.approx(
        5 / 6
    )


def test_curves_are_constant_outside_their_knots_and_survive_json() -> None:
    curve = cal.Curve.from_dict(cal.Curve(np.array([0.0, 1.0]), np.array([2.0, 4.0])).to_dict())
    assert curve([-5.0, 0.5, 9.0]) == pytest.approx([2.0, 3.0, 4.0])


def test_calibrated_fluxes_are_unbiased_with_pulls_of_width_one() -> None:
    rng, n = RNG(5), 20_000
    truth = np.log(np.full((n, 2), 1e-10))
    error = np.exp(rng.uniform(np.log(0.03), np.log(0.15), (n, 2)))
    relative = 1.08 + 1.4 * error * rng.normal(size=(n, 2))
    kept = (relative > 0.05).all(1)
    said = flux.LogFluxes((truth + np.log(np.maximum(relative, 0.05)))[kept], error[kept])
    done = said.calibrated(flux.calibrate(said, truth[kept]))
    value, sigma = done.fluxes()
    gap = value - 1e-10
    assert np.mean(gap / 1e-10) == pytest.approx(0.0, abs=0.01)
    assert cal.half_width((gap / sigma)[:, 0]) == pytest.approx(1.0, abs=0.04)


def test_calibrated_radii_hold_what_they_say() -> None:
    rng, n = RNG(6), 20_000
    covariance = np.einsum("n,ij->nij", np.exp(rng.uniform(-2, 1, n)), np.diag([1.0, 2.25]))
    gap = rng.standard_t(4, (n, 2)) * np.sqrt(np.einsum("nii->ni", covariance))
    said = position.Shifts(np.zeros((n, 2)), covariance)
    found = position.calibrate(said, gap)
    for level in (68, 95):
        radius = cal.Curve.from_dict(found[f"radius_{level}"])(np.log(said.sigma_px))
        assert np.mean(said.distance(gap) <= radius) == pytest.approx(level / 100, abs=0.01)


def test_ellipses_point_where_the_shift_does() -> None:
    survey = get_survey("lat-10gev")
    grid, rng = TileGrid(survey), RNG(7)
    n = 40
    glon, glat = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-0.98, 0.98, n)))
    shift = rng.normal(size=(n, 2))
    angle = rng.uniform(0, np.pi, n)
    axis = np.stack([np.cos(angle), np.sin(angle)], 1)
    covariance = 0.04 * np.eye(2) + 0.96 * np.einsum("ni,nj->nij", axis, axis)
    ones = {"x": [0.0], "y": [2.0]}
    said = position.Shifts(shift, covariance)
    out = position.on_the_sky(said, {"radius_68": ones, "radius_95": ones}, glon, glat, survey)
    assert out.semimajor_68_deg == pytest.approx(2.0 * grid.pixel_deg(0))
    assert out.semiminor_95_deg == pytest.approx(0.4 * grid.pixel_deg(0))
    moved = separation_deg(glon, glat, out.glon_deg, out.glat_deg)
    assert moved == pytest.approx(np.hypot(*shift.T) * grid.pixel_deg(0), rel=0.04)
    for i in range(n):
        tile = int(grid.owner(glon[i], glat[i]))
        x, y = grid.sky_to_pixel(tile, 0, out.glon_deg[i], out.glat_deg[i])
        end = grid.pixel_to_sky(tile, 0, x + 0.1 * axis[i, 0], y + 0.1 * axis[i, 1])
        place = galactic_to_icrs([out.glon_deg[i], end[0]], [out.glat_deg[i], end[1]])
        wanted = float(position_angle_deg(place[0][0], place[1][0], place[0][1], place[1][1]))
        assert abs((out.posang_deg[i] - wanted + 90) % 180 - 90) < 1.0
        assert -90 < out.posang_deg[i] <= 90


def test_a_table_of_shifts_gives_every_source_its_cell() -> None:
    rng, n = RNG(8), 40_000
    sqrt_ts, glat = rng.uniform(3, 20, n), rng.uniform(-90, 90, n)
    gap = np.where(np.abs(glat) < 2.5, 0.3, 0.1) * (sqrt_ts < 5)
    sample = (sqrt_ts, glat)
    made = table(lambda first, second: gap[second].mean() - 0 * len(first), sample, sample)
    again = Table.from_dict(made.to_dict())
    shifts = again.at(np.array([4.0, 4.0, 4.0, 30.0]), np.array([-1.0, 1.0, 45.0, 0.0]))
    assert shifts == pytest.approx([0.3, 0.3, 0.1, 0.0])


def test_few_sources_at_a_latitude_take_the_shift_over_all() -> None:
    rng, n = RNG(9), 3000
    sample = (rng.uniform(3, 20, n), rng.uniform(10, 90, n))
    made = table(lambda first, _: float(len(first)), sample, sample)
    assert (made.value[:, 0] == made.value[:, 2]).all()
    assert made.value[:, 0].sum() == n
