"""What a localisation network is taught with: one loss a head."""

import torch
from torch import Tensor
from torch.nn import functional as F

from models.stream import TileBatch
from models.unet import Segmentation

# Sources just outside a tile reach in without being taught: its rim is left out.
RIM_PX = 6
CENTRE_WEIGHT = 10.0
DIRECTION_WEIGHT = 0.1
BACKGROUND_WEIGHT = 0.1
# Directions count fully within this distance of a source and fade beyond: far away they are anybody's guess.
DIRECTION_REACH = 0.02


def localisation_loss(out: Segmentation, batch: TileBatch) -> dict[str, Tensor]:
    """Losses by head; `total` is their weighted sum.

    Mask and centre map are taught with the cross-entropy, a proper score, so that their values are
    probabilities.
    """
    inner = slice(RIM_PX, -RIM_PX)
    losses = {
        "mask": F.binary_cross_entropy_with_logits(
            out.mask_logit[:, inner, inner], batch.mask[:, inner, inner]
        )
    }
    total = losses["mask"]
    if out.centre_logit is not None and out.direction is not None:
        losses["centre"] = F.binary_cross_entropy_with_logits(
            out.centre_logit[:, inner, inner], batch.centre[:, inner, inner]
        )
        weight = batch.mask[:, None] + DIRECTION_REACH
        gap = F.l1_loss(out.direction, batch.direction, reduction="none") * weight
        losses["direction"] = gap.mean() / weight.mean()
        total = total + CENTRE_WEIGHT * losses["centre"] + DIRECTION_WEIGHT * losses["direction"]
    if out.background is not None:
        losses["background"] = background_loss(out.background, batch)
        total = total + BACKGROUND_WEIGHT * losses["background"]
    losses["total"] = total
    return losses


def background_loss(background: tuple[Tensor, ...], batch: TileBatch) -> Tensor:
    """Mean |ln(predicted / true)| of the expected diffuse counts, levels of equal weight."""
    by_size: dict[int, list[Tensor]] = {}
    for image in batch.background:
        by_size.setdefault(image.shape[-1], []).append(image)
    gaps = [
        torch.log(predicted / torch.cat(by_size[predicted.shape[-1]], 1).clamp(min=1e-6)).abs().mean()
        for predicted in background
    ]
    return torch.stack(gaps).mean()
