"""IAU names of sources: ``ASID JHHMM.m+DDMM``.

Coordinates are truncated, never rounded (IAU Recommendations for Nomenclature, sect. 3.2.2): right ascension
to a tenth of a minute of time, declination to a minute of arc, towards zero, so that -00 and +00 differ.
Sources that share a name are all given a letter, A for the most significant; a source alone has none.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

ACRONYM = "ASID"
_ROUNDING_DEG = 1e-9
"""Far below any position error: positions that close to the next cell from below count as on its border."""


def iau_name(ra_deg: float, dec_deg: float) -> str:
    """Name of a position (ICRS degrees), without a letter.

    Raises
    ------
    ValueError
        If it is no position.
    """
    if not (0 <= ra_deg < 360 and -90 <= dec_deg <= 90):
        raise ValueError(f"not a position: right ascension {ra_deg}, declination {dec_deg}")
    # Cells of 0.1 min = 1.5 arcmin = 0.025 deg in right ascension, and 1/60 deg in declination.
    tenths = int((ra_deg + _ROUNDING_DEG) * 40)
    minutes = int((abs(dec_deg) + _ROUNDING_DEG) * 60)
    if tenths == 360 * 40:
        tenths = 0
    sign = "-" if dec_deg < 0 else "+"
    hours, rest = divmod(tenths, 600)
    return f"{ACRONYM} J{hours:02d}{rest // 10:02d}.{rest % 10}{sign}{minutes // 60:02d}{minutes % 60:02d}"


def release_names(ra_deg: ArrayLike, dec_deg: ArrayLike, signif_avg: ArrayLike) -> list[str]:
    """Names of all sources of a release, unique among them.

    Of sources with one name the most significant gets ``A``, the next ``B``, and so on, ``AA`` after ``Z``;
    equal significances go by right ascension, then declination.

    Parameters
    ----------
    ra_deg, dec_deg, signif_avg : array_like, shape (n,)
    """
    ra, dec, signif = (np.asarray(v, dtype=np.float64) for v in (ra_deg, dec_deg, signif_avg))
    names = [iau_name(a, d) for a, d in zip(ra.tolist(), dec.tolist(), strict=True)]
    sharing: dict[str, list[int]] = defaultdict(list)
    for i in _by_significance(ra, dec, signif):
        sharing[names[i]].append(i)
    for members in sharing.values():
        if len(members) > 1:
            for rank, i in enumerate(members):
                names[i] += _letters(rank)
    return names


def _by_significance(
    ra: NDArray[np.float64], dec: NDArray[np.float64], signif: NDArray[np.float64]
) -> Sequence[int]:
    order: list[int] = np.lexsort((dec, ra, -signif)).tolist()
    return order


def _letters(rank: int) -> str:
    """A to Z, AA to ZZ, and so on, for ranks from 0."""
    text = ""
    rank += 1
    while rank:
        rank, last = divmod(rank - 1, 26)
        text = chr(ord("A") + last) + text
    return text
