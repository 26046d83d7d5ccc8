"""Data sets and functions for tests with workers: a worker must be able to import them."""

import ctypes
import os
import random
import re
import signal
import sys
import threading
import time

import numpy as np

from tinytrain.data import IterableDataset, ShardedIterableDataset
from tinytrain.data.sample_random import sample_rng
from tinytrain.data.workers import get_worker_info
from tinytrain.data.workers.blas import _blas_libraries
from tinytrain.generator import default_generator


def as_list(samples):
    return samples


class Rows:
    """Row i of a float32 array, and the number i."""

    def __init__(self, n, width=3):
        self.rows = np.arange(n * width, dtype=np.float32).reshape(n, width)

    def __getitem__(self, index):
        return self.rows[index], index

    def __len__(self):
        return len(self.rows)


def stacked(samples):
    rows, numbers = zip(*samples, strict=True)
    return {"rows": np.stack(rows), "numbers": np.array(numbers)}


class Numbers:
    """Sample i is i, and some samples do what a test says."""

    def __init__(self, n=100, **deeds):
        self.n = n
        self.deeds = {index: deed for deed, index in deeds.items()}

    def __getitem__(self, index):
        deed = self.deeds.get(index)
        return index if deed is None else DEEDS[deed]()

    def __len__(self):
        return self.n


class Verbose(Numbers):
    """Complains at length."""

    def __getitem__(self, index):
        raise ValueError(f"{index} is no good: " + 10_000_000 * "a")


class OwnError(ValueError):
    """An exception that a worker and the main process both know."""


class DemandingError(Exception):
    def __init__(self, code, reason):
        super().__init__(code, reason)


def local_error():
    class LocalError(Exception):
        pass

    raise LocalError("of a class nobody else knows")


def raising(error):
    def deed():
        raise error

    return deed


def unpicklable_error():
    error = ValueError("holds a lambda")
    error.payload = lambda: 0
    raise error


DEEDS = {
    "own": raising(OwnError("mine")),
    "key": raising(KeyError("a\nb")),
    "demanding": raising(DemandingError(3, "two arguments")),
    "local": local_error,
    "unpicklable": unpicklable_error,
    "system_exit": raising(SystemExit(2)),
    "stop": raising(StopIteration()),
    "returns_lambda": lambda: lambda: 0,
    "exit": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), 9),
    "hang": lambda: time.sleep(60),
    "nap": lambda: time.sleep(0.6),
    "short_nap": lambda: time.sleep(0.1),
    # Seconds of work in C code that lets no other thread of Python run.
    "regex": lambda: re.match(r"(a+)+$", "a" * 28 + "b"),
    "freeze": lambda: os.kill(os.getpid(), signal.SIGSTOP),
}


class Augmented:
    """Random numbers of each sample."""

    def __getitem__(self, index):
        return sample_rng(index).normal(size=4)

    def __len__(self):
        return 24


class State:
    """What a worker is like."""

    def __init__(self):
        self.calls = 0

    def __getitem__(self, index):
        self.calls += 1
        info = get_worker_info()
        return {
            "id": info.id,
            "seed": info.seed,
            "num_workers": info.num_workers,
            "pid": os.getpid(),
            "own_dataset": info.dataset is self,
            "calls": self.calls,
            "initial_seed": default_generator().initial_seed(),
            "python": random.random(),
            "numpy": np.random.random(),
            "marked": getattr(self, "marked", None),
        }

    def __len__(self):
        return 100

    def mark(self, worker):
        self.marked = worker


def exiting_init(worker):
    os._exit(4)


def system_exit_init(worker):
    sys.exit(4)


def slow_init(worker):
    time.sleep(5)


class SlowToArrive(Numbers):
    """Unpickling it takes a while, as the imports of a module may."""

    def __reduce__(self):
        return _arrive_slowly, (self.n,)


def _arrive_slowly(n):
    time.sleep(1.0)
    return Numbers(n)


class Lingering(Numbers):
    """Leaves a thread behind that is no daemon."""

    def __getitem__(self, index):
        if index == 0:
            threading.Thread(target=time.sleep, args=(20,)).start()
        return index


def failing_init(worker):
    raise ValueError(f"worker {worker} will not start")


class Stream(IterableDataset):
    """An iterable data set: every worker reads all of it."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


class Share(IterableDataset):
    """An iterable data set of which worker w gives `counts[w]` samples, all equal to w."""

    def __init__(self, counts):
        self.counts = counts

    def __iter__(self):
        worker = get_worker_info().id
        return iter([worker] * self.counts[worker])


class Shards(ShardedIterableDataset):
    """The numbers below n; shard k of W has every W-th."""

    def __init__(self, n):
        self.n = n

    def shard(self, index, count):
        return iter(range(index, self.n, count))

    def __len__(self):
        return self.n


class BrokenStream:
    def __iter__(self):
        raise OwnError("not today")


class Holder:
    """A data set that holds anything."""

    def __init__(self, held):
        self.held = held

    def __getitem__(self, index):
        return index

    def __len__(self):
        return 10


class Many:
    """Whatever can be in a batch."""

    def __getitem__(self, index):
        return odd_batch()


def odd_batch():
    structured = np.zeros(3, dtype=[("a", "<i4"), ("b", "<f8", (2,))])
    structured["b"] = [[1, 2], [3, 4], [5, 6]]
    frozen = np.arange(4.0)
    frozen.flags.writeable = False
    return {
        "empty": np.zeros((0, 5), np.float32),
        "scalar": np.array(3.5),
        "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "strided": np.arange(20)[::3],
        "reversed": np.arange(6).reshape(2, 3)[:, ::-1],
        "broadcast": np.broadcast_to(np.arange(3), (2, 3)),
        "structured": structured,
        "strings": np.array(["a", "long one"]),
        "dates": np.array(["2024-01-01", "2025-02-03"], dtype="datetime64[D]"),
        "objects": np.array([None, "x", 3], dtype=object),
        "big endian": np.arange(3, dtype=">i4"),
        "half": np.arange(3, dtype=np.float16),
        "frozen": frozen,
        "nested": ([1, "two", b"three"], {"four": (4.0, None)}, np.float32(5)),
        "error": OwnError,
    }


class Shapes:
    """Sample i is an array of i bytes."""

    def __getitem__(self, index):
        return np.full(index, index % 251, np.uint8)


class BlasThreads:
    """The number of threads of NumPy's BLAS, or None where it does not tell."""

    def __getitem__(self, index):
        for path in _blas_libraries():
            library = ctypes.CDLL(path)
            for name in ("scipy_openblas_get_num_threads64_", "openblas_get_num_threads"):
                if hasattr(library, name):
                    return getattr(library, name)()
        return None


def shared_names():
    """Return the names of Python's shared memory; those of other programs come and go."""
    if not os.path.isdir("/dev/shm"):
        return set()
    return {name for name in os.listdir("/dev/shm") if name.startswith("psm_")}
