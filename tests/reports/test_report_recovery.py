import numpy as np
import pytest

from reports.recovery import LATITUDE, SIGNIFICANCE, recovered, recovery_figure, recovery_table, selections


def rows(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    return table


def test_recovered_takes_matches_only_not_candidates(references, associations):
    assert recovered(references, associations, 0.3).tolist() == [True, True, False, False, False]


def test_the_two_radii_are_apart(references, associations):
    associations.loc[0, "matched_03"] = False
    assert recovered(references, associations, 0.3).tolist() == [False, True, False, False, False]
    assert recovered(references, associations, 0.5).tolist() == [True, True, False, False, False]


def test_selections_by_hand(references):
    masks = {name: mask.tolist() for name, mask in selections(references)}
    assert masks == {
        "full list": [True] * 5,
        "associated": [True, False, False, True, False],
        "without 'c'": [True, True, False, True, True],
        "Flags = 0": [True, True, False, True, True],
    }


def test_a_catalogue_without_flags_has_no_panel_for_them(references):
    plain = references.assign(flags=0, name=[f"3FHL J{i}" for i in range(5)])
    assert [name for name, _ in selections(plain)] == ["full list", "associated"]


def test_recovery_by_hand(references, associations, sources):
    table = recovery_table(references, associations, sources, 10.0)
    whole = rows(table, radius_deg=0.3, quantity="all").set_index("selection")
    assert whole["n"].to_dict() == {"full list": 5, "associated": 2, "without 'c'": 4, "Flags = 0": 4}
    assert whole["recovered"].to_dict() == {"full list": 2, "associated": 1, "without 'c'": 2, "Flags = 0": 2}

    signif = rows(table, radius_deg=0.3, quantity="signif_avg", selection="full list").set_index("low")
    assert signif["high"].tolist() == list(SIGNIFICANCE.edges[1:])
    assert signif["n"][signif["n"] > 0].to_dict() == {5: 1, 10: 1, 20: 1, 40: 1}  # R5 has no significance
    assert signif["recovered"][signif["n"] > 0].to_dict() == {5: 0, 10: 1, 20: 1, 40: 0}

    latitude = rows(table, radius_deg=0.3, quantity="abs_glat_deg", selection="full list").set_index("low")
    assert latitude["n"][latitude["n"] > 0].to_dict() == {0: 2, 2: 1, 20: 1, 30: 1}
    assert latitude["fraction"][latitude["n"] > 0].to_dict() == {0: 0.5, 2: 0.0, 20: 1.0, 30: 0.0}
    assert latitude.index.tolist() == list(LATITUDE.edges[:-1])


def test_chance_counts_only_sources_that_are_free(references, associations, sources):
    # A source 4 degrees along the parallel of R4e catches it once in six displacements, if it is free.
    glon = 120.0 + 4.0 / np.cos(np.radians(3.0))
    at_hand = sources.assign(glon_deg=[10.0, glon, 200.0], glat_deg=[20.1, 3.0, -60.0])
    assert recovery_table(references, associations, at_hand, 10.0)["by_chance"].fillna(0).eq(0).all()
    free = recovery_table(references, associations.iloc[:1], at_hand, 10.0)
    chance = rows(free, quantity="all", selection="full list", radius_deg=0.3)["by_chance"]
    assert chance.item() == pytest.approx(1 / 6 / 5)


def test_the_figure_shows_what_the_table_says(references, associations, sources):
    shown = recovery_figure("CAT", references, associations, sources, 10.0)
    titles = [axes.get_title(loc="left") for axes in shown.figure.axes]
    assert titles[0] == "full list: 2 of 5 (40.0 %)"
    assert len(shown.figure.axes) == 4 * 4  # quantities times selections
    drawn = shown.figure.axes[0].containers[1].lines[0].get_ydata()
    full = rows(shown.numbers, radius_deg=0.3, quantity="signif_avg", selection="full list")
    np.testing.assert_array_equal(np.asarray(drawn, float), full["fraction"])
