from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.special import expit

from models.characterise import Characterisation, Listed, characterise_networks, has_networks
from models.characterise.inference import Characterisers, characterise_with
from models.characterise.inputs import make_inputs
from models.characterise.networks import Characteriser, CharacteriserConfig, place_numbers
from models.cutouts import CLASSES, Cutouts
from models.likelihood.flags import Flags
from models.shipped import NetworkError
from sky.survey import get_survey
from tests.models.known_cutouts import known_cutouts

SURVEY = get_survey("lat-10gev")
SIX = get_survey("lat-6band")


def flat(value: float) -> dict[str, list[float]]:
    return {"x": [0.0], "y": [value]}


def untrained(survey=SURVEY, kinds=("flux", "real", "class", "position")) -> Characterisers:
    """Networks as they are before training: they say what the fit says."""
    torch.manual_seed(1)
    networks = {k: Characteriser(CharacteriserConfig.standard(k, survey.name)).eval() for k in kinds}
    shifts = {"value": [[0.1, 0.2, 0.3]] * 2 + [[0.01, 0.02, None]]}
    columns = 1 + len(survey.bands)
    scaling = {"slope": 1.0, "bias": [0.0] * 5}
    variants = ("full", "blind", "no_years", "no_years_blind")
    cards = {
        "flux": {
            "calibration": {"move": [flat(0.0)] * columns, "widen": [flat(1.0)] * columns},
            "trained_to": {"log_flux": np.log(1e-8), "sqrt_ts": 200.0},
        },
        "real": {"calibration": {"intercept": 0.0, "slope": 1.0}, "operating_threshold": 0.5},
        "position": {"calibration": {"radius_68": flat(1.5), "radius_95": flat(2.45)}},
        "class": {"calibration": dict.fromkeys(variants, scaling)},
        "class3d": {"calibration": dict.fromkeys(variants, scaling)},
    }
    return Characterisers(networks, {k: v | {"systematics": shifts} for k, v in cards.items()})


@pytest.fixture(scope="module")
def models() -> Characterisers:
    return untrained()


@pytest.fixture
def cutouts() -> Cutouts:
    return known_cutouts(np.full(12, 6e-10), np.random.default_rng(11))[0]


def changed(cutouts: Cutouts, name: str, row: int, value: float | bool) -> Cutouts:
    tensor = getattr(cutouts, name).clone()
    tensor[row] = value
    return replace(cutouts, **{name: tensor})


def numbers(out: Characterisation, row: int) -> np.ndarray:
    return np.concatenate([np.ravel(getattr(out, f.name)[row]) for f in fields(out) if f.name != "flags"])


def test_every_good_detection_is_characterised(models: Characterisers, cutouts: Cutouts) -> None:
    out = characterise_with(models, cutouts, SURVEY)
    assert len(out) == 12
    improbable = out.prob_real < models.cards["real"]["operating_threshold"]
    assert np.array_equal(out.flags, int(Flags.NO_YEARS) | np.where(improbable, int(Flags.IMPROBABLE), 0))
    assert np.allclose(out.class_prob.sum(1), 1)
    assert np.allclose(out.class_prob_blind.sum(1), 1)
    assert ((out.prob_real > 0) & (out.prob_real < 1)).all()
    assert out.flux_cm2_s == pytest.approx(6e-10, rel=0.6)
    assert (out.conf_68_semimajor_deg >= out.conf_68_semiminor_deg).all()
    assert (out.conf_95_semimajor_deg > out.conf_68_semimajor_deg).all()
    assert out.flux_band_cm2_s.shape == out.unc_flux_band_cm2_s.shape == (12, 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("counts", np.nan),
        ("counts", -1.0),
        ("offset_px", np.nan),
        ("exposure_cm2_s", 0.0),
        ("glon_deg", np.nan),
    ],
)
def test_what_is_no_number_gives_no_number(
    name: str, value: float, models: Characterisers, cutouts: Cutouts
) -> None:
    good = characterise_with(models, cutouts, SURVEY)
    out = characterise_with(models, changed(cutouts, name, 4, value), SURVEY)
    assert out.flags[4] == int(Flags.CUTOUT_UNUSABLE)
    assert np.isnan(numbers(out, 4)).all()
    # The other rows are what they were.
    rest = np.arange(12) != 4
    assert np.allclose(numbers(out, rest), numbers(good, rest), rtol=1e-4, atol=1e-8, equal_nan=True)


def test_a_cutout_at_the_rim_of_the_exposure_has_wide_errors(
    models: Characterisers, cutouts: Cutouts
) -> None:
    good = characterise_with(models, cutouts, SURVEY)
    out = characterise_with(models, changed(cutouts, "covered", 2, False), SURVEY)
    assert out.flags[2] & Flags.CUTOUT_NOT_COVERED
    assert out.unc_flux_cm2_s[2] == pytest.approx(3 * good.unc_flux_cm2_s[2], rel=1e-4)
    assert out.conf_95_semimajor_deg[2] == pytest.approx(3 * good.conf_95_semimajor_deg[2], rel=1e-4)
    assert not (np.delete(out.flags, 2) & Flags.CUTOUT_NOT_COVERED).any()


def test_brighter_than_all_of_training_is_flagged_and_wide(models: Characterisers) -> None:
    bright = known_cutouts(np.array([2e-8, 5e-9]), np.random.default_rng(3))[0]
    out = characterise_with(models, bright, SURVEY)
    assert list(out.flags & Flags.NETWORK_EXTRAPOLATES > 0) == [True, False]
    assert out.unc_flux_cm2_s[0] / out.flux_cm2_s[0] > 1.1 * out.unc_flux_cm2_s[1] / out.flux_cm2_s[1]


def test_a_neighbour_in_the_cutout_is_flagged(models: Characterisers, cutouts: Cutouts) -> None:
    glon = torch.arange(12.0, dtype=torch.float64) * 5
    glat = torch.zeros(12, dtype=torch.float64)
    glon[7] = glon[6] + 0.3
    apart = replace(cutouts, glon_deg=glon, glat_deg=glat)
    shared = characterise_with(models, apart, SURVEY).flags & Flags.CUTOUT_SHARED > 0
    assert list(np.flatnonzero(shared)) == [6, 7]
    # Neighbours that another tile holds count as well.
    others = np.append(glon.numpy(), 20.2), np.append(glat.numpy(), 0.1)
    shared = characterise_with(models, apart, SURVEY, neighbours=others).flags & Flags.CUTOUT_SHARED > 0
    assert list(np.flatnonzero(shared)) == [4, 6, 7]


def test_blind_classes_do_not_know_the_place(models: Characterisers, cutouts: Cutouts) -> None:
    moved = replace(cutouts, glat_deg=-cutouts.glat_deg / 3)
    first, second = (characterise_with(models, c, SURVEY) for c in (cutouts, moved))
    assert np.allclose(first.class_prob_blind, second.class_prob_blind, atol=1e-6)
    assert not np.allclose(first.class_prob, second.class_prob, atol=1e-6)
    blind = characterise_with(models, cutouts, SURVEY, blind=True)
    assert np.array_equal(blind.class_prob, blind.class_prob_blind)


def test_systematic_errors_come_from_the_cards(models: Characterisers, cutouts: Cutouts) -> None:
    glat = torch.tensor([1.0, -5.0, 60.0] * 4, dtype=torch.float64)
    out = characterise_with(models, replace(cutouts, glat_deg=glat), SURVEY)
    # All are brighter than 10 sigma: the last row of the table.
    assert out.sys_flux == pytest.approx([0.01, 0.02, np.nan] * 4, nan_ok=True)
    assert out.sys_pos_deg == pytest.approx(out.sys_class, nan_ok=True)


def test_no_detection_gives_an_empty_answer(models: Characterisers, cutouts: Cutouts) -> None:
    none = cutouts.select(torch.zeros(12, dtype=torch.bool))
    out = characterise_with(models, none, SURVEY)
    assert len(out) == 0
    assert out.class_prob.shape == (0, len(CLASSES))


def six_band_cutouts(n: int, years: bool = True) -> Cutouts:
    rng = np.random.default_rng(2)
    counts = rng.poisson(2.0, (n, len(SIX.planes), 11, 11)).astype(np.float32)
    yearly = rng.poisson(0.4, (n, len(SIX.bands), SIX.time_slices, 7, 7)).astype(np.float32)
    return Cutouts(
        torch.tensor(counts),
        torch.tensor(yearly) if years else None,
        torch.zeros(n, len(SIX.bands), 2),
        torch.full((n, len(SIX.planes)), 2e11),
        torch.tensor(rng.uniform(0, 360, n)),
        torch.tensor(rng.uniform(-80, 80, n)),
        torch.ones(n, dtype=torch.bool),
    )


def test_both_architectures_and_no_years_are_served() -> None:
    models = untrained(SIX, ("flux", "real", "class", "position", "class3d"))
    cutouts = six_band_cutouts(6)
    cubes = characterise_with(models, cutouts, SIX)
    assert not (cubes.flags & Flags.NO_YEARS).any()
    del models.networks["class3d"]
    full = characterise_with(models, cutouts, SIX)
    assert not np.allclose(full.class_prob, cubes.class_prob)
    without = characterise_with(models, six_band_cutouts(6, years=False), SIX)
    assert (without.flags & Flags.NO_YEARS > 0).all()
    assert not np.allclose(full.class_prob, without.class_prob)
    shuffled = replace(cutouts, yearly=cutouts.yearly.flip(2))  # type: ignore[union-attr]
    assert np.allclose(characterise_with(models, shuffled, SIX).class_prob, full.class_prob, atol=1e-3)


def test_the_cube_network_sees_places_only_where_told() -> None:
    network = untrained(SIX, ("class3d",)).networks["class3d"]
    inputs = make_inputs(six_band_cutouts(3), SIX, cubes=True)
    turned = replace(inputs, place=-inputs.place)
    first, second = network.logits(inputs), network.logits(turned)
    assert torch.equal(first["blind"], second["blind"])
    assert not torch.equal(first["full"], second["full"])
    assert place_numbers(inputs.place).shape == (3, 6)


def test_cutouts_of_another_survey_are_refused_in_one_line(cutouts: Cutouts) -> None:
    with pytest.raises(
        NetworkError, match="3 bands, 3 planes and no slices do not fit survey 'lat-6band'"
    ) as e:
        characterise_networks(cutouts, SIX)
    assert "\n" not in str(e.value)
    assert not has_networks("no-such-survey")


def test_what_cards_say_of_a_detectors_lists_is_used_for_that_detector_alone(
    models: Characterisers, cutouts: Cutouts
) -> None:
    line = {"intercept": -1.0, "real": 0.0, "class": 0.0, "detector": 1.0, "log_ts": 0.5}
    cards = {kind: dict(card) for kind, card in models.cards.items()}
    cards["real"]["on_lists"] = {"unet": {"line": line, "operating_threshold": 0.9}}
    cards["position"]["on_lists"] = {"unet": {"radius_68": flat(3.0), "radius_95": flat(4.9)}}
    known = Characterisers(models.networks, cards)
    det_prob, ts = np.linspace(0.5, 0.99, 12), np.linspace(10.0, 90.0, 12)
    plain = characterise_with(models, cutouts, SURVEY)
    other = characterise_with(known, cutouts, SURVEY, listed=Listed("matched-filter", det_prob, ts))
    assert np.array_equal(other.prob_real, plain.prob_real)
    assert np.array_equal(other.conf_95_semimajor_deg, plain.conf_95_semimajor_deg)
    # A row without a usable cut-out in between: what the detector said stays with its detection.
    usable = np.arange(12) != 4
    out = characterise_with(
        known,
        changed(cutouts, "counts", 4, np.nan),
        SURVEY,
        listed=Listed("unet", det_prob, ts),
    )
    expected = expit(-1.0 + np.log(det_prob / (1 - det_prob)) + 0.5 * np.log(ts))
    assert out.prob_real[usable] == pytest.approx(expected[usable])
    flagged = out.flags & Flags.IMPROBABLE > 0
    assert np.array_equal(flagged[usable], expected[usable] < 0.9)
    assert 0 < flagged.sum() < usable.sum()
    assert out.conf_95_semimajor_deg[usable] == pytest.approx(
        2 * plain.conf_95_semimajor_deg[usable], rel=1e-4
    )
    for classes in (out.class_prob, out.class_prob_blind):
        assert 1 - classes[usable, CLASSES.index("FAKE")] == pytest.approx(out.prob_real[usable])
    assert np.isnan(out.prob_real[4])
