"""The characterising networks: ensembles of small members, each a trunk with heads.

A regression member says a mean and, from the same features, a spread; a deep ensemble of them (Lakshminarayanan
et al. 2017, arXiv 1612.01474) says a mixture. A classifier member says logits, one set a variant.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.characterise.inputs import Inputs
from models.characterise.layers import FEATURES, CubeTrunk, Trunk, YearTrunk, head
from models.cutouts import CLASSES
from models.shipped import NetworkError
from sky.survey import Survey, get_survey

KINDS = ("flux", "real", "class", "class3d", "position")
MEMBERS = {"flux": 4, "real": 2, "class": 2, "class3d": 2, "position": 4}
PLACE_NUMBERS = 6


@dataclass(frozen=True)
class CharacteriserConfig:
    """What a characterising network is made of; stored with its weights.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    survey : str
    members : int
        Of the ensemble.
    """

    kind: str
    survey: str
    members: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise NetworkError(f"unknown network '{self.kind}'; known: {', '.join(KINDS)}")
        if self.members < 1:
            raise NetworkError("an ensemble has at least one member")
        if self.kind == "class3d" and not get_survey(self.survey).time_slices:
            raise NetworkError(f"survey '{self.survey}' has no time slices for a network on years")

    @classmethod
    def standard(cls, kind: str, survey: str) -> "CharacteriserConfig":
        """With the usual number of members."""
        return cls(kind, survey, MEMBERS.get(kind, 1))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "CharacteriserConfig":
        """From `to_dict`, through JSON or not."""
        return cls(data["kind"], data["survey"], int(data["members"]))

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @property
    def outputs(self) -> int:
        """Numbers a member's head says."""
        bands = len(get_survey(self.survey).bands)
        return {"flux": 1 + bands, "position": 2, "real": 1}.get(self.kind, len(CLASSES))


class RegressionMember(nn.Module):
    """Means and log spreads [n, outputs] in units of the first guess's errors.

    Where a place is asked for, the heads are told the fitted shift as well: the predicted coordinates.
    """

    def __init__(self, survey: Survey, kind: str, outputs: int):
        super().__init__()
        self.kind = kind
        self.trunk = _trunk(survey)
        seen = FEATURES + (2 if kind == "position" else 0)
        self.mean = head(seen, outputs)
        self.spread = head(seen, outputs)

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """The spread sees the features, and leaves them as the mean made them."""
        features = self.trunk(inputs)
        if self.kind == "position":
            shift = (inputs.shift_px / inputs.shift_error_px[:, None]).clamp(-5.0, 5.0)
            features = torch.cat([features, shift], 1)
        return self.mean(features), self.spread(features.detach())


class ClassifierMember(nn.Module):
    """Logits [n, outputs] of one or more variants, by name.

    `real` knows no place. A class has variants with and without place (`blind`) and years (`no_years`):
    they share their trunks.
    """

    def __init__(self, survey: Survey, kind: str, outputs: int):
        super().__init__()
        self.kind = kind
        slices = survey.time_slices
        if kind == "class3d":
            self.trunk: nn.Module = CubeTrunk(len(survey.bands), slices, n_scalars(survey))
        else:
            self.trunk = _trunk(survey)
        places = {"real": {"real": 0}, "class3d": {"full": PLACE_NUMBERS, "blind": 0}}.get(
            kind, {"no_years": PLACE_NUMBERS, "no_years_blind": 0}
        )
        widths = {name: FEATURES + place for name, place in places.items()}
        self.years = YearTrunk(slices) if kind == "class" and slices else None
        if self.years is not None:
            widths |= {"full": 3 * FEATURES // 2 + PLACE_NUMBERS, "blind": 3 * FEATURES // 2}
        self.heads = nn.ModuleDict({name: head(width, outputs) for name, width in widths.items()})

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Logits of all variants that the inputs allow."""
        features = {"": self.trunk(inputs)}
        if self.years is not None and inputs.years is not None:
            features["years"] = torch.cat([features[""], self.years(inputs)], 1)
        place = place_numbers(inputs.place)
        out = {}
        for name, layers in self.heads.items():
            with_years = self.years is not None and name in ("full", "blind")
            if with_years and "years" not in features:
                continue
            seen = features["years"] if with_years else features[""]
            told = name in ("full", "no_years")
            out[name] = layers(torch.cat([seen, place], 1) if told else seen)
        return out


class Characteriser(nn.Module):
    """An ensemble, with its configuration."""

    def __init__(self, config: CharacteriserConfig):
        super().__init__()
        self.config = config
        survey = get_survey(config.survey)
        if config.kind in ("flux", "position"):
            made: list[nn.Module] = [
                RegressionMember(survey, config.kind, config.outputs) for _ in range(config.members)
            ]
        else:
            made = [ClassifierMember(survey, config.kind, config.outputs) for _ in range(config.members)]
        self.members = nn.ModuleList(made)

    @property
    def n_parameters(self) -> int:
        """Number of trained numbers."""
        return sum(p.numel() for p in self.parameters())

    def standardise(self, inputs: Inputs) -> None:
        """Set the scales of all numbers from training data."""
        for member in self.members:
            member.trunk.standard.fit(inputs.scalars)  # type: ignore[union-attr, operator]
            years = getattr(member, "years", None)
            if years is not None and inputs.light_curve is not None:
                years.standard.fit(inputs.light_curve)

    def mixture(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Means and spreads of a regression's members, [members, n, outputs] each."""
        said = [member(inputs) for member in self.members]
        return torch.stack([m for m, _ in said]), torch.stack([s for _, s in said]).exp()

    def logits(self, inputs: Inputs) -> dict[str, Tensor]:
        """Mean logits of a classifier's members, by variant, [n, outputs]."""
        said = [member(inputs) for member in self.members]
        return {name: torch.stack([s[name] for s in said]).mean(0) for name in said[0]}


def n_scalars(survey: Survey) -> int:
    """How many numbers `make_inputs` says beside the images."""
    return 4 * len(survey.planes) + 5


def place_numbers(place: Tensor) -> Tensor:
    """Galactic unit vectors as numbers that tell the plane from the rest, [n, PLACE_NUMBERS]."""
    glat_deg = torch.rad2deg(torch.asin(place[:, 2].clamp(-1, 1))).abs()
    near = torch.stack([place[:, 2].abs(), torch.exp(-glat_deg / 2.0), torch.exp(-glat_deg / 15.0)], 1)
    return torch.cat([place, near], 1)


def _trunk(survey: Survey) -> Trunk:
    return Trunk(2 * len(survey.planes), n_scalars(survey))
