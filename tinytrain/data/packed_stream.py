"""A stream of sequences as a stream of packed rows."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tinytrain.data.cutting import Tokens
from tinytrain.data.dataset import IterableDataset
from tinytrain.data.online_packing import OnlinePacker, Row
from tinytrain.data.packed import PackedBatch, fill_rows
from tinytrain.data.packing_report import PackingReport

__all__ = ["PackedStream"]


class PackedStream(IterableDataset[PackedBatch]):
    """Reads sequences from start to end and yields packed rows, each a `PackedBatch` of one row.

    Nothing is lost: at the end of the stream the rows that are still open come too. With
    `collate_packed` rows become batches. The state, for ``json``, is that after the rows handed out
    so far; loading it makes the next ``iter`` go on from there, with the very same rows. It holds
    the tokens of the open rows.

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
        The token at padding.

    Raises
    ------
    ValueError
        If a setting or a sequence is not what `OnlinePacker` takes.
    TypeError
        If `sequences` is an iterator, which could be read only once.

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
        self.pad_id = pad_id
        self._settings = (capacity, open_rows, split)
        self._packer = OnlinePacker(*self._settings)
        self._read = 0
        self._ready: deque[Row] = deque()  # closed, and not handed out yet
        self._goes_on = False  # whether the next iter starts from a state that was loaded
        self._all_read = False  # only rows that are ready are left of this pass
        self._at_end = False

    def __iter__(self) -> Iterator[PackedBatch]:
        self._at_end = False
        if self._goes_on:
            self._goes_on = False
            source = self._rest()
        else:
            self._packer = OnlinePacker(*self._settings)
            self._read = 0
            self._all_read = False
            self._ready.clear()
            source = iter(self.sequences)
        yield from self._hand_out()
        for sequence in source:
            self._read += 1
            self._ready.extend(self._packer.add(sequence))
            yield from self._hand_out()
        self._all_read = True
        self._ready.extend(self._packer.flush())
        yield from self._hand_out()
        self._at_end = True

    def _rest(self) -> Iterator[Tokens]:
        """Return what comes after the sequences read before the state was taken."""
        if self._all_read:
            return iter(())
        if hasattr(self.sequences, "load_state_dict"):
            return iter(self.sequences)
        source = iter(self.sequences)
        skipped = sum(1 for _ in itertools.islice(source, self._read))
        if skipped < self._read:
            raise ValueError(
                f"the state was taken after {self._read} sequences, but the stream has {skipped}; "
                "resume with the stream it was taken of"
            )
        return source

    def _hand_out(self) -> Iterator[PackedBatch]:
        while self._ready:
            row = self._ready.popleft()
            yield fill_rows([row], self._packer.capacity, self.pad_id)

    def report(self) -> PackingReport:
        """The figures of the rows closed so far in this pass over the stream."""
        return self._packer.report()

    def state_dict(self) -> dict[str, Any]:
        """The place in the stream after the rows handed out so far, for ``json``.

        After the end of a pass it is the start of the next one.
        """
        offer = getattr(self.sequences, "state_dict", None)
        packer = OnlinePacker(*self._settings) if self._at_end else self._packer
        return {
            "read": 0 if self._at_end else self._read,
            "all_read": self._all_read and not self._at_end,
            "packer": packer.state_dict(),
            "ready": [[tokens.tolist() for tokens in row] for row in self._ready],
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
        keeps_place = hasattr(self.sequences, "load_state_dict")
        if keeps_place != (state["sequences"] is not None):
            raise ValueError(
                "only one of the state and this stream has sequences with a state of their own; "
                "resume with the stream it was taken of"
            )
        packer = OnlinePacker(*self._settings)
        packer.load_state_dict(state["packer"])
        # A source that was read to its end may stand at its start again, for the next pass.
        if keeps_place and not state["all_read"]:
            self.sequences.load_state_dict(state["sequences"])  # type: ignore[attr-defined]
        self._packer = packer
        self._read, self._all_read = state["read"], state["all_read"]
        self._ready = deque(
            [np.array(tokens, dtype=np.int64) for tokens in row] for row in state["ready"]
        )
        self._goes_on, self._at_end = True, False
