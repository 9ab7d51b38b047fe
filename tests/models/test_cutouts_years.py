"""Yearly cut-outs: consistent with the counts, and as variable as their sources."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from models.cutouts import CutoutStream
from models.cutouts.stream import cut_synthetic
from models.synthetic_tiles import render_tiles
from models.training_sky import TrainingSky
from sky.frames import unit_vectors
from sky.population import CLASSES, bright_histories
from sky.survey import Survey, get_survey
from sky.tiles import tile_axes
from sky.variability import draw_light_curves
from tests.models.point_sky import point_sky

SURVEY = get_survey("lat-6band")
TILE = 330


def lone_source(photons: float, curve: np.ndarray, diffuse_sr: float) -> TrainingSky:
    """One source in the middle of a tile."""
    centre = tile_axes()[TILE, 2][None]
    planes = len(SURVEY.planes)
    sky = point_sky(SURVEY, centre, np.full((1, planes), photons), np.full((planes, 12 * 16**2), diffuse_sr))
    return replace(sky, light_curves=curve[None])


def cut_middle(sky: TrainingSky, repeats: int, seed: int = 0):
    axes = np.repeat(tile_axes()[[TILE]] * np.array([-1.0, 1.0, 1.0])[:, None], repeats, 0)
    rng = np.random.default_rng(seed)
    tiles = render_tiles(sky, axes, rng, width_deg=21.25)
    middle = np.full(repeats, (tiles.n_pixels - 1) / 2)
    return cut_synthetic(tiles, torch.arange(repeats), middle, middle, years=True, rng=rng)


def test_years_add_up_to_the_counts() -> None:
    cut = cut_middle(
        lone_source(300.0, draw_light_curves(np.array([1]), 10, np.random.default_rng(2))[0], 1e4), 3
    )
    assert cut.yearly is not None and cut.yearly.shape == (3, 6, 10, 7, 7)
    middle = cut.counts[..., 2:-2, 2:-2].unflatten(1, (6, 2)).sum(2)
    assert torch.equal(cut.yearly.sum(2), middle)


def test_years_follow_the_light_curve() -> None:
    """Photons of the source vary as it does, those of the background do not."""
    curve = np.array([3.0, 2.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.3, 0.2])
    source, repeats = 400.0, 12
    for diffuse_sr in (1e-3, 3e5):
        cut = cut_middle(lone_source(source, curve, diffuse_sr), repeats)
        assert cut.yearly is not None
        # 7-20 GeV: 7 pixels of 0.08 degrees.
        drawn = cut.yearly[:, 4].sum((0, 2, 3)).double().numpy()
        background = diffuse_sr * np.radians(7 * 10 / 128) ** 2 * 2 * repeats
        in_window = drawn.sum() - background
        assert 0.6 * 2 * source * repeats < in_window < 2 * source * repeats
        expected = background / 10 + in_window * curve / 10
        assert stats.chisquare(drawn, expected * drawn.sum() / expected.sum()).pvalue > 1e-3


def test_a_constant_sky_is_constant() -> None:
    cut = cut_middle(lone_source(500.0, np.ones(10), 1e5), 20)
    assert cut.yearly is not None
    yearly = cut.yearly.sum((1, 3, 4)).double().numpy()
    statistic = np.sum((yearly - yearly.mean(1, keepdims=True)) ** 2 / yearly.mean(1, keepdims=True))
    assert stats.chi2(9 * 20).sf(statistic) > 1e-3


def variable_sky(survey: Survey, rng: np.random.Generator) -> TrainingSky:
    """Bright sources of the four classes with light curves of their own."""
    codes = rng.integers(0, 4, 1200)
    lon, lat = rng.uniform(0, 360, 1200), np.degrees(np.arcsin(rng.uniform(-1, 1, 1200)))
    counts = np.full((1200, len(survey.planes)), 3000.0)
    diffuse = np.full((len(survey.planes), 12 * 16**2), 1e3)
    sky = point_sky(survey, unit_vectors(lon, lat), counts, diffuse, class_code=codes)
    return replace(sky, light_curves=draw_light_curves(codes, 10, rng))


def test_classes_vary_as_they_do_in_the_catalogue() -> None:
    stream = iter(
        CutoutStream(SURVEY, 1, "test", 8, draw_sky=variable_sky, random_share=0.0, threshold_sigma=20)
    )
    spread: dict[int, list[float]] = {k: [] for k in range(4)}
    for _ in range(4):
        cut, truth = next(stream)
        assert cut.yearly is not None
        yearly = cut.yearly[:, 3:, :, 1:-1, 1:-1].sum((1, 3, 4)).double()
        relative = yearly / yearly.mean(1, keepdim=True)
        noise = 1.0 / yearly.mean(1)
        excess = (relative.var(1) - noise).numpy()
        for code in range(4):
            spread[code] += excess[(truth.class_code == code).numpy()].tolist()
    measured = {code: np.sqrt(np.maximum(np.median(values), 0)) for code, values in spread.items()}
    catalogue = {c: np.median(np.std(bright_histories(c), axis=1, ddof=1)) for c in range(4)}
    for code, name in enumerate(CLASSES[:2]):
        # Neighbours' constant and variable light dilutes a little.
        assert measured[code] == pytest.approx(catalogue[code], rel=0.3), name
    assert measured[1] > 1.5 * measured[0] > 2.0 * measured[2]


def test_surveys_without_slices_have_no_years() -> None:
    survey = get_survey("lat-10gev")
    assert next(iter(CutoutStream(survey, 1, "test", 1, draw_sky=variable_sky)))[0].yearly is None
