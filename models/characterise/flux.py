"""Fluxes: what the flux ensemble's numbers mean, in training and in use.

The networks say logarithms of flux over the fitted one, in units of that fit's error; a band's, over the
headline flux that the reference spectrum would give it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.characterise.calibration import Curve, mixture
from models.characterise.first_guess import band_shares
from models.characterise.inputs import Inputs
from sky.survey import Survey

Floats = NDArray[np.float64]

# Limits of the unit, in the logarithm of flux; bands know less than the whole.
UNIT_RANGE = (0.03, 0.8)
BAND_UNIT = 0.5
# Errors of the logarithm of flux at which an error of the flux itself is cut.
LARGEST_LOG_ERROR = 3.0
# Share of a Gaussian within one standard deviation: counted about 0, so that what is off counts as error.
INSIDE = 68.27


def units(inputs: Inputs, n_bands: int) -> Tensor:
    """Unit of each output in the logarithm of flux, [n, 1 + bands]."""
    whole = inputs.log_error.clamp(*UNIT_RANGE)[:, None]
    return torch.cat([whole, torch.hypot(whole, torch.tensor(BAND_UNIT)).expand(-1, n_bands)], 1)


def origins(inputs: Inputs, survey: Survey) -> Tensor:
    """Logarithms of the fitted headline and band fluxes, [n, 1 + bands]."""
    shares = torch.log(band_shares(survey)).float()
    return inputs.log_flux[:, None] + torch.cat([torch.zeros(1), shares])


def targets(inputs: Inputs, flux_cm2_s: Tensor, flux_band_cm2_s: Tensor, survey: Survey) -> Tensor:
    """What the networks should say of sources of known flux, [n, 1 + bands]."""
    log_flux = torch.log(torch.cat([flux_cm2_s[:, None], flux_band_cm2_s], 1)).float()
    return (log_flux - origins(inputs, survey)) / units(inputs, len(survey.bands))


@dataclass(frozen=True, eq=False)
class LogFluxes:
    """Logarithms of flux (headline, then bands) and their errors, [n, 1 + bands]."""

    value: Floats
    error: Floats

    def calibrated(self, calibration: dict[str, Any]) -> "LogFluxes":
        """Move and widen by the curves that `calibrate` found, one a column."""
        value, error = self.value.copy(), self.error.copy()
        for k, (move, widen) in enumerate(zip(calibration["move"], calibration["widen"], strict=True)):
            x = np.log(self.error[:, k])
            value[:, k] += Curve.from_dict(move)(x)
            error[:, k] *= Curve.from_dict(widen)(x)
        return LogFluxes(value, error)

    def fluxes(self) -> tuple[Floats, Floats]:
        """Fluxes and their standard errors, cm-2 s-1."""
        flux = np.exp(self.value)
        return flux, flux * np.minimum(self.error, LARGEST_LOG_ERROR)


def from_mixture(mean: Tensor, sigma: Tensor, inputs: Inputs, survey: Survey) -> LogFluxes:
    """Fluxes of an ensemble's means and spreads [members, n, 1 + bands]."""
    centre, covariance = mixture(mean.double().numpy(), sigma.double().numpy())
    unit = units(inputs, len(survey.bands)).double().numpy()
    value = origins(inputs, survey).double().numpy() + unit * centre
    return LogFluxes(value, unit * np.sqrt(np.einsum("nii->ni", covariance)))


def calibrate(said: LogFluxes, truth: Floats) -> dict[str, Any]:
    """A move that makes the median right, and curves over the stated error that give pulls of width 1.

    The move is one for all: fluxes and their stated errors go together, and in bins of the error the sources
    that are truly bright enough have come down from above.

    Parameters
    ----------
    said : LogFluxes
    truth : array [n, 1 + bands]
        Logarithms of the true fluxes.
    """
    moves, widens = [], []
    for k in range(truth.shape[1]):
        x, gap = np.log(said.error[:, k]), said.value[:, k] - truth[:, k]
        move = Curve.binned(x, lambda rows, gap=gap: -np.median(gap[rows]), bins=1)
        moved = gap + move(x)
        pull = np.expm1(moved) / np.exp(moved) / said.error[:, k]
        widen = Curve.binned(x, lambda rows, pull=pull: np.percentile(np.abs(pull[rows]), INSIDE), bins=5)
        moves.append(move.to_dict())
        widens.append(widen.to_dict())
    return {"move": moves, "widen": widens}
