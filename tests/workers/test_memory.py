"""Freed memory is used again."""

import subprocess
import sys

import pytest

MAPPED_IN = """
import resource
import numpy as np
from workers.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        [np.ones(400_000) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
keep_freed_memory()
[np.ones(400_000) for _ in range(8)]
print(first, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own")
def test_arrays_are_not_mapped_in_again_and_again():
    out = subprocess.run([sys.executable, "-c", MAPPED_IN], capture_output=True, text=True, check=True)
    before, after = map(int, out.stdout.split())
    assert before > 10_000, "the C library keeps freed memory by itself"
    assert after < before / 100
