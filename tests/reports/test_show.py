"""One source: found by its name, read from the database, told in words, drawn as a page."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from matplotlib.patches import Circle
from scipy.integrate import quad

from catalog.release import ReleaseError
from models.likelihood.flags import Flags
from reports.digits import common_power, limit, power_text, with_error, with_errors
from reports.naming import SourceNameError, find_source, nearest_names
from reports.source import Source, load_source
from reports.source_figures import band_nufnu, counts_figure, fitted_index, fitted_nufnu, light_figure
from reports.source_page import write_source_page
from reports.source_text import facts, shaded, spectrum_table, tables
from tests.released_sky import VERSION


@pytest.fixture(scope="module")
def names(released: sa.Engine) -> list[str]:
    """Names by detection."""
    with released.connect() as conn:
        return list(conn.scalars(sa.text("SELECT source_name FROM catalogue ORDER BY detection_id")))


@pytest.fixture(scope="module")
def source(released: sa.Engine, names: list[str]) -> Source:
    """The second detection: one that the networks say something of."""
    with released.connect() as conn:
        return load_source(conn, VERSION, names[1])


def test_a_name_is_found_with_and_without_its_acronym(released, names):
    short = names[3].removeprefix("ASID ")
    with released.connect() as conn:
        for written in (names[3], short, f" asid   {short.lower()} ", f"ASID{short}"):
            assert find_source(conn, written, VERSION) == (VERSION, names[3])


def test_another_name_is_one_line_with_the_nearest_ones(released, names):
    with released.connect() as conn:
        with pytest.raises(
            SourceNameError, match=r"has no source 'J0000.0\+9000'; the nearest names: ASID"
        ) as caught:
            find_source(conn, "J0000.0+9000", VERSION)
        assert "\n" not in str(caught.value)
        # Nearest to the pole: the northernmost.
        most = max(names, key=lambda name: int(name[12:17]))
        assert str(caught.value).split("names: ")[1].startswith(most)
        with pytest.raises(SourceNameError, match="names are JHHMM"):
            find_source(conn, "Crab", VERSION)
        with pytest.raises(ReleaseError, match="no release other"):
            find_source(conn, names[0], "other")


def test_nearest_is_nearest_on_the_sky():
    names = ["ASID J0000.1+0000", "ASID J2359.9-0001", "ASID J1200.0+0000", "ASID J0010.0+0000"]
    near = nearest_names("ASID J0000.0+0000", names)
    assert near == ["ASID J0000.1+0000", "ASID J2359.9-0001", "ASID J0010.0+0000"]


def test_a_source_has_all_that_the_database_knows(source):
    assert source.spectrum["band"].tolist() == ["10-30 GeV", "30-100 GeV", "100-2000 GeV"]
    assert source.spectrum["flux_cm2_s"].sum() == pytest.approx(source.row["flux_likelihood"])
    assert source.spectrum["network_flux_cm2_s"].notna().all()
    assert source.light_curve.empty
    assert source.classes[["full", "blind"]].sum().tolist() == pytest.approx([1, 1])
    assert set(source.associations["catalog"]) == {"4FGL-DR2", "3FHL"}
    assert [image.photons >= 15 for image in source.images] == [True] * 3
    assert json.loads(json.dumps(source.as_json()))["catalogue"]["source_name"] == source.name


def test_words_say_the_same_as_the_numbers(source):
    words = dict(facts(source))
    assert f"{source.row['signif_avg']:.1f} σ" in words["Significance"]
    assert "4FGL J0001.0+0000" in words["Counterpart"]
    first = spectrum_table(source).rows[0]
    assert first[0] == "10-30 GeV" and f"{source.spectrum['npred'][0]:.1f}" == first[3]
    assert [title for title, *_ in tables(source)][-1] == "Flags"


def test_an_upper_limit_is_two_upper_errors_above_the_flux(source):
    spectrum = source.spectrum.copy()
    spectrum.loc[1, ["flux_cm2_s", "unc_low_cm2_s", "unc_high_cm2_s"]] = 1e-12, np.nan, 2e-12
    table = spectrum_table(replace(source, spectrum=spectrum))
    power = common_power(spectrum["flux_cm2_s"])
    assert table.columns[1] == f"flux, {power_text(power)} cm⁻² s⁻¹"
    assert table.rows[1][1] == limit(5e-12 / 10.0**power)


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (1.23456, 0.0354, "1.235 ± 0.035"),
        (1.23456, 0.0356, "1.23 ± 0.04"),
        (1.23456, 0.0961, "1.23 ± 0.10"),
        (323396.8, 4924.9, "323000 ± 5000"),
        (323396.8, 1249.0, "323400 ± 1200"),
        (0.0068254, 0.0022884, "0.0068 ± 0.0023"),
        (2.24937, None, "2.25"),
        (2.24937, np.nan, "2.25"),
        (2.24937, 0.0, "2.25"),
        (-0.02, 1.0, "0.0 ± 1.0"),
    ],
)
def test_a_value_has_the_digits_that_its_error_deserves(value, error, shown):
    assert with_error(value, error) == shown


def test_the_smaller_of_two_errors_says_how_many_digits():
    assert with_errors(1.23456, -0.041, 0.26) == "1.23 −0.04 +0.26"
    assert limit(0.04567) == "< 0.046" and limit(4567.0) == "< 4600"
    assert common_power([np.nan, 3.2e-7, 9e-9]) == -7 and common_power([]) == 0
    assert power_text(-12) == "10⁻¹²"


def test_a_bright_source_is_told_in_few_digits(source):
    """Three digits and a power of ten, whatever the flux."""
    spectrum = source.spectrum.copy()
    spectrum.loc[0, ["flux_cm2_s", "unc_low_cm2_s", "unc_high_cm2_s"]] = 3.23397e-7, -4.9249e-9, 5.1803e-9
    bright = replace(source, spectrum=spectrum, row={**source.row, "flux": 1.8341e-7, "unc_flux": 8.1e-10})
    table = spectrum_table(bright)
    assert table.columns[1] == "flux, 10⁻⁷ cm⁻² s⁻¹" and table.rows[0][1] == "3.23 −0.05 +0.05"
    assert dict(facts(bright))["Flux"].startswith("(1.834 ± 0.008) × 10⁻⁷ cm⁻² s⁻¹, 10 to 1000 GeV")


def test_a_networks_flux_far_below_the_others_has_its_own_power_of_ten(source):
    spectrum = source.spectrum.copy()
    spectrum.loc[0, ["flux_cm2_s", "unc_low_cm2_s", "unc_high_cm2_s"]] = 3.23397e-7, -4.9249e-9, 5.1803e-9
    spectrum.loc[1, ["network_flux_cm2_s", "unc_network_flux_cm2_s"]] = 1.2e-15, 4.1e-15
    spectrum.loc[0, ["network_flux_cm2_s", "unc_network_flux_cm2_s"]] = 3.1e-7, 4.1e-9
    rows = spectrum_table(replace(source, spectrum=spectrum)).rows
    assert rows[0][4] == "3.10 ± 0.04" and rows[1][4] == "(1 ± 4) × 10⁻¹⁵"


@pytest.mark.parametrize("index", [0.5, 1.0, 2.0, 3.3])
def test_energy_flux_is_that_of_the_power_law_with_the_same_photons(index):
    low, high, flux = 10.0, 100.0, 3e-10
    norm = flux / quad(lambda e: e**-index, low, high)[0]
    centre = np.sqrt(low * high)
    assert band_nufnu(flux, low, high, index) == pytest.approx(centre ** (2 - index) * norm, rel=1e-9)


def test_the_line_through_a_spectrum_is_the_fit(source):
    """A power law holds the fitted flux; a log-parabola has its density and slope at the pivot."""

    def photons(ln_e: float) -> float:
        return float(fitted_nufnu(source.row, np.exp(ln_e))) / np.exp(ln_e)

    low, high = source.release.survey.flux_range_gev
    assert quad(photons, np.log(low), np.log(high))[0] == pytest.approx(
        source.row["flux_likelihood"], rel=1e-6
    )
    assert "Curvature" not in dict(facts(source))
    bent = {
        **source.row,
        "spectrumtype": "LogParabola",
        "lp_flux_density": 2e-15,
        "lp_index": 2.1,
        "lp_beta": 0.3,
        "unc_lp_beta": 0.05,
        "lp_sigcurv": 6.0,
    }
    pivot = bent["pivot_energy"] / 1000
    x = np.log([0.99, 1.0, 1.01, 4.0])
    line = np.log(fitted_nufnu(bent, pivot * np.exp(x)))
    assert np.exp(line[1]) == pytest.approx(pivot**2 * 2e-12)
    assert (line[2] - line[0]) / (x[2] - x[0]) == pytest.approx(2 - 2.1, abs=1e-3)
    assert line[3] - line[1] == pytest.approx((2 - 2.1 - 0.3 * np.log(4)) * np.log(4))
    ends = fitted_index(bent, pivot * np.exp([x[0], x[2], -9, 9]))
    assert ends == pytest.approx([2.1 + 0.6 * x[0], 2.1 + 0.6 * x[2], 0, 5])
    for low, high in ((3.0, 10.0), (100.0, 300.0)):  # where the slope is not the pivot's
        flux = quad(
            lambda ln_e: float(fitted_nufnu(bent, np.exp(ln_e))) / np.exp(ln_e), *np.log([low, high])
        )[0]
        centre = np.sqrt(low * high)
        point, line_there = (
            band_nufnu(flux, low, high, fitted_index(bent, centre)),
            fitted_nufnu(bent, centre),
        )
        assert point == pytest.approx(line_there, rel=0.04)
        assert abs(band_nufnu(flux, low, high, bent["pl_index"]) / line_there - 1) > 2 * abs(
            point / line_there - 1
        )
    unchosen = fitted_nufnu({**bent, "spectrumtype": "PowerLaw"}, [3.0, 300.0])
    assert unchosen == pytest.approx(fitted_nufnu(source.row, [3.0, 300.0]))
    assert dict(facts(replace(source, row=bent)))["Curvature"] == "beta 0.30 ± 0.05, 6.0 σ; LogParabola"


def test_a_constant_light_curve_stays_inside_its_figure(source):
    n = 4
    year_s = 3.156e7
    start = 2.4e8 + year_s * np.arange(n)
    flux = {"flux_cm2_s": [1.80e-7, 1.81e-7, 1.79e-7, 1.80e-7], "unc_high_cm2_s": [1e-9] * n}
    slices = pd.DataFrame({"tstart_met_s": start, "tstop_met_s": start + year_s, **flux})
    slices["unc_low_cm2_s"], slices["sqrt_ts"] = -1e-9, 270.0
    figure = light_figure(replace(source, light_curve=slices))
    bottom, top = figure.figure.axes[0].get_ylim()
    assert bottom == 0 and 1.05 * 1.82e-7 < top < 1.3 * 1.82e-7


def test_a_counterpart_is_named_once(source):
    twice = pd.concat([source.associations, source.associations.assign(catalog="truth")])
    told = dict(facts(replace(source, associations=twice)))["Counterpart"]
    assert told == dict(facts(source))["Counterpart"] and told != "none"


def test_a_picture_in_letters_is_brightest_where_the_counts_are():
    image = np.zeros((40, 40))
    image[35, 2] = 9.0
    lines = shaded(image, 20)
    assert len(lines) == 10 and {len(line) for line in lines} == {20}
    assert lines[1][1] == "█" and "".join(lines).count(" ") == 199


def test_what_was_measured_as_a_disc_is_drawn_as_one(source):
    def discs(of: Source) -> list[float]:
        figure = counts_figure(of)
        assert figure is not None
        patches = [patch for axes in figure.figure.axes for patch in axes.patches]
        return [patch.radius for patch in patches if isinstance(patch, Circle)]

    extended = replace(source, flags=[(int(Flags.DISC), "a disc")], row=source.row | {"ext_radius": 0.8})
    assert discs(source) == []
    assert discs(extended) == [0.8] * len(source.images)


def test_the_page_needs_nothing_but_itself_and_is_written_whole(source, tmp_path):
    path = tmp_path / "source.html"
    write_source_page(source, path)
    text = path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["source.html"]
    assert source.name in text and "<Mkn>" not in text
    assert {link.split(":")[0] for link in re.findall(r'(?:src|href)="([^"#]+)"', text)} == {"data"}
    assert text.count("<img") == 3  # counts, spectrum, classes
    write_source_page(source, path)
    assert path.read_text() == text


def test_the_command_shows_it_and_an_unknown_name_is_exit_status_one(released, names, tmp_path):
    environment = os.environ | {"ASIDCAT_DATABASE_URL": released.url.render_as_string(hide_password=False)}
    environment |= {"ASIDCAT_HOME": str(tmp_path), "COLUMNS": "100"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "workers.cli", "show", *arguments, "--release", VERSION]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    shown = run(names[1])
    assert shown.returncode == 0, shown.stderr
    for words in (names[1], "Fluxes by band", "10-30 GeV", "BL Lac", "4FGL-DR2", "None is set."):
        assert words in shown.stdout
    unknown = run("J0000.0+0000X")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert (
        unknown.stderr.startswith("asidcat: release small-1 has no source")
        and unknown.stderr.count("\n") == 1
    )
    nowhere = run(names[1], "-o", str(tmp_path / "no folder" / "page.html"))
    assert nowhere.returncode == 1 and nowhere.stderr.endswith(".html.partial: no such file or directory\n")
    assert nowhere.stderr.startswith(f"asidcat: {tmp_path}") and nowhere.stderr.count("\n") == 1
