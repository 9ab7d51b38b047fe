"""Other programs' source finders on the same tiles: gammapy's TS maps and photutils' DAOStarFinder.

They come with the extra ``peers`` (`pip install 'asidcat[peers]'`).
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from benchmarks.localisation.modelled import diffuse_images
from benchmarks.localisation.skies import Case
from models import evaluate as ev
from models.likelihood.background import BackgroundScales
from models.likelihood.optics import blurred_point_spread
from models.likelihood.tile_model import TileSky
from sky.response import load_response
from sky.tiles import TileGrid

Array = NDArray[np.float64]
Found = tuple[ev.Positions, Array]

LEAST_SIGMA = 3.0
SEPARATION_DEG = 0.25
KERNEL_DEG = 2.0
# Pixels whose first estimate lies below are not fitted: far below what counts as found.
SKIPPED_TS = 4.0
PSF_RADII_DEG = np.concatenate([np.linspace(0.0, 0.3, 61), np.geomspace(0.32, 10.0, 60)])


def gammapy_ts_maps(case: Case, tiles: Sequence[int], which: str) -> Found:
    """Peaks of gammapy's `TSMapEstimator` (all bands and event types in one fit), given a diffuse model."""
    import astropy.units as u
    from gammapy.datasets import Datasets
    from gammapy.estimators import TSMapEstimator
    from gammapy.estimators.utils import find_peaks
    from gammapy.modeling.models import PointSpatialModel, PowerLawSpectralModel, SkyModel

    index = case.cube.survey.reference_index
    source = SkyModel(PowerLawSpectralModel(index=index), PointSpatialModel(frame="galactic"))
    estimator = TSMapEstimator(
        source, kernel_width=KERNEL_DEG * u.deg, threshold=SKIPPED_TS, sum_over_energy_groups=False
    )

    def peaks(sky: TileSky, images: Array) -> tuple[Array, Array, Array]:
        datasets = Datasets(_datasets(case, which, sky, images))
        maps = estimator.run(datasets)
        table = find_peaks(maps["sqrt_ts"].reduce_over_axes(), LEAST_SIGMA, SEPARATION_DEG * u.deg)
        if not len(table):
            return np.empty(0), np.empty(0), np.empty(0)
        return tuple(np.asarray(table[name], float) for name in ("x", "y", "value"))  # type: ignore[return-value]

    return _on_tiles(case, tiles, peaks)


def _datasets(case: Case, which: str, sky: TileSky, images: Array) -> list[Any]:
    """One gammapy dataset an event type, all bands on the finest grid."""
    import astropy.units as u
    from gammapy.datasets import MapDataset
    from gammapy.maps import Map, MapAxis, WcsGeom
    from gammapy.modeling.models import FoVBackgroundModel

    survey, grid = case.cube.survey, sky.grid
    glon, glat = grid.centre(sky.tile)
    edges = [band.emin_gev for band in survey.bands] + [survey.bands[-1].emax_gev]
    axis = MapAxis.from_energy_edges(edges * u.GeV)
    true_axis = MapAxis.from_energy_edges(edges * u.GeV, name="energy_true")
    width = grid.npix(sky.band)
    geom = WcsGeom.create(
        skydir=(glon, glat),
        npix=width,
        binsz=grid.pixel_deg(sky.band),
        proj="TAN",
        frame="galactic",
        axes=[axis],
    )
    diffuse = diffuse_images(grid, sky.tile, sky.band, case.diffuse_sr[which])
    exposures = case.exposure.of_planes([glon], [glat])[0]
    out = []
    for event_type in survey.event_types:
        planes = [survey.planes.index((b, event_type)) for b in range(len(survey.bands))]
        exposure = Map.from_geom(geom.to_image().to_cube([true_axis]), unit="cm2 s")
        exposure.data += exposures[planes, None, None]
        out.append(
            MapDataset(
                counts=Map.from_geom(geom, data=images[planes]),
                background=Map.from_geom(geom, data=diffuse[planes].astype(float)),
                exposure=exposure,
                psf=_psf_map(case, sky, planes, true_axis),
                name=event_type,
            )
        )
        out[-1].models = [FoVBackgroundModel(dataset_name=event_type)]
    return out


def _psf_map(case: Case, sky: TileSky, planes: list[int], true_axis: Any) -> Any:
    import astropy.units as u
    from gammapy.irf import PSFMap
    from gammapy.maps import Map, MapAxis, WcsGeom

    spread = blurred_point_spread(case.cube.survey, load_response(case.irfs), sky.smoother.pixel_deg)
    radii = MapAxis.from_nodes(PSF_RADII_DEG * u.deg, name="rad")
    # The whole sky in two pixels: the PSF of a tile is the same everywhere.
    geom = WcsGeom.create(npix=(2, 1), proj="CAR", binsz=180).to_cube([radii, true_axis])
    density = np.array([spread.density(p, PSF_RADII_DEG) for p in planes])
    data = np.broadcast_to(density[:, :, None, None], geom.data_shape).copy()
    exposure = Map.from_geom(geom.squash("rad"), unit="cm2 s", data=1.0)
    return PSFMap(Map.from_geom(geom, data=data, unit="sr-1"), exposure)


def dao_star_finder(case: Case, tiles: Sequence[int]) -> Found:
    """photutils' `DAOStarFinder` on the significance of all planes together, background from the counts.

    The planes' excess over the local background, each filtered with its PSF, is summed with the shares of a
    source's photons as weights and divided by the expected noise.
    """
    from photutils.detection import DAOStarFinder

    def peaks(sky: TileSky, images: Array) -> tuple[Array, Array, Array]:
        background = sky.first_background(BackgroundScales()).astype(float)
        spread = blurred_point_spread(case.cube.survey, load_response(case.irfs), sky.smoother.pixel_deg)
        signal = np.zeros(images.shape[1:])
        variance = np.zeros(images.shape[1:])
        for plane, weight in enumerate(sky.share):
            kernel = _kernel(spread.density, plane, sky.smoother.pixel_deg)
            # A source's photons over the background decide what a plane's excess is worth.
            floor = np.maximum(background[plane], 1e-6)
            matched = weight * kernel
            signal += fftconvolve((images[plane] - floor) / floor, matched, mode="same")
            variance += fftconvolve(1.0 / floor, matched**2, mode="same")
        significance = signal / np.sqrt(np.maximum(variance, 1e-12))
        width_px = 2 * float(spread.radius_deg(0.39)[-1]) / sky.smoother.pixel_deg
        # The filtered image is smooth, so that nothing may be cut for its shape.
        finder = DAOStarFinder(
            LEAST_SIGMA, max(2.35 / 2 * width_px, 1.5), sharpness_range=None, roundness_range=None
        )
        table = finder(significance)
        if table is None:
            return np.empty(0), np.empty(0), np.empty(0)
        # By the height of the peak in the image that the finder looks at.
        x, y, mag = (np.asarray(table[name], float) for name in ("x_centroid", "y_centroid", "daofind_mag"))
        return x, y, 10.0 ** (-0.4 * mag)

    return _on_tiles(case, tiles, peaks)


def _kernel(density: Callable[..., Array], plane: int, pixel_deg: float) -> Array:
    reach = int(np.ceil(KERNEL_DEG / 2 / pixel_deg))
    offset = np.arange(-reach, reach + 1) * pixel_deg
    return cast(
        Array, density(plane, np.hypot(offset[:, None], offset[None, :])) * np.radians(pixel_deg) ** 2
    )


def _on_tiles(
    case: Case, tiles: Sequence[int], peaks: Callable[[TileSky, Array], tuple[Array, Array, Array]]
) -> Found:
    """Peaks of tiles' images that lie in the tiles' own cells."""
    response, grid = load_response(case.irfs), TileGrid(case.cube.survey)
    parts = []
    for tile in tiles:
        sky = TileSky.of(case.cube, case.exposure, response, grid, tile)
        x, y, value = peaks(sky, sky.image(sky.counts).astype(float))
        glon, glat = grid.pixel_to_sky(tile, sky.band, x, y)
        parts.append(np.stack([glon, glat, value], axis=-1)[grid.owner(glon, glat) == tile])
    glon, glat, value = np.concatenate(parts).T
    return ev.Positions(glon, glat), value
