"""Gives memory that nobody needs any more back to the system.

The C library keeps what is freed, in case it is asked for again; after a version has gone, that may be as
much as the version took. Only glibc can be asked to give it back; others do so by themselves, or not at all.
"""

import ctypes
from collections.abc import Callable


def trimmer() -> Callable[[], None]:
    """Return what gives free memory back; it takes some milliseconds, and any thread may call it."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return lambda: None
    return lambda: trim(0)
