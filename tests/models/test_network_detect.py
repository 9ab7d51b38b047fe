import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import healpy as hp
import numpy as np
import pytest

from models.det_prob import darkness, of_score, with_likelihood
from models.detectors import (
    DetectorError,
    default_detector,
    default_threshold,
    make_detector,
    require_detector,
)
from models.likelihood import Detections
from models.network_detect import NetworkDetection, detect_tiles
from models.shipped import NetworkError, model_card, require_localiser, shipped_weights
from models.stream import render_batch
from models.training_sky import MEASURED_COUNTS, training_sky
from models.unet import NetworkConfig, UNet
from models.weights import save_weights
from sky.counts import CountsCube, HealpixCounts
from sky.exposure import ExposureMaps
from sky.frames import unit_vectors
from sky.mission import pattern
from sky.response import load_response
from sky.simulate import SyntheticSky, synthetic_sky
from sky.survey import get_survey
from sky.tiles import TileGrid, tile_axes

SURVEY = get_survey("lat-10gev")
GRID = TileGrid(SURVEY)
TILES = [91, 190, 191, 397, 693, 747]  # many clear sources, the plane in none of them


@pytest.fixture(scope="module")
def synthetic() -> SyntheticSky:
    return synthetic_sky(SURVEY, 21, "B2", "4fgl-dr2", faintest=1.0)


@pytest.fixture(scope="module")
def observed(synthetic: SyntheticSky) -> tuple[CountsCube, ExposureMaps]:
    maps = {
        (b, t, 0): HealpixCounts.from_dense(10, next(iter(synthetic.draw_counts(p))))
        for p, (b, t) in enumerate(SURVEY.planes)
    }
    mean = [float(synthetic.mission.mean_exposure_cm2_s("BOTH", e)) for e in (15.0, 50.0, 300.0)]
    exposure = np.array(mean)[:, None, None] * pattern(32)
    return CountsCube(SURVEY, maps), ExposureMaps(SURVEY, 5, exposure)


def searched(observed: tuple[CountsCube, ExposureMaps], tiles: list[int], **choices: object) -> Detections:
    response, config = load_response(SURVEY.irfs), NetworkDetection(**choices)  # type: ignore[arg-type]
    return detect_tiles(*observed, response, GRID, tiles, 1, config)


@pytest.fixture(scope="module")
def found(observed: tuple[CountsCube, ExposureMaps]) -> Detections:
    return searched(observed, TILES)


@pytest.fixture(scope="module")
def truths(synthetic: SyntheticSky) -> np.ndarray:
    """Sources that the tiles own: tile, glon, glat, exact significance, flux."""
    frames = tile_axes()[TILES] * np.array([-1.0, 1.0, 1.0])[:, None]
    rng = np.random.default_rng(0)
    batch = render_batch(training_sky(synthetic), frames, rng, width_deg=15.0, poisson=False)
    rows = []
    for k, tile in enumerate(TILES):
        mine = batch.tile == k
        glon, glat = GRID.pixel_to_sky(tile, 0, *(v[mine].double().numpy() for v in (batch.x_px, batch.y_px)))
        sigma, flux = batch.limit_sigma[mine].numpy(), batch.flux_cm2_s[mine].numpy()
        rows.append(
            np.stack([np.full(len(glon), tile), glon, glat, sigma, flux], -1)[GRID.owner(glon, glat) == tile]
        )
    return np.concatenate(rows)


def separations(truths: np.ndarray, found: Detections) -> np.ndarray:
    cosine = unit_vectors(truths[:, 1], truths[:, 2]) @ unit_vectors(found.glon_deg, found.glat_deg).T
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_clear_sources_are_found_at_their_places(found: Detections, truths: np.ndarray) -> None:
    """On a sky of B2, an emission model that no training has seen."""
    clear = truths[truths[:, 3] > 6]
    assert len(clear) > 15
    gap = separations(clear, found)
    nearest = gap.min(axis=1)
    assert np.mean(nearest < 0.2) > 0.9
    assert np.median(nearest) < 0.03
    ratio = found.flux_cm2_s[gap.argmin(axis=1)] / clear[:, 4]
    assert np.median(ratio[nearest < 0.1]) == pytest.approx(1, abs=0.2)


def test_sure_detections_are_sources(found: Detections, truths: np.ndarray) -> None:
    sure = found.select(found.det_prob > 0.9)
    assert len(sure) > 15
    assert np.mean(separations(truths, sure).min(axis=0) < 0.3) > 0.85


def test_the_table_is_that_of_the_matched_filter(
    found: Detections, observed: tuple[CountsCube, ExposureMaps]
) -> None:
    response = load_response(SURVEY.irfs)
    classical = make_detector("matched-filter")(*observed, response, GRID, TILES[:1], 1)
    for field in fields(Detections):
        a, b = getattr(found, field.name), getattr(classical, field.name)
        assert a.dtype.kind == b.dtype.kind
        assert a.shape[1:] == b.shape[1:]
    assert np.all((found.det_prob >= 0.1) & (found.det_prob <= 1))
    assert np.array_equal(GRID.owner(found.glon_deg, found.glat_deg), found.tile)
    # Both see the same interstellar emission within a third.
    near = np.median(found.background_sr[found.tile == TILES[0]], axis=0)
    assert near[0] == pytest.approx(np.median(classical.background_sr[:, 0]), rel=0.35)


def test_the_registry_runs_the_shipped_weights(
    found: Detections, observed: tuple[CountsCube, ExposureMaps]
) -> None:
    again = make_detector("unet")(*observed, load_response(SURVEY.irfs), GRID, TILES[:1], 1)
    assert np.array_equal(again.glon_deg, found.glon_deg[found.tile == TILES[0]])


@pytest.mark.parametrize("localiser", ["direction-field", "disk", "log", "kmeans"])
def test_every_localiser_finds_the_brightest(
    localiser: str, observed: tuple[CountsCube, ExposureMaps], truths: np.ndarray
) -> None:
    found = searched(observed, TILES[:2], localiser=localiser)
    bright = truths[np.isin(truths[:, 0], TILES[:2]) & (truths[:, 3] > 8)]
    assert len(bright) >= 3
    assert np.mean(separations(bright, found).min(axis=1) < 0.3) > 0.7


def test_sources_at_a_border_are_found_once(
    observed: tuple[CountsCube, ExposureMaps], synthetic: SyntheticSky
) -> None:
    """Bright sources within 0.15 degrees of a cell's border, searched in the tiles on both sides."""
    sources = synthetic.sources
    bright = np.flatnonzero(synthetic.npred.sum(1) > 150)
    around = [
        np.unique(
            [
                int(
                    GRID.owner(
                        sources.glon_deg[i] + dx / np.cos(np.radians(sources.glat_deg[i])),
                        sources.glat_deg[i] + dy,
                    )
                )
                for dx in (-0.15, 0.0, 0.15)
                for dy in (-0.15, 0.0, 0.15)
            ]
        )
        for i in bright
    ]
    border = [
        (i, tiles)
        for i, tiles in zip(bright, around, strict=True)
        if len(tiles) > 1 and abs(sources.glat_deg[i]) > 8
    ]
    assert len(border) >= 3
    for i, tiles in border[:5]:
        found = searched(observed, tiles.tolist())
        place = np.array([[0, sources.glon_deg[i], sources.glat_deg[i]]])
        assert np.sum(separations(place, found) < 0.12) == 1


def test_scores_become_probabilities_by_the_card() -> None:
    card = {"calibration": {"log": {"intercept": 0.0, "slope": 2.0}}}
    assert of_score(np.array([0.5, 0.8]), card, "log") == pytest.approx([0.5, 16 / 17])
    with pytest.raises(NetworkError, match="no probabilities for localiser 'disk'"):
        of_score(np.array([0.5]), card, "disk")


def test_likelihood_and_background_have_their_say_where_the_card_knows_how() -> None:
    line = {"intercept": -4.0, "score": 1.0, "log_ts": 1.0, "darkness": 0.5}
    card = {"on_lists": {"log": {"line": line}}}
    p, ts = np.array([0.5, 0.5, 1.0, 0.5]), np.array([0.0, np.e**4, np.e**4, np.e**4])
    dark = darkness(np.array([[6.0, 4.0], [9.0, 1.0], [5.0, 5.0], [5.0 * np.e**2, 5.0 * np.e**2]]), 10.0)
    assert dark == pytest.approx([0.0, 0.0, 0.0, -2.0])
    said = with_likelihood(p, ts, dark, card, "log")
    assert said[[0, 1, 3]] == pytest.approx([1 / (1 + np.e**4), 0.5, 1 / (1 + np.e)])
    assert 0.99 < said[2] < 1
    assert with_likelihood(p, ts, dark, card, "disk") is p


def test_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="unknown localiser 'blob'"):
        NetworkDetection(localiser="blob")
    with pytest.raises(
        DetectorError, match="'matched-filter' takes no localiser; only unet and unet-counts do"
    ):
        require_detector("matched-filter", "lat-10gev", "disk")
    assert require_detector("unet", "lat-10gev") == "centre-direction"
    assert require_detector("unet-counts", "lat-6band", "log") == "log"
    bare = tmp_path / "bare.safetensors"
    save_weights(bare, UNet(NetworkConfig("lat-10gev")), {"network": NetworkConfig("lat-10gev").to_dict()})
    with pytest.raises(NetworkError, match=r"bare\.safetensors: the model card gives no probabilities for"):
        require_localiser(bare, model_card(bare), "lat-10gev", "centre-direction")


def test_a_network_refuses_a_cube_of_another_survey() -> None:
    six = get_survey("lat-6band")
    empty = {(b, t, 0): HealpixCounts.from_pixels(six.bands[b].order, []) for b, t in six.planes}
    cube, exposure = CountsCube(six, empty), ExposureMaps(six, 0, np.ones((len(six.planes), 1, 12)))
    config = NetworkDetection(shipped_weights("lat-10gev"))
    with pytest.raises(NetworkError, match="for survey 'lat-10gev' cannot search a cube of 'lat-6band'"):
        detect_tiles(cube, exposure, load_response(six.irfs), TileGrid(six), [0], 1, config)


@pytest.mark.parametrize(("survey", "localiser"), [("lat-6band", "centre-direction"), ("lat-10gev", None)])
def test_every_survey_has_a_detector_that_can_search_it(survey: str, localiser: str | None) -> None:
    """The network where it was found better, the likelihood filter where not (docs/localisation.md)."""
    assert require_detector(default_detector(survey), survey) == localiser


def test_a_list_goes_below_one_half_only_where_that_was_judged() -> None:
    assert default_threshold("lat-6band", "unet") == 0.3
    for survey, detector in (
        ("lat-6band", "matched-filter"),
        ("lat-10gev", "matched-filter"),
        ("any", "other"),
    ):
        assert default_threshold(survey, detector) == 0.5


@pytest.mark.parametrize("detector", ["matched-filter", "unet"])
def test_photons_without_sources_make_no_catalogue(detector: str) -> None:
    """As many photons as the real sky has, isotropic: a source in a tile or two at most."""
    rng, tiles = np.random.default_rng(7), [100, 500, 700]
    maps = {}
    for (band, event_type), number in zip(SURVEY.planes, MEASURED_COUNTS["lat-10gev"], strict=True):
        vectors = rng.normal(size=(number, 3))
        pixels = hp.vec2pix(1 << SURVEY.bands[band].order, *vectors.T, nest=True)
        maps[band, event_type, 0] = HealpixCounts.from_pixels(SURVEY.bands[band].order, pixels)
    exposure = ExposureMaps(SURVEY, 0, np.full((3, 1, 12), 3.5e11))
    find = make_detector(detector)
    found = find(CountsCube(SURVEY, maps), exposure, load_response(SURVEY.irfs), GRID, tiles, 1)
    assert np.sum(found.det_prob >= 0.5) <= 3
    assert not np.any(found.det_prob >= 0.9)


def test_torch_stays_out_of_the_parent_process() -> None:
    code = "import sys, models.detectors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
