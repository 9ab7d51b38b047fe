"""One source: found by its name, read from the database, told in words, drawn as a page."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa
from scipy.integrate import quad

from catalog.release import ReleaseError
from reports.naming import SourceNameError, find_source, nearest_names
from reports.source import Source, load_source
from reports.source_figures import band_nufnu, fitted_nufnu
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
    assert spectrum_table(replace(source, spectrum=spectrum)).rows[1][1] == "< 5.00"


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
    assert dict(facts(replace(source, row=bent)))["Curvature"] == "beta 0.30 ± 0.05, 6.0 σ; LogParabola"


def test_a_picture_in_letters_is_brightest_where_the_counts_are():
    image = np.zeros((40, 40))
    image[35, 2] = 9.0
    lines = shaded(image, 20)
    assert len(lines) == 10 and {len(line) for line in lines} == {20}
    assert lines[1][1] == "█" and "".join(lines).count(" ") == 199


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
