"""Characterisation on held-out skies and on the real one: likelihood, networks and aperture photometry together."""

import os

# One thread, as each worker has: the processor seconds of several count the waiting of one for the other.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
