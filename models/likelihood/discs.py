"""Extended sources measured as what they are: discs.

As a point, or a Gaussian where its brightest photons lie, a source of half a degree gets a place that is wrong by
tenths of a degree, and a fraction of its flux. A source that a disc fits better by a test statistic of 25 is therefore
measured once more, as that disc.

Near the plane most sources that seem extended are points on a cloud of interstellar gas which the background does not
follow. What belongs to a cloud has the background's spectrum; only what is clearly harder counts as a disc.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.likelihood.extension import RADII_DEG, Extensions, disc_table
from models.likelihood.fit import Measurements, measure_some
from models.likelihood.flags import Flags
from models.likelihood.optics import (
    N_PROFILES,
    PointSpread,
    healpix_point_spread,
    in_band,
    nearest_index_step,
    power_law_index,
)
from models.likelihood.surroundings import Surroundings
from sky.exposure import ExposureMaps
from sky.response import Response
from sky.survey import Survey

Floats = NDArray[np.float64]

TS_EXTENDED = 25.0
HARDER_SIGMA = 3.0


def measure_discs(
    around: Surroundings, measured: Measurements, extension: Extensions, exposure: ExposureMaps
) -> tuple[Surroundings, Measurements]:
    """Measure extended sources again, as discs.

    Parameters
    ----------
    around : Surroundings
    measured : Measurements
        Of its sources, in the sequence that it was asked for.
    extension : Extensions
        Likewise.
    exposure : ExposureMaps

    Returns
    -------
    Surroundings
        In which those sources have the shape of their disc.
    Measurements
        Of all sources, in the sequence of `measured`.
    """
    order = np.argsort(around.back)
    by_tile, discs = measured.select(order), extension.select(order)
    wide = discs.ts_ext >= TS_EXTENDED
    if not wide.any():
        return around, measured
    as_disc = measure_some(_shaped(around, by_tile, discs, wide), wide, exposure)
    kept = harder_than_background(around, wide, as_disc, exposure)
    wide[wide] = kept
    found = as_disc.select(kept)
    found = by_tile.replaced(wide, replace(found, flags=found.flags | Flags.DISC))
    return _shaped(around, by_tile, discs, wide), found.select(around.back)


def _shaped(
    around: Surroundings, measured: Measurements, discs: Extensions, wide: NDArray[np.bool_]
) -> Surroundings:
    """Surroundings with some of the sources, all sorted by tile, as discs of the nearest radius tried."""
    survey = around.survey
    radius = np.abs(discs.ext_radius_deg[:, None] - np.array(RADII_DEG)).argmin(axis=1)
    number = N_PROFILES + nearest_index_step(survey, measured.index) * len(RADII_DEG) + radius
    before = np.concatenate([tile.sky.profile for tile in around.tiles])
    return around.shaped(np.where(wide, number, before), all_shapes(survey, around.response))


@lru_cache(maxsize=4)
def all_shapes(survey: Survey, response: Response) -> PointSpread:
    """The profiles of `healpix_point_spread`, then those of `disc_table`."""
    points, discs = healpix_point_spread(survey, response), disc_table(survey, response)
    return PointSpread(
        np.concatenate([points.density_per_sr, discs.density_per_sr]),
        np.concatenate([points.contained, discs.contained]),
    )


def harder_than_background(
    around: Surroundings, which: NDArray[np.bool_], measured: Measurements, exposure: ExposureMaps
) -> NDArray[np.bool_]:
    """Whether sources are harder, by `HARDER_SIGMA`, than the background round them, [n].

    Parameters
    ----------
    around : Surroundings
    which : array of bool [N]
        Those sources of its own, by tile.
    measured : Measurements
        Of these.
    exposure : ExposureMaps
    """
    detections, sky, survey = around.measured.select(which), around.joined(which), around.survey
    exposures = exposure.of_planes(detections.glon_deg, detections.glat_deg)
    area_sr = 2 * np.pi * (1 - np.cos(np.radians(sky.near.radius_deg)))
    photons, yields = (sky.background_total / area_sr) @ in_band(survey), exposures @ in_band(survey)
    index = power_law_index(photons / np.maximum(yields, 1e-300), measured.band_sqrt_ts**2, survey)
    return index - measured.index > HARDER_SIGMA * measured.unc_index
