"""Measured values in as many digits as their errors deserve.

An error has two digits if they begin with 10 to 35, else one (the rule of the Particle Data Group); its value ends where
it ends.
"""

import math
from collections.abc import Iterable

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_TWO_DIGITS_BELOW = 3.55


def decimals(error: float) -> int:
    """Digits behind the point that a value of that error deserves; negative where not even all before it."""
    power = math.floor(math.log10(error))
    return -power + (error / 10.0**power < _TWO_DIGITS_BELOW)


def fixed(value: float, places: int) -> str:
    """A number rounded to decimals, of which there may be fewer than none."""
    return f"{round(value, places):z.{max(places, 0)}f}"


def with_error(value: float, error: float | None) -> str:
    """``1.23 ± 0.04``; three digits of a value without an error."""
    if not _usable(error):
        return f"{value:.3g}"
    assert error is not None
    places = decimals(error)
    return f"{fixed(value, places)} ± {fixed(error, places)}"


def with_errors(value: float, low: float, high: float) -> str:
    """``1.23 −0.04 +0.05``; the smaller error says how many digits, `low` is negative."""
    known = [abs(error) for error in (low, high) if _usable(abs(error))]
    places = decimals(min(known)) if known else 2
    return f"{fixed(value, places)} −{fixed(-low, places)} +{fixed(high, places)}"


def limit(value: float) -> str:
    """``< 1.2``: two digits."""
    places = 1 - math.floor(math.log10(value)) if _usable(value) else 0
    return f"< {fixed(value, places)}"


def common_power(values: Iterable[float]) -> int:
    """Power of ten of the largest of some values, in units of which they are shown; 0 if there is none."""
    largest = max((value for value in values if _usable(value)), default=1.0)
    return math.floor(math.log10(largest))


def power_text(power: int) -> str:
    """``10⁻¹²``."""
    return "10" + str(power).translate(_SUPERSCRIPT)


def _usable(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0
