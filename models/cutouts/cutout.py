"""What a network sees of a detection, and what it is taught about it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

SIZE_PX = 11
YEARLY_SIZE_PX = 7
CLASSES = ("BLL", "FSRQ", "PSR", "PWN_SNR", "FAKE")
FAKE = CLASSES.index("FAKE")


class _Rows:
    """Dataclasses whose fields are tensors of one length, or None."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))  # type: ignore[arg-type]

    def select(self, which: Tensor) -> Self:
        """The rows of a mask or an index tensor."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return type(self)(**{k: None if v is None else v[which.to(v.device)] for k, v in values.items()})

    def to(self, device: torch.device | str) -> Self:
        """The rows on a device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return type(self)(**{k: None if v is None else v.to(device) for k, v in values.items()})

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Several one after the other; a field that one part lacks is None."""
        joined = {}
        for f in fields(cls):  # type: ignore[arg-type]
            values = [getattr(p, f.name) for p in parts]
            joined[f.name] = None if any(v is None for v in values) else torch.cat(values)
        return cls(**joined)


@dataclass(frozen=True, eq=False)
class Cutouts(_Rows):
    """Cut-outs of n detections. Pixels of band k are ``10 / survey.tile_pixels_per_10deg[k]`` degrees.

    Attributes
    ----------
    counts : tensor [n, planes, SIZE_PX, SIZE_PX]
        Counts of all time slices together; the centre pixel holds the detection. float32, axes [y, x] of
        `sky.tiles`: y to galactic north and x to smaller longitude on real skies, any orientation in training.
    yearly : tensor [n, bands, slices, YEARLY_SIZE_PX, YEARLY_SIZE_PX] or None
        Event types summed; the middle of the pixels of `counts`, of each time slice.
    offset_px : tensor [n, bands, 2]
        Place (x, y) of the detection from the centre of the centre pixel, in pixels of the band: within
        half a pixel.
    exposure_cm2_s : tensor [n, planes]
        At the detection, averaged over the band for the survey's reference index, all slices.
    glon_deg, glat_deg : tensor [n]
        Galactic place of the detection, float64.
    covered : tensor of bool [n]
        The whole cut-out lies where there is exposure, in every plane.
    """

    counts: Tensor
    yearly: Tensor | None
    offset_px: Tensor
    exposure_cm2_s: Tensor
    glon_deg: Tensor
    glat_deg: Tensor
    covered: Tensor


@dataclass(frozen=True, eq=False)
class CutoutTruth(_Rows):
    """What a simulated sky knows of each of n detections; of a fake, nothing: NaN where not said otherwise.

    Attributes
    ----------
    real : tensor of bool [n]
    class_code : tensor of int64 [n]
        Into `CLASSES`; `FAKE` for fakes.
    flux_cm2_s : tensor [n]
        In the survey's headline range; 0 for fakes.
    flux_band_cm2_s : tensor [n, bands]
        0 for fakes.
    shift_px : tensor [n, 2]
        True place minus detection, (x, y), pixels of the finest band.
    limit_sigma : tensor [n]
        Significance if all else were known exactly; 0 for fakes.
    extension_deg : tensor [n]
        Radius of the disc (or the disc that a Gaussian is like); 0 for points and fakes.
    """

    real: Tensor
    class_code: Tensor
    flux_cm2_s: Tensor
    flux_band_cm2_s: Tensor
    shift_px: Tensor
    limit_sigma: Tensor
    extension_deg: Tensor
