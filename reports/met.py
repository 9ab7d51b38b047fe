"""Mission elapsed time as dates."""

import math
from datetime import UTC, datetime

# Seconds since 2001-01-01, leap seconds apart, which no date shows.
EPOCH = datetime(2001, 1, 1, tzinfo=UTC).timestamp()


def year_of(met_s: float) -> float:
    """Calendar year with its fraction."""
    day = datetime.fromtimestamp(EPOCH + met_s, UTC)
    first, last = datetime(day.year, 1, 1, tzinfo=UTC), datetime(day.year + 1, 1, 1, tzinfo=UTC)
    return day.year + (day - first) / (last - first)


def interval_text(start_met_s: float | None, stop_met_s: float | None) -> str | None:
    """A time interval in words; None where it is unknown."""
    if start_met_s is None or stop_met_s is None:
        return None
    if not (math.isfinite(start_met_s) and math.isfinite(stop_met_s)):
        return None
    first, last = (
        datetime.fromtimestamp(EPOCH + t, UTC).date().isoformat() for t in (start_met_s, stop_met_s)
    )
    return f"{first} to {last} (MET {start_met_s:.0f} to {stop_met_s:.0f})"
