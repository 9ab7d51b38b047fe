import healpy as hp
import numpy as np
import pytest

from reports.fluxes import flux_figure, flux_pairs, same_range
from reports.significance import significance_edges, significance_figure
from reports.sky_json import map_background
from reports.skymap import log_stretched, marker_area, mollweide, sky_figure, smoothed_image


def test_only_fluxes_of_the_same_range_are_compared(references):
    assert same_range(references, (10.0, 1000.0)).tolist() == [True, True, True, True, False]
    assert not same_range(references, (1.0, 100.0)).any()


def test_ratio_and_pull_by_hand(references, associations, sources):
    pairs = flux_pairs(references, associations, sources, (10.0, 1000.0))
    assert pairs["ratio"].tolist() == pytest.approx([2.0, 1.0])
    # 2e-10 against 1e-10, errors of 3e-11 and 4e-11: 1e-10 / 5e-11.
    assert pairs["pull"].tolist() == pytest.approx([2.0, 0.0])


def test_extended_sources_have_no_comparable_flux(references, associations, sources):
    references.loc[0, "extended"] = True
    pairs = flux_pairs(references, associations, sources, (10.0, 1000.0))
    assert pairs["name"].tolist() == ["CAT R2"]


def test_no_figure_without_a_common_range(references, associations, sources):
    assert flux_figure("CAT", references, associations, sources, (1.0, 100.0)) is None
    assert flux_figure("CAT", references, associations, sources, (10.0, 1000.0)) is not None


def test_significance_histogram_holds_every_source(sources, associations):
    numbers = significance_figure(sources, associations).numbers
    for quantity in ("signif_avg", "glat_deg"):
        part = numbers[numbers["quantity"] == quantity]
        assert (part["associated"].sum(), part["unassociated"].sum()) == (2, 1)
    sphere = numbers.loc[numbers["quantity"] == "glat_deg", "area_deg2"].sum()
    assert sphere == pytest.approx(4 * np.pi * np.degrees(1) ** 2)
    edges = significance_edges(sources["signif_avg"])
    assert edges[0] <= 5.0
    assert edges[-1] > 20.0


def test_mollweide_runs_to_the_left_and_reaches_the_poles():
    x, y = mollweide([0.0, 90.0, 270.0, 0.0, 77.0], [0.0, 0.0, 0.0, 90.0, -90.0])
    assert x == pytest.approx([0, -1, 1, 0, 0], abs=1e-9)
    assert y == pytest.approx([0, 0, 0, 1, -1], abs=1e-9)


def test_marker_area_grows_with_significance():
    area = marker_area([0.0, 5.0, 10.0, 50.0, 1e4])
    assert (np.diff(area) > 0).all()
    assert area[0] > 0


def test_the_image_of_the_sky_keeps_density_and_orientation():
    counts = np.zeros(hp.nside2npix(64))
    here = hp.ang2pix(64, 90.0, 30.0, lonlat=True, nest=True)
    counts[here] = 1000.0
    image = smoothed_image(counts)
    row, column = np.unravel_index(np.nanargmax(image), image.shape)
    x, y = mollweide(90.0, 30.0)
    height, width = image.shape
    assert (column + 0.5) / width * 4 - 2 == pytest.approx(float(x), abs=0.02)
    assert (row + 0.5) / height * 2 - 1 == pytest.approx(float(y), abs=0.02)
    # Mollweide keeps areas: density times area of the ellipse is the number of photons.
    pixel_deg2 = (4 / width) * (2 / height) * 41252.96 / (2 * np.pi)
    assert np.nansum(image) * pixel_deg2 == pytest.approx(1000, rel=0.03)


def test_sky_figure_numbers_every_source(sources, associations):
    numbers = sky_figure(sources, associations).numbers
    assert numbers["associated"].tolist() == [1, 1, 0]
    assert numbers["source_name"].tolist() == sources["source_name"].tolist()


@pytest.mark.filterwarnings("error")
def test_a_sky_without_photons_is_even():
    """Nor has a plane that an observation did not see any."""
    assert np.unique(log_stretched(np.zeros((4, 8)), (5, 99.7))).tolist() == [np.log(1e-3)]
    some = log_stretched(np.arange(1.0, 101.0), (0, 50))
    assert some.min() == 0 and some.max() == pytest.approx(np.log(50.5))
    assert map_background(np.zeros(12)).startswith("data:image/png")
