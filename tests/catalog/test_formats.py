"""The files of a release: checked column by column, and the same bytes each time."""

import hashlib
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.io.votable import parse, parse_single_table
from astropy.io.votable.ucd import check_ucd
from astropy.table import Table
from sqlalchemy import Engine, text

from catalog.columns import catalogue_columns, columns_markdown, empty_columns
from catalog.formats.folder import FolderError, release_folder, write_catalogue_files
from catalog.freezing import freeze
from catalog.release import release_table
from sky.survey import get_survey
from tests.catalog.small_run import characterise_run, finished_run, new_run

COLUMNS = catalogue_columns(get_survey("lat-10gev"))
EMPTY = empty_columns(COLUMNS, get_survey("lat-10gev"))


@pytest.fixture
def released(engine: Engine) -> Engine:
    with engine.begin() as conn:
        run = finished_run(conn)
        characterise_run(conn, run)
        freeze(conn, "v1", run, flags={1: "first bit", 8: "fourth bit"})
    return engine


@pytest.fixture
def folder(released: Engine, tmp_path: Path) -> Path:
    target = tmp_path / "release"
    with released.connect() as conn, release_folder(target) as partial:
        write_catalogue_files(conn, "v1", partial)
    return target


@pytest.mark.parametrize("survey", ["lat-10gev", "lat-6band"])
def test_the_declared_columns_are_sound(survey: str) -> None:
    columns = catalogue_columns(get_survey(survey))
    columns += empty_columns(columns, get_survey(survey))
    promised = [
        "Source_Name",
        "RAJ2000",
        "DEJ2000",
        "GLON",
        "GLAT",
        "Conf_68_SemiMajor",
        "Conf_68_SemiMinor",
        "Conf_68_PosAng",
        "Conf_95_SemiMajor",
        "Conf_95_SemiMinor",
        "Conf_95_PosAng",
        "Det_Prob",
        "Prob_Real",
        "Prob_BLL",
        "Prob_FSRQ",
        "Prob_PSR",
        "Prob_PWN_SNR",
        "Prob_Fake",
        "CLASS1",
        "Signif_Avg",
        "Flux_Band",
        "Unc_Flux_Band",
        "Sqrt_TS_Band",
        "ASSOC_FGL",
        "ASSOC_SEP",
        "ASSOC_PROB",
        "Flags",
    ]
    names = [c.name for c in columns]
    headline = {"lat-10gev": "Flux10000", "lat-6band": "Flux1000"}[survey]
    assert set(promised) | {headline, f"Unc_{headline}"} <= set(names)
    assert len({n.lower() for n in names}) == len(names)
    for c in columns:
        assert check_ucd(c.ucd, check_controlled_vocabulary=True), c.name
        assert u.Unit(c.unit, format="fits") is not None
        assert c.low <= c.high and c.text and (c.width > 0) == (c.kind == "text")
    bands = len(get_survey(survey).bands)
    assert next(c for c in columns if c.name == "Unc_Flux_Band").shape == (bands, 2)


def test_fits_column_by_column(folder: Path, released: Engine) -> None:
    with released.connect() as conn:
        expected = release_table(conn, "v1")
    with fits.open(folder / "asid-v1.fits", checksum=True) as hdus:
        assert [h.header.get("EXTNAME") for h in hdus] == [
            None,
            "LAT_Point_Source_Catalog",
            "ExtendedSources",
            "EnergyBounds",
            "RawDetections",
            "ReferenceAssociations",
            "Lineage",
            "PROVENANCE",
        ]
        header, data = hdus[1].header, hdus[1].data
        assert [c.name for c in hdus[1].columns] == [c.name for c in COLUMNS + EMPTY]
        for number, spec in enumerate(COLUMNS + EMPTY, start=1):
            assert header[f"TCOMM{number}"] == spec.text
            assert header[f"TUCD{number}"] == spec.ucd
            assert header.get(f"TUNIT{number}", "") == spec.unit
            values = data[spec.name]
            if spec in EMPTY:
                assert set(np.unique(values)) <= {"", 0} or np.isnan(values).all()
                continue
            assert values.dtype.kind in "UfiS" and values.shape == (60, *spec.shape)
            if spec.kind == "text":
                np.testing.assert_array_equal(np.char.strip(values), expected[spec.name])
                assert spec.nullable or np.all(values != "")
                continue
            np.testing.assert_array_equal(values, expected[spec.name])
            finite = np.isfinite(values)
            assert spec.nullable or finite.all()
            if np.isfinite(spec.low):
                assert header[f"TLMIN{number}"] == spec.low and np.all(values[finite] >= spec.low)
            if np.isfinite(spec.high):
                assert header[f"TLMAX{number}"] == spec.high and np.all(values[finite] <= spec.high)
        flux = [c.name for c in COLUMNS].index("Flux10000") + 1
        assert (header[f"TEMIN{flux}"], header[f"TEMAX{flux}"]) == (1e4, 1e6)
        assert "TNULL" not in "".join(header)
        assert header["RSPFUNC"] == "P8R2_SOURCE_V6" and header["RADESYS"] == "ICRS"
        keys = [k for k in fits.getheader(folder / "asid-v1.fits", 1) if k.startswith(("TTYPE", "TUCD"))]
        assert keys == [f"{k}{n}" for n in range(1, len(COLUMNS + EMPTY) + 1) for k in ("TTYPE", "TUCD")]
        np.testing.assert_array_equal(hdus["EnergyBounds"].data["LowerEnergy"], [1e4, 3e4, 1e5])
        assert len(hdus["ReferenceAssociations"].data) == 60
        provenance = dict(zip(hdus["PROVENANCE"].data["Key"], hdus["PROVENANCE"].data["Value"], strict=True))
        assert provenance["run.seed"] == "1"
        assert provenance["references.1.sha256"] == "a" * 64
        assert provenance["observation.content_sha256"] == "0123456789abcdef" * 4
        assert provenance["flags.8"] == "fourth bit"
        for hdu in hdus[1:]:
            for number in range(1, len(hdu.columns) + 1):
                assert hdu.header[f"TCOMM{number}"]
                assert check_ucd(hdu.header[f"TUCD{number}"], check_controlled_vocabulary=True)


def test_astropy_reads_the_fits_table(folder: Path) -> None:
    table = Table.read(folder / "asid-v1.fits", hdu="LAT_Point_Source_Catalog")
    assert table["Flux10000"].unit == u.Unit("cm-2 s-1")
    assert table["Unc_Flux_Band"].shape == (60, 3, 2)
    assert len(set(table["Source_Name"])) == 60


def test_files_are_the_same_bytes_each_time(released: Engine, folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    with released.begin() as conn, release_folder(again) as partial:
        freeze(conn, "v1", 1)
        write_catalogue_files(conn, "v1", partial)
    assert sorted(p.name for p in folder.iterdir()) == [
        "SHA256SUMS",
        "asid-v1-4fgl.fits",
        "asid-v1-hats",
        "asid-v1-moc.fits",
        "asid-v1.fits",
        "asid-v1.parquet",
        "asid-v1.vot",
        "columns.md",
    ]
    names = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    for name in names:
        assert (folder / name).read_bytes() == (again / name).read_bytes(), name


def test_checksums_can_be_checked(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == sum(p.is_file() for p in folder.rglob("*")) - 1
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder).returncode == 0


def test_votable_is_valid_and_the_same_table(folder: Path) -> None:
    file = parse(folder / "asid-v1.vot", verify="exception")
    fields = file.get_first_table().fields
    assert [f.name for f in fields] == [c.name for c in COLUMNS]
    assert [f.ucd for f in fields] == [c.ucd for c in COLUMNS]
    assert {f.name: f.ref for f in fields}["RAJ2000"] == "icrs"
    table = parse_single_table(folder / "asid-v1.vot").to_table()
    data = fits.getdata(folder / "asid-v1.fits", 1)
    for spec in COLUMNS:
        empty = {"text": "", "integer": -1, "long": -1}.get(spec.kind, np.nan)
        ours = np.ma.filled(table[spec.name], empty)
        np.testing.assert_array_equal(np.asarray(ours, dtype=spec.dtype.base), data[spec.name])


def test_parquet_is_the_same_table_and_carries_the_header(folder: Path) -> None:
    arrow = pq.read_table(folder / "asid-v1.parquet")
    data = fits.getdata(folder / "asid-v1.fits", 1)
    assert arrow.column_names == [c.name for c in COLUMNS]
    for spec in COLUMNS:
        values = np.array(arrow[spec.name].to_pylist(), dtype=spec.dtype.base)
        np.testing.assert_array_equal(values, data[spec.name])
    assert b"<FIELD" in arrow.schema.metadata[b"IVOA.VOTable-Parquet.content"]


def test_columns_are_described(folder: Path) -> None:
    described = (folder / "columns.md").read_text()
    assert described == columns_markdown(get_survey("lat-10gev"), {1: "first bit", 8: "fourth bit"})
    assert all(f"`{c.name}" in described for c in COLUMNS)


def test_a_folder_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "release"
    with pytest.raises(RuntimeError, match="half way"), release_folder(target) as partial:
        (partial / "a").write_text("a")
        raise RuntimeError("half way")
    assert list((tmp_path / "deep").iterdir()) == []
    target.mkdir()
    with release_folder(target) as partial:
        (partial / "a").write_text("a")
    assert sorted(p.name for p in target.iterdir()) == ["SHA256SUMS", "a"]
    with pytest.raises(FolderError, match="not an empty folder"), release_folder(target):
        pass
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(FolderError, match=r"file/x: .*file is not a folder"),
        release_folder(tmp_path / "file" / "x"),
    ):
        pass


def test_an_empty_release_has_its_files(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as conn:
        run = new_run(conn)
        conn.execute(text("UPDATE run SET status = 'done', finished_at = now()"))
        freeze(conn, "empty", run)
        with release_folder(tmp_path / "r") as partial:
            write_catalogue_files(conn, "empty", partial)
    assert len(fits.getdata(tmp_path / "r" / "asid-empty.fits", 1)) == 0
    assert pq.read_table(tmp_path / "r" / "asid-empty.parquet").num_rows == 0
