"""Catalogues added from files and from VizieR, against the LAT team's own file and astropy's conversions."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Column, MaskedColumn, Table
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from catalog.added_references import add_file, add_table, add_vizier, content_sha256, list_references
from catalog.foreign_columns import conversion
from catalog.recognition import CatalogueError, reference_columns
from catalog.references import load_reference
from catalog.table_files import read_table
from catalog.vizier import VizierTable
from sky.readers.files import InputError
from tests.catalog.vizier_server import ANSWER

SHARED = ("conf_95_semimajor_deg", "conf_95_semiminor_deg", "conf_95_posang_deg", "signif_avg", "flux_cm2_s")
EXACT = ("source_class", "association", "flags", "flux_range_gev")


def positions(n: int = 3) -> Table:
    return Table({"RAJ2000": 10.0 * np.arange(n), "DEJ2000": np.linspace(-80, 80, n)})


def rows(conn: Connection, name: str) -> dict[str, dict]:
    query = (
        "SELECT s.* FROM reference_source s JOIN reference_catalog c ON c.id = s.catalog_id"
        " WHERE c.name = :name"
    )
    return {row["name"]: dict(row) for row in conn.execute(text(query), {"name": name}).mappings()}


def test_vizier_tells_what_the_lat_file_tells(conn: Connection, lat_data: Path) -> None:
    load_reference(conn, lat_data / "catalogs" / "gll_psc_v19.fit.gz")
    found = VizierTable(read_table(ANSWER), "J/ApJS/247/33/4fgl", "Fermi LAT fourth source catalog")
    add_vizier(conn, "4FGL-VizieR", found)
    theirs, ours = rows(conn, "4FGL"), rows(conn, "4FGL-VizieR")
    assert len(ours) == 7 and set(ours) < set(theirs)
    for name, row in ours.items():
        published = theirs[name]
        assert [row[key] for key in EXACT] == [published[key] for key in EXACT]
        for key in SHARED:
            assert (row[key] is None) == (published[key] is None), (name, key)
            assert row[key] is None or row[key] == pytest.approx(published[key], rel=2e-7)
        here, there = (SkyCoord(r["ra_deg"], r["dec_deg"], unit="deg") for r in (row, published))
        assert here.separation(there).arcsec < 0.1
    vela = ours["4FGL J0835.3-4510"]["extra"]
    assert vela["Mod"] == "PLSuperExpCutoff" and vela["amaj68"] == pytest.approx(0.0042554, rel=1e-5)
    assert "_RAJ2000" not in vela and "RAJ2000" not in vela


def test_the_lat_teams_own_file_is_loaded_as_such(conn: Connection, lat_data: Path) -> None:
    path = lat_data / "catalogs" / "gll_psch_v13.fit.gz"
    assert add_file(conn, "3FHL", path) == load_reference(conn, path)
    with pytest.raises(CatalogueError, match="this is 3FHL; add it under that name"):
        add_file(conn, "mine", path)


@pytest.mark.parametrize("suffix", ["vot", "ecsv", "fits", "fits.gz", "vot.gz"])
def test_every_format_gives_the_same_catalogue(conn: Connection, tmp_path: Path, suffix: str) -> None:
    table = positions()
    table["Name"] = ["one", "two", "three"]
    table["z"] = MaskedColumn([0.1, 0.2, 0.3], mask=[False, True, False])
    table["band"] = np.arange(6, dtype="f4").reshape(3, 2)
    path = tmp_path / f"table.{suffix.removesuffix('.gz')}"
    formats = {"vot": "votable", "ecsv": "ascii.ecsv", "fits": "fits"}
    table.write(path, format=formats[suffix.removesuffix(".gz")])
    if suffix.endswith(".gz"):
        packed = tmp_path / f"table.{suffix}"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        path = packed
    catalog_id = add_file(conn, "mine", path, "me")
    found = rows(conn, "mine")
    assert found["two"]["extra"] == {"z": None, "band": [2.0, 3.0]}
    assert found["three"]["extra"]["z"] == 0.3 and found["three"]["dec_deg"] == pytest.approx(80)
    assert found["one"]["signif_avg"] is None and found["one"]["flux_range_gev"] is None
    assert add_table(conn, "mine", table, source="elsewhere", citation="") == catalog_id
    (listed,) = list_references(conn).rows
    assert (listed[0], listed[1], listed[2], listed[4]) == ("mine", path.name, 3, "me")


def test_other_content_under_a_known_name_is_refused(conn: Connection) -> None:
    add_table(conn, "mine", positions(), source="a.fits", citation="")
    with pytest.raises(CatalogueError, match=r"b.fits: a catalogue mine with other content \(a.fits\)"):
        add_table(conn, "mine", positions(4), source="b.fits", citation="")
    with pytest.raises(CatalogueError, match="the same content is there already as mine"):
        add_table(conn, "yours", positions(), source="b.fits", citation="")
    with pytest.raises(CatalogueError, match="'my own' is no name"):
        add_table(conn, "my own", positions(), source="b.fits", citation="")
    assert [row[2] for row in list_references(conn).rows] == [3]


def bad_files(folder: Path) -> dict[str, str]:
    """Files that are no catalogue, and what has to be said of them."""
    (folder / "text.fits").write_text("hello")
    (folder / "half.vot").write_bytes(ANSWER.read_bytes()[:3000])
    (folder / "half.gz").write_bytes(gzip.compress(ANSWER.read_bytes())[:500])
    (folder / "broken.ecsv").write_text("# %ECSV 1.0\n# ---\n# datatype: [\nRA DEC\n")
    Table({"glat": [0.0], "x": [1]}).write(folder / "nowhere.fits")
    Table({"RA": np.zeros(0), "DEC": np.zeros(0)}).write(folder / "empty.fits")
    Table({"RA": [10.0, 20.0], "DEC": [0.0, 99.0]}).write(folder / "beyond.fits")
    Table({"RA": [10.0, np.nan], "DEC": [0.0, 9.0]}).write(folder / "nan.fits")
    Table({"RA": [1.0, 2.0], "DEC": [0.0, 9.0], "Name": ["a", "a"]}).write(folder / "twins.fits")
    ellipse = {"RA": [1.0], "DEC": [0.0], "Conf_95_SemiMajor": [0.1], "Conf_95_SemiMinor": [0.2]}
    Table(ellipse).write(folder / "ellipse.fits")
    sky = Table({"place": SkyCoord([1.0], [2.0], unit="deg")})
    sky.write(folder / "mixed.ecsv", format="ascii.ecsv")
    (folder / "folder").mkdir()
    return {
        "none.fits": "no such file",
        "folder": "Is a directory",
        "text.fits": "not a FITS, VOTable or ECSV table",
        "half.vot": "damaged VOTable",
        "half.gz": "truncated or damaged gzip file",
        "broken.ecsv": "damaged ECSV table",
        "nowhere.fits": "no positions",
        "empty.fits": "no rows",
        "beyond.fits": "row 2 has no position",
        "nan.fits": "row 2 has no position",
        "twins.fits": "row 2 has the name of another, 'a'",
        "ellipse.fits": "row 1 has an error ellipse with its axes interchanged",
        "mixed.ecsv": "column 'place' is neither numbers nor text",
    }


def test_bad_files_give_one_line_and_change_nothing(engine: Engine, tmp_path: Path) -> None:
    for name, fault in bad_files(tmp_path).items():
        with (
            pytest.raises((InputError, CatalogueError), match=fault) as caught,
            engine.begin() as conn,
        ):
            add_file(conn, "mine", tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with engine.connect() as conn:
        assert list_references(conn).rows == []


def test_heasarcs_names_are_known() -> None:
    table = Table(
        {
            "name": ["4FGL J0835.3-4510"],
            "ra": [128.837],
            "dec": [-45.1781],
            "semi_major_axis_68": [0.0043],
            "semi_major_axis_95": [0.0069],
            "semi_minor_axis_95": [0.0068],
            "position_angle_95": [8.16],
            "significance": [496.1],
            "flux_1000": [1.35e-6],
            "flux_1000_error": [4.3e-9],
            "class_1": ["PSR"],
            "assoc_name_1": ["PSR J0835-4510"],
            "class": [1900],
        }
    )
    found = {key: value[0] for key, value in reference_columns(table, "fermilpsc").items()}
    assert found["name"] == "4FGL J0835.3-4510"
    assert [found[f"conf_95_{axis}_deg"] for axis in ("semimajor", "semiminor", "posang")] == [
        0.0069,
        0.0068,
        8.16,
    ]
    assert (found["signif_avg"], found["flux_cm2_s"], found["unc_flux_cm2_s"]) == (496.1, 1.35e-6, 4.3e-9)
    assert (found["source_class"], found["association"]) == ("PSR", "PSR J0835-4510")
    assert found["extra"] == {"semi_major_axis_68": 0.0043, "class": 1900}


def test_a_flux_of_another_kind_is_not_taken_for_one() -> None:
    table = positions()
    table["Flux1000"] = Column(np.ones(3), unit="erg cm-2 s-1")
    table["Unc_Flux1000"] = Column(np.ones(3), unit="erg cm-2 s-1")
    found = reference_columns(table, "x")
    assert np.isnan(found["flux_cm2_s"]).all() and found["extra"][0]["Flux1000"] == 1.0


def test_the_truth_of_a_simulated_sky(conn: Connection, tmp_path: Path) -> None:
    """No errors, no acronym: its classes, its flux in the survey's range, and all else under its own name."""
    truth = positions()
    truth["Source_Name"] = ["SIM BLL 000001", "SIM PSR 000002", "SIM PWN 000003"]
    truth["CLASS1"] = ["bll", "psr", "pwn"]
    truth["Flux1000"] = Column([1e-9, 2e-9, 3e-9], unit="cm-2 s-1")
    truth["Flux10000"] = Column([1e-11, 2e-11, 3e-11], unit="cm-2 s-1")
    truth["Npred_Band"] = np.arange(9.0).reshape(3, 3)
    truth.meta |= {"EXTNAME": "LAT_Point_Source_Catalog", "SEED": 1}
    truth.write(tmp_path / "truth.fits")
    add_file(conn, "truth", tmp_path / "truth.fits")
    pulsar = rows(conn, "truth")["SIM PSR 000002"]
    assert (pulsar["source_class"], pulsar["flux_cm2_s"], pulsar["flux_range_gev"]) == (
        "psr",
        2e-11,
        [10, 1000],
    )
    assert pulsar["unc_flux_cm2_s"] is None and pulsar["conf_95_semimajor_deg"] is None
    assert pulsar["extra"] == {"Flux1000": 2e-9, "Flux10000": 2e-11, "Npred_Band": [3.0, 4.0, 5.0]}


@given(st.floats(0, 359.9999), st.floats(-89.9, 89.9))
def test_positions_in_any_manner_agree_with_astropy(ra_deg: float, dec_deg: float) -> None:
    place = SkyCoord(ra_deg, dec_deg, unit="deg")
    tables = (
        Table({"RA": [place.ra.hourangle] * u.hourangle, "DEC": [dec_deg * 60] * u.arcmin}),
        Table({"RAJ2000": [place.ra.to_string("hourangle", sep=" ", precision=8)],
               "DEJ2000": [place.dec.to_string("deg", sep=" ", precision=7)]}),
        Table({"GLON": [place.galactic.l.deg], "GLAT": [place.galactic.b.deg]}),
    )  # fmt: skip
    for table in tables:
        found = reference_columns(table, "x")
        here = SkyCoord(found["ra_deg"][0], found["dec_deg"][0], unit="deg")
        assert here.separation(place).arcsec < 1e-3


@given(st.permutations(range(4)), st.permutations(["RAJ2000", "DEJ2000", "Name"]))
def test_the_checksum_is_of_what_is_said(order: list[int], columns: list[str]) -> None:
    table = positions(4)
    table["Name"] = list("abcd")
    assert content_sha256(table[order][columns]) == content_sha256(table)
    table["DEJ2000"][2] += 1e-12
    assert content_sha256(table[order][columns]) == content_sha256(table)
    changed = table.copy()
    changed["DEJ2000"][2] += 1e-9
    assert content_sha256(changed) != content_sha256(table)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("ph cm-2 s-1", 1),
        ("m-2 s-1", 1e-4),
        ("1e-9 ct s-1 cm-2", 1e-9),
        ("erg cm-2 s-1", None),
        ("MeV", None),
    ],
)
def test_units_of_a_photon_flux(unit: str, factor: float | None) -> None:
    assert conversion(u.Unit(unit), u.Unit("cm-2 s-1")) == (factor and pytest.approx(factor))
