"""A sky small enough to count by hand: three sources, five reference rows."""

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord

from tests.released_sky import released

__all__ = ["released"]


def _positions(glon_deg, glat_deg) -> dict[str, np.ndarray]:
    sky = SkyCoord(glon_deg, glat_deg, unit="deg", frame="galactic")
    return {
        "ra_deg": sky.icrs.ra.deg,
        "dec_deg": sky.icrs.dec.deg,
        "glon_deg": np.asarray(glon_deg, float),
        "glat_deg": np.asarray(glat_deg, float),
    }


@pytest.fixture
def sources() -> pd.DataFrame:
    """S1 near R1, S2 near R2 and, farther, R3; S3 alone."""
    n = 3
    return pd.DataFrame(
        {
            "source_name": ["ASID J0001.0+0001", "ASID J0002.0+0002", "ASID J0003.0+0003"],
            "detection_id": [11, 12, 13],
            **_positions([10.0, 50.0, 200.0], [20.1, 1.0, -60.0]),
            "det_prob": [0.9, 0.8, 0.7],
            "ts": [400.0, 100.0, 25.0],
            "conf_95_semimajor_deg": np.full(n, 0.06),
            "conf_95_semiminor_deg": np.full(n, 0.06),
            "conf_posang_deg": np.zeros(n),
            "signif_avg": [20.0, 10.0, 5.0],
            "flux_cm2_s": [2e-10, 1e-10, 5e-11],
            "unc_flux_cm2_s": [3e-11, 3e-11, 2e-11],
            "index": np.full(n, 2.3),
            "npred": [60.0, 30.0, 10.0],
            "flags": [0, 0, 1],
            "prob_real": np.nan,
            "network_flux_cm2_s": np.nan,
            "unc_network_flux_cm2_s": np.nan,
        }
    )


@pytest.fixture
def candidates() -> pd.DataFrame:
    """One detection below the threshold, 0.1 deg from R5."""
    return pd.DataFrame(
        {"id": [14], "glon_deg": [300.0], "glat_deg": [40.1], "det_prob": [0.3], "ts": [16.0]}
    )


@pytest.fixture
def references() -> pd.DataFrame:
    """R1 and R2 found, R3c beside R2, R4e extended and far from all, R5 of unknown significance."""
    n = 5
    return pd.DataFrame(
        {
            "id": [1, 2, 3, 4, 5],
            "catalog": "CAT",
            "name": ["CAT R1", "CAT R2", "CAT R3c", "CAT R4e", "CAT R5"],
            **_positions([10.0, 50.0, 50.0, 120.0, 300.0], [20.0, 1.05, 1.3, 3.0, 40.0]),
            "conf_95_semimajor_deg": [0.08, 0.08, 0.08, np.nan, 0.08],
            "conf_95_semiminor_deg": [0.08, 0.08, 0.08, np.nan, 0.08],
            "conf_95_posang_deg": [0.0, np.nan, 0.0, np.nan, 0.0],
            "signif_avg": [30.0, 12.0, 6.0, 50.0, np.nan],
            "flux_cm2_s": [1e-10, 1e-10, 2e-11, 4e-10, np.nan],
            "unc_flux_cm2_s": [4e-11, 4e-11, 1e-11, 1e-11, np.nan],
            "flux_range_gev": [[10.0, 1000.0]] * (n - 1) + [None],
            "source_class": ["bll", "", "", "SNR", ""],
            "association": ["Mkn 1", "", "", "G 1", ""],
            "extended": [False, False, False, True, False],
            "flags": [0, 0, 32, 0, 0],
            "variability_index": np.nan,
            "peak_met_s": np.nan,
            "counterpart_ra_deg": np.nan,
            "counterpart_dec_deg": np.nan,
            "unc_counterpart_deg": np.nan,
            "true_npred": np.nan,
            "true_flux_cm2_s": np.nan,
            "signif_above": [9.0, 8.0, 7.0, 30.0, np.nan],
        }
    )


@pytest.fixture
def associations() -> pd.DataFrame:
    """All candidates within 0.5 deg; R3c is S2's second choice."""
    return pd.DataFrame(
        {
            "detection_id": [11, 12, 12],
            "reference_source_id": [1, 2, 3],
            "catalog": "CAT",
            "sep_deg": [0.1, 0.05, 0.3],
            "prob": [0.95, 0.99, 0.01],
            "matched_03": [True, True, False],
            "matched_05": [True, True, False],
        }
    )
