"""Counter-based random numbers: number i of a key is a function of the key and i alone.

An ordinary generator walks from state to state, so that number i needs the i - 1 before it. Here a
counter is scrambled instead, ten rounds of multiplying and mixing, until nothing of its regularity
is left. Every element of an array can thus be computed by itself, by any thread of any device, and
comes out the same everywhere.

References
----------
J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2,
3", SC '11, section 4: Philox4x64-10, the generator that NumPy calls Philox.
"""

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytrain.backend import Array

ROUNDS = 10
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)

Key = tuple[int, int]
"""Two integers in 0 .. 2^64 - 1."""

_of_this_thread = threading.local()


def keep_mask(like: Array, probability: float, key: Key) -> Array:
    """Decide for each element of an array whether dropout keeps it.

    Element i, counted in C order, belongs to the i-th 32-bit number of the key: the halves of the
    64-bit words, the low one first. It is kept where the number is at least `drop_threshold`.

    Parameters
    ----------
    like : array
        Gives the shape and the device.
    probability : float
        Of being dropped.
    key : tuple of int
        The same key gives the same mask.

    Returns
    -------
    boolean array of the shape of `like`

    Examples
    --------
    >>> keep_mask(np.zeros(6), 0.5, key=(1, 2))
    array([ True, False, False, False, False, False])
    """
    words = _started(key).random_raw((like.size + 1) // 2)
    halves = words.astype("<u8", copy=False).view("<u4")[: like.size]
    keep = halves >= drop_threshold(probability)
    return keep.reshape(like.shape)


def _started(key: Key) -> np.random.Philox:
    """Return NumPy's Philox at the start of the stream of a key.

    One object per thread is set anew each time: creating one takes several times as long, because
    NumPy asks the operating system for a seed first.
    """
    bits: np.random.Philox | None = getattr(_of_this_thread, "bits", None)
    if bits is None:
        bits = _of_this_thread.bits = np.random.Philox(0)
    bits.state = _start(key)
    return bits


def _start(key: Key) -> Any:
    """Return the state of NumPy's Philox before its first block; tuples are the fastest form."""
    zeros = (0, 0, 0, 0)
    return {
        "bit_generator": "Philox",
        "state": {"counter": zeros, "key": key},
        "buffer": zeros,
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }


def drop_threshold(probability: float) -> int:
    """Return how many of the 2^32 numbers of 32 bits mean that an element is dropped.

    That is 2^32 p, rounded to an integer: p is met to within 2^-33. For p = 0 it is 0, and nothing
    is dropped; for p = 1 it is 2^32, which no number reaches, and everything is.

    Examples
    --------
    >>> drop_threshold(0.0), drop_threshold(0.25) == 2**30, drop_threshold(1.0) == 2**32
    (0, True, True)
    """
    return round(math.ldexp(probability, 32))


def philox_simple(key: Key, count: int) -> NDArray[np.uint64]:
    """Compute the first words of a key's stream as the paper describes it.

    Block n = 1, 2, ... of four words is the counter (n, 0, 0, 0), scrambled. (NumPy adds 1 before
    it computes a block, so that the counter 0 is never used.) One round turns (a, b, c, d) with the
    keys k and l into (high(M c) ^ b ^ k, low(M c), high(L a) ^ d ^ l, low(L a)), where L and M are
    the `MULTIPLIERS` and high and low the halves of a product of 128 bits; then `KEY_STEPS` are
    added to the keys. All arithmetic is modulo 2^64.

    Parameters
    ----------
    key : tuple of int
    count : int
        The number of words.

    Returns
    -------
    uint64 array (count,)

    Examples
    --------
    >>> words = philox_simple((1, 2), 5)
    >>> bool((words == np.random.Philox(key=np.array([1, 2], np.uint64)).random_raw(5)).all())
    True
    """
    blocks = -(-count // 4)
    a = np.arange(1, blocks + 1, dtype=np.uint64)
    b, c, d = (np.zeros(blocks, dtype=np.uint64) for _ in range(3))
    k, l = key  # noqa: E741  # the letters of the formula
    for _ in range(ROUNDS):
        high_a, low_a = _wide_product(a, MULTIPLIERS[0])
        high_c, low_c = _wide_product(c, MULTIPLIERS[1])
        a, b, c, d = high_c ^ b ^ np.uint64(k), low_c, high_a ^ d ^ np.uint64(l), low_a
        k, l = (k + KEY_STEPS[0]) % 2**64, (l + KEY_STEPS[1]) % 2**64  # noqa: E741
    return np.stack([a, b, c, d], axis=1).reshape(-1)[:count]


def _wide_product(x: NDArray[np.uint64], y: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Multiply 64 by 64 bits as in school, with digits of 32 bits: the high and the low half."""
    digit, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    x_high, x_low = x >> digit, x & mask
    y_high, y_low = np.uint64(y >> 32), np.uint64(y & 0xFFFFFFFF)
    low = x_low * y_low
    middle = x_high * y_low + (low >> digit)
    other = x_low * y_high + (middle & mask)
    high = x_high * y_high + (middle >> digit) + (other >> digit)
    return high, x * np.uint64(y)
