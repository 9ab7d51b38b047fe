import healpy as hp
import numpy as np
import pytest

from sky.emission import EMISSION_MODELS, NSIDE, EmissionError, emission_model

# Measured intensity 10-47.5 GeV (1e-8 cm-2 s-1 sr-1), 7 years of LAT data, 3FHL masked; isotropic included.
# Rows: |b| from 3, 5, 10, 20, 30, 45, 60 (to 90) deg; columns: |l| < 30, 30-60, 60-120, > 120 deg.
MEASURED = np.array(
    [
        [57, 36, 31, 21],
        [35, 22, 18, 16],
        [20, 13, 11, 11],
        [15, 9.7, 7.9, 7.8],
        [11, 8.0, 6.7, 7.0],
        [8.1, 6.6, 6.2, 6.0],
        [5.8, 6.1, 5.7, 5.5],
    ]
)
LATITUDE = [3, 5, 10, 20, 30, 45, 60, 90]
LONGITUDE = [0, 30, 60, 120, 180.1]


def intensity(model, low_gev: float, high_gev: float) -> np.ndarray:
    edges = np.geomspace(low_gev, high_gev, 200)
    middle, width = np.sqrt(edges[1:] * edges[:-1]), np.diff(edges)
    return sum(c.intensity * np.sum(width * c.spectrum(middle)) for c in model.components)


@pytest.fixture(scope="module", params=["B1", "B2"])
def model(request):
    return emission_model(request.param, np.random.default_rng(1))


def test_intensity_is_the_measured_one_all_over_the_sky(model):
    lon, lat = hp.pix2ang(NSIDE, np.arange(hp.nside2npix(NSIDE)), lonlat=True)
    lon, lat = np.minimum(lon, 360 - lon), np.abs(lat)
    # The isotropic that goes with these models: the published 4.4e-8 times the factor fitted with them.
    total = intensity(model, 10, 47.5) + 4.4e-8 * model.isotropic_factor("P8R2_SOURCE_V6", 18.0)
    bins = np.digitize(lat, LATITUDE) - 1, np.digitize(lon, LONGITUDE) - 1
    simulated = np.array(
        [[total[(bins[0] == i) & (bins[1] == j)].mean() for j in range(4)] for i in range(7)]
    )
    ratio = simulated / (MEASURED * 1e-8)
    # Neither model has the Fermi bubbles: both fall short at |l| < 30, b 10 to 60 deg.
    assert np.all((ratio > 0.70) & (ratio < 1.25))
    assert ratio.mean() == pytest.approx(1.0, abs=0.06)


def test_spectrum_is_that_of_the_inner_galaxy(model):
    # gll_iem_v07, 10 x 10 deg at the centre: bands relative to 2-20 GeV.
    bands = [(0.3, 0.5), (0.5, 1), (1, 2), (2, 7)]
    expected = np.array([56.9, 45.8, 21.5, 11.2]) / 12.74
    lon, lat = hp.pix2ang(NSIDE, np.arange(hp.nside2npix(NSIDE)), lonlat=True)
    inner = (np.minimum(lon, 360 - lon) < 5) & (np.abs(lat) < 5)
    ratio = [intensity(model, *band)[inner].mean() for band in bands] / intensity(model, 2, 20)[inner].mean()
    assert ratio == pytest.approx(expected, rel=0.08)


def test_intensities_are_finite_and_positive_everywhere():
    rng = np.random.default_rng(2)
    for name in EMISSION_MODELS:
        for component in emission_model(name, rng).components:
            assert component.intensity.shape == (hp.nside2npix(NSIDE),)
            assert np.all(np.isfinite(component.intensity)) and component.intensity.min() >= 0


def test_random_skies_differ_but_are_as_bright_as_the_measured_one():
    rng = np.random.default_rng(3)
    fitted = intensity(emission_model("B1", rng), 2, 20)
    drawn = [intensity(emission_model("random", rng), 2, 20) for _ in range(3)]
    for sky in drawn:
        assert sky.mean() == pytest.approx(fitted.mean(), rel=0.12)
        assert np.std(np.log(sky / fitted)) > 0.05
    assert np.std(np.log(drawn[0] / drawn[1])) > 0.05


def test_the_same_generator_draws_the_same_sky():
    sky = [emission_model("random", np.random.default_rng(4)).components for _ in range(2)]
    for a, b in zip(*sky, strict=True):
        assert np.array_equal(a.intensity, b.intensity) and np.array_equal(a.dnde, b.dnde)


def test_an_unknown_model_is_one_clear_line():
    with pytest.raises(EmissionError, match="unknown emission model 'B3'; known: B1, B2, random"):
        emission_model("B3", np.random.default_rng(5))
