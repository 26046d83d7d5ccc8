"""One data set for several processes: each takes every W-th index of a common order."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any

import numpy as np

from tinytrain.data.sampler import Sampler
from tinytrain.generator import Generator

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """The share of one process (rank) in the indices of a data set, equally many for each rank.

    All ranks make the same order, PyTorch's for the same seed and epoch, and rank r of W takes
    its positions r, r + W, r + 2 W ... Where W does not divide n, the order is made longer by its
    own first indices; with `drop_last` its end is left out instead.

    A loader's state is that of all ranks: one of them may save it for the others.

    Call `set_epoch` before every epoch, or each epoch has the order of the first.

    Parameters
    ----------
    dataset
        Anything with a length n.
    num_replicas
        The number of ranks, W. Without a process group to ask, it must be given.
    rank
        The rank of this process, from 0 to W - 1; must be given too.
    shuffle
        Whether the order is random.
    seed
        The same on all ranks. The order of an epoch is that of ``seed + epoch``.
    drop_last
        Whether the last n mod W indices are left out instead of W - n mod W repeated.

    Raises
    ------
    ValueError
        If `num_replicas` or `rank` is missing, `num_replicas` is below 1, or the rank is not in
        [0, W).

    Notes
    -----
    In an evaluation the repeated indices count twice: use `drop_last` or a data set whose size W
    divides.

    Examples
    --------
    >>> [list(DistributedSampler(range(7), 3, rank, shuffle=False)) for rank in range(3)]
    [[0, 3, 6], [1, 4, 0], [2, 5, 1]]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            raise ValueError(
                "DistributedSampler needs num_replicas (the number of processes) and rank (which "
                "of them this is): there is no process group here to ask"
            )
        if num_replicas < 1:
            raise ValueError(f"num_replicas must be at least 1, but is {num_replicas}")
        if rank >= num_replicas or rank < 0:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = seed
        full, rest = divmod(len(dataset), num_replicas)
        self.num_samples = full + 1 if rest and not drop_last else full
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        if self.shuffle:
            order = Generator(self.seed + self.epoch).randperm(n)
        else:
            order = np.arange(n)
        # np.resize repeats the order from its start, or cuts it.
        shared = np.resize(order, self.total_size)
        return iter(shared[self.rank :: self.num_replicas].tolist())

    def __len__(self) -> int:
        """The number of indices of one rank."""
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration: that of the seed plus `epoch`."""
        self.epoch = epoch

    def state_dict(self) -> dict[str, Any]:
        """The epoch, on which the order depends."""
        return {"epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Return to an epoch that `state_dict` named.

        Raises
        ------
        ValueError
            If it is no such state.
        """
        self.check_state_dict(state)
        self.epoch = state["epoch"]

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Raise the ValueError of `load_state_dict`, but load nothing."""
        epoch = state.get("epoch") if isinstance(state, dict) and len(state) == 1 else None
        if not isinstance(epoch, int) or isinstance(epoch, bool):
            raise ValueError(
                "not the state of a DistributedSampler: expected {'epoch': an integer}, but got "
                f"{state!r}"
            )

    def order_settings(self) -> dict[str, Any]:
        """All that decides the order of the ranks together, beside the epoch."""
        return {
            "num_replicas": int(self.num_replicas),
            "shuffle": bool(self.shuffle),
            "seed": int(self.seed),
            "drop_last": bool(self.drop_last),
        }
