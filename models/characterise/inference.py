"""The shipped networks at work: cut-outs in, fluxes, places and probabilities out."""

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from scipy.spatial import cKDTree
from scipy.special import expit

from models.characterise import flux, position
from models.characterise.calibration import scaled_probabilities
from models.characterise.inputs import Inputs, make_inputs
from models.characterise.networks import Characteriser, CharacteriserConfig
from models.characterise.on_lists import Listed, given_real, judgements, probability
from models.characterise.result import Characterisation
from models.characterise.shipped import shipped_path
from models.characterise.systematics import Table
from models.cutouts import CLASSES, Cutouts
from models.likelihood.flags import Flags
from models.shipped import NetworkError
from sky.frames import unit_vectors
from sky.survey import Survey

Floats = NDArray[np.float64]

CHUNK = 2048
ARCHITECTURES = {"cutouts": "class", "cubes": "class3d"}
# Beyond what training showed, and at the rim of the exposure, errors are wider by this; no measurement, a warning.
WIDER = 3.0
# Half a finest cut-out: another detection within it is seen by the networks.
SHARED_DEG = 0.43
UNUSABLE_FLAGS = int(Flags.CUTOUT_UNUSABLE)


@dataclass(frozen=True, eq=False)
class Characterisers:
    """Networks of one survey with their cards, by kind."""

    networks: dict[str, Characteriser]
    cards: dict[str, dict[str, Any]]


def load_characteriser(path: Path, survey: str = "") -> tuple[Characteriser, dict[str, Any]]:
    """Network and model card.

    Raises
    ------
    NetworkError
        If the files are not weights with a card, do not fit each other, or are of another survey than asked.
    """
    try:
        card = json.loads(path.with_suffix(".json").read_text())
        config = CharacteriserConfig.from_dict(card["network"])
        if survey and config.survey != survey:
            raise NetworkError(f"{path}: of survey '{config.survey}', not '{survey}'")
        network = Characteriser(config)
        network.load_state_dict(load_file(path))
    except NetworkError:
        raise
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise NetworkError(f"{path}: not the weights of a characterising network ({error})") from error
    except RuntimeError as error:
        raise NetworkError(f"{path}: weights do not fit the network of their card") from error
    return network.eval(), card


@cache
def shipped(survey: str, architecture: str = "cutouts") -> Characterisers:
    """The networks that come with the program.

    Raises
    ------
    NetworkError
        If there are none for the survey or architecture.
    """
    if architecture not in ARCHITECTURES:
        raise NetworkError(f"unknown architecture '{architecture}'; known: {', '.join(ARCHITECTURES)}")
    kinds = {"flux", "real", "position", "class", ARCHITECTURES[architecture]}
    missing = sorted(k for k in kinds if not shipped_path(k, survey).exists())
    if missing:
        raise NetworkError(f"no trained network for survey '{survey}': {', '.join(missing)}")
    loaded = {k: load_characteriser(shipped_path(k, survey), survey) for k in kinds}
    return Characterisers({k: n for k, (n, _) in loaded.items()}, {k: c for k, (_, c) in loaded.items()})


def characterise_networks(
    cutouts: Cutouts,
    survey: Survey,
    blind: bool = False,
    architecture: str = "cutouts",
    neighbours: tuple[Floats, Floats] | None = None,
    listed: Listed | None = None,
) -> Characterisation:
    """Characterise detections.

    Parameters
    ----------
    cutouts : Cutouts
        Cut from the tiles that own the detections.
    survey : Survey
    blind : bool
        Leave the place out of `class_prob` as well.
    architecture : str
        Of the class network: `cutouts`, or `cubes`, which needs years and falls back to `cutouts` without.
    neighbours : (glon_deg, glat_deg), optional
        All detections that may share a cut-out; those of `cutouts` by default.
    listed : Listed, optional
        What the detector said of them. Probabilities and ellipses are then those for its lists, where the cards
        have them; else for peaks of the likelihood, as in training.

    Raises
    ------
    NetworkError
        If there are no networks for the survey, or the cut-outs are of another survey.
    """
    check_survey(cutouts, survey)
    models = shipped(survey.name, "cutouts" if cutouts.yearly is None else architecture)
    return characterise_with(models, cutouts, survey, blind, neighbours, listed)


def check_survey(cutouts: Cutouts, survey: Survey) -> None:
    """Refuse cut-outs of another survey.

    Raises
    ------
    NetworkError
    """
    planes, bands = cutouts.counts.shape[1], cutouts.offset_px.shape[1]
    slices = None if cutouts.yearly is None else cutouts.yearly.shape[2]
    if (planes, bands) != (len(survey.planes), len(survey.bands)) or slices not in (None, survey.time_slices):
        raise NetworkError(
            f"cut-outs of {bands} bands, {planes} planes and {slices or 'no'} slices do not fit survey "
            f"'{survey.name}': {len(survey.bands)}, {len(survey.planes)} and {survey.time_slices or 'no'}"
        )


def characterise_with(
    models: Characterisers,
    cutouts: Cutouts,
    survey: Survey,
    blind: bool = False,
    neighbours: tuple[Floats, Floats] | None = None,
    listed: Listed | None = None,
) -> Characterisation:
    """`characterise_networks` with given networks."""
    n = len(cutouts.counts)
    out = Characterisation.unknown(n, len(survey.bands), len(CLASSES))
    usable = _usable(cutouts)
    flags = np.where(usable, 0, UNUSABLE_FLAGS)
    flags |= np.where(usable & ~cutouts.covered.numpy(), int(Flags.CUTOUT_NOT_COVERED), 0)
    flags |= np.where(_shared(cutouts, neighbours), int(Flags.CUTOUT_SHARED), 0)
    for rows in np.array_split(np.flatnonzero(usable), max(1, -(-int(usable.sum()) // CHUNK))):
        if len(rows):
            part = cutouts.select(torch.as_tensor(rows))
            of_list = None if listed is None else listed.select(rows)
            _fill(out, rows, models, part, survey, blind, flags, of_list)
    return replace(out, flags=flags)


def _usable(cutouts: Cutouts) -> NDArray[np.bool_]:
    """Rows whose every number is one, with exposure in every plane."""
    parts = [cutouts.counts, cutouts.offset_px, cutouts.exposure_cm2_s]
    parts += [cutouts.glon_deg, cutouts.glat_deg] + ([] if cutouts.yearly is None else [cutouts.yearly])
    good = torch.stack([torch.isfinite(p)[:, None].flatten(1).all(1) for p in parts]).all(0)
    good &= (cutouts.counts >= 0).flatten(1).all(1) & (cutouts.exposure_cm2_s > 0).all(1)
    if cutouts.yearly is not None:
        good &= (cutouts.yearly >= 0).flatten(1).all(1)
    return good.numpy()


def _shared(cutouts: Cutouts, neighbours: tuple[Floats, Floats] | None) -> NDArray[np.bool_]:
    """Whether another detection lies nearer than half a finest cut-out."""
    own = unit_vectors(cutouts.glon_deg.numpy(), cutouts.glat_deg.numpy())
    others = own if neighbours is None else unit_vectors(*neighbours)
    known, found = np.isfinite(own).all(1), np.zeros(len(own), bool)
    tree = cKDTree(others[np.isfinite(others).all(1)])
    if tree.n and known.any():
        chord = 2 * np.sin(np.radians(SHARED_DEG) / 2)
        near = tree.query_ball_point(own[known], chord, return_length=True)
        itself = tree.query_ball_point(own[known], 1e-9, return_length=True)
        found[known] = near > np.minimum(itself, 1)
    return found


def _fill(
    out: Characterisation,
    rows: NDArray[np.int64],
    models: Characterisers,
    cutouts: Cutouts,
    survey: Survey,
    blind: bool,
    flags: NDArray[np.int64],
    listed: Listed | None,
) -> None:
    """Write what the networks say of some rows into `out`, and their flags."""
    glon, glat = cutouts.glon_deg.numpy(), cutouts.glat_deg.numpy()
    with torch.inference_mode():
        inputs = make_inputs(cutouts, survey, "class3d" in models.networks)
        fluxes = flux.from_mixture(*models.networks["flux"].mixture(inputs), inputs, survey)
        shifts = position.from_mixture(*models.networks["position"].mixture(inputs), inputs)
    fluxes = fluxes.calibrated(models.cards["flux"]["calibration"])
    beyond = _beyond(inputs, fluxes, models.cards["flux"]["trained_to"])
    flags[rows] |= np.where(beyond, int(Flags.NETWORK_EXTRAPOLATES), 0)
    wider = np.where(beyond | ~cutouts.covered.numpy(), WIDER, 1.0)
    value, error = fluxes.fluxes()
    error = error * wider[:, None]
    out.flux_cm2_s[rows], out.unc_flux_cm2_s[rows] = value[:, 0], error[:, 0]
    out.flux_band_cm2_s[rows], out.unc_flux_band_cm2_s[rows] = value[:, 1:], error[:, 1:]
    radii = _on_lists(models.cards["position"], listed) or models.cards["position"]["calibration"]
    there = position.on_the_sky(shifts, radii, glon, glat, survey)
    out.glon_deg[rows], out.glat_deg[rows] = there.glon_deg, there.glat_deg
    for level in ("68", "95"):
        for axis in ("major", "minor"):
            column = getattr(out, f"conf_{level}_semi{axis}_deg")
            column[rows] = wider * getattr(there, f"semi{axis}_{level}_deg")
    out.conf_posang_deg[rows] = there.posang_deg
    real = prob_real(models, inputs, listed)
    told, untold, with_years = class_probabilities(models, inputs, blind)
    out.prob_real[rows] = real
    flags[rows] |= np.where(real < operating_threshold(models, listed), int(Flags.IMPROBABLE), 0)
    out.class_prob[rows], out.class_prob_blind[rows] = given_real(told, real), given_real(untold, real)
    flags[rows] |= 0 if with_years else int(Flags.NO_YEARS)
    for name, kind in (("sys_flux", "flux"), ("sys_pos_deg", "position"), ("sys_class", "class")):
        shift = Table.from_dict(models.cards[kind]["systematics"])
        getattr(out, name)[rows] = shift.at(inputs.sqrt_ts.double().numpy(), glat)


def _beyond(inputs: Inputs, fluxes: flux.LogFluxes, trained_to: dict[str, float]) -> NDArray[np.bool_]:
    """Brighter, in flux or in photons over background, than any source in training."""
    log_flux = np.maximum(fluxes.value[:, 0], inputs.log_flux.double().numpy())
    return (log_flux > trained_to["log_flux"]) | (inputs.sqrt_ts.numpy() > trained_to["sqrt_ts"])


def _on_lists(card: dict[str, Any], listed: Listed | None) -> dict[str, Any] | None:
    """What a card has for lists of a detector."""
    found: dict[str, Any] | None = None if listed is None else card.get("on_lists", {}).get(listed.detector)
    return found


def reality_logits(models: Characterisers, inputs: Inputs) -> tuple[Floats, Floats]:
    """Logits of the network for real or fake [n], and of the classes, blind and without years [n, classes]."""
    with torch.inference_mode():
        real = models.networks["real"].logits(inputs)["real"][:, 0]
        classes = models.networks["class"].logits(inputs)["no_years_blind"]
    return real.double().numpy(), classes.double().numpy()


def prob_real(models: Characterisers, inputs: Inputs, listed: Listed | None = None) -> Floats:
    """Calibrated probability that detections are sources."""
    real, classes = reality_logits(models, inputs)
    fitted = _on_lists(models.cards["real"], listed)
    if listed is not None and fitted is not None:
        return probability(judgements(real, classes, listed), fitted["line"])
    line = models.cards["real"]["calibration"]
    return expit(line["intercept"] + line["slope"] * real)


def operating_threshold(models: Characterisers, listed: Listed | None = None) -> float:
    """Least `prob_real` of what passes for a source, from the ROC curve of validation skies."""
    entry = _on_lists(models.cards["real"], listed) or models.cards["real"]
    return float(entry["operating_threshold"])


def class_probabilities(
    models: Characterisers, inputs: Inputs, blind: bool = False
) -> tuple[Floats, Floats, bool]:
    """Class probabilities [n, classes] with place and blind, and whether years were used."""
    years = inputs.years is not None
    kind = "class3d" if "class3d" in models.networks and years else "class"
    with torch.inference_mode():
        logits = models.networks[kind].logits(inputs)
    scaling = models.cards[kind]["calibration"]
    told, untold = ("full", "blind") if "full" in logits else ("no_years", "no_years_blind")
    out = [
        scaled_probabilities(logits[name].double().numpy(), scaling[name])
        for name in (untold if blind else told, untold)
    ]
    return out[0], out[1], "full" in logits
