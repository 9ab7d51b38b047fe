"""Layers that all characterising networks share: small VGG-like trunks, few channels, no batch statistics."""

import torch
from torch import Tensor, nn

from models.characterise.inputs import Inputs

FEATURES = 64


class Standard(nn.Module):
    """Numbers brought to mean 0 and width 1 by what training showed, and cut at five widths."""

    mean: Tensor
    width: Tensor

    def __init__(self, n: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("width", torch.ones(n))

    def fit(self, values: Tensor) -> None:
        """Take mean and width from training data [rows, n]."""
        self.mean.copy_(values.mean(0))
        self.width.copy_(values.std(0).clamp(min=1e-3))

    def forward(self, values: Tensor) -> Tensor:
        """Standardise [..., n]."""
        return ((values - self.mean) / self.width).clamp(-5.0, 5.0)


class Trunk(nn.Module):
    """VGG-like trunk (Simonyan & Zisserman 2015, arXiv 1409.1556): 11 px -> 9 -> 7, pooled to 3, flattened.

    The fit's numbers enter twice: as offsets of the first layer's channels, and beside the flattened image.
    """

    def __init__(self, channels: int, scalars: int, widths: tuple[int, int, int] = (16, 24, 32)):
        super().__init__()
        a, b, c = widths
        self.standard = Standard(scalars)
        self.condition = nn.Linear(scalars, a)
        self.first = nn.Conv2d(channels, a, 3)
        self.second = nn.Conv2d(a, b, 3)
        self.third = nn.Conv2d(b, c, 3, padding=1)
        self.flat = nn.Linear(9 * c + scalars, FEATURES)
        self.last = nn.Linear(FEATURES, FEATURES)

    def forward(self, inputs: Inputs) -> Tensor:
        """Features [n, FEATURES]."""
        numbers = self.standard(inputs.scalars)
        x = torch.relu(self.first(inputs.images.float()) + self.condition(numbers)[..., None, None])
        x = nn.functional.max_pool2d(torch.relu(self.second(x)), 2)
        x = torch.relu(self.third(x)).flatten(1)
        x = torch.relu(self.flat(torch.cat([x, numbers], 1)))
        return torch.relu(self.last(x))


class YearTrunk(nn.Module):
    """Images of the time slices, sorted, as channels; their light curve beside the flattened image."""

    def __init__(self, slices: int, width: int = 16):
        super().__init__()
        self.standard = Standard(2 * slices)
        self.first = nn.Conv2d(slices, width, 3)
        self.second = nn.Conv2d(width, width, 3)
        self.flat = nn.Linear(9 * width + 2 * slices, FEATURES // 2)

    def forward(self, inputs: Inputs) -> Tensor:
        """Features [n, FEATURES / 2]."""
        assert inputs.years is not None and inputs.light_curve is not None
        numbers = self.standard(inputs.light_curve)
        x = torch.relu(self.first(inputs.years.float()))
        x = torch.relu(self.second(x)).flatten(1)
        return torch.relu(self.flat(torch.cat([x, numbers], 1)))


class CubeTrunk(nn.Module):
    """3-D convolutions over (slices, height, width), bands as channels; the fit's numbers beside them."""

    def __init__(self, bands: int, slices: int, scalars: int, width: int = 16):
        super().__init__()
        self.standard = Standard(scalars)
        self.first = nn.Conv3d(bands, width, 3)
        self.second = nn.Conv3d(width, width, 3, stride=(2, 1, 1))
        depth = (slices - 2 - 3) // 2 + 1
        self.flat = nn.Linear(9 * depth * width + scalars, FEATURES)
        self.last = nn.Linear(FEATURES, FEATURES)

    def forward(self, inputs: Inputs) -> Tensor:
        """Features [n, FEATURES]."""
        assert inputs.year_cube is not None
        numbers = self.standard(inputs.scalars)
        x = torch.relu(self.first(inputs.year_cube.float()))
        x = torch.relu(self.second(x)).flatten(1)
        x = torch.relu(self.flat(torch.cat([x, numbers], 1)))
        return torch.relu(self.last(x))


def head(features: int, outputs: int, hidden: int = 32) -> nn.Sequential:
    """Two linear layers; the last begins near nothing, so that training starts from the fit."""
    last = nn.Linear(hidden, outputs)
    nn.init.normal_(last.weight, std=0.01)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), last)
