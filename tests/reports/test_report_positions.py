import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from reports.separation import (
    error_matrix,
    matched_pairs,
    normalised_separation,
    offset_deg,
    rayleigh_cdf,
    separation_figure,
)


def test_rayleigh_holds_95_percent_within_r95():
    assert rayleigh_cdf(1.0) == pytest.approx(0.95)
    assert rayleigh_cdf(0.0) == 0
    # 68 % radius of a 2-D Gaussian: r95 / r68 = sqrt(ln .05 / ln .32) in 4FGL.
    assert rayleigh_cdf(1 / np.sqrt(np.log(0.05) / np.log(0.32))) == pytest.approx(0.68)


def test_error_matrix_points_east_of_north():
    matrix = error_matrix([0.2, 0.2], [0.1, 0.1], [0.0, 90.0])
    assert matrix[0] == pytest.approx(np.diag([0.01, 0.04]))  # long axis to the north
    assert matrix[1] == pytest.approx(np.diag([0.04, 0.01]))  # long axis to the east


@given(
    ra=st.floats(0, 360, exclude_max=True),
    dec=st.floats(-89.9, 89.9),
    angle=st.floats(0, 360),
    separation=st.floats(1e-3, 0.5),
)
def test_offset_is_astropys(ra, dec, angle, separation):
    here = SkyCoord(ra, dec, unit="deg")
    there = here.directional_offset_by(angle * u.deg, separation * u.deg)
    east, north = offset_deg(ra, dec, there.ra.deg, there.dec.deg)
    assert np.hypot(east, north) == pytest.approx(separation, rel=1e-4)
    assert east == pytest.approx(separation * np.sin(np.radians(angle)), abs=1e-4 * separation + 1e-9)
    assert north == pytest.approx(separation * np.cos(np.radians(angle)), abs=1e-4 * separation + 1e-9)


def test_normalised_separation_of_circles(references, associations, sources):
    pairs = matched_pairs(references, associations, sources, "matched_03")
    assert pairs["source_name"].tolist() == ["ASID J0001.0+0001", "ASID J0002.0+0002"]
    # r95 of 0.06 and 0.08 add to 0.1.
    assert normalised_separation(pairs) == pytest.approx([1.0, 0.5], rel=1e-4)


def test_a_row_without_an_error_has_no_normalised_separation(references, associations, sources):
    references.loc[0, "conf_95_semimajor_deg"] = np.nan
    x = normalised_separation(matched_pairs(references, associations, sources, "matched_03"))
    assert np.isnan(x[0])
    assert x[1] == pytest.approx(0.5, rel=1e-4)


def test_gaussian_errors_give_the_rayleigh_distribution():
    rng, n = np.random.default_rng(8), 4000
    k95 = np.sqrt(2 * np.log(20))
    axes = {
        "": (rng.uniform(0.05, 0.1, n), 0.04, rng.uniform(-90, 90, n)),
        "_ref": (0.06, 0.02, rng.uniform(-90, 90, n)),
    }
    truth = SkyCoord(rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n))), unit="deg")
    pairs = pd.DataFrame(index=range(n))
    for suffix, (major, minor, posang) in axes.items():
        along, across = rng.normal(size=n) * major / k95, rng.normal(size=n) * minor / k95
        angle = np.arctan2(across, along) + np.radians(posang)
        seen = truth.directional_offset_by(angle * u.rad, np.hypot(along, across) * u.deg)
        pairs[f"ra_deg{suffix}"], pairs[f"dec_deg{suffix}"] = seen.ra.deg, seen.dec.deg
        pairs[f"conf_95_semimajor_deg{suffix}"], pairs[f"conf_95_semiminor_deg{suffix}"] = major, minor
        pairs["conf_posang_deg" if not suffix else "conf_95_posang_deg"] = posang
    x = normalised_separation(pairs)
    assert (x <= 1).mean() == pytest.approx(0.95, abs=0.011)
    assert (x <= 0.5).mean() == pytest.approx(float(rayleigh_cdf(0.5)), abs=0.025)


def test_separation_histogram_counts_each_pair_once(references, associations, sources):
    shown = separation_figure(references, associations, sources)
    assert shown is not None
    numbers = shown.numbers
    counts = numbers[numbers["quantity"] == "separation_deg"]
    assert counts["n"].sum() == 2
    filled = counts[counts["n"] > 0]
    assert filled["low"].tolist() == pytest.approx([0.05, 0.1])
