"""Memory that stays with the process: arrays of a few megabytes come and go all the time.

The C library gives a large block back to the system as soon as it is freed, and the next one has to be mapped in again
page by page: that took a tenth to a fifth of the processor time of fits.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's <malloc.h>
KEPT_BYTES = 1 << 30
LARGEST_BYTES = (1 << 30, 1 << 25)  # of a block; an older glibc takes the second only


def keep_freed_memory() -> None:
    """Let this process, and those it forks, use freed memory again; nothing where the C library is not glibc."""
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        any(library.mallopt(_M_MMAP_THRESHOLD, largest) for largest in LARGEST_BYTES)
