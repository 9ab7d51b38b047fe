from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from models.evaluate import limit_significance as limit_of_arrays
from models.localise.direction import direction_field
from models.psf_kernels import plane_psf, shuffle_sigma_deg
from models.render import STAMP_HALF_PX, TileSources, draw_sources, limit_significance
from models.stream import TileStream, draw_targets, random_axes, render_batch
from models.synthetic_tiles import render_tiles
from models.training.seeds import sky_rng
from models.training_sky import TrainingSky, mixed_sky, training_sky
from sky.counts import CountsCube, HealpixCounts
from sky.frames import unit_vectors
from sky.rendering import GAUSSIAN_R68
from sky.response import load_response
from sky.simulate import COMPONENTS, SyntheticSky, synthetic_sky
from sky.survey import get_survey
from sky.tiles import TileGrid, tile_axes
from tests.models.point_sky import point_sky

SURVEY = get_survey("lat-10gev")


@pytest.fixture(scope="module")
def synthetic() -> SyntheticSky:
    return synthetic_sky(SURVEY, 11, "B1", "4fgl-dr2", faintest=1.0)


@pytest.fixture(scope="module")
def expected(synthetic: SyntheticSky) -> TrainingSky:
    return training_sky(synthetic)


def tile_frames(tiles: list[int]) -> np.ndarray:
    return tile_axes()[tiles] * np.array([-1.0, 1.0, 1.0])[:, None]


def test_tiles_agree_with_the_simulated_sky(synthetic: SyntheticSky, expected: TrainingSky) -> None:
    """Counts drawn photon by photon on the sphere, cut into tiles, against the stream's expected counts."""
    band, grid = 0, TileGrid(SURVEY)
    drawn = sum(synthetic.draw_component(band, 0, c) for c in COMPONENTS)
    empty = HealpixCounts.from_pixels(10, [])
    maps = {(b, "BOTH", 0): HealpixCounts.from_dense(10, drawn) if b == band else empty for b in range(3)}
    cube = CountsCube(SURVEY, maps)
    # Crab, Vela, the pole, the inner Galaxy, and two that nothing speaks for.
    places = ([184.6, 263.6, 10.0, 20.0, 120.0, 300.0], [-5.8, -2.8, 85.0, 0.5, 40.0, -40.0])
    tiles = np.unique(grid.owner(*places)).tolist()
    batch = render_batch(
        expected, tile_frames(tiles), np.random.default_rng(0), width_deg=15.0, poisson=False
    )
    mean = batch.images[band][:, 0].double().numpy()
    counts = np.stack([grid.images(cube, t, 3)[band][0, 0] for t in tiles]).astype(float)
    assert counts.sum() == pytest.approx(mean.sum(), abs=4 * np.sqrt(mean.sum()) + 0.005 * mean.sum())
    for blocks in (4, 16):
        n = counts.reshape(len(tiles), 192 // blocks, blocks, -1, blocks).sum((2, 4))
        mu = mean.reshape(n.shape[0], n.shape[1], blocks, -1, blocks).sum((2, 4))
        pull = (n - mu) / np.sqrt(mu)
        assert abs(np.mean(pull)) < 4 / np.sqrt(pull.size) + 0.1
        assert np.median(pull**2) == pytest.approx(stats.chi2(1).median(), rel=0.15)


def test_a_bright_source_keeps_its_containment(expected: TrainingSky) -> None:
    """The Crab's 68 % and 95 % radii on a tile, against the PSF of the band."""
    crab = unit_vectors(184.55, -5.78)
    brightest = int(np.argmax(expected.counts.sum(1) * (expected.vectors @ crab > np.cos(np.radians(0.2)))))
    frame = tile_frames([int(TileGrid(SURVEY).owner(184.55, -5.78))])
    alone = point_sky(
        SURVEY,
        expected.vectors[[brightest]],
        expected.counts[[brightest]],
        np.zeros_like(expected.diffuse_sr),
        expected.psf_index[[brightest]],
    )
    batch = render_batch(alone, frame, np.random.default_rng(0), width_deg=15.0, poisson=False)
    n = batch.mask.shape[-1]
    rows, columns = np.mgrid[:n, :n]
    radius = np.hypot(columns - batch.x_px.item(), rows - batch.y_px.item()) * 15.0 / n
    psf = plane_psf(SURVEY, load_response(SURVEY.irfs), 0, 2.0).smeared(shuffle_sigma_deg(10))
    image = batch.images[0][0, 0].double().numpy()
    total = float(alone.counts[0, 0])
    for fraction, tolerance in ((0.68, 0.03), (0.95, 0.01)):
        edge = float(psf.radius_deg(fraction))
        assert image[radius <= edge].sum() / total == pytest.approx(fraction, abs=tolerance)
    assert image.sum() == pytest.approx(total, abs=0.02 * total)


@pytest.mark.parametrize("count", [5.0, 300.0, 30_000.0])
def test_stamps_lose_few_photons(count: float) -> None:
    source = TileSources(
        torch.zeros(1, dtype=torch.long),
        torch.tensor([0.3]),
        torch.tensor([-0.2]),
        torch.full((1, 3), count),
        torch.ones(1, 3, dtype=torch.long),
    )
    image = draw_sources(SURVEY, SURVEY.irfs, 0, source, 1, 128)
    assert image.sum().item() == pytest.approx(count, abs=max(0.4, 0.02 * count))
    row, column = divmod(int(image.argmax()), 128)
    assert (column, row) == (int(0.3 / 0.078125 + 64), int(-0.2 / 0.078125 + 64))


def test_limit_is_that_of_the_evaluation(expected: TrainingSky) -> None:
    rng = np.random.default_rng(2)
    batch = render_batch(expected, random_axes(rng, 2), rng, poisson=False)
    best = int(torch.argmax(torch.where((batch.x_px - 64).abs() < 40, batch.limit_sigma, 0.0)))
    own = TileSources(
        torch.zeros(1, dtype=torch.long),
        ((batch.x_px[[best]] - 63.5) * 0.078125),
        ((batch.y_px[[best]] - 63.5) * 0.078125),
        batch.counts[[best]],
        torch.full((1, 3), 1),
    )
    images = [draw_sources(SURVEY, SURVEY.irfs, p, own, 1, 128) for p in range(3)]
    all_counts = [batch.images[p][batch.tile[best], 0][None] for p in range(3)]
    again = limit_significance(SURVEY, SURVEY.irfs, own, all_counts)
    source = torch.cat([i.ravel() for i in images]).double().numpy()
    rest = torch.cat([i.ravel() for i in all_counts]).double().numpy() - source
    assert again.item() == pytest.approx(limit_of_arrays(source, np.maximum(rest, 1e-7)), rel=0.02)
    assert STAMP_HALF_PX[0] * 0.078 > 0.5


def test_targets_are_discs_and_directions() -> None:
    x, y = torch.tensor([20.3, 50.0, 30.6]), torch.tensor([30.0, 12.7, 33.1])
    mask, direction, centre = draw_targets(torch.tensor([0, 0, 1]), x, y, 2, 64)
    rows, columns = np.mgrid[:64, :64]
    inside = [np.hypot(columns - a, rows - b) <= 5 for a, b in zip(x.numpy(), y.numpy(), strict=True)]
    assert np.array_equal(mask[0].numpy(), inside[0] | inside[1])
    assert np.array_equal(mask[1].numpy(), inside[2])
    field = direction_field(x[:2].double().numpy(), y[:2].double().numpy(), (64, 64))
    assert np.allclose(direction[0].numpy(), field, atol=1e-5)
    assert centre[1].max() == centre[1, 33, 31]
    assert centre[0].sum().item() == pytest.approx(2 * 2 * np.pi, rel=1e-3)


def test_frames_are_tiles_of_any_orientation() -> None:
    axes = random_axes(np.random.default_rng(3), 20_000, plane_share=0.0)
    assert np.allclose(axes @ np.swapaxes(axes, 1, 2), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(axes), np.linalg.det(tile_frames([7])[0]))
    for column in (axes[:, 2, 2], axes[:, 0, 0], axes[:, 1, 2]):
        assert stats.kstest(column, stats.uniform(-1, 2).cdf).pvalue > 1e-3


def few_sources(survey, rng: np.random.Generator) -> TrainingSky:
    """A small sky that is quick to make."""
    n, planes = 2000, len(survey.planes)
    place = rng.normal(size=(n, 3))
    return point_sky(
        survey,
        place / np.linalg.norm(place, axis=1, keepdims=True),
        rng.lognormal(1, 2, (n, planes)),
        np.full((planes, 12 * 16**2), 800.0),
        rng.integers(0, 4, (n, planes)),
        rng.lognormal(size=n) * 1e-10,
        rng.integers(0, 4, n),
    )


def first_batches(seed: int, workers: int, split: str = "train") -> list[torch.Tensor]:
    stream = TileStream(SURVEY, seed, split, 4, 2, draw_sky=few_sources)
    loader = torch.utils.data.DataLoader(stream, batch_size=None, num_workers=workers)
    return [batch.images[0] for batch, _ in zip(loader, range(4), strict=False)]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_seed_gives_the_same_tiles(workers: int) -> None:
    one, two = first_batches(5, workers), first_batches(5, workers)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[0], first_batches(6, workers)[0])
    assert not torch.equal(one[0], first_batches(5, workers, "validation")[0])
    assert not torch.equal(one[0], one[1])


def test_splits_are_apart() -> None:
    draws = {split: sky_rng(1, split, 0, 0).integers(2**62) for split in ("train", "validation", "test")}
    assert len(set(draws.values())) == 3


def test_poisson_is_drawn_anew_about_the_expected_counts(expected: TrainingSky) -> None:
    axes = random_axes(np.random.default_rng(4), 2)
    rng = np.random.default_rng(5)
    mean = render_batch(expected, axes, rng, poisson=False).images[0].double()
    draws = torch.stack([render_batch(expected, axes, rng).images[0].double() for _ in range(12)])
    assert not torch.equal(draws[0], draws[1])
    pull = (draws.sum((0, 3, 4)) - 12 * mean.sum((2, 3))) / torch.sqrt(12 * mean.sum((2, 3)))
    assert pull.abs().max() < 4.5


def test_every_plane_of_six_bands_is_drawn() -> None:
    survey = get_survey("lat-6band")
    rng = np.random.default_rng(6)
    batch = render_batch(few_sources(survey, rng), random_axes(rng, 2), rng)
    assert [i.shape for i in batch.images] == [torch.Size((2, 2, n, n)) for n in (16, 16, 32, 64, 128, 128)]
    assert [i.shape for i in batch.background] == [i.shape for i in batch.images]
    assert batch.mask.shape == (2, 128, 128)


def extended_sky(shape: int, size_deg: float, count: float) -> TrainingSky:
    """One extended source alone at the centre of tile 200."""
    sky = point_sky(SURVEY, tile_axes()[[200], 2], np.full((1, 3), count), np.full((3, 12 * 16**2), 100.0))
    return replace(sky, shape=np.array([shape]), size_deg=np.array([size_deg]))


@pytest.mark.parametrize("shape", [1, 2])
@pytest.mark.parametrize("size_deg", [0.3, 1.5])
def test_extended_sources_keep_their_light_and_size(shape: int, size_deg: float) -> None:
    count = 2000.0
    tiles = render_tiles(
        extended_sky(shape, size_deg, count), tile_frames([200]), np.random.default_rng(0), poisson=False
    )
    image = (tiles.expected[0] - tiles.diffuse[0])[0].double().numpy()
    assert image.sum() == pytest.approx(count, rel=0.02)
    rows, columns = np.mgrid[:128, :128]
    radius = np.hypot(columns - 63.5, rows - 63.5) * 10 / 128
    psf = plane_psf(SURVEY, load_response(SURVEY.irfs), 0, 2.0).smeared(shuffle_sigma_deg(10))
    wide = psf.over_disc(size_deg) if shape == 1 else psf.smeared(size_deg / GAUSSIAN_R68)
    ideal = wide.density_sr(radius) * np.radians(10 / 128) ** 2
    assert np.abs(image - count * ideal).sum() < 0.1 * count


def test_an_extended_source_is_one_truth_at_its_centre() -> None:
    axes, rng = tile_frames([200]), np.random.default_rng(0)
    sigma = []
    for shape, size_deg in ((0, 0.0), (1, 0.2), (1, 1.0)):
        batch = render_batch(extended_sky(shape, size_deg, 60.0), axes, rng)
        assert (batch.x_px.item(), batch.y_px.item()) == pytest.approx((63.5, 63.5), abs=0.1)
        assert batch.mask[0, 63, 63] == 1 and batch.mask.sum() < 90
        sigma.append(batch.limit_sigma.item())
    # The same photons on more sky show less.
    assert sigma[0] > sigma[1] > sigma[2] > 5


def test_a_share_of_the_skies_has_extended_sources() -> None:
    rng = np.random.default_rng
    assert not mixed_sky(SURVEY, rng(3)).shape.any()
    wide = mixed_sky(SURVEY, rng(3), extended_share=1.0)
    nebulae = wide.class_code == 3
    # 50 of the 157 that 4FGL-DR2 identifies.
    assert (wide.shape[nebulae] > 0).mean() == pytest.approx(50 / 157, abs=0.08)
    assert 0.1 < np.median(wide.size_deg[wide.shape > 0]) < 1.0
