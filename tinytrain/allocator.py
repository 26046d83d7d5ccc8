"""Keeping freed memory in the process, so that every training step finds it again.

A training step allocates the same arrays as the step before. The C library, left alone, gives large
freed blocks back to the operating system, and each new step pays for fetching and zeroing the same
pages again: on a small model that can cost more than the arithmetic.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD = -1  # names and values of glibc's malloc.h
_M_MMAP_THRESHOLD = -3
_ONE_GIBIBYTE = 1 << 30


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory instead of returning it to the system.

    The setting holds for the whole process and changes no result, only time: peak memory stays what
    it was, but is not given back between steps. It exists for glibc (Linux) alone.

    Returns
    -------
    bool
        Whether the setting was taken. False on other systems, where nothing is done.

    References
    ----------
    ``man 3 mallopt``: ``M_MMAP_THRESHOLD`` and ``M_TRIM_THRESHOLD``.

    Examples
    --------
    >>> isinstance(keep_freed_memory(), bool)
    True
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    taken = [mallopt(name, _ONE_GIBIBYTE) for name in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD)]
    return all(taken)
