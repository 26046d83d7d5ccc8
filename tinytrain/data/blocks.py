"""Blocks of one long text: stretches of equal length, whose targets are the next tokens."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytrain.checks import whole_number
from tinytrain.data.array_dataset import ArrayBatch, takes_array_batch
from tinytrain.data.dataset import Dataset
from tinytrain.data.indices import index_array
from tinytrain.data.packed import PackedBatch
from tinytrain.data.ranks import check_rank
from tinytrain.data.sampler import Sampler

__all__ = ["BlockDataset", "RandomBlockSampler", "collate_blocks"]


class BlockDataset(Dataset[tuple[NDArray[np.int64], NDArray[np.int64]]]):
    """Blocks of a text: block i has the tokens from i stride on, and as targets their successors.

        inputs   tokens [i stride, i stride + block_size)
        targets  tokens [i stride + 1, i stride + block_size + 1)

    With ``stride=1`` there is a block from every token, for `RandomBlockSampler` to draw from. With
    ``stride=block_size`` blocks lie side by side and each token is at most once a target, for
    measuring a loss; the last tokens, too few for a block, are then left out.

    Parameters
    ----------
    tokens
        The text, 1-D integers, at least block_size + 1. It is kept as it is and may be a memory
        map; samples are copies of dtype int64.
    block_size
        Tokens per block.
    stride
        Tokens from the start of a block to that of the next.

    Raises
    ------
    TypeError
        If the tokens are no NumPy array of integers that fit int64.
    ValueError
        If the tokens are not 1-D or too few, or a number is no whole number from 1.

    Examples
    --------
    >>> blocks = BlockDataset(np.array([5, 6, 7, 8, 9], np.uint16), block_size=3)
    >>> len(blocks), blocks[1]
    (2, (array([6, 7, 8]), array([7, 8, 9])))
    """

    def __init__(self, tokens: NDArray[Any], block_size: int, stride: int = 1) -> None:
        wide = isinstance(tokens, np.ndarray) and tokens.dtype == np.uint64
        if not isinstance(tokens, np.ndarray) or tokens.dtype.kind not in "iu" or wide:
            found = getattr(tokens, "dtype", type(tokens).__name__)
            raise TypeError(
                f"tokens must be a NumPy array of integers that fit int64, but got {found}"
            )
        self.block_size = whole_number("block_size", block_size)
        self.stride = whole_number("stride", stride)
        if tokens.ndim != 1 or len(tokens) < self.block_size + 1:
            raise ValueError(
                f"a block of {block_size} tokens and their successors needs a 1-D text of at least "
                f"{block_size + 1}, but got the shape {tokens.shape}"
            )
        self.tokens = tokens

    def __len__(self) -> int:
        """The number of blocks."""
        return (len(self.tokens) - self.block_size - 1) // self.stride + 1

    def __getitem__(self, index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Inputs and targets of a block, int64 (block_size,)."""
        inputs, targets = self.__getitems__([operator.index(index)]).arrays
        return inputs[0], targets[0]

    def __getitems__(self, indices: Sequence[int]) -> ArrayBatch:
        """Inputs and targets of several blocks, int64 (B, block_size)."""
        chosen = index_array(indices, self)
        wrong = (chosen < -len(self)) | (chosen >= len(self))
        if wrong.any():
            raise IndexError(f"no block {chosen[wrong][0]}: there are {len(self)} blocks")
        starts = np.where(chosen < 0, chosen + len(self), chosen) * self.stride
        places = starts[:, None] + np.arange(self.block_size + 1)
        tokens = np.asarray(self.tokens).take(places)
        # Two copies: who writes into the inputs (to mask some, say) must not change the targets.
        return ArrayBatch((tokens[:, :-1].astype(np.int64), tokens[:, 1:].astype(np.int64)))


class RandomBlockSampler(Sampler[list[int]]):
    """Random batches of blocks: a batch is a pure function of the seed and the number of its step.

        batch(step) = batch_size independent draws from 0 ... n - 1, by a generator made from
                      (seed, step)

    So step 1,000,000 is known without the steps before it, and the state is one number. An epoch
    is `batches_per_epoch` steps; the steps count on from one epoch to the next.

    Parameters
    ----------
    blocks
        The data set, or anything else with a length n.
    batch_size
        Blocks per batch of one process.
    batches_per_epoch
        How many batches one ``iter`` gives. For a `BlockDataset` the default has as many tokens as
        the text (rounded up to a whole number of batches); for others as many items.
    seed
        A non-negative integer.
    rank, num_replicas
        Which of how many processes this one is. All together draw batch_size x num_replicas blocks
        per step, of which rank r gets the r-th stretch.

    Raises
    ------
    ValueError
        If an argument is out of range, or there are no blocks.

    Examples
    --------
    >>> blocks = BlockDataset(np.arange(1001), block_size=10)
    >>> sampler = RandomBlockSampler(blocks, batch_size=4, seed=0)
    >>> len(sampler)
    26
    >>> next(iter(sampler)) == sampler.batch(0)
    True
    >>> sampler.state_dict()  # the next epoch begins with step 26
    {'seed': 0, 'step': 26, 'settings': [991, 4, 26, 1]}
    """

    def __init__(
        self,
        blocks: Any,
        batch_size: int,
        batches_per_epoch: int | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        num_replicas: int = 1,
    ) -> None:
        self.num_blocks = len(blocks)
        if self.num_blocks == 0:
            raise ValueError("there are no blocks to draw from")
        self.batch_size = whole_number("batch_size", batch_size)
        self.seed = whole_number("seed", seed, least=0)
        check_rank(rank, num_replicas)
        self.rank, self.num_replicas = int(rank), int(num_replicas)
        if batches_per_epoch is None:
            side_by_side = self.num_blocks
            if isinstance(blocks, BlockDataset):
                side_by_side = -(-len(blocks.tokens) // blocks.block_size)
            batches_per_epoch = -(-side_by_side // (self.batch_size * self.num_replicas))
        self.batches_per_epoch = whole_number("batches_per_epoch", batches_per_epoch)
        self.step = 0

    def batch(self, step: int) -> list[int]:
        """The blocks of a step, whatever came before it."""
        step = whole_number("step", step, least=0)
        random = np.random.default_rng(np.random.SeedSequence([self.seed, step]))
        drawn = random.integers(self.num_blocks, size=(self.num_replicas, self.batch_size))
        chosen: list[int] = drawn[self.rank].tolist()
        return chosen

    def __iter__(self) -> Iterator[list[int]]:
        first = self.step
        self.step += self.batches_per_epoch
        return map(self.batch, range(first, self.step))

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        return self.batches_per_epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next ``iter`` gives: it begins at epoch x batches_per_epoch."""
        self.step = whole_number("epoch", epoch, least=0) * self.batches_per_epoch

    def _settings(self) -> list[int]:
        """What decides the batches besides seed, step and rank."""
        return [self.num_blocks, self.batch_size, self.batches_per_epoch, self.num_replicas]

    def state_dict(self) -> dict[str, Any]:
        """The seed and the step with which the next ``iter`` begins, and the settings."""
        return {"seed": self.seed, "step": self.step, "settings": self._settings()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state that `state_dict` returned.

        Raises
        ------
        ValueError
            If it is no such state, or of a sampler with other settings. Nothing is changed then.
        """
        if set(state) != {"seed", "step", "settings"}:
            raise ValueError(
                f"expected a state with seed, step and settings, but got {sorted(state)}"
            )
        if list(state["settings"]) != self._settings():
            raise ValueError(
                "the state is of another sampler: [blocks, batch_size, batches_per_epoch, "
                f"num_replicas] are {self._settings()} here, but {state['settings']} there"
            )
        seed = whole_number("seed", state["seed"], least=0)
        self.step = whole_number("step", state["step"], least=0)
        self.seed = seed


@takes_array_batch
def collate_blocks(samples: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> PackedBatch:
    """Make a `PackedBatch` of blocks: one segment per row, every position supervised.

    A `collate_fn` for a `BlockDataset`, so that a model and a loss for packed rows take blocks too.

    Raises
    ------
    ValueError
        If there are no samples, or blocks of several sizes.

    Examples
    --------
    >>> blocks = BlockDataset(np.array([5, 6, 7, 8, 9]), block_size=3)
    >>> batch = collate_blocks(blocks.__getitems__([0, 1]))
    >>> batch.input_ids, batch.num_supervised
    (array([[5, 6, 7],
           [6, 7, 8]]), 6)
    """
    if isinstance(samples, ArrayBatch):
        inputs, targets = samples.arrays
    else:
        sizes = {len(part) for sample in samples for part in sample}
        if len(sizes) != 1:
            raise ValueError(f"the blocks of a batch must have one size, but got {sorted(sizes)}")
        inputs, targets = (np.stack(field) for field in zip(*samples, strict=True))
    rows, width = inputs.shape
    return PackedBatch(
        input_ids=inputs,
        targets=targets,
        segment_ids=np.ones((rows, width), dtype=np.int32),
        positions=np.tile(np.arange(width), (rows, 1)),
        cu_seqlens=np.arange(0, rows * width + 1, width, dtype=np.int32),
        num_supervised=rows * width,
    )
