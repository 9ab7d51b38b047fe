"""Warnings that go with a measured source."""

import ast
import inspect
from enum import IntFlag
from itertools import pairwise


class Flags(IntFlag):
    """Bits of the catalogue's `Flags` column; where 4FGL has a warning of that kind, its bit."""

    LOW_CONTRAST = 8
    """Fewer photons of the source than a tenth of the background's, both within the 68 % radius of the PSF in the
    band where the source is most significant."""
    NEAR_BRIGHTER = 16
    """A brighter detection is closer than the 80 % radius of the PSF in that band."""
    BAD_POSITION = 256
    """No clean peak of the likelihood: misfit of the paraboloid above 8, or long 95 % semi-axis above 0.25 deg."""
    BAD_SPECTRUM = 512
    """Band fluxes disagree with the power law: chi squared above 9 in a band, or above 20.5 in all."""
    MOVED = 65536
    """The fit left the detected position by more than its 95 % radius and 0.1 deg."""
    EXTENDED = 131072
    """Broader than the PSF: measured with a Gaussian of the width that fits best, or as a disc (`DISC`)."""
    INDEX_AT_LIMIT = 262144
    """The photon index reached an end of its range."""
    NO_EXPOSURE = 524288
    """A band was not exposed here."""
    NETWORK_EXTRAPOLATES = 4194304
    """Brighter than any source the networks were trained with: their errors are stated three times as wide."""
    CUTOUT_NOT_COVERED = 8388608
    """Part of the networks' cut-out was not exposed: their errors are stated three times as wide."""
    CUTOUT_SHARED = 16777216
    """Another detection lies inside the networks' finest cut-out, 0.43 deg to each side."""
    CUTOUT_UNUSABLE = 33554432
    """No exposure here, or counts that are not numbers: the networks say nothing."""
    NO_YEARS = 67108864
    """Class probabilities come from a network without yearly images."""
    IMPROBABLE = 134217728
    """`Prob_Real` is below the operating threshold, which the network's model card has from validation skies."""
    WIDE = 268435456
    """Found by the search for wide sources, as a disc of 0.8 degrees or more that is harder than what surrounds it;
    the networks say nothing of it, and it has no light curve."""
    IN_WIDE = 536870912
    """Inside the disc of a wide source, and maybe a part of it."""
    DISC = 1073741824
    """Measured as a disc: wide, or `TS_Ext` 25 or more and harder than the background. Its catalogue flux is the
    likelihood's at any significance."""


def flag_meanings() -> dict[int, str]:
    """What each bit says, for column descriptions: the docstrings of `Flags`, which Python itself forgets."""
    found = {}
    body = ast.parse(inspect.getsource(Flags)).body[0]
    assert isinstance(body, ast.ClassDef)
    for bit, text in pairwise(body.body):
        if isinstance(bit, ast.Assign) and isinstance(text, ast.Expr):
            found[int(ast.literal_eval(bit.value))] = " ".join(str(ast.literal_eval(text.value)).split())
    return found
