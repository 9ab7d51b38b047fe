"""What the networks say of detections."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Characterisation:
    """Arrays of n rows; NaN where the networks do not say.

    Attributes
    ----------
    prob_real : array [n]
        Calibrated probability that the detection is a source.
    glon_deg, glat_deg : array [n]
        Refined position.
    conf_68_semimajor_deg, conf_68_semiminor_deg, conf_95_semimajor_deg, conf_95_semiminor_deg : array [n]
    conf_posang_deg : array [n]
        Of the major axis, east of ICRS north, in (-90, 90].
    flux_cm2_s, unc_flux_cm2_s : array [n]
        In the survey's headline range.
    flux_band_cm2_s, unc_flux_band_cm2_s : array [n, n_bands]
    class_prob, class_prob_blind : array [n, 5]
        In the order of `models.cutouts.CLASSES`, sum 1; `blind` without knowledge of the place.
    sys_flux : array [n]
        Systematic error of the flux from the emission model, relative.
    sys_pos_deg : array [n]
        Likewise of the position, on an axis.
    sys_class : array [n]
        Largest shift of a class's probability.
    flags : array of int [n]
        `models.likelihood.flags.Flags`.
    """

    prob_real: Floats
    glon_deg: Floats
    glat_deg: Floats
    conf_68_semimajor_deg: Floats
    conf_68_semiminor_deg: Floats
    conf_95_semimajor_deg: Floats
    conf_95_semiminor_deg: Floats
    conf_posang_deg: Floats
    flux_cm2_s: Floats
    unc_flux_cm2_s: Floats
    flux_band_cm2_s: Floats
    unc_flux_band_cm2_s: Floats
    class_prob: Floats
    class_prob_blind: Floats
    sys_flux: Floats
    sys_pos_deg: Floats
    sys_class: Floats
    flags: Ints

    def __len__(self) -> int:
        return len(self.prob_real)

    @classmethod
    def unknown(cls, n: int, n_bands: int, n_classes: int) -> Self:
        """All NaN, without flags."""
        columns = {"flux_band_cm2_s": n_bands, "unc_flux_band_cm2_s": n_bands}
        columns |= {"class_prob": n_classes, "class_prob_blind": n_classes}
        values = {
            f.name: np.full((n, columns[f.name]) if f.name in columns else n, np.nan) for f in fields(cls)
        }
        return cls(**(values | {"flags": np.zeros(n, np.int64)}))
