"""Bright misses and their reasons, new detections, recovery by class, pictures, on the sky counted by hand."""

import io

import healpy as hp
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reports.cutouts import Mark, cutout, cutout_png, picture, plane_offsets, sky_grid, stretched
from reports.founding import founding_rows, founding_table
from reports.missed_sky import Field, misses_figure
from reports.misses import NO_REASON, bright_misses
from reports.unassociated import new_detections
from sky.counts import HealpixCounts


def test_bright_misses_are_those_above_ten_sigma_without_a_close_pair(
    references, associations, sources, candidates
):
    rows = bright_misses(references, associations, sources, candidates, 10.0)
    assert rows["name_ref"].tolist() == ["CAT R4e"]
    assert rows["reason"].tolist() == ["extended"]
    assert rows["expected"].tolist() == [True]


def test_reasons_are_what_the_data_say(references, associations, sources, candidates):
    references.loc[2, ["signif_avg", "signif_above"]] = 11.0, 3.2
    references.loc[4, ["signif_avg", "signif_above"]] = 40.0, 15.0
    references.loc[4, "peak_met_s"] = 500e6
    rows = bright_misses(references, associations, sources, candidates, 10.0, (100e6, 400e6))
    reason = rows.set_index("name_ref")["reason"]
    assert reason["CAT R3c"] == (
        "3.2 sigma only in the reference's bands above 10 GeV; on a gas clump ('c'); "
        "0.25 deg from brighter CAT R2; ASID J0002.0+0002 at 0.30 deg is paired with CAT R2"
    )
    # 500e6 s after 2001-01-01 is 2016-11-05.
    assert reason["CAT R5"] == (
        "brightest in 2016.8, outside this observation; detected 0.10 deg away, below the threshold (P = 0.30)"
    )
    assert rows["expected"].tolist() == [True, True, False]
    references.loc[4, "peak_met_s"] = 200e6
    without = bright_misses(references, associations, sources, candidates.iloc[:0], 10.0, (100e6, 400e6))
    assert without.set_index("name_ref")["reason"]["CAT R5"] == NO_REASON


def test_new_detections_are_ranked_by_the_networks_else_by_the_score(sources, associations):
    assert new_detections(sources, associations)["source_name"].tolist() == ["ASID J0003.0+0003"]
    everyone = new_detections(sources, associations.iloc[:0])
    assert everyone["probability"].tolist() == [0.9, 0.8, 0.7]
    sources["prob_real"] = [0.1, np.nan, 0.95]
    ranked = new_detections(sources, associations.iloc[:0])
    assert ranked["probability"].tolist() == [0.95, 0.8, 0.1]


def test_recovery_by_class_counts_both_rules(references, associations, sources):
    table = founding_table(references, associations, sources).set_index(
        ["selection", "radius_deg", "matching"]
    )
    # R1 to R4e have a significance; R1 and R2 are matched, R3c is near S2 that R2 has taken.
    assert table.loc[("all", 0.3, "iterative"), ["n", "recovered"]].tolist() == [5, 2]
    assert table.loc[("all", 0.5, "any within"), ["n", "recovered"]].tolist() == [5, 3]
    assert table.loc[("below 10 σ", 0.5, "iterative"), ["n", "recovered"]].tolist() == [1, 0]
    assert table.loc[("above 20 σ", 0.3, "iterative"), ["n", "recovered"]].tolist() == [2, 1]
    assert "below 10 σ, associated" not in table.index.get_level_values(0)
    shown = founding_rows(table.reset_index())[0]
    assert (shown["selection"], shown["n"]) == ("all", "5")
    assert shown["iterative 0.3"].startswith("40.0 ± ")


@given(st.floats(0, 359.9), st.floats(-85, 85), st.floats(0, 359), st.floats(0.01, 3))
def test_offsets_are_those_of_the_tangent_plane(glon, glat, angle, away):
    centre = SkyCoord(glon * u.deg, glat * u.deg, frame="galactic")
    there = centre.directional_offset_by(angle * u.deg, away * u.deg)
    left, up = plane_offsets(there.l.deg, there.b.deg, glon, glat)
    # Gnomonic: the tangent of the angle, in the direction of the position angle (north through east).
    distance = np.degrees(np.tan(np.radians(away)))
    assert left == pytest.approx(distance * np.sin(np.radians(angle)), abs=1e-6)
    assert up == pytest.approx(distance * np.cos(np.radians(angle)), abs=1e-6)


def test_the_grid_of_a_picture_and_the_offsets_are_inverse():
    glon, glat = sky_grid(359.9, 80.0, 4.0, 8)
    left, up = plane_offsets(glon, glat, 359.9, 80.0)
    steps = (np.arange(8) + 0.5) * 0.5 - 2
    assert left == pytest.approx(np.broadcast_to(-steps, (8, 8)))
    assert up == pytest.approx(np.broadcast_to(steps[:, None], (8, 8)))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_cutout_keeps_photons_and_their_place(sparse):
    """A hundred photons 0.5 deg towards larger longitude and 1 deg up: left of the middle, above it."""
    pixel = hp.ang2pix(512, 40.5, 1.0, lonlat=True, nest=True)
    counts = HealpixCounts.from_pixels(9, np.full(100, pixel))
    image = cutout(counts if sparse else counts.dense(), 40.0, 0.0, 4.0, 40)
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert (column + 0.5) * 0.1 - 2 == pytest.approx(-0.5, abs=0.15)
    assert (row + 0.5) * 0.1 - 2 == pytest.approx(1.0, abs=0.15)
    assert image.sum() * 0.1**2 == pytest.approx(100, rel=0.15)
    exact = cutout(counts if sparse else counts.dense(), 40.0, 0.0, 4.0, 400, 0.0)
    assert exact.sum() * 0.01**2 == pytest.approx(100, rel=0.02)


def test_a_picture_shows_what_stands_out_of_the_background():
    rng = np.random.default_rng(3)
    faint, bright = rng.poisson(0.02, (40, 40)), rng.poisson(400.0, (40, 40))
    bright[20, 20] += 200
    assert np.median(stretched(faint)) == 0
    level = stretched(bright)
    assert level.argmax() == 20 * 40 + 20
    assert level.max() == 1
    assert np.median(level) < 0.5


def test_a_png_has_row_zero_lowest_and_white_for_nothing():
    image = np.zeros((3, 2))
    image[0, 1] = 4.0
    pixels = np.asarray(Image.open(io.BytesIO(cutout_png(image))).convert("RGB"))
    assert (pixels[2, 1] < 60).all()
    assert (np.delete(pixels.reshape(-1, 3), 5, axis=0) == 255).all()
    assert (np.asarray(Image.open(io.BytesIO(cutout_png(0 * image))).convert("RGB")) == 255).all()


def test_marks_stand_where_they_should_and_foreign_words_are_escaped():
    marks = [Mark("ring", 1.0, -0.5, "<b>"), Mark("cross", 9.0, 0.0, "outside")]
    text = str(picture(np.ones((4, 4)), 4.0, marks, "a & b", side_px=100))
    assert '<circle cx="25.0" cy="62.5"' in text
    assert "&lt;b&gt;" in text and "a &amp; b" in text and "outside" not in text


def test_the_figure_of_misses_has_a_panel_each_and_is_left_out_without_any(
    references, associations, sources, candidates
):
    rows = bright_misses(references, associations, sources, candidates, 10.0)
    field = Field(np.ones(12 * 64**2), sources)
    figure = misses_figure("CAT", rows, field, "10 GeV up")
    assert [axes.get_title("left") for axes in figure.figure.axes if axes.get_title("left")] == ["CAT R4e"]
    assert misses_figure("CAT", rows.iloc[:0], field, "10 GeV up") is None
    _, view = field.around(50.0, 1.0)
    assert [name for name, *_ in view] == ["ASID J0002.0+0002"]
