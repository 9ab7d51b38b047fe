"""The localisers by name, known without torch."""

# The first two need the direction head: its learned localiser, and the hand-made one.
DIRECTION_LOCALISERS = ("centre-direction", "direction-field")
MASK_LOCALISERS = ("disk", "log", "kmeans")
LOCALISERS = DIRECTION_LOCALISERS + MASK_LOCALISERS
DEFAULT_LOCALISER = "centre-direction"


def unknown(localiser: str) -> str:
    """What is said of a name that no localiser has."""
    return f"unknown localiser '{localiser}'; known: {', '.join(LOCALISERS)}"
