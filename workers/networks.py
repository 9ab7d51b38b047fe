"""The characterising networks in a run: what a run is told to use, and what they say of its detections."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.characterise import Characterisation, Listed, characterise_networks, has_networks
from models.characterise.shipped import NEEDED, shipped_path
from models.detectors import NETWORK_DETECTORS
from models.likelihood import Detections
from models.shipped import model_card, shipped_weights
from sky.readers.files import file_sha256
from sky.storage import StoredSky
from sky.tiles import TileGrid

if TYPE_CHECKING:
    from models.cutouts import Cutouts

# The one switch between the two fluxes of a source: its catalogue flux is the networks' where `Signif_Avg` is below
# this, and the likelihood fit's from there on. It is written down with each run; see docs/database.md.
NETWORK_FLUX_BELOW_SIGMA = {"lat-6band": 20.0, "lat-10gev": 0.0}
CLASS_NETWORKS = {"cutouts": "class", "cubes": "class3d"}


class NetworkChoiceError(ValueError):
    """A class network that does not exist, or does not come with the program."""


def network_settings(survey: str, class_network: str = "cutouts", blind: bool = False) -> dict[str, Any]:
    """What a run's settings say of the networks; nothing is used where none come with the program.

    Parameters
    ----------
    survey : str
    class_network : str
        ``cutouts`` or ``cubes``; the latter falls back to the former without time slices.
    blind : bool
        Leave the place on the sky out of all class probabilities.

    Raises
    ------
    NetworkChoiceError
    """
    if class_network not in CLASS_NETWORKS:
        known = ", ".join(CLASS_NETWORKS)
        raise NetworkChoiceError(f"unknown class network '{class_network}'; known: {known}")
    if not has_networks(survey):
        if class_network != "cutouts" or blind:
            raise NetworkChoiceError(f"no trained class network for survey '{survey}'")
        return {"class_network": None}
    if not shipped_path(CLASS_NETWORKS[class_network], survey).exists():
        raise NetworkChoiceError(f"no trained class network '{class_network}' for survey '{survey}'")
    switch = NETWORK_FLUX_BELOW_SIGMA[survey]
    return {"class_network": class_network, "blind": blind, "network_flux_below_sigma": switch}


def models_used(
    survey: str, detector: str, class_network: str | None
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Checksum, name and model card of all weights that a run uses."""
    paths: list[Path] = []
    if detector in NETWORK_DETECTORS:
        paths.append(shipped_weights(survey, NETWORK_DETECTORS[detector]))
    if class_network is not None:
        kinds = {*NEEDED, CLASS_NETWORKS[class_network]}
        paths += [shipped_path(kind, survey) for kind in sorted(kinds)]
    for path in paths:
        yield file_sha256(path), path.stem, model_card(path)


def ask_networks(
    sky: StoredSky,
    detections: Detections,
    rows: NDArray[np.int64],
    seed: int,
    settings: dict[str, Any],
    detector: str,
) -> Characterisation:
    """What the networks say of some detections.

    Parameters
    ----------
    sky : StoredSky
    detections : Detections
        Of the whole run: those that may share a cut-out are flagged.
    rows : array of int [n]
        The detections to characterise.
    seed : int
        Of the photons' places in their HEALPix pixels.
    settings : dict
        The run's, with ``class_network`` not None.
    detector : str
        Which one made the list.

    Returns
    -------
    Characterisation
        In the sequence of `rows`.
    """
    survey, points = sky.cube.survey, detections.points()
    if not len(rows):
        return Characterisation.unknown(0, len(survey.bands), 5)
    order = rows[np.argsort(detections.tile[rows], kind="stable")]
    said = characterise_networks(
        _cut(sky, detections, order, seed),
        survey,
        blind=settings["blind"],
        architecture=settings["class_network"],
        neighbours=(points.glon_deg, points.glat_deg),
        listed=Listed(detector, detections.det_prob[order], detections.ts[order]),
    )
    back = np.empty(len(rows), np.int64)
    back[np.argsort(detections.tile[rows], kind="stable")] = np.arange(len(rows))
    return replace(said, **{name: values[back] for name, values in vars(said).items()})


def _cut(sky: StoredSky, detections: Detections, order: NDArray[np.int64], seed: int) -> "Cutouts":
    """Cut-outs round detections that are ordered by tile."""
    from models.cutouts import Cutouts, cut_tile

    grid, parts = TileGrid(sky.cube.survey), []
    for tile in np.unique(detections.tile[order]):
        mine = order[detections.tile[order] == tile]
        place = detections.glon_deg[mine], detections.glat_deg[mine]
        parts.append(cut_tile(sky.cube, sky.exposure, grid, int(tile), seed, *place))
    cutouts = Cutouts.join(parts)
    if cutouts.yearly is not None and sky.cube.n_slices != sky.cube.survey.time_slices:
        return replace(cutouts, yearly=None)  # the networks know light curves of the survey's length only
    return cutouts
