"""Cut-outs of simulated tiles and of counts cubes: the same pixels, the right counts."""

import healpy as hp
import numpy as np
import pytest
import torch
from scipy import stats

from models.cutouts import FAKE, SIZE_PX, CutoutStream, cut_tile
from models.cutouts.counting import window_counts
from models.cutouts.crop import centre_pixels, cutout_width_deg, windows
from models.cutouts.cutout import Cutouts
from models.cutouts.stream import cut_synthetic
from models.synthetic_tiles import render_tiles, tile_to_sky
from models.training_sky import TrainingSky, training_sky
from sky.counts import CountsCube, HealpixCounts
from sky.exposure import ExposureMaps
from sky.frames import unit_vectors
from sky.mission import pattern
from sky.response import load_response
from sky.simulate import SyntheticSky, synthetic_sky
from sky.survey import Survey, get_survey
from sky.tiles import TileGrid, owner, tile_axes
from tests.models.point_sky import point_sky

SURVEYS = [get_survey("lat-10gev"), get_survey("lat-6band")]
# Vela, Geminga, 3C 454.3, Mkn 421, a place near the pole, two in the inner Galaxy.
GLON = np.array([263.55, 195.13, 86.11, 179.83, 30.0, 10.0, 348.0])
GLAT = np.array([-2.79, 4.27, -38.18, 65.03, 80.0, 0.4, -0.6])


def uniform_exposure(survey: Survey, expected: TrainingSky) -> ExposureMaps:
    return ExposureMaps(survey, 4, expected.mean_exposure_cm2_s[:, None, None] * pattern(16))


def synthetic_tiles(expected: TrainingSky, tiles: np.ndarray, **options):
    axes = tile_axes()[tiles] * np.array([-1.0, 1.0, 1.0])[:, None]
    width = cutout_width_deg(expected.survey)
    return render_tiles(expected, axes, np.random.default_rng(0), width_deg=width, **options)


def places_on(grid: TileGrid, tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    finest = int(np.argmax(grid.survey.tile_pixels_per_10deg))
    pairs = [grid.sky_to_pixel(t, finest, lon, lat) for t, lon, lat in zip(tiles, GLON, GLAT, strict=True)]
    x, y = np.array(pairs, float).T
    return x, y


# One plane at every resolution, those with few photons where there is a choice: 0.3-0.5, 2-7 and 7-20 GeV.
DRAWN = (1, 6, 9)


def test_real_and_simulated_cutouts_agree() -> None:
    """Photons drawn on the sphere, in a counts cube, against the expected counts of the stream's tiles."""
    survey = SURVEYS[1]
    sky = synthetic_sky(survey, 3, "B1", "4fgl-dr2", faintest=1.0)
    expected = training_sky(sky)
    cube = drawn_cube(sky)
    exposure = uniform_exposure(survey, expected)
    tiles, grid = owner(GLON, GLAT), TileGrid(survey, cutout_width_deg(survey))
    x, y = places_on(grid, tiles)
    synthetic = synthetic_tiles(expected, tiles, poisson=False)
    rng = np.random.default_rng(1)
    mean = cut_synthetic(synthetic, torch.arange(len(tiles)), x, y, years=False, rng=rng)
    parts = [
        cut_tile(cube, exposure, TileGrid(survey), int(t), 5, lon, lat)
        for t, lon, lat in zip(tiles, GLON, GLAT, strict=True)
    ]
    drawn = Cutouts.join(parts)
    assert drawn.counts.shape == (7, len(survey.planes), SIZE_PX, SIZE_PX)
    assert drawn.yearly is None
    assert bool(drawn.covered.all()) and bool(mean.covered.all())
    assert torch.allclose(drawn.offset_px, mean.offset_px, atol=1e-5)
    assert torch.allclose(drawn.glat_deg, mean.glat_deg, atol=1e-5)
    assert torch.allclose(drawn.exposure_cm2_s, mean.exposure_cm2_s, rtol=0.01)
    counts, mu = (c.counts[:, DRAWN].double().numpy() for c in (drawn, mean))
    total, total_mu = counts.sum((0, 2, 3)), mu.sum((0, 2, 3))
    assert np.all(np.abs(total - total_mu) < 4.5 * np.sqrt(total_mu) + 0.02 * total_mu)
    # The bright centre stands in the same pixel: a shift of one would be far off.
    centre, centre_mu = counts[:4, :, 5, 5], mu[:4, :, 5, 5]
    assert np.all(np.abs(centre - centre_mu) < 5 * np.sqrt(centre_mu) + 0.06 * centre_mu + 1)
    faint = mu[4:] > 0.5
    pull = ((counts - mu) / np.sqrt(mu + 0.02**2 * mu**2))[4:][faint]
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size) + 0.2
    assert np.median(pull**2) == pytest.approx(stats.chi2(1).median(), rel=0.25)


def drawn_cube(sky: SyntheticSky) -> CountsCube:
    survey = sky.survey
    maps = {}
    for plane, (band, event_type) in enumerate(survey.planes):
        order = survey.bands[band].order
        empty = HealpixCounts.from_pixels(order, [])
        maps[band, event_type, 0] = (
            HealpixCounts.from_dense(order, next(iter(sky.draw_counts(plane)))) if plane in DRAWN else empty
        )
    return CountsCube(survey, maps)


@pytest.mark.parametrize("survey", SURVEYS, ids=lambda s: s.name)
def test_a_source_of_known_flux_has_the_right_counts(survey: Survey) -> None:
    """A lone power law: counts on its cut-outs are flux x exposure x the PSF's share in them."""
    index, flux_cm2_s, lon, lat = survey.reference_index, 1e-9, 130.0, 40.0
    exposure = np.linspace(2e11, 4e11, len(survey.planes))
    low, high = survey.flux_range_gev

    def integral(a: float, b: float) -> float:
        return (a ** (1 - index) - b ** (1 - index)) / (low ** (1 - index) - high ** (1 - index))

    flux = flux_cm2_s * np.array(
        [integral(survey.bands[b].emin_gev, survey.bands[b].emax_gev) for b, _ in survey.planes]
    )
    counts = (flux * exposure)[None]
    sky = point_sky(survey, unit_vectors(lon, lat)[None], counts, np.full((len(counts[0]), 12 * 16**2), 1e-6))
    tiles = owner(np.array([lon]), np.array([lat]))
    grid = TileGrid(survey, cutout_width_deg(survey))
    x, y = grid.sky_to_pixel(int(tiles[0]), int(np.argmax(survey.tile_pixels_per_10deg)), [lon], [lat])
    synthetic = synthetic_tiles(sky, tiles, poisson=False)
    cut = cut_synthetic(synthetic, torch.zeros(1, dtype=torch.long), x, y, False, np.random.default_rng(0))
    total = cut.counts.double().numpy().sum((2, 3))[0]
    response = load_response(survey.irfs)
    for plane, (b, event_type) in enumerate(survey.planes):
        band, pixel_deg = survey.bands[b], 10.0 / survey.tile_pixels_per_10deg[b]
        psf = response.band_psf(event_type, band.emin_gev, band.emax_gev, 2.0)
        # Between the circles inside and round the square, the source half a pixel off at most.
        inside, outside = psf.containment([5.0 * pixel_deg, 6.0 * np.sqrt(2) * pixel_deg])
        assert inside * 0.97 < total[plane] / counts[0, plane] < min(outside * 1.02, 1.0)


def random_cube(survey: Survey, slices: int, rng: np.random.Generator) -> CountsCube:
    """Photons all over the sky, some pixels with hundreds."""
    maps = {}
    for band, event_type in survey.planes:
        order = survey.bands[band].order
        for s in range(slices):
            photons = rng.integers(12 << (2 * order), size=300_000)
            bright = rng.choice(photons, 300).repeat(rng.integers(1, 300, 300))
            maps[band, event_type, s] = HealpixCounts.from_pixels(order, np.append(photons, bright))
    return CountsCube(survey, maps, tuple((float(s), s + 1.0) for s in range(slices)))


@pytest.mark.parametrize(("survey", "slices"), [(SURVEYS[0], 1), (SURVEYS[1], 2)], ids=["10gev", "6band"])
def test_windows_are_counted_as_the_images_of_the_whole_tile_are(survey: Survey, slices: int) -> None:
    """In the middle of the tile, over its edge and off it, one window on top of another, and one alone."""
    rng = np.random.default_rng(2)
    cube, grid = random_cube(survey, slices, rng), TileGrid(survey, cutout_width_deg(survey))
    for tile in (0, 300, 500):
        images = grid.images(cube, tile, 9)
        for band, image in enumerate(images):
            side = grid.npix(band)
            far = [[0, side - 1], [3, side // 2], [side + 2, 5]]
            pixel = np.concatenate([rng.integers(6, side - 6, (5, 2)), far])
            pixel[1] = pixel[0] + [1, 2]
            wide = torch.from_numpy(
                np.pad(image.reshape(1, -1, side, side), [(0, 0), (0, 0), (8, 8), (8, 8)])
            )
            only = torch.zeros(len(pixel), dtype=torch.long)
            wanted = windows(wide, only, torch.from_numpy(pixel + 8), SIZE_PX)
            assert wanted.sum() > 0
            for rows in (np.arange(len(pixel)), np.array([2])):
                counts = window_counts(cube, grid, tile, 9, band, pixel[rows])
                assert counts.shape == (len(rows), len(survey.event_types), slices, SIZE_PX, SIZE_PX)
                assert np.array_equal(counts.reshape(wanted[rows].shape), wanted[rows].numpy())


def test_windows_hold_the_pixels_round_their_centre() -> None:
    image = torch.arange(2 * 3 * 20 * 20, dtype=torch.float32).reshape(2, 3, 20, 20)
    pixel = torch.tensor([[7, 12], [1, 0]])
    cut = windows(image, torch.tensor([1, 0]), pixel, 5)
    assert torch.equal(cut[0], image[1, :, 10:15, 5:10])
    assert torch.equal(cut[1, :, 2:, 1:], image[0, :, :3, :4])
    assert cut[1, :, :2].sum() == 0


def test_places_are_split_into_pixel_and_offset() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-0.5, 255.5, (2, 500))
    pixel, offset = centre_pixels([32, 64, 256], x, y)
    assert offset.abs().max() <= 0.5
    for band, side in enumerate((32, 64, 256)):
        place = (pixel[:, band].double() + offset[:, band] + 0.5) / side
        assert torch.allclose(place[:, 0], torch.from_numpy((x + 0.5) / 256), atol=1e-6)
        assert torch.allclose(place[:, 1], torch.from_numpy((y + 0.5) / 256), atol=1e-6)


def test_edges_of_exposure_are_not_covered() -> None:
    survey = SURVEYS[0]
    empty = {(b, "BOTH", 0): HealpixCounts.from_pixels(10, []) for b in range(3)}
    cube = CountsCube(survey, empty)
    values = np.full((3, 1, 12 * 64**2), 1e11)
    exposure = ExposureMaps(survey, 6, values)
    lon, lat = [120.0, 123.0], [30.0, 31.0]
    tile = int(owner(lon[0], lat[0]))
    assert cut_tile(cube, exposure, TileGrid(survey), tile, 1, lon, lat).covered.tolist() == [True, True]
    far = unit_vectors(*np.array([[120.6], [30.0]]))[0]
    pixels = np.stack(hp.pix2vec(64, np.arange(12 * 64**2), nest=True), axis=-1)
    nearby = pixels @ far > np.cos(np.radians(0.8))
    for hole in (0.0, np.nan):
        values[1, 0, nearby] = hole
        exposure = ExposureMaps(survey, 6, values)
        cut = cut_tile(cube, exposure, TileGrid(survey), tile, 1, lon, lat)
        assert cut.covered.tolist() == [False, True]
        assert bool(torch.isfinite(cut.exposure_cm2_s).all())
    # A place so far away that its cut-out leaves the tile.
    exposure = ExposureMaps(survey, 6, np.full_like(values, 1e11))
    assert not cut_tile(cube, exposure, TileGrid(survey), tile, 1, [131.0], [30.0]).covered.any()


def bright_points(survey: Survey, rng: np.random.Generator) -> TrainingSky:
    place = rng.normal(size=(4000, 3))
    counts = rng.lognormal(3, 1, 4000)[:, None] * np.linspace(1, 0.1, len(survey.planes))
    vectors = place / np.linalg.norm(place, axis=1, keepdims=True)
    diffuse = np.full((len(survey.planes), 12 * 16**2), 3000.0)
    return point_sky(survey, vectors, counts, diffuse, class_code=rng.integers(0, 4, 4000))


def first(seed: int, split: str = "train") -> tuple[Cutouts, object]:
    return next(iter(CutoutStream(SURVEYS[0], seed, split, 2, draw_sky=bright_points, random_share=0.2)))


def test_the_same_seed_gives_the_same_bytes() -> None:
    (one, truth), (two, again) = first(4), first(4)
    for a, b in ((one, two), (truth, again)):
        for name, value in vars(a).items():
            other = getattr(b, name)
            assert value is None or torch.equal(value.nan_to_num(), other.nan_to_num()), name
    assert not torch.equal(one.glon_deg, first(5)[0].glon_deg)
    assert not torch.equal(one.glon_deg, first(4, "test")[0].glon_deg)


def test_truths_fit_their_cutouts() -> None:
    cut, truth = first(6)
    assert len(cut) == len(truth) > 50
    assert bool(cut.covered.all())
    assert torch.equal(truth.real, truth.class_code != FAKE)
    assert torch.equal(truth.real, truth.flux_cm2_s > 0)
    assert 0.2 < truth.real.float().mean() < 0.99
    assert bool((truth.limit_sigma[truth.real] >= 3).all())
    assert torch.equal(torch.isfinite(truth.shift_px[:, 0]), truth.real)
    strong = truth.real & (truth.limit_sigma > 10)
    assert truth.shift_px[strong].norm(dim=1).median() < 0.5
    # More photons in the middle where more were said to be.
    core = cut.counts[:, 0, 4:7, 4:7].sum((1, 2))
    assert stats.spearmanr(core[strong], truth.flux_cm2_s[strong]).statistic > 0.8


def test_places_on_tilted_tiles_are_places_on_the_sky() -> None:
    axes = tile_axes()[[7, 500]] * np.array([-1.0, 1.0, 1.0])[:, None]
    grid = TileGrid(SURVEYS[0])
    lon, lat = tile_to_sky(axes, np.array([1.3, -4.0]), np.array([0.4, 6.1]))
    middle, pixel = (grid.npix(0) - 1) / 2, grid.pixel_deg(0)
    for k, tile in enumerate((7, 500)):
        x, y = grid.sky_to_pixel(tile, 0, lon[k], lat[k])
        assert ((x - middle) * pixel, (y - middle) * pixel) == pytest.approx(
            ([1.3, -4.0][k], [0.4, 6.1][k]), abs=1e-6
        )
