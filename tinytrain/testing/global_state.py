"""What a piece of code leaves changed of what belongs to the whole process."""

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinytrain import backend
from tinytrain.autograd import enable_grad, is_grad_enabled, no_grad


def snapshot() -> dict[str, Any]:
    """Return what belongs to the process, under the names by which messages call it.

    NumPy's and tinytrain's random numbers are looked at by `random_effects`.

    Examples
    --------
    >>> sorted(snapshot())
    ["Python's random state", 'np.errstate', 'the device (set_device)',
    'the filters of warnings', 'the gradient mode (no_grad)']
    """
    return {
        "the gradient mode (no_grad)": is_grad_enabled(),
        "the device (set_device)": backend.get_device(),
        "np.errstate": np.geterr(),
        "the filters of warnings": list(warnings.filters),
        "Python's random state": random.getstate(),
    }


@contextmanager
def restored() -> Iterator[None]:
    """Put all of it back after a block.

    Examples
    --------
    >>> with restored():
    ...     _ = np.seterr(all="raise")
    >>> np.geterr()["divide"]
    'warn'
    """
    device, numbers = backend.get_device(), random.getstate()
    mode = enable_grad() if is_grad_enabled() else no_grad()
    with np.errstate(), warnings.catch_warnings(), mode:
        try:
            yield
        finally:
            random.setstate(numbers)
            backend.set_device(device)


def changes(run: Callable[[], object]) -> list[str]:
    """Return the names of what a function leaves changed; it is all put back.

    It starts from a state of its own, for an earlier call may have left what this one sets.

    Examples
    --------
    >>> changes(lambda: random.seed(0)), changes(lambda: None)
    (["Python's random state"], [])
    """
    with restored():
        random.seed(7)
        np.seterr(all="warn")
        warnings.resetwarnings()
        warnings.filterwarnings("ignore", message=".*")  # unlike any filter that others set
        with enable_grad():
            before = snapshot()
            run()
            after = snapshot()
    return [name for name, value in before.items() if after[name] != value]
