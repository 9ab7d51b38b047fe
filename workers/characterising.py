"""What a work item of the stage `characterise` does: measure detections, and ask the networks about them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from catalog import store, store_characterisation
from models.likelihood import Detections, Surroundings, extensions, light_curves, measure, measure_discs
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
    around = Surroundings.of(detections, rows, sky.cube, sky.exposure, load_response(sky.irfs))
    measured = measure(around, sky.exposure)
    extension = extensions(around, measured, sky.exposure)
    around, measured = measure_discs(around, measured, extension, sky.exposure)
    curves = light_curves(around, measured, sky.cube, sky.exposure)
    # Runs planned before there were networks do not name any.
    asked = settings.get("class_network") is not None
    said = ask_networks(sky, detections, rows, seed, settings, detector) if asked else None

    def write(conn: Connection) -> None:
        store.write_measurements(conn, ids, measured)
        store_characterisation.write_curved_spectra(conn, ids, measured)
        store_characterisation.write_extensions(conn, ids, extension)
        if curves is not None:
            store_characterisation.write_light_curves(conn, ids, curves)
        if said is not None:
            store_characterisation.write_networks(conn, ids, said)

    return write
