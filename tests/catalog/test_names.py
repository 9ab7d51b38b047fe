"""Names against the IAU's rule and the names of a published catalogue."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from catalog.names import iau_name, release_names


@pytest.mark.parametrize(
    ("ra", "dec", "name"),
    [
        (0.0, 0.0, "ASID J0000.0+0000"),
        (83.633, 22.0145, "ASID J0534.5+2200"),
        (359.9999, -89.9999, "ASID J2359.9-8959"),
        (359.9875, 10.0, "ASID J2359.9+1000"),  # 23:59.95: not rounded to 24 h
        (10.0, -0.5, "ASID J0040.0-0030"),  # the sign survives degrees of zero
        (10.0, -0.001, "ASID J0040.0-0000"),
        (10.0, 0.001, "ASID J0040.0+0000"),
        (128.8354, -45.1764, "ASID J0835.3-4510"),
        (45.0, 90.0, "ASID J0300.0+9000"),
        (0.3 * 15 / 60 * 10, 1 / 60 * 7, "ASID J0003.0+0007"),  # borders that floats just miss
    ],
)
def test_truncation(ra: float, dec: float, name: str) -> None:
    assert iau_name(ra, dec) == name


@given(ra=st.floats(0, 360, exclude_max=True), dec=st.floats(-90, 90))
def test_a_name_holds_its_position(ra: float, dec: float) -> None:
    match = re.fullmatch(r"ASID J(\d\d)(\d\d)\.(\d)([+-])(\d\d)(\d\d)", iau_name(ra, dec))
    assert match
    h, m, t, sign, d, am = match.groups()
    low_ra = Fraction(int(h) * 600 + int(m) * 10 + int(t), 40)
    low_dec = Fraction(int(d) * 60 + int(am), 60)
    slack = Fraction(1, 10**8)
    assert low_ra - slack <= Fraction(ra) % (360 - slack) < low_ra + Fraction(1, 40) or low_ra == 0
    assert low_dec - slack <= abs(Fraction(dec)) < low_dec + Fraction(1, 60)
    assert (sign == "-") == (dec < 0)
    assert int(h) < 24 and int(m) < 60 and int(am) < 60


def test_names_of_a_published_catalogue(lat_data: Path) -> None:
    data = fits.getdata(lat_data / "catalogs" / "gll_psc_v27.fit.gz", 1)
    theirs = np.char.strip(np.asarray(data["Source_Name"]).astype(str))
    ours = [
        iau_name(float(str(r)), float(str(d))) for r, d in zip(data["RAJ2000"], data["DEJ2000"], strict=True)
    ]
    same = np.array([o[5:] == t[5:22] for o, t in zip(ours, theirs, strict=True)])
    # Names are kept from catalogue to catalogue while positions move a little, so not all agree.
    assert same.mean() > 0.9


def test_shared_names_get_letters_by_significance() -> None:
    ra, dec = [10.01, 200.0, 10.012, 10.02], [5.001, 3.0, 5.002, 5.003]
    names = release_names(ra, dec, [5.0, 9.0, 30.0, 7.0])
    assert names == ["ASID J0040.0+0500C", "ASID J1320.0+0300", "ASID J0040.0+0500A", "ASID J0040.0+0500B"]


@given(st.permutations(range(40)))
def test_names_are_unique_and_do_not_depend_on_the_order(order: list[int]) -> None:
    rng = np.random.default_rng(3)
    ra, dec, signif = 10 + rng.uniform(0, 0.05, 40), rng.uniform(-0.02, 0.02, 40), rng.integers(4, 9, 40)
    names = release_names(ra, dec, signif)
    assert len(set(names)) == 40
    assert all(re.fullmatch(r"ASID J\d{4}\.\d[+-]\d{4}[A-Z]*", name) for name in names)
    shuffled = release_names(ra[order], dec[order], signif[order])
    assert shuffled == [names[i] for i in order]


def test_more_than_26_sources_of_one_name() -> None:
    names = release_names(np.full(30, 10.0), np.linspace(0, 0.01, 30), np.arange(30, 0, -1))
    assert [n[17:] for n in names[24:]] == ["Y", "Z", "AA", "AB", "AC", "AD"]


@pytest.mark.parametrize(("ra", "dec"), [(360.0, 0.0), (-1.0, 0.0), (0.0, 91.0), (float("nan"), 0.0)])
def test_no_position_no_name(ra: float, dec: float) -> None:
    with pytest.raises(ValueError, match="not a position"):
        iau_name(ra, dec)
