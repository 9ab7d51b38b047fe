"""New detections: released sources without a counterpart in any reference catalogue, most probable first."""

import pandas as pd

COLUMNS = (
    "source_name", "glon_deg", "glat_deg", "probability", "signif_avg", "flux_cm2_s", "unc_flux_cm2_s",
    "conf_95_semimajor_deg", "flags",
)  # fmt: skip


def new_detections(sources: pd.DataFrame, associations: pd.DataFrame) -> pd.DataFrame:
    """Sources without a one-to-one counterpart within 0.5 degrees in any reference catalogue.

    Returns
    -------
    DataFrame
        `COLUMNS`, ranked by ``probability``: the networks' calibrated `Prob_Real`, the detector's score where they
        say nothing; ties by significance.
    """
    matched = associations.loc[associations["matched_05"], "detection_id"]
    new = sources[~sources["detection_id"].isin(matched)]
    new = new.assign(probability=new["prob_real"].fillna(new["det_prob"]))
    order = ["probability", "signif_avg", "source_name"]
    return new.sort_values(order, ascending=[False, False, True], ignore_index=True)[list(COLUMNS)]
