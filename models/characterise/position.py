"""Positions: from the ensemble's shifts and errors on the cut-out to places and error ellipses on the sky."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.characterise.calibration import Curve, mixture
from models.characterise.inputs import Inputs
from sky.frames import galactic_north_angle_deg, position_angle_deg
from sky.survey import Survey
from sky.tiles import TileGrid

Floats = NDArray[np.float64]

# Radii, in standard deviations of a Gaussian, that hold 68 and 95 % in two dimensions.
GAUSSIAN_68, GAUSSIAN_95 = np.sqrt(-2 * np.log(0.32)), np.sqrt(-2 * np.log(0.05))
# The fit's error is the unit of what the networks say, up to this.
LARGEST_UNIT_PX = 3.0


def units(inputs: Inputs) -> Tensor:
    """Unit of the networks' shifts, pixels of the finest band, [n, 1]."""
    return inputs.shift_error_px.clamp(max=LARGEST_UNIT_PX)[:, None]


def targets(inputs: Inputs, shift_px: Tensor) -> Tensor:
    """What the networks should say of sources of known place, [n, 2]."""
    return (shift_px - inputs.shift_px) / units(inputs)


@dataclass(frozen=True, eq=False)
class Shifts:
    """Places relative to the detections, pixels of the finest band.

    Attributes
    ----------
    shift_px : array [n, 2]
    covariance_px2 : array [n, 2, 2]
    """

    shift_px: Floats
    covariance_px2: Floats

    @property
    def sigma_px(self) -> Floats:
        """Geometric mean of the standard deviations along the axes, [n]."""
        return np.linalg.det(self.covariance_px2) ** 0.25

    def distance(self, truth_px: Floats) -> Floats:
        """Mahalanobis distance of true shifts [n, 2]."""
        gap = truth_px - self.shift_px
        solved = np.linalg.solve(self.covariance_px2, gap[..., None])[..., 0]
        return np.sqrt(np.einsum("ni,ni->n", gap, solved))


def from_mixture(mean: Tensor, sigma: Tensor, inputs: Inputs) -> Shifts:
    """Shifts of an ensemble's means and spreads [members, n, 2]."""
    centre, covariance = mixture(mean.double().numpy(), sigma.double().numpy())
    unit = units(inputs).double().numpy()
    return Shifts(inputs.shift_px.double().numpy() + unit * centre, unit[..., None] ** 2 * covariance)


def calibrate(said: Shifts, truth_px: Floats) -> dict[str, Any]:
    """Curves over the logarithm of `sigma_px`: radii, in stated standard deviations, that hold 68 and 95 %."""
    x, distance = np.log(said.sigma_px), said.distance(truth_px)
    return {
        f"radius_{level}": Curve.binned(
            x, lambda rows, q=level: np.percentile(distance[rows], q), least=200
        ).to_dict()
        for level in (68, 95)
    }


@dataclass(frozen=True, eq=False)
class Ellipses:
    """Places and error ellipses, arrays [n]; angles of the major axis, ICRS, east of north, in (-90, 90]."""

    glon_deg: Floats
    glat_deg: Floats
    semimajor_68_deg: Floats
    semiminor_68_deg: Floats
    semimajor_95_deg: Floats
    semiminor_95_deg: Floats
    posang_deg: Floats


def on_the_sky(
    said: Shifts, calibration: dict[str, Any], glon_deg: Floats, glat_deg: Floats, survey: Survey
) -> Ellipses:
    """Ellipses of shifts on cut-outs that were cut from the tiles which own the detections."""
    grid = TileGrid(survey)
    finest = survey.finest_band
    x = np.log(said.sigma_px)
    values, axes = np.linalg.eigh(said.covariance_px2)  # ascending: the major axis is the last
    minor, major = np.sqrt(values).T * grid.pixel_deg(finest)
    r68, r95 = (Curve.from_dict(calibration[f"radius_{level}"])(x) for level in (68, 95))
    tile = grid.owner(glon_deg, glat_deg)
    glon, glat, angle = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for t in np.unique(tile):
        own = tile == t
        px, py = grid.sky_to_pixel(int(t), finest, glon_deg[own], glat_deg[own])
        there = px + said.shift_px[own, 0], py + said.shift_px[own, 1]
        glon[own], glat[own] = grid.pixel_to_sky(int(t), finest, *there)
        along = axes[own, :, 1] * 0.5
        end = grid.pixel_to_sky(int(t), finest, there[0] + along[:, 0], there[1] + along[:, 1])
        angle[own] = position_angle_deg(glon[own], glat[own], *end)
    turned = (galactic_north_angle_deg(glon, glat) + angle) % 180.0
    return Ellipses(
        glon,
        glat,
        r68 * major,
        r68 * minor,
        r95 * major,
        r95 * minor,
        np.where(turned > 90.0, turned - 180.0, turned),
    )
