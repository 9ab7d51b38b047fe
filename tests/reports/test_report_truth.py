"""What only known truths tell: known places of counterparts, simulated sources, listed classes."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from reports.classes import class_figure, class_table
from reports.counterparts import counterpart_figure, counterpart_pairs
from reports.data import ReportData
from reports.met import interval_text, year_of
from reports.separation import rayleigh_cdf
from reports.simulated import overall, simulated_figure, truth_tables


def _known(references, sources):
    """R1's object lies 0.03 deg south of S1, half its r95; R2's place is too uncertain."""
    references.loc[0, ["counterpart_ra_deg", "counterpart_dec_deg"]] = (
        sources.loc[0, "ra_deg"],
        sources.loc[0, "dec_deg"] - 0.03,
    )
    references.loc[1, ["counterpart_ra_deg", "counterpart_dec_deg", "unc_counterpart_deg"]] = 0.0, 0.0, 0.1
    references.loc[1, "source_class"] = "bll"


def test_only_well_known_places_test_the_ellipse(references, associations, sources):
    _known(references, sources)
    pairs = counterpart_pairs(references, associations, sources)
    assert pairs["name"].tolist() == ["CAT R1"]
    assert pairs["sep_deg"].tolist() == pytest.approx([0.03])
    assert pairs["over_r95"].tolist() == pytest.approx([0.5])
    assert counterpart_figure("CAT", references, associations, sources) is not None
    references["counterpart_ra_deg"] = np.nan
    assert counterpart_figure("CAT", references, associations, sources) is None


def test_gaussian_positions_fall_inside_their_ellipse_as_often_as_it_says(references):
    """A thousand sources drawn with sigma 0.02 deg on each axis: r95 is 2.4477 sigma."""
    rng, n = np.random.default_rng(4), 1000
    offset = rng.normal(0, 0.02, (2, n))
    r95 = 0.02 * 2.4477
    place = {"ra_deg": np.full(n, 100.0), "dec_deg": np.zeros(n), "glon_deg": 0.0, "glat_deg": 0.0}
    sources = pd.DataFrame(
        {"source_name": [f"S{i:04d}" for i in range(n)], "detection_id": range(n), **place}
    )
    sources = sources.assign(
        conf_95_semimajor_deg=r95, conf_95_semiminor_deg=r95, conf_posang_deg=0.0, signif_avg=10.0
    )
    listed = pd.concat([references.iloc[[0]]] * n, ignore_index=True).assign(
        id=range(n), counterpart_ra_deg=100.0 + offset[0], counterpart_dec_deg=offset[1]
    )
    pairs = pd.DataFrame(
        {"detection_id": range(n), "reference_source_id": range(n), "catalog": "CAT", "sep_deg": 0.0}
        | {"prob": 1.0, "matched_03": True, "matched_05": True}
    )
    over = counterpart_pairs(listed, pairs, sources)["over_r95"]
    assert (over <= 1).mean() == pytest.approx(0.95, abs=0.02)
    assert (over <= 0.5).mean() == pytest.approx(float(rayleigh_cdf(0.5)), abs=0.04)


def test_completeness_and_purity_by_hand(references, associations, sources):
    truth = references.assign(true_npred=10.0, true_flux_cm2_s=[2e-10, 1e-10, 3e-11, 1.1e-10, 2e-12])
    completeness, purity, reliability = truth_tables(truth, associations, sources)
    # R1 at b = 20 and R2 at b = 1 are found; R3c and R4e in the plane and R5 at b = 40 are not.
    by_latitude = completeness.groupby("latitude")[["n", "k"]].sum()
    assert by_latitude.loc["|b| > 10°"].tolist() == [2, 1]
    assert by_latitude.loc["|b| ≤ 10°"].tolist() == [3, 1]
    assert purity[["n", "k"]].sum().tolist() == [3, 2]
    filled = reliability[reliability["n"] > 0]
    assert filled["score"].tolist() == pytest.approx([0.7, 0.8, 0.9])
    assert filled["fraction"].tolist() == [0, 1, 1]
    assert (overall(truth, associations, sources).k, len(sources)) == (2, 3)
    figure = simulated_figure("truth", truth, associations, sources, (10.0, 1000.0))
    assert set(figure.numbers["quantity"]) == {"completeness", "purity", "reliability"}


def test_classes_are_counted_by_the_group_that_is_listed(references, associations):
    classes = pd.DataFrame(
        {"detection_id": [11, 12, 11], "variant": ["full", "full", "blind"]}
        | {"bll": [0.6, 0.1, 0.2], "fsrq": [0.1, 0.1, 0.5], "psr": [0.1, 0.6, 0.1]}
        | {"pwn_snr": [0.1, 0.1, 0.1], "fake": [0.1, 0.1, 0.1]}
    )
    references.loc[1, "source_class"] = "MSP"
    full = class_table(references, associations, classes, "full")
    assert (full.loc["bll", "bll"], full.loc["psr", "psr"], int(full.to_numpy().sum())) == (1, 1, 2)
    blind = class_table(references, associations, classes, "blind")
    assert blind.loc["bll", "fsrq"] == 1
    assert class_figure("CAT", references, associations, classes) is not None
    assert class_figure("CAT", references, associations, classes.iloc[:0]) is None


def test_on_a_simulated_sky_only_the_truth_knows_the_places():
    def placed(*truth: bool) -> list[str]:
        catalogs = pd.DataFrame({"label": ["4FGL-DR2", "mine"][: len(truth)], "truth": truth})
        nothing = dict.fromkeys(field.name for field in fields(ReportData))
        return ReportData(**nothing | {"catalogs": catalogs}).placed

    assert placed(False, True) == ["mine"]
    assert placed(False, False) == ["4FGL-DR2", "mine"]
    assert placed() == []


def test_mission_time_as_dates():
    """Astropy: MET 239557417 is 2008-08-04 15:43:37 UTC but a leap second; the year is 366 days long."""
    assert year_of(239557417.0) == pytest.approx(2008 + (216 + 15.727 / 24) / 366, abs=1e-5)
    assert interval_text(239557417.0, 498643328.0).startswith("2008-08-04 to 2016-10-20 (MET ")
    assert interval_text(None, 1.0) is None and interval_text(float("nan"), 1.0) is None
