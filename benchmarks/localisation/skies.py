"""The skies that are searched: synthetic ones of the test split, and the real one above 10 GeV.

A synthetic sky is named ``EMISSION:POPULATION:NUMBER``. Its seed is drawn from the test split by the number
alone, so that ``B1:physical:1`` and ``B2:physical:1`` hold the same sources under different emission.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import healpy as hp
import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from benchmarks.localisation.position import efficient_error_deg
from benchmarks.skies import exposure_maps, real_sky
from models import evaluate as ev
from models.likelihood.neighbourhood import near_cell
from models.likelihood.optics import healpix_point_spread
from models.stream import TileBatch, render_batch
from models.training.seeds import sky_rng
from models.training_sky import TrainingSky, training_sky
from sky.counts import CountsCube, HealpixCounts
from sky.data import data_path
from sky.exposure import ExposureMaps
from sky.frames import unit_vectors
from sky.response import load_response
from sky.simulate import SyntheticSky, synthetic_sky
from sky.survey import Survey
from sky.tiles import TileGrid, owner, tile_axes

Array = NDArray[np.float64]

TEST_SEED = 1
# Pairs of the same sources under B1 and B2, both flux laws, and two skies of the random family.
TEN_SKIES = (
    "B1:founding:0,B1:physical:1,B1:founding:2,B1:physical:3,"
    "B2:founding:0,B2:physical:1,B2:founding:2,B2:physical:3,"
    "random:founding:4,random:physical:5"
)
# Truths this far outside the searched tiles still explain a detection inside them.
MARGIN_DEG = ev.MATCH_RADIUS_DEG
RENDERED_TILES = 8


@dataclass(frozen=True, eq=False)
class Truths:
    """What is there, in the searched tiles and within `MARGIN_DEG` of them; arrays [N].

    Attributes
    ----------
    places : Positions
    inside : array of bool
        In a searched tile; the others only explain detections.
    flux_cm2_s : array
        In the survey's headline range; on the real sky, a rank.
    limit_sigma : array
        Significance if all else were known exactly; inf on the real sky.
    limit_deg : array
        Position error of a perfect likelihood: each plane's r68 over its significance, together; NaN on the
        real sky.
    efficient_deg : array
        Median position error that the photons allow (`position.efficient_error_deg`); NaN on the real sky.
    """

    places: ev.Positions
    inside: NDArray[np.bool_]
    flux_cm2_s: Array
    limit_sigma: Array
    limit_deg: Array
    efficient_deg: Array

    def select(self, which: NDArray[np.bool_]) -> "Truths":
        """Some of them."""
        return Truths(
            self.places.select(which),
            self.inside[which],
            self.flux_cm2_s[which],
            self.limit_sigma[which],
            self.limit_deg[which],
            self.efficient_deg[which],
        )

    def on(self, tiles: Sequence[int]) -> "Truths":
        """The same, with only those in some of the tiles counted as inside."""
        return replace(
            self, inside=self.inside & np.isin(owner(self.places.glon_deg, self.places.glat_deg), tiles)
        )


@dataclass(frozen=True, eq=False)
class Case:
    """A sky to search.

    Attributes
    ----------
    name : str
    irfs : str
    cube : CountsCube
    exposure : ExposureMaps
    truths : Truths
    diffuse_sr : dict of str to array [n_planes, npix]
        Expected diffuse counts per sr by emission model, galactic RING: the true one and a wrong one.
    """

    name: str
    irfs: str
    cube: CountsCube
    exposure: ExposureMaps
    truths: Truths
    diffuse_sr: dict[str, NDArray[np.float32]]

    @property
    def kind(self) -> str:
        """The emission model, or `real`: skies of a kind are scored together."""
        return self.name.partition(":")[0]


def sky_seed(number: int) -> int:
    """Seed of a sky of the test split."""
    return int(sky_rng(TEST_SEED, "test", 0, number).integers(2**62))


def make_case(survey: Survey, name: str, tiles: range, *, wrong: bool = False) -> Case:
    """A sky by name; with `wrong`, the diffuse counts of the other emission model too (B2; for B2, B1)."""
    if name == "real":
        return real_case(tiles)
    emission, population, number = name.split(":")
    seed = sky_seed(int(number))
    sky = synthetic_sky(survey, seed, emission, population)
    maps = {}
    for plane, (band, event_type) in enumerate(survey.planes):
        counts = next(iter(sky.draw_counts(plane)))
        maps[band, event_type, 0] = HealpixCounts.from_dense(survey.bands[band].order, counts)
    expected = training_sky(sky)
    diffuse = {"true": expected.diffuse_sr}
    if wrong:
        other = "B1" if emission == "B2" else "B2"
        diffuse["wrong"] = training_sky(synthetic_sky(survey, seed, other, population)).diffuse_sr
    truths = truths_of(sky, expected, tiles)
    return Case(name, survey.irfs, CountsCube(survey, maps), exposure_maps(sky), truths, diffuse)


def truths_of(sky: SyntheticSky, expected: TrainingSky, tiles: range) -> Truths:
    """The sources in some tiles and near them, with what a perfect likelihood would make of them."""
    grid = TileGrid(sky.survey)
    finest = sky.survey.finest_band
    frames = tile_axes() * np.array([-1.0, 1.0, 1.0])[:, None]
    rows = []
    for first in range(0, len(tiles), RENDERED_TILES):
        some = tiles[first : first + RENDERED_TILES]
        batch = render_batch(
            expected, frames[some], np.random.default_rng(0), width_deg=grid.width_deg, poisson=False
        )
        for k, tile in enumerate(some):
            mine = (batch.tile == k).numpy()
            x, y = (v.double().numpy()[mine] for v in (batch.x_px, batch.y_px))
            glon, glat = grid.pixel_to_sky(tile, finest, x, y)
            near = near_cell(tile, unit_vectors(glon, glat), MARGIN_DEG)
            inside = grid.owner(glon, glat) == tile
            sigma, flux = batch.limit_sigma.double().numpy()[mine], batch.flux_cm2_s.numpy()[mine]
            limits = _position_limits_deg(sky, expected, batch, mine, glon, glat)
            # Near ones that another searched tile owns come from there.
            kept = inside | (near & ~np.isin(grid.owner(glon, glat), tiles))
            rows.append(np.stack([glon, glat, inside, flux, sigma, *limits], axis=-1)[kept])
    glon, glat, inside, flux, sigma, limit, efficient = np.concatenate(rows).T
    return Truths(ev.Positions(glon, glat), inside > 0, flux, sigma, limit, efficient)


def _position_limits_deg(
    sky: SyntheticSky,
    expected: TrainingSky,
    batch: TileBatch,
    mine: NDArray[np.bool_],
    glon: Array,
    glat: Array,
) -> tuple[Array, Array]:
    """`Truths.limit_deg` and `Truths.efficient_deg` of some of a batch's sources, each [n].

    The former is each plane's r68 over the significance of the counts within it, the planes together.
    """
    survey = sky.survey
    spread = healpix_point_spread(survey, load_response(survey.irfs))
    r68 = spread.radius_deg(0.68)
    density = np.stack([hp.get_interp_val(m, glon, glat, lonlat=True) for m in expected.diffuse_sr], axis=-1)
    background = np.maximum(density * np.pi * np.radians(r68) ** 2, 1e-9)
    counts = batch.counts.double().numpy()[mine]
    source = 0.68 * counts
    ts = 2.0 * ((source + background) * np.log1p(source / background) - source)
    limit = 1.0 / np.sqrt(np.maximum((ts / r68**2).sum(axis=-1), 1e-12))
    return limit, efficient_error_deg(spread, counts, density)


def real_case(tiles: range) -> Case:
    """The real sky above 10 GeV; its truths are the distinct sources of 3FHL and 4FGL-DR2."""
    sky = real_sky()
    (l3, b3, s3), (l4, b4, s4) = (
        catalogue(name) for name in ("catalogs/gll_psch_v13.fit.gz", "catalogs/gll_psc_v27.fit.gz")
    )
    also = ev.match(ev.Positions(l3, b3), s3, ev.Positions(l4, b4), 0.15).real
    glon, glat = np.concatenate([l3, l4[~also]]), np.concatenate([b3, b4[~also]])
    # 3FHL's sources are the brighter ones here, whatever they are at lower energies.
    rank = np.concatenate([1e4 + s3, s4[~also]])
    vectors, owners = unit_vectors(glon, glat), TileGrid(sky.cube.survey).owner(glon, glat)
    inside = np.isin(owners, tiles)
    near = inside.copy()
    for tile in tiles:
        near |= near_cell(tile, vectors, MARGIN_DEG)
    nothing = np.full(len(rank), np.nan)
    all_of_it = Truths(ev.Positions(glon, glat), inside, rank, np.full(len(rank), np.inf), nothing, nothing)
    return Case("real", sky.irfs, sky.cube, sky.exposure, all_of_it.select(near), {})


def catalogue(name: str) -> tuple[Array, Array, Array]:
    """Galactic positions and significances."""
    with fits.open(data_path(name)) as file:
        rows = file[1].data
        columns = (rows["GLON"], rows["GLAT"], np.nan_to_num(rows["Signif_Avg"]))
        glon, glat, sigma = (np.asarray(c, float) for c in columns)
    return glon, glat, sigma
