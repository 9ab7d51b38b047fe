"""Classes of gamma-ray sources, from the codes of the LAT catalogues, in groups with priors of their own."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

GROUPS = ("none", "bll", "fsrq", "agn", "psr", "pwn_snr", "other")
"""Groups; `none` is a source that its catalogue gives no class, `agn` an active galaxy of any other kind."""
CODES = {
    "": "none",
    "unk": "none",
    "bll": "bll",
    "fsrq": "fsrq",
    **dict.fromkeys(("agn", "agu", "bcu", "bzb", "bzq", "css", "nlsy1", "rdg", "sey", "ssrq"), "agn"),
    **dict.fromkeys(("psr", "msp"), "psr"),
    **dict.fromkeys(("pwn", "snr", "spp"), "pwn_snr"),
}


def class_groups(codes: Iterable[str]) -> NDArray[np.int64]:
    """Index into `GROUPS` of each class code; the catalogues' capitals (identified, not associated) do not count."""
    names = (CODES.get(code.strip().lower(), "other") for code in codes)
    return np.array([GROUPS.index(name) for name in names], dtype=np.int64)
