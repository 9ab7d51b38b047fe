import numpy as np
import pytest
import torch

from models.characterise.first_guess import first_guess
from models.characterise.inputs import SYMMETRIES, make_inputs, turn_images, turn_vectors
from models.characterise.networks import n_scalars
from models.characterise.templates import survey_templates
from models.cutouts import Cutouts
from models.psf_kernels import plane_psf, shuffle_sigma_deg
from sky.response import load_response
from sky.survey import get_survey
from tests.models.known_cutouts import known_cutouts

SURVEY = get_survey("lat-10gev")


def guess_of(cutouts: Cutouts):
    return first_guess(cutouts.counts, cutouts.offset_px, cutouts.exposure_cm2_s, SURVEY)


def test_the_fit_finds_flux_and_place_within_its_errors() -> None:
    flux = np.full(400, 4e-10)
    cutouts, truth = known_cutouts(flux, np.random.default_rng(1))
    guess = guess_of(cutouts)
    gap = (guess.flux_cm2_s.log() - truth.flux_cm2_s.log()) / guess.log_error
    assert abs(gap.mean()) < 0.3
    assert gap.std() == pytest.approx(1.0, abs=0.12)
    off = (guess.shift_px - truth.shift_px) / guess.shift_error_px[:, None]
    assert off.mean(0).abs().max() < 0.2
    assert off.std() == pytest.approx(1.0, abs=0.12)


def test_twice_the_exposure_gives_the_same_flux() -> None:
    flux = np.full(200, 4e-10)
    short, long = (
        guess_of(known_cutouts(flux, np.random.default_rng(2), exposure=e)[0]) for e in (3.7e11, 7.4e11)
    )
    assert long.flux_cm2_s.mean() == pytest.approx(float(short.flux_cm2_s.mean()), rel=0.04)
    assert long.log_error.mean() == pytest.approx(float(short.log_error.mean()) / 2**0.5, rel=0.05)


def test_an_empty_cutout_has_a_faint_and_uncertain_source() -> None:
    cutouts, _ = known_cutouts(np.zeros(3), np.random.default_rng(3))
    empty = Cutouts(**(vars(cutouts) | {"counts": torch.zeros_like(cutouts.counts)}))
    guess = guess_of(empty)
    assert torch.isfinite(guess.flux_cm2_s).all()
    assert (guess.sqrt_ts < 1.0).all()
    assert (guess.log_error > 1.0).all()


@pytest.mark.parametrize("name", ["lat-10gev", "lat-6band"])
def test_templates_hold_what_the_psf_says_of_the_cutout(name: str) -> None:
    survey, templates = get_survey(name), survey_templates(name)
    for plane, (band, _) in enumerate(survey.planes):
        half_deg = 5.5 * 10.0 / survey.tile_pixels_per_10deg[band]
        share, _ = templates.at(plane, torch.zeros(1, 2))
        psf = plane_psf(survey, load_response(survey.irfs), plane, survey.reference_index)
        psf = psf.smeared(shuffle_sigma_deg(survey.bands[band].order))
        # The square holds more than the disc within it and less than the one about it.
        inner, outer = psf.containment([0.97 * half_deg, 1.03 * 2**0.5 * half_deg])
        assert inner < float(share.sum()) < outer


def test_slopes_are_the_templates_differences() -> None:
    templates = survey_templates("lat-10gev")
    place = torch.tensor([[0.3125, -0.1875]])  # a place of the table
    h = 1 / 8
    for axis, step in enumerate(torch.eye(2) * h):
        high, low = (templates.at(0, place + s * step)[0] for s in (1, -1))
        slope = templates.at(0, place)[1][axis]
        assert torch.allclose(slope, (high - low) / (2 * h), atol=1e-4)


def test_a_symmetry_moves_pixels_and_vectors_alike() -> None:
    image = torch.zeros(1, 11, 11)
    image[0, 5 + 3, 5 - 1] = 1.0
    for symmetry in range(SYMMETRIES):
        y, x = torch.nonzero(turn_images(image, symmetry)[0])[0] - 5
        assert torch.equal(turn_vectors(torch.tensor([-1.0, 3.0]), symmetry), torch.stack([x, y]).float())
    kinds = {tuple(turn_vectors(torch.tensor([-1.0, 3.0]), s).tolist()) for s in range(SYMMETRIES)}
    assert len(kinds) == 8


def test_inputs_of_a_turned_sky_are_turned_inputs() -> None:
    cutouts, _ = known_cutouts(np.full(20, 1e-9), np.random.default_rng(4))
    inputs = make_inputs(cutouts, SURVEY)
    assert inputs.scalars.shape == (20, n_scalars(SURVEY))
    for symmetry in range(1, SYMMETRIES):
        turned = Cutouts(
            **(
                vars(cutouts)
                | {
                    "counts": turn_images(cutouts.counts, symmetry).contiguous(),
                    "offset_px": turn_vectors(cutouts.offset_px, symmetry),
                }
            )
        )
        first, second = make_inputs(turned, SURVEY), inputs.turned(symmetry)
        assert torch.allclose(first.shift_px, second.shift_px, atol=0.02)
        assert torch.allclose(first.images.float(), second.images.float(), atol=0.1)
        assert torch.allclose(first.scalars, second.scalars, atol=0.05)


def test_years_come_brightest_first_whatever_their_order() -> None:
    survey = get_survey("lat-6band")
    rng = np.random.default_rng(5)
    n, bands, slices = 4, len(survey.bands), survey.time_slices
    share = rng.permutation(np.linspace(0.2, 1.8, slices))
    yearly = rng.poisson(3.0, (n, bands, slices, 7, 7)).astype(np.float32)
    yearly[:, :, :, 3, 3] += rng.poisson(100 * share, (n, bands, slices))
    counts = np.zeros((n, len(survey.planes), 11, 11), np.float32)
    counts[:, ::2, 2:-2, 2:-2] = yearly.sum(2)

    def inputs_of(order: np.ndarray):
        cutouts = Cutouts(
            torch.tensor(counts),
            torch.tensor(yearly[:, :, order]),
            torch.zeros(n, bands, 2),
            torch.full((n, len(survey.planes)), 3e11),
            torch.zeros(n, dtype=torch.float64),
            torch.zeros(n, dtype=torch.float64),
            torch.ones(n, dtype=torch.bool),
        )
        return make_inputs(cutouts, survey, cubes=True)

    first, second = inputs_of(np.arange(slices)), inputs_of(rng.permutation(slices))
    assert first.light_curve is not None and first.years is not None and first.year_cube is not None
    assert (first.light_curve[:, :slices].diff(dim=1) <= 0).all()
    assert torch.allclose(first.light_curve, second.light_curve, atol=1e-4)
    assert torch.allclose(first.years.float(), second.years.float(), atol=1e-2)
    assert torch.allclose(first.year_cube.float(), second.year_cube.float(), atol=1e-2)
    # Less their mean, the slices of every pixel add up to nothing.
    assert first.year_cube.float().sum(2).abs().max() < 0.1
