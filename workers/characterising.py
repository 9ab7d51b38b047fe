"""What a work item of the stage `characterise` does: measure detections, and ask the networks about them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from catalog import store, store_characterisation
from models.likelihood import (
    Detections,
    Surroundings,
    extensions,
    light_curves,
    measure,
    measure_discs,
    measure_wide,
)
from sky.response import load_response
from sky.storage import StoredSky
from workers.networks import ask_networks


def characterise_rows(
    sky: StoredSky,
    detections: Detections,
    rows: NDArray[np.int64],
    ids: NDArray[np.int64],
    seed: int,
    settings: dict[str, Any],
    detector: str,
) -> Callable[[Connection], None]:
    """Characterise some detections, with all others of the sky as their neighbours.

    Wide sources have neither light curve nor networks, which know nothing as wide as they are.

    Parameters
    ----------
    sky : StoredSky
    detections : Detections
        Of the whole run.
    rows : array of int [n]
        Those to characterise.
    ids : array of int [n]
        Their ids in the database.
    seed : int
    settings : dict
        The run's.
    detector : str
        Which one made the list.

    Returns
    -------
    callable
        Writes it all.
    """
    response = load_response(sky.irfs)
    around = Surroundings.of(detections, rows, sky.cube, sky.exposure, response)
    as_points = measure(around, sky.exposure)
    extension = extensions(around, as_points, sky.exposure)
    around, measured = measure_discs(around, as_points, extension, sky.exposure)
    curves = light_curves(around, measured, sky.cube, sky.exposure)
    # Runs planned before there were networks do not name any.
    asked = settings.get("class_network") is not None
    wide = detections.disc_deg[rows] > 0
    if wide.any():
        as_points = as_points.select(wide)
        discs = measure_wide(detections, rows[wide], as_points, sky.cube, sky.exposure, response)
        measured, extension = measured.replaced(wide, discs[0]), extension.replaced(wide, discs[1])
    said = ask_networks(sky, detections, rows[~wide], seed, settings, detector) if asked else None

    def write(conn: Connection) -> None:
        store.write_measurements(conn, ids, measured)
        store_characterisation.write_curved_spectra(conn, ids, measured)
        store_characterisation.write_extensions(conn, ids, extension)
        if curves is not None:
            store_characterisation.write_light_curves(conn, ids[~wide], curves.select(~wide))
        if said is not None:
            store_characterisation.write_networks(conn, ids[~wide], said)

    return write
