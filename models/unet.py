"""The localisation network: a U-Net that each band enters at the level of its own resolution.

Tiles of 10 degrees train it; it is fully convolutional and takes any width whose coarsest image has whole
pixels. After Ronneberger et al. 2015 (arXiv 1505.04597) and the multi-input form of the founding paper
(Bhattacharyya et al. 2021); directions after CeDiRNet (Tabernik et al. 2024, Pattern Recognition 153,
110540).
"""

from dataclasses import asdict, dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.normalise import Normalised, make_normalisation
from models.psf_kernels import LevelPSF, level_psfs
from models.shipped import NetworkError
from sky.survey import get_survey

HEADS = ("mask", "direction", "background")
BLOCK = 6  # layers of a block: twice convolution, normalisation, cut


@dataclass(frozen=True)
class NetworkConfig:
    """What a localisation network is made of; stored with its weights.

    Attributes
    ----------
    survey : str
    normalisation : str
        One of `models.normalise.NORMALISATIONS`.
    widths : tuple of int
        Channels of the levels, finest first, each level half as fine as the one before.
    heads : tuple of str
        Out of `HEADS`; the mask is always there. `direction` brings the learned localiser with it.
    """

    survey: str
    normalisation: str = "likelihood"
    widths: tuple[int, ...] = (16, 32, 64, 96)
    heads: tuple[str, ...] = field(default=HEADS)

    def __post_init__(self) -> None:
        unknown = set(self.heads) - set(HEADS)
        if unknown or "mask" not in self.heads:
            raise NetworkError(f"heads of a network: 'mask' and any of {', '.join(HEADS[1:])}")

    def has(self, head: str) -> bool:
        """Whether the network has a head."""
        return head in self.heads

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "NetworkConfig":
        """From `to_dict`, through JSON or not."""
        return cls(data["survey"], data["normalisation"], tuple(data["widths"]), tuple(data["heads"]))


@dataclass(frozen=True)
class Segmentation:
    """What the network says of a batch of tiles.

    Attributes
    ----------
    mask_logit : tensor [batch, n, n]
        Of the finest level's pixels: inside a disc of 5 pixels round a source.
    direction : tensor [batch, 2, n, n] or None
        Sine and cosine of the angle to the nearest source.
    centre_logit : tensor [batch, n, n] or None
        The learned localiser's map: a source in this very pixel.
    background : tuple of tensor [batch, planes, n, n] or None
        Expected diffuse counts per pixel, one a level.
    """

    mask_logit: Tensor
    direction: Tensor | None
    centre_logit: Tensor | None
    background: tuple[Tensor, ...] | None

    def cpu(self) -> "Segmentation":
        """The same on the CPU."""
        direction = None if self.direction is None else self.direction.cpu()
        centre = None if self.centre_logit is None else self.centre_logit.cpu()
        background = None if self.background is None else tuple(b.cpu() for b in self.background)
        return Segmentation(self.mask_logit.cpu(), direction, centre, background)


class UNet(nn.Module):
    """Multi-input U-Net of a survey; `forward` takes one counts image a band, [batch, event types, n, n]."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config
        self.levels: list[LevelPSF] = list(level_psfs(get_survey(config.survey)))
        self.normalisation = make_normalisation(config.normalisation, self.levels)
        finest = self.levels[0].pixels_per_10deg
        # Depth at which each level of the survey enters: log2 of how much coarser it is than the finest.
        self.depths = [(finest // level.pixels_per_10deg).bit_length() - 1 for level in self.levels]
        widths = config.widths
        if max(self.depths) >= len(widths):
            raise NetworkError(f"survey '{config.survey}' needs a network of {max(self.depths) + 1} levels")
        entering = dict(zip(self.depths, cast(list[int], self.normalisation.out_channels), strict=True))
        below = (0, *widths[:-1])
        self.encoder = nn.ModuleList(
            _block(below[d] + entering.get(d, 0), width) for d, width in enumerate(widths)
        )
        self.decoder = nn.ModuleList(
            _block(widths[d] + widths[d + 1], widths[d]) for d in range(len(widths) - 1)
        )
        self.mask = nn.Conv2d(widths[0], 1, 1)
        if config.has("direction"):
            self.direction = nn.Conv2d(widths[0], 2, 1)
            self.localiser = nn.Sequential(_block(widths[0] + 3, widths[0]), nn.Conv2d(widths[0], 1, 1))
            _start_rare(self.localiser[1], 0.002)
        if config.has("background"):
            self.background = nn.ModuleList(
                nn.Conv2d(widths[d], level.n_planes, 1)
                for d, level in zip(self.depths, self.levels, strict=True)
            )
        _start_rare(self.mask, 0.03)

    @property
    def n_parameters(self) -> int:
        """Number of trained values."""
        return sum(p.numel() for p in self.parameters())

    def forward(self, images: list[Tensor]) -> Segmentation:
        """Segment a batch of tiles.

        Raises
        ------
        NetworkError
            If the images are not those of the network's survey.
        """
        # Counts, logarithms and what is kept for other calls need more digits than half precision has.
        with torch.autocast(images[0].device.type, enabled=False):
            normalised: list[Normalised] = self.normalisation(self._by_level(images))
        entering = {d: n.channels for d, n in zip(self.depths, normalised, strict=True)}
        features: list[Tensor] = []
        x: Tensor | None = None
        for depth, block in enumerate(self.encoder):
            parts = [] if x is None else [F.max_pool2d(x, 2)]
            if depth in entering:
                parts.append(entering[depth].contiguous(memory_format=torch.channels_last))
            x = block(torch.cat(parts, 1))
            features.append(x)
        for depth in reversed(range(len(self.decoder))):
            up = F.interpolate(features[depth + 1], scale_factor=2)
            features[depth] = self.decoder[depth](torch.cat([features[depth], up], 1))
        return self._heads(features, normalised)

    def _heads(self, features: list[Tensor], normalised: list[Normalised]) -> Segmentation:
        mask = self.mask(features[0])
        direction = centre = background = None
        if self.config.has("direction"):
            direction = self.direction(features[0])
            seen = torch.cat([features[0], torch.sigmoid(mask), direction], 1)
            centre = self.localiser(seen).float()[:, 0]
        if self.config.has("background"):
            background = tuple(
                torch.exp(n.log_scale + head(features[d]).float().clamp(-6.0, 6.0))
                for head, d, n in zip(self.background, self.depths, normalised, strict=True)
            )
        direction = None if direction is None else direction.float()
        return Segmentation(mask.float()[:, 0], direction, centre, background)

    def _by_level(self, images: list[Tensor]) -> list[Tensor]:
        """Counts of each level, [batch, planes, n, n], checked against the survey."""
        survey = get_survey(self.config.survey)
        if len(images) != len(survey.bands):
            raise NetworkError(
                f"{len(images)} bands given to a network of survey '{survey.name}', "
                f"which has {len(survey.bands)}"
            )
        finest = max(image.shape[-1] for image in images)
        top = max(survey.tile_pixels_per_10deg)
        for band, image in enumerate(images):
            n = finest * survey.tile_pixels_per_10deg[band] // top
            if image.shape[1:] != (len(survey.event_types), n, n):
                raise NetworkError(
                    f"band {band} of shape {tuple(image.shape[1:])} given to a network of survey "
                    f"'{survey.name}', which takes {(len(survey.event_types), n, n)}"
                )
        if finest % (1 << (len(self.encoder) - 1)):
            raise NetworkError(f"images of {finest} pixels cannot be halved {len(self.encoder) - 1} times")
        return [torch.cat([images[b].float() for b in level.bands], 1) for level in self.levels]


def folded(network: UNet) -> UNet:
    """A trained network for inference alone: batch normalisation becomes part of the convolutions before it."""
    network.eval()
    for block in network.modules():
        if isinstance(block, nn.Sequential) and len(block) == BLOCK:
            for k in (0, BLOCK // 2):
                convolution, norm = cast(nn.Conv2d, block[k]), cast(nn.BatchNorm2d, block[k + 1])
                block[k], block[k + 1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _block(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
        nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
    )


def _start_rare(layer: nn.Module, probability: float) -> None:
    """Begin with the right share of source pixels, so that the first steps are not spent on learning it."""
    bias = cast(nn.Conv2d, layer).bias
    assert bias is not None
    nn.init.constant_(bias, float(torch.logit(torch.tensor(probability))))
