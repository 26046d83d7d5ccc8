"""A stream of sequences as a stream of packed rows."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinytrain.data.cutting import Tokens
from tinytrain.data.dataset import IterableDataset
from tinytrain.data.length_report import whole_number
from tinytrain.data.online_packing import OnlinePacker, Row
from tinytrain.data.packed import PackedBatch, fill_rows
from tinytrain.data.packing_report import PackingReport
from tinytrain.data.workers.info import get_worker_info

__all__ = ["PackedStream"]


@dataclass(eq=False)
class _Pass:
    """Where one iterator of a stream is."""

    packer: OnlinePacker
    read: int = 0  # sequences
    ready: deque[Row] = field(default_factory=deque)  # closed, and not handed out yet
    all_read: bool = False  # only rows that are ready are left
    at_end: bool = False


class PackedStream(IterableDataset[PackedBatch]):
    """Reads sequences from start to end and yields packed rows, each a `PackedBatch` of one row.

    Nothing is lost: at the end of the stream the rows that are still open come too. With
    `collate_packed` rows become batches. The state, for ``json``, is that after the rows handed out
    so far; loading it makes the next ``iter`` go on from there, with the very same rows. It holds
    the tokens of the open rows. Every ``iter`` is a pass of its own; state and report are those of
    the pass begun last.

    In several worker processes of a `DataLoader` each must read other sequences: give a data set
    with ``shard(index, count)``, such as a `ShardedIterableDataset`; worker i of n then packs shard
    i of n. Other sequences are refused there, since every row would come n times.

    Parameters
    ----------
    sequences
        The tokens of every sequence, in an object whose ``iter`` starts anew: a list, or a data set
        that reads files. If it offers ``state_dict()``, its place after what it handed out, and
        ``load_state_dict(state)``, resuming uses them; otherwise what was read is read again and
        dropped.
    capacity, open_rows, split
        As in `OnlinePacker`.
    pad_id
        The token at padding, from 0.

    Raises
    ------
    ValueError
        If a setting or a sequence is not what `OnlinePacker` takes.
    TypeError
        If `sequences` is an iterator, which could be read only once.
    RuntimeError
        If it is read in one of several worker processes, and the sequences have no ``shard``.

    Examples
    --------
    >>> stream = PackedStream([[1, 2, 3], [4, 5, 6, 7], [8, 9]], capacity=6, open_rows=2)
    >>> for row in stream:
    ...     print(row.input_ids, row.segment_ids)
    [[4 5 6 7 8 9]] [[1 1 1 1 2 2]]
    [[1 2 3 0 0 0]] [[1 1 1 0 0 0]]
    """

    def __init__(
        self,
        sequences: Iterable[Tokens],
        capacity: int,
        open_rows: int = 32,
        split: str = "error",
        pad_id: int = 0,
    ) -> None:
        if isinstance(sequences, Iterator):
            raise TypeError(
                f"a {type(sequences).__name__} can be read only once: give an object whose iter() "
                "starts anew, such as a list, or a class that defines __iter__ as a generator"
            )
        self.sequences = sequences
        self.pad_id = whole_number("pad_id", pad_id, least=0)
        self._settings = (capacity, open_rows, split)
        self._pass = _Pass(OnlinePacker(*self._settings))
        self._goes_on = False  # whether the next iter starts from a state that was loaded

    def __iter__(self) -> Iterator[PackedBatch]:
        if not self._goes_on:
            self._pass = _Pass(OnlinePacker(*self._settings))
        goes_on, self._goes_on = self._goes_on, False
        return self._rows(self._pass, self._rest(self._pass) if goes_on else self._source())

    def _rows(self, own: _Pass, source: Iterator[Tokens]) -> Iterator[PackedBatch]:
        yield from self._hand_out(own)
        for sequence in source:
            own.read += 1
            own.ready.extend(own.packer.add(sequence))
            yield from self._hand_out(own)
        own.all_read = True
        own.ready.extend(own.packer.flush())
        yield from self._hand_out(own)
        own.at_end = True

    def _source(self) -> Iterator[Tokens]:
        """Return the sequences from the start: in one of several workers, its share of them."""
        worker = get_worker_info()
        if worker is None or worker.num_workers == 1:
            return iter(self.sequences)
        if not hasattr(self.sequences, "shard"):
            raise RuntimeError(
                f"each of {worker.num_workers} workers would pack all sequences, and every row "
                "come as often; give PackedStream a data set with shard(index, count), such as a "
                "ShardedIterableDataset, or use num_workers=1"
            )
        share: Iterator[Tokens] = iter(self.sequences.shard(worker.id, worker.num_workers))
        return share

    def _rest(self, own: _Pass) -> Iterator[Tokens]:
        """Yield what comes after the sequences read before the state was taken."""
        if own.all_read:
            return
        source = self._source()
        if not hasattr(self.sequences, "load_state_dict"):
            skipped = sum(1 for _ in itertools.islice(source, own.read))
            if skipped < own.read:
                raise ValueError(
                    f"the state was taken after {own.read} sequences, but the stream has "
                    f"{skipped}; resume with the stream it was taken of"
                )
        yield from source

    def _hand_out(self, own: _Pass) -> Iterator[PackedBatch]:
        while own.ready:
            row = own.ready.popleft()
            yield fill_rows([row], own.packer.capacity, self.pad_id)

    def report(self) -> PackingReport:
        """The figures of the rows closed so far in the pass begun last."""
        return self._pass.packer.report()

    def state_dict(self) -> dict[str, Any]:
        """The place in the stream after the rows handed out so far, for ``json``.

        After the end of a pass it is the start of the next one.
        """
        offer = getattr(self.sequences, "state_dict", None)
        own = self._pass
        if own.at_end:
            own = _Pass(OnlinePacker(*self._settings))
        return {
            "read": own.read,
            "all_read": own.all_read,
            "packer": own.packer.state_dict(),
            "pad_id": self.pad_id,
            "ready": [[tokens.tolist() for tokens in row] for row in own.ready],
            "sequences": None if offer is None else offer(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next ``iter`` go on from a state that `state_dict` returned.

        Raises
        ------
        ValueError
            If it is the state of a stream with other settings, or of sequences that kept a place
            of their own while these do not, or the reverse.
        """
        expected = {"read", "all_read", "packer", "pad_id", "ready", "sequences"}
        if set(state) != expected:
            raise ValueError(
                f"not the state of a PackedStream: expected the keys {sorted(expected)}, but got "
                f"{sorted(state)}"
            )
        keeps_place = hasattr(self.sequences, "load_state_dict")
        if keeps_place != (state["sequences"] is not None):
            raise ValueError(
                "only one of the state and this stream has sequences with a state of their own; "
                "resume with the stream it was taken of"
            )
        if state["pad_id"] != self.pad_id:
            raise ValueError(
                f"the state is of a stream with pad_id={state['pad_id']!r}, but this one has "
                f"pad_id={self.pad_id}"
            )
        packer = OnlinePacker(*self._settings)
        packer.load_state_dict(state["packer"])
        # A source that was read to its end may stand at its start again, for the next pass.
        if keeps_place and not state["all_read"]:
            self.sequences.load_state_dict(state["sequences"])  # type: ignore[attr-defined]
        ready = deque(
            [np.array(tokens, dtype=np.int64) for tokens in row] for row in state["ready"]
        )
        self._pass = _Pass(packer, state["read"], ready, state["all_read"])
        self._goes_on = True
