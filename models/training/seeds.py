"""Which random skies are for what: the one place where training, validation and test are kept apart.

A sky is known by (seed, split, stream, number); B2 (p6v11) appears in no split but the test.
"""

import numpy as np

SPLITS = {"train": 0, "validation": 1, "test": 2}


def sky_rng(seed: int, split: str, stream: int, number: int) -> np.random.Generator:
    """Generator of one sky of one of several parallel streams."""
    return np.random.default_rng(np.random.SeedSequence([seed, SPLITS[split], stream, number]))
