"""Worker processes: they fetch and collate the batches of an epoch while the model trains.

`WorkerSettings` says what the workers do, a `WorkerPool` is the processes, and a
`WorkerIterator` is one epoch over a pool.
"""

from tinytrain.data.workers.info import WorkerInfo, get_worker_info
from tinytrain.data.workers.iterator import WorkerIterator
from tinytrain.data.workers.pool import WorkerPool
from tinytrain.data.workers.settings import WorkerSettings

__all__ = ["WorkerInfo", "WorkerIterator", "WorkerPool", "WorkerSettings", "get_worker_info"]
