import json

import healpy as hp
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from reports.comparison import COLUMNS, side_by_side
from reports.in_range import BAND_EDGES_GEV, signif_above
from reports.plane import HALF_WIDTH_DEG, PIXEL_DEG, plane_image
from reports.tables import MISSED, SIDE_BY_SIDE, columns_of, text_rows, to_json


def test_a_missed_variable_source_is_said_to_be_one(references, associations, sources):
    references = references.assign(catalog="4FGL-DR2", variability_index=[30.0, 21.0, 21.0, 22.0, np.nan])
    table = side_by_side(references, associations, sources).set_index("name_ref")
    assert table.loc["CAT R4e", "remark"] == "extended; variable"
    assert table.loc["CAT R1", "remark"] == "variable"
    assert table.loc["CAT R5", "remark"] == ""


def test_every_row_of_both_lists_stands_there_once(references, associations, sources):
    table = side_by_side(references, associations, sources)
    assert tuple(table.columns) == COLUMNS
    assert sorted(table["name_ref"].dropna()) == sorted(references["name"])
    assert sorted(table["source_name"].dropna()) == sorted(sources["source_name"])
    assert table["status"].tolist() == ["missed", "missed", "missed", "new", "matched", "matched"]


def test_bright_misses_come_first_with_their_reasons(references, associations, sources):
    table = side_by_side(references, associations, sources)
    missed = table[table["status"] == "missed"]
    assert missed["name_ref"].tolist() == ["CAT R4e", "CAT R3c", "CAT R5"]
    assert missed["remark"].tolist() == [
        "extended",
        "on a gas clump ('c'); 0.25 deg from brighter CAT R2; "
        "ASID J0002.0+0002 at 0.30 deg is paired with CAT R2",
        "",
    ]
    assert missed["sep_deg"].iloc[1] == pytest.approx(0.3)


def test_a_new_source_near_a_reference_says_whose_that_is(references, associations, sources):
    close = sources.assign(glon_deg=[10.0, 50.0, 50.0], glat_deg=[20.1, 1.0, 0.7])
    table = side_by_side(references, associations, close)
    assert table.loc[table["status"] == "new", "remark"].item() == (
        "CAT R2 at 0.35 deg is paired with ASID J0002.0+0002"
    )


def test_pairs_beyond_the_inner_radius_are_marked(references, associations, sources):
    associations.loc[0, ["sep_deg", "matched_03"]] = [0.4, False]
    table = side_by_side(references, associations, sources)
    assert table.set_index("name_ref")["status"]["CAT R1"] == "matched 0.5"


def test_without_any_pair_both_lists_are_whole(references, associations, sources):
    table = side_by_side(references, associations.iloc[:0], sources)
    assert table["status"].value_counts().to_dict() == {"missed": 5, "new": 3}


def test_without_any_source_all_are_missed(references, associations, sources):
    table = side_by_side(references, associations.iloc[:0], sources.iloc[:0])
    assert table["status"].tolist() == ["missed"] * 5
    assert np.isinf(table["sep_deg"]).all()


def test_cells_are_written_with_errors_and_without_decimals_where_large(references, associations, sources):
    references.loc[3, ["flux_cm2_s", "unc_flux_cm2_s"]] = [2.3456e-9, 3.21e-11]
    missed = side_by_side(references, associations, sources).head(3)
    columns = columns_of(missed, MISSED)
    flux = [c.key for c in columns].index("flux_cm2_s_ref")
    assert [row[flux] for row in text_rows(missed, columns)] == ["2346 ± 32", "20.0 ± 10.0", ""]


def test_json_carries_all_rows_and_closes_no_script(references, associations, sources):
    references.loc[0, "association"] = "</script><b>"
    text = to_json(side_by_side(references, associations, sources), SIDE_BY_SIDE)
    assert "<" not in text
    found = json.loads(text)
    rows = pd.DataFrame(found["rows"], columns=found["keys"])
    assert len(rows) == 6
    assert "</script><b>" in set(rows["association_ref"])
    assert rows.loc[rows["name_ref"] == "CAT R1", "flux_cm2_s"].item() == pytest.approx(2e-10)
    assert rows.loc[rows["name_ref"] == "CAT R5", "flux_cm2_s_ref"].isna().all()


def test_the_plane_keeps_its_photons_and_its_direction():
    counts = np.zeros(hp.nside2npix(1024))
    counts[hp.ang2pix(1024, 30.0, -4.0, lonlat=True, nest=True)] = 500.0
    image = plane_image(counts)
    row, column = np.unravel_index(np.argmax(image), image.shape)
    assert 360 - (column + 0.5) * PIXEL_DEG == pytest.approx(30.0, abs=PIXEL_DEG)
    assert (row + 0.5) * PIXEL_DEG - HALF_WIDTH_DEG == pytest.approx(-4.0, abs=PIXEL_DEG)
    area_deg2 = PIXEL_DEG**2 * np.cos(np.radians(4.0))
    assert image.sum() * area_deg2 == pytest.approx(500, rel=1e-3)


def test_columns_that_are_empty_for_a_catalogue_are_left_out(references, associations, sources):
    full = {c.key for c in columns_of(side_by_side(references, associations, sources))}
    assert full == {c.key for c in SIDE_BY_SIDE}
    untold = side_by_side(references.assign(signif_above=np.nan), associations, sources)
    assert full - {c.key for c in columns_of(untold)} == {"signif_above_ref"}


def test_significance_in_the_surveys_energies_by_hand():
    references = pd.DataFrame(
        {
            "catalog": ["4FGL-DR2", "4FGL-DR2", "4FGL-DR2", "3FHL", "4FGL-DR3"],
            "sqrt_ts_band": [
                [9, 9, 9, 9, 9, 3.0, 4.0],
                [9, 9, 9, 9, 9, 3.0, None],
                None,
                [1, 2, 3, 4, 5],
                [9, 9, 9, 9, 9, 2.0, 3.0, 6.0],
            ],
        }
    )
    np.testing.assert_array_equal(signif_above(references, 10.0), [5, np.nan, np.nan, np.nan, 7])
    assert signif_above(references, 1.0)[0] == pytest.approx(np.sqrt(2 * 81 + 25))


def test_bands_are_those_of_the_published_file(lat_data):
    with fits.open(lat_data / "catalogs" / "gll_psc_v27.fit.gz") as hdus:
        bounds = hdus["EnergyBounds"].data
        edges_mev = np.union1d(bounds["LowerEnergy"], bounds["UpperEnergy"])
        n_bands = hdus["LAT_Point_Source_Catalog"].data["Sqrt_TS_Band"].shape[1]
    np.testing.assert_allclose(BAND_EDGES_GEV[n_bands], edges_mev / 1000)


def test_places_keep_their_decimals_where_fluxes_need_none(references, associations, sources):
    table = side_by_side(references, associations, sources).set_index("name_ref", drop=False)
    columns = columns_of(table, {"glon_deg", "flux_cm2_s"})
    cells = dict(zip([c.key for c in columns], text_rows(table.loc[["CAT R1"]], columns)[0], strict=True))
    assert cells == {"glon_deg": "10.00", "flux_cm2_s": "200 ± 30"}
    far = table.loc[["CAT R5"]]
    assert text_rows(far, columns_of(far, {"glon_deg"})) == [["300.00"]]
