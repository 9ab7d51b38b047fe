import healpy as hp
import numpy as np
import pytest
from astropy.io import fits
from scipy.stats import ks_2samp, kstest, poisson

from sky.population import (
    CLASSES,
    COMPLETE_CM2_S,
    LATITUDES,
    POPULATIONS,
    PopulationError,
    SourceSample,
    draw_population,
)
from sky.simulate import synthetic_sky
from sky.survey import get_survey
from sky.variability import draw_light_curves

MEMBERS = {"bll": ("bll",), "fsrq": ("fsrq",), "psr": ("psr",), "pwn": ("pwn", "snr", "spp")}


@pytest.fixture(scope="module")
def founding() -> SourceSample:
    return draw_population("founding", np.random.default_rng(1))


@pytest.fixture(scope="module")
def published(lat_data):
    rows = fits.getdata(lat_data / "catalogs/gll_psc_v27.fit.gz", 1)
    return rows[np.isfinite(rows["LP_Index"])]


def of_class(sample: SourceSample, code: str) -> SourceSample:
    return sample.select(sample.class_code == CLASSES.index(code))


def published_class(rows, code: str):
    return rows[np.isin(np.char.lower(np.char.strip(rows["CLASS1"])), MEMBERS[code])]


def same_distribution(simulated: np.ndarray, real: np.ndarray, n: int = 150) -> float:
    """P value of a two-sample test with n of each: as many as tell apart what a catalogue's user could."""
    rng = np.random.default_rng(5)
    draw = [rng.choice(x, min(n, len(x)), replace=False) for x in (simulated, real)]
    return ks_2samp(*draw).pvalue


@pytest.mark.parametrize("name", POPULATIONS)
def test_spectra_carry_the_flux_they_were_drawn_for(name):
    sample = draw_population(name, np.random.default_rng(2))
    assert sample.spectrum.photon_flux(1.0, 100.0)[:, 0] == pytest.approx(sample.flux1000, rel=0.006)
    assert np.all(np.diff(sample.flux1000) <= 0)
    assert len(set(sample.name)) == len(sample)


def test_the_catalogue_itself_is_one_choice(published):
    sample = draw_population("4fgl-dr2", np.random.default_rng(3), extended=True)
    row = {name.strip(): i for i, name in enumerate(published["Source_Name"])}
    order = np.array([row[name] for name in sample.name])
    assert len(set(order)) == len(published) == len(sample)
    assert sample.glat_deg == pytest.approx(published["GLAT"][order], abs=1e-4)
    assert sample.flux1000 == pytest.approx(published["Flux1000"][order], rel=1e-4)
    energy_flux = sample.spectrum.energy_flux(0.1, 100.0)[:, 0] / published["Energy_Flux100"][order]
    galactic = sample.class_code >= CLASSES.index("psr")
    assert energy_flux[galactic] == pytest.approx(1.0, rel=0.006)
    assert energy_flux[~galactic] == pytest.approx(1.0, rel=0.12)  # hard blazars bend before 100 GeV
    assert np.median(energy_flux) == pytest.approx(1.0, abs=0.01)
    assert np.sum(sample.shape > 0) == np.sum(np.char.strip(published["Extended_Source_Name"]) != "")


@pytest.mark.parametrize("code", CLASSES)
def test_fluxes_above_the_threshold_are_the_catalogues(founding, code):
    limit = COMPLETE_CM2_S[code]
    real = of_class(draw_population("4fgl-dr2", np.random.default_rng(4)), code).flux1000
    drawn = of_class(founding, code).flux1000
    assert same_distribution(drawn[drawn > limit], real[real > limit], 600) > 0.01
    number = np.sum(real > limit)
    assert abs(np.sum(drawn > limit) - number) < 4 * np.sqrt(number)


@pytest.mark.parametrize("code", CLASSES)
def test_indices_are_those_of_the_class_at_its_fluxes(founding, published, code):
    real = published_class(published, code)
    drawn = of_class(founding, code)
    low, high = np.quantile(real["Flux1000"], [0.1, 0.9])
    drawn = drawn.select((drawn.flux1000 > low) & (drawn.flux1000 < high))
    real = real[(real["Flux1000"] > low) & (real["Flux1000"] < high)]
    # As many drawn sources as real ones in every tenth of the flux range: the index goes with the flux.
    edges = np.quantile(real["Flux1000"], np.linspace(0, 1, 6))
    rng = np.random.default_rng(6)
    bins = np.digitize(drawn.flux1000, edges[1:-1])
    matched = np.concatenate([rng.choice(np.flatnonzero(bins == k), 30) for k in range(5)])
    index = real["PLEC_Index"] if code == "psr" else real["LP_Index"]
    assert same_distribution(drawn.spectrum.alpha[matched], index[np.isfinite(index)]) > 0.01


def test_parameters_are_drawn_jointly(founding):
    for code, ln_e0_log_k, alpha_ln_e0 in (("bll", -0.90, -0.69), ("fsrq", -0.84, -0.57)):
        spectrum = of_class(founding.select(founding.flux1000 > 1e-10), code).spectrum
        ln_e0 = np.log(spectrum.pivot_gev)
        assert np.corrcoef(ln_e0, np.log10(spectrum.k))[0, 1] == pytest.approx(ln_e0_log_k, abs=0.12)
        assert np.corrcoef(spectrum.alpha, ln_e0)[0, 1] == pytest.approx(alpha_ln_e0, abs=0.12)


def test_blazars_are_isotropic(founding):
    for code in ("bll", "fsrq"):
        sources = of_class(founding, code)
        assert kstest(np.sin(np.radians(sources.glat_deg)), "uniform", (-1, 2)).pvalue > 0.005
        assert kstest(sources.glon_deg, "uniform", (0, 360)).pvalue > 0.005


@pytest.mark.parametrize("code", ["psr", "pwn"])
def test_galactic_sources_lie_where_the_class_lies(founding, published, code):
    real, drawn = published_class(published, code), of_class(founding, code)
    assert set(LATITUDES) == {"psr", "pwn"}
    assert same_distribution(np.abs(drawn.glat_deg), np.abs(real["GLAT"])) > 0.01
    centred = [(lon + 180) % 360 for lon in (drawn.glon_deg, real["GLON"])]
    assert same_distribution(*centred) > 0.01


def test_the_number_of_sources_fluctuates_as_poisson():
    numbers = np.array(
        [np.bincount(draw_population("founding", np.random.default_rng(s)).class_code) for s in range(40)]
    )
    variance = numbers.var(axis=0, ddof=1) / numbers.mean(axis=0)
    assert np.all((variance > 0.4) & (variance < 1.9))


def test_below_the_threshold_the_counts_follow_the_stated_law(founding):
    log_flux = np.log10(of_class(founding, "bll").flux1000)
    number, _ = np.histogram(log_flux, [-10.9, -10.6, -10.3, -10.0])
    assert poisson.sf(number.max(), number.mean()) > 1e-3  # level
    physical = of_class(draw_population("physical", np.random.default_rng(7)), "bll").flux1000
    slope = np.log10(np.sum(physical > 2e-11) / np.sum(physical > 2e-10))
    assert slope == pytest.approx(1.0, abs=0.06)  # N(> F) ~ 1 / F (Marcotulli et al. 2020)
    assert physical.min() == pytest.approx(founding.flux1000[founding.class_code == 0].min(), rel=0.01)


def test_yearly_fluxes_spread_as_the_bright_sources_do(published):
    rng = np.random.default_rng(8)
    for code, spread in (("bll", 0.45), ("fsrq", 0.92), ("psr", None), ("pwn", None)):
        curves = draw_light_curves(np.full(4000, CLASSES.index(code)), 10, rng)
        assert curves.mean(axis=1) == pytest.approx(1.0, abs=1e-9)
        bright = published_class(published, code)
        bright = bright[bright["Signif_Avg"] > 31.6]
        history = bright["Flux_History"]
        if spread is None:  # what is seen of pulsars and remnants is nearly all measurement error
            assert curves.std() < 0.06
            continue
        assert np.std(np.log(curves)) == pytest.approx(spread, abs=0.08)
        real = (history / history.mean(axis=1, keepdims=True)).ravel()
        assert same_distribution(curves.ravel(), real, 400) > 0.01
    assert np.all(draw_light_curves(np.zeros(5, int), 1, rng) == 1.0)


def test_catalogued_sources_take_their_own_light_curves(published):
    """A quarter of 4FGL-DR2 varies; bright ones as their published yearly fluxes, whose noise is a few per cent."""
    sky = synthetic_sky(get_survey("lat-6band"), 3, "B1", "4fgl-dr2", slices=10)
    row = {name.strip(): i for i, name in enumerate(published["Source_Name"])}
    rows = published[[row[name] for name in sky.sources.name]]
    varies = np.ptp(sky.light_curves, axis=1) > 1e-6
    published_variable = rows["Variability_Index"] > 21.67
    assert not np.any(varies & ~published_variable)
    assert varies[published_variable].mean() > 0.99  # of one the errors explain all that is seen
    assert sky.light_curves.mean(axis=1) == pytest.approx(1.0, abs=1e-9)
    assert not varies[list(sky.sources.name).index("4FGL J0835.3-4510")]  # the Vela pulsar
    bright = varies & (rows["Signif_Avg"] > 100)
    history = rows["Flux_History"][bright]
    assert bright.sum() > 20
    assert sky.light_curves[bright] == pytest.approx(history / history.mean(axis=1, keepdims=True), abs=0.03)


def test_blazars_fade_above_100_gev_as_in_3fhl(lat_data):
    """Summed fluxes of the BL Lacs of 3FHL against the spectra of the same sources in 4FGL-DR2."""
    rows = fits.getdata(lat_data / "catalogs/gll_psch_v13.fit.gz", 1)
    rows = rows[np.char.lower(np.char.strip(rows["CLASS"])) == "bll"]
    sample = of_class(draw_population("4fgl-dr2", np.random.default_rng(10)), "bll")
    direction = [
        hp.ang2vec(np.asarray(lon, float), np.asarray(lat, float), lonlat=True)
        for lon, lat in ((rows["GLON"], rows["GLAT"]), (sample.glon_deg, sample.glat_deg))
    ]
    cosine = direction[0] @ direction[1].T
    matched = np.degrees(np.arccos(np.minimum(cosine.max(axis=1), 1))) < 0.15
    edges = np.array([10, 20, 50, 150, 500, 2000.0])
    flux = sample.select(cosine.argmax(axis=1)[matched]).spectrum.photon_flux(edges[:-1], edges[1:])
    assert matched.sum() > 650
    measured = np.nansum(rows["Flux_Band"][matched], axis=0)
    assert flux.sum(axis=0) / measured == pytest.approx(np.ones(5), abs=0.3)


def test_unknown_populations_are_one_clear_line():
    rng = np.random.default_rng(9)
    with pytest.raises(
        PopulationError, match=r"unknown population '3fgl'; known: founding, physical, 4fgl-dr2"
    ):
        draw_population("3fgl", rng)
    with pytest.raises(PopulationError, match=r"in \(0, 1\]"):
        draw_population("founding", rng, faintest=0)
