import numpy as np
import pytest
import torch
from scipy import stats
from scipy.ndimage import gaussian_filter

from models.normalise import NORMALISATIONS, SOURCE_COUNTS, local_background, make_normalisation, smooth
from models.psf_kernels import level_psfs
from models.shipped import NetworkError, shipped_weights
from models.unet import NetworkConfig, UNet, folded
from models.weights import load_weights
from sky.survey import get_survey


def poisson_images(survey_name: str, batch: int = 1, width: float = 1.0, seed: int = 0) -> list[torch.Tensor]:
    survey, generator = get_survey(survey_name), torch.Generator().manual_seed(seed)
    sizes = [int(n * width) for n in survey.tile_pixels_per_10deg]
    return [
        torch.poisson(torch.full((batch, len(survey.event_types), n, n), 0.3), generator=generator)
        for n in sizes
    ]


@pytest.mark.parametrize(("survey", "n_parameters"), [("lat-10gev", 393_143), ("lat-6band", 416_496)])
def test_size_is_as_stated(survey: str, n_parameters: int) -> None:
    network = UNet(NetworkConfig(survey))
    assert network.n_parameters == n_parameters
    assert sum(t.numel() * t.element_size() for t in network.state_dict().values()) < 10e6


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("survey", ["lat-10gev", "lat-6band"])
def test_any_width_in_and_every_plane_out(survey: str, normalisation: str) -> None:
    network = UNet(NetworkConfig(survey, normalisation, (8, 8, 8, 8))).eval()
    definition = get_survey(survey)
    for width in (1.0, 1.5):
        with torch.no_grad():
            out = network(poisson_images(survey, 2, width))
        n = int(128 * width)
        assert out.mask_logit.shape == out.centre_logit.shape == (2, n, n)
        assert out.direction.shape == (2, 2, n, n)
        assert sum(b.shape[1] for b in out.background) == len(definition.planes)
        assert all((b > 0).all() for b in out.background)


def test_heads_may_be_left_out() -> None:
    network = UNet(NetworkConfig("lat-10gev", "patch-max", (8, 8, 8, 8), ("mask",))).eval()
    out = network(poisson_images("lat-10gev"))
    assert out.direction is None
    assert out.centre_logit is None
    assert out.background is None


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_half_precision_never_reaches_the_normalisation(normalisation: str) -> None:
    network = UNet(NetworkConfig("lat-10gev", normalisation, (8, 8, 8, 8))).eval()
    images = [100 * image for image in poisson_images("lat-10gev", 1, 0.75)]
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            network(images)  # first: what is kept for later calls is made here
            fast = network(images).background
        exact = network(images).background
    for half, full in zip(fast, exact, strict=True):
        assert half.dtype == full.dtype == torch.float32
        assert torch.allclose(half, full, rtol=0.03)


def test_a_shifted_sky_gives_a_shifted_mask() -> None:
    network = UNet(NetworkConfig("lat-10gev", "local-sqrt", (8, 8, 8, 8))).eval()
    images = poisson_images("lat-10gev", 1, 1.5)
    with torch.no_grad():
        here = network(images).mask_logit
        there = network([torch.roll(i, (8, 16), (2, 3)) for i in images]).mask_logit
    # The wide background looks 4 degrees around; the middle sees no border.
    inner = np.s_[:, 88:104, 88:104]
    assert torch.allclose(torch.roll(here, (8, 16), (1, 2))[inner], there[inner], atol=2e-2)


@pytest.mark.parametrize(
    ("images", "fault"),
    [
        (poisson_images("lat-6band"), "6 bands given to a network of survey 'lat-10gev'"),
        (poisson_images("lat-10gev")[:2], "2 bands given"),
        ([torch.zeros(1, 2, 128, 128)] * 3, "band 0 of shape"),
        ([torch.zeros(1, 1, 100, 100)] * 3, "cannot be halved"),
    ],
)
def test_a_cube_of_another_survey_is_refused(images: list[torch.Tensor], fault: str) -> None:
    with pytest.raises(NetworkError, match=fault):
        UNet(NetworkConfig("lat-10gev", widths=(8, 8, 8, 8)))(images)


def test_unknown_heads_and_normalisations_are_refused() -> None:
    with pytest.raises(NetworkError, match="heads"):
        NetworkConfig("lat-10gev", heads=("direction",))
    with pytest.raises(ValueError, match="unknown normalisation 'log'"):
        make_normalisation("log", list(level_psfs(get_survey("lat-10gev"))))


def test_likelihood_channels_are_the_likelihood_ratio() -> None:
    """Against the plain sum of Poisson log probabilities, with the background the model estimated."""
    (level,) = level_psfs(get_survey("lat-10gev"))
    background = np.array([0.12, 0.03, 0.006])
    rng = np.random.default_rng(5)
    expected = np.broadcast_to(background[:, None, None], (3, 128, 128)).copy()
    half = level.kernels.shape[-1] // 2
    source = level.share[:, None, None] * level.kernels
    expected[:, 60 - half : 61 + half, 70 - half : 71 + half] += 25 * source
    counts = torch.tensor(rng.poisson(expected)[None], dtype=torch.float32)
    model = make_normalisation("likelihood", [level])
    out = model([counts])[0]
    estimated = np.exp(out.log_scale[0, :, 60, 70].numpy())
    window = counts[0, :, 60 - half : 61 + half, 70 - half : 71 + half].numpy()
    channel = 2 * level.n_planes + SOURCE_COUNTS.index(16.0)
    flat = np.broadcast_to(estimated[:, None, None], window.shape)
    ratio = np.sum(stats.poisson.logpmf(window, flat + 16 * source) - stats.poisson.logpmf(window, flat))
    assert ratio > 5
    measured = (out.channels[0, channel, 60, 70].item() / 0.3) ** 2 / 2
    # Between the nodes of LOG_Q the straight line is a few per cent high.
    assert measured == pytest.approx(ratio, rel=0.08)


@pytest.mark.parametrize(("sigma_px", "tolerance"), [(0.8, 1e-5), (3.2, 1e-5), (9.0, 0.04)])
def test_smoothing_is_a_gaussian_with_reflected_edges(sigma_px: float, tolerance: float) -> None:
    image = torch.poisson(torch.full((2, 3, 48, 48), 4.0), generator=torch.Generator().manual_seed(8))
    expected = gaussian_filter(
        image.numpy(), (0, 0, sigma_px, sigma_px), mode="mirror", radius=int(np.ceil(3 * sigma_px))
    )
    assert np.allclose(smooth(image, sigma_px).numpy(), expected, rtol=tolerance)


def test_a_folded_network_says_the_same() -> None:
    images = poisson_images("lat-6band")
    plain, _ = load_weights(shipped_weights("lat-6band"))
    fast = folded(load_weights(shipped_weights("lat-6band"))[0])
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fast.modules())
    with torch.inference_mode():
        a, b = plain(images), fast(images)
    assert a.background is not None and b.background is not None
    assert torch.allclose(a.mask_logit, b.mask_logit, atol=2e-3)
    assert torch.allclose(a.centre_logit, b.centre_logit, atol=2e-3)
    assert all(torch.allclose(x, y, rtol=2e-3) for x, y in zip(a.background, b.background, strict=True))


def test_local_background_ignores_a_bright_source() -> None:
    (level,) = level_psfs(get_survey("lat-10gev"))
    counts = torch.full((1, 3, 128, 128), 0.1)
    half = level.kernels.shape[-1] // 2
    counts[0, :, 60 - half : 61 + half, 60 - half : 61 + half] += torch.tensor(
        300 * level.share[:, None, None] * level.kernels, dtype=torch.float32
    )
    found = local_background(counts, level.pixel_deg)[0].sum(0)
    assert found[5, 5].item() == pytest.approx(0.3, rel=0.01)
    assert found[60, 60].item() < 0.6
