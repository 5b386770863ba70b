"""Keeping freed memory: with glibc's defaults every large tensor is mapped anew and its pages zeroed.

Training is up to three times as fast without that on a CPU (`benchmarks/bench_training.py`). A setting of the
whole process, so it is the rim (the command line) that asks for it.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h


def keep_freed_memory() -> bool:
    """Tells glibc to serve large blocks from its heap and to keep what is freed; False where there is no glibc.

    Blocks of many sizes leave holes: a long loop calls ``release_holes`` now and then.
    """
    library = _glibc()
    if library is None:
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**26))
    return all(library.mallopt(name, value) == 1 for name, value in settings)


def release_holes() -> None:
    """Gives every free page of the heap back to the system (a no-op without glibc)."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
        _ = library.mallopt, library.malloc_trim
    except (OSError, AttributeError):
        return None
    return library
