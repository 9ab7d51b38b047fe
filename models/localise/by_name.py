"""Positions in a segmented tile, by the localiser's name."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logit

from models.localise.blobs import disk, log
from models.localise.centre import centre
from models.localise.direction import centre_direction
from models.localise.kmeans import kmeans
from models.localise.names import DIRECTION_LOCALISERS, LOCALISERS, unknown
from models.localise.peaks import Peaks
from models.shipped import NetworkError
from models.unet import Segmentation


def find_peaks(out: Segmentation, localiser: str, match_radius_px: float, which: int = 0) -> Peaks:
    """Sources in one tile of a batch.

    Parameters
    ----------
    out : Segmentation
    localiser : str
        One of `models.localise.names.LOCALISERS`.
    match_radius_px : float
        0.3 degrees.
    which : int
        Tile of the batch.

    Raises
    ------
    NetworkError
        If there is no localiser of that name, or the network lacks the head it needs.
    """
    if localiser not in LOCALISERS:
        raise NetworkError(unknown(localiser))
    mask = torch.sigmoid(out.mask_logit[which]).cpu().numpy()
    if localiser in DIRECTION_LOCALISERS:
        if out.centre_logit is None or out.direction is None:
            raise NetworkError("this network has no direction field; localise with disk, log or kmeans")
        if localiser == "direction-field":
            sine, cosine = out.direction[which].cpu().numpy()
            return centre_direction(sine, cosine, mask)
        return centre(torch.sigmoid(out.centre_logit[which]).cpu().numpy(), match_radius_px)
    from_mask: dict[str, Callable[..., Peaks]] = {"disk": disk, "log": log, "kmeans": kmeans}
    return from_mask[localiser](mask)


def score_logit(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln(s / (1 - s)) of scores between 0 and 1, kept finite."""
    return logit(np.clip(score, 1e-4, 1.0 - 1e-4))
