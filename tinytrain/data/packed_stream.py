"""A stream of sequences as a stream of packed rows."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinytrain.checks import whole_number
from tinytrain.data.cutting import Tokens, as_tokens
from tinytrain.data.dataset import IterableDataset
from tinytrain.data.online_packing import OnlinePacker, Row
from tinytrain.data.packed import PackedBatch, fill_rows
from tinytrain.data.packer_state import check_keys
from tinytrain.data.packing_report import PackingReport
from tinytrain.data.workers.info import get_worker_info

__all__ = ["PackedStream"]

_KEYS = {"read", "all_read", "packer", "pad_id", "ready", "sequences", "sequences_at_end"}


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

    Every process has a stream of its own. In several worker processes of a `DataLoader` each must
    read other sequences: give a data set with ``shard(index, count)``, such as a
    `ShardedIterableDataset`; worker i of n then packs shard i of n. Other sequences are refused
    there, since every row would come n times. The figures of what workers packed stay with them:
    `report` is of this process.

    Parameters
    ----------
    sequences
        The tokens of every sequence, in an object whose ``iter`` starts anew: a list, or a data set
        that reads files. If it offers ``state_dict()``, its place after what it handed out, and
        ``load_state_dict(state)``, resuming uses them; otherwise what was read is read again and
        dropped. Whether its place after a pass is its end or its start again, is its own choice:
        where nothing comes after a place that was loaded at an end, it is read once more.
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
        self._begun = False  # whether there is a pass to report on
        self._goes_on = False  # whether the next iter starts from a state that was loaded
        self._source_at_end = False  # whether such a state left the sequences at their end

    def __iter__(self) -> Iterator[PackedBatch]:
        if not self._goes_on:
            self._pass = _Pass(OnlinePacker(*self._settings))
        goes_on, self._goes_on, self._begun = self._goes_on, False, True
        return self._rows(self._pass, self._rest(self._pass) if goes_on else self._whole())

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

    def _whole(self) -> Iterator[Tokens]:
        """Return the sequences of a whole pass, also if a loaded place is the end of the last."""
        return self._after_an_end() if self._source_at_end else self._source()

    def _after_an_end(self) -> Iterator[Tokens]:
        self._source_at_end = False
        nothing_came = True
        for sequence in self._source():
            nothing_came = False
            yield sequence
        if nothing_came:
            yield from self._source()

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
        if self._source_at_end:
            yield from self._after_an_end()
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
        """The figures of the rows closed so far in the pass begun last, in this process.

        Raises
        ------
        RuntimeError
            If this process has begun none, as where the workers of a `DataLoader` pack.
        """
        if not self._begun:
            raise RuntimeError(
                "this process has packed no row, so there is nothing to report: each worker of a "
                "DataLoader packs with a copy of the stream, and its figures stay there; iterate "
                "over the stream itself, or let the loader have num_workers=0"
            )
        return self._pass.packer.report()

    def state_dict(self) -> dict[str, Any]:
        """The place in the stream after the rows handed out so far, for ``json``.

        After the end of a pass it is the start of the next one.
        """
        offer = getattr(self.sequences, "state_dict", None)
        own = self._pass
        at_end = offer is not None and (own.all_read or self._source_at_end)
        if own.at_end:
            own = _Pass(OnlinePacker(*self._settings))
        return {
            "read": own.read,
            "all_read": own.all_read,
            "packer": own.packer.state_dict(),
            "pad_id": self.pad_id,
            "ready": [[tokens.tolist() for tokens in row] for row in own.ready],
            "sequences": None if offer is None else offer(),
            "sequences_at_end": at_end,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next ``iter`` go on from a state that `state_dict` returned.

        Raises
        ------
        ValueError
            If it is the state of a stream with other settings, or of sequences that kept a place
            of their own while these do not, or the reverse.
        """
        check_keys(state, _KEYS, "the state of a PackedStream")
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
        ready = deque(
            [as_tokens(tokens).astype(np.int64) for tokens in row] for row in state["ready"]
        )
        read = whole_number("read", state["read"], least=0)
        if keeps_place:
            self.sequences.load_state_dict(state["sequences"])  # type: ignore[attr-defined]
        self._pass = _Pass(packer, read, ready, bool(state["all_read"]))
        self._source_at_end = keeps_place and bool(state["sequences_at_end"])
        self._goes_on = self._begun = True
