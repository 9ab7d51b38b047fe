"""fermipy takes the catalogue in 4FGL's layout for 4FGL: every source with the parameters of its power law."""

import numpy as np
import pytest

from tests.clients.conftest import Released

pytest.importorskip("fermipy", reason="needs the extra 'clients'")


def test_every_source_has_its_parameters(released: Released) -> None:
    from fermipy.catalog import Catalog

    if not (released.table["Extended_Source_Name"] != "").any():
        pytest.skip("fermipy cannot read a catalogue without extended sources")
    found = Catalog.create(str(released.fgl))
    assert type(found).__name__ == "Catalog4FGL"
    ours = {row["Source_Name"].strip(): row for row in released.table}
    assert {row["Source_Name"] for row in found.table} == set(ours)
    for row in found.table:
        mine = ours[row["Source_Name"]]
        assert row["SpectrumType"] == "PowerLaw"
        prefactor, index, pivot_mev = row["param_values"][:3]
        assert prefactor == pytest.approx(mine["PL_Flux_Density"], rel=1e-5)
        assert -index == pytest.approx(mine["PL_Index"], rel=1e-5)
        assert pivot_mev == pytest.approx(mine["Pivot_Energy"], rel=1e-5)
        assert row["extended"] == (mine["Extended_Source_Name"].strip() != "")
    np.testing.assert_allclose(np.sort(found.radec[:, 0]), np.sort(released.table["RAJ2000"]), atol=1e-4)
