"""What a loader is going to do, found out without doing it: `explain` and its report."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinytrain.data.batch_contents import BatchPart, batch_parts, tokens_and_positions
from tinytrain.data.length_warmup import Piece
from tinytrain.data.look_ahead import Epoch, first_batches, upcoming_epochs
from tinytrain.data.order_measures import (
    batch_lengths,
    batch_tokens,
    lag_correlation,
    padding_share,
    repeat_mates,
)

__all__ = ["LoaderReport", "explain"]

_LINES = 12  # of a batch's contents


@dataclass(frozen=True)
class LoaderReport:
    """What `explain` found; ``print(report)`` gives it as a table.

    Attributes
    ----------
    dataset : str
        The type of the data set.
    dataset_size : int or None
        Its samples; None where it has no length.
    batches, samples : int or None
        Of the next epoch; None for an iterable data set.
    pieces : int or None
        Where a sampler cuts the samples of a batch (a `LengthWarmupBatchSampler`): into how many.
    parts : tuple of BatchPart
        What the first batch holds.
    batch_bytes : float or None
        Bytes per batch, the mean over the batches fetched.
    epoch_bytes : float or None
        Of the next epoch, if its samples are on average as large as those fetched.
    padding : float or None
        The share of padding among the positions: of an epoch where lengths were given, else of
        the batches fetched; None if nothing tells what is padding.
    tokens_mean, tokens_cv : float or None
        Tokens per batch, and their standard deviation over their mean; likewise.
    repeat_mates : float or None
        See `tinytrain.data.order_measures.repeat_mates`; of the next two epochs.
    length_correlation : float or None
        The correlation of a batch's length with that of the next one (lag 1), with lengths given.
    fetched : int
        How many batches were fetched.
    fetch_seconds : float
        How long that took in this process: samples and collating, not the drawing of the order.

    Examples
    --------
    >>> import numpy as np
    >>> import tinytrain as tt
    >>> data = tt.data.TensorDataset(np.zeros((10, 3), np.float32))
    >>> report = tt.data.DataLoader(data, batch_size=4).explain()
    >>> report.batches, report.samples, report.fetched
    (3, 10, 1)
    """

    dataset: str
    dataset_size: int | None
    batches: int | None
    samples: int | None
    parts: tuple[BatchPart, ...]
    batch_bytes: float | None
    epoch_bytes: float | None
    padding: float | None
    tokens_mean: float | None
    tokens_cv: float | None
    repeat_mates: float | None
    length_correlation: float | None
    fetched: int
    fetch_seconds: float
    pieces: int | None = None

    def __str__(self) -> str:
        size = "of unknown size" if self.dataset_size is None else f"{self.dataset_size:,} samples"
        rows = [("data set", f"{self.dataset}, {size}")]
        if self.batches is not None and self.samples is not None:
            cut = "" if self.pieces is None else f" in {self.pieces:,} pieces"
            rows.append(("next epoch", f"{self.batches:,} batches, {self.samples:,} samples{cut}"))
        if self.batch_bytes is not None:
            rows.append(("bytes", f"{_bytes_text(self.batch_bytes)} per batch"))
        if self.epoch_bytes is not None:
            rows[-1] = ("bytes", f"{rows[-1][1]}, {_bytes_text(self.epoch_bytes)} per epoch")
        rows += [(f"  {part.name}", _part_text(part)) for part in self.parts[:_LINES]]
        if len(self.parts) > _LINES:
            rows.append(("  ...", f"and {len(self.parts) - _LINES} more"))
        rows += self._order_rows()
        if self.fetched:
            share = f"{self.fetch_seconds / self.fetched * 1e3:.3g} ms each, without workers"
            rows.append(("fetched", f"{self.fetched} of the batches, {share}"))
        width = max(len(name) for name, _ in rows) + 2
        return "\n".join(f"{name:{width}}{text}" for name, text in rows)

    def _order_rows(self) -> list[tuple[str, str]]:
        rows = []
        if self.padding is not None:
            rows.append(("padding", f"{self.padding:.1%} of the positions"))
        if self.tokens_mean is not None and self.tokens_cv is not None:
            text = f"{self.tokens_mean:,.1f} per batch, CV {self.tokens_cv:.2f}"
            rows.append(("tokens", text))
        if self.repeat_mates is not None:
            text = "of the pairs in a batch meet again in the next epoch"
            rows.append(("repeat-mates", f"{self.repeat_mates:.1%} {text}"))
        if self.length_correlation is not None:
            text = f"{self.length_correlation:+.2f} from one batch's length to the next one's"
            rows.append(("correlation", text))
        return rows


def explain(
    loader: Any,
    *,
    lengths: ArrayLike | None = None,
    padding_value: int | None = None,
    fetch: int = 1,
) -> LoaderReport:
    """Report what a loader's batches hold, and how its next two epochs are ordered.

    Everything is done with copies of the loader and its samplers, in this process. The loader,
    the default generator, NumPy's global random state and Python's are afterwards what they were,
    and so are generators that the data set and the collate function have as attributes, or the
    data sets inside (see `tinytrain.data.random_states`). What else they keep, such as a cache, is
    their own business. Only the first `fetch` batches are fetched; for 100,000 samples in batches
    of 64 the two orders take about a quarter of a second, in batches of one a second and more.

    Parameters
    ----------
    loader : DataLoader
    lengths
        The length of every sample, 1-D integers. With it, padding, tokens and the correlation of
        batch lengths are those of the next epoch, as if each batch were padded to its longest. With
        a sampler that cuts the samples, they are those of the pieces.
    padding_value
        What stands for padding, where the batch itself does not tell; see
        `tinytrain.data.batch_contents.tokens_and_positions`.
    fetch
        How many batches to fetch; 0 for none.

    Raises
    ------
    ValueError
        If `fetch` is negative, `padding_value` is given and no array of a batch can hold it, or
        there are no such samples, or pieces of them, as the sampler gives, by the `lengths`.
    TypeError
        If a sampler cannot be copied, or gives indices that are no integers.

    Examples
    --------
    >>> from tinytrain.data import DataLoader, TensorDataset
    >>> data = TensorDataset(np.zeros((1000, 28, 28), np.float32), np.zeros(1000, np.int64))
    >>> report = explain(DataLoader(data, batch_size=50, shuffle=True, generator=0))
    >>> print(report)
    data set      TensorDataset, 1,000 samples
    next epoch    20 batches, 1,000 samples
    bytes         157.2 kB per batch, 3.1 MB per epoch
      [0]         float32 (50, 28, 28), 156.8 kB
      [1]         int64 (50,), 400 B
    repeat-mates  5.0% of the pairs in a batch meet again in the next epoch
    fetched       1 of the batches, ... ms each, without workers
    >>> report.batches, report.parts[0].shape
    (20, (50, 28, 28))
    """
    if fetch < 0:
        raise ValueError(f"fetch is a number of batches, but got {fetch}")
    drawn = upcoming_epochs(loader, 2)
    batches, seconds = first_batches(loader, fetch)
    entries = drawn[0] if drawn else []
    pieces = _pieces(entries)
    epochs = drawn and [_uncut(epoch) for epoch in drawn]
    first = epochs[0] if epochs else None
    count = len(first) if first is not None else None
    sizes = [sum(part.nbytes for part in batch_parts(batch)) for batch in batches]
    mean_bytes = float(np.mean(sizes)) if sizes else None
    measured = first  # batches of indices into the lengths
    if pieces and lengths is not None:
        lengths, measured = _piece_lengths(pieces, lengths), _numbered(entries)
    padding, tokens = _padding_and_tokens(measured, batches, lengths, padding_value)
    return LoaderReport(
        dataset=type(loader.dataset).__name__,
        dataset_size=_length(loader.dataset),
        batches=count,
        samples=None if first is None else sum(map(len, first)),
        parts=batch_parts(batches[0]) if batches else (),
        batch_bytes=mean_bytes,
        epoch_bytes=_epoch_bytes(first, sizes),
        padding=padding,
        tokens_mean=float(np.mean(tokens)) if len(tokens) else None,
        tokens_cv=float(np.std(tokens) / np.mean(tokens)) if np.any(tokens) else None,
        repeat_mates=_number(repeat_mates(*epochs)) if epochs else None,
        length_correlation=_correlation(measured, lengths),
        fetched=len(batches),
        fetch_seconds=seconds,
        pieces=len(pieces) if pieces else None,
    )


def _pieces(epoch: Epoch) -> list[Piece]:
    return [index for batch in epoch for index in batch if isinstance(index, Piece)]


def _uncut(epoch: Epoch) -> Epoch:
    """Return the batches with the numbers of samples in place of their pieces, each number once."""
    if not _pieces(epoch):
        return epoch
    return [list(dict.fromkeys(piece.item for piece in batch)) for batch in epoch]


def _numbered(epoch: Epoch) -> Epoch:
    """Return the batches with the entries counted through: 0, 1, ... in place of pieces."""
    ends = np.cumsum([0, *map(len, epoch)])
    return [list(range(*bounds)) for bounds in itertools.pairwise(ends.tolist())]


def _piece_lengths(pieces: list[Piece], lengths: ArrayLike) -> NDArray[np.int64]:
    known = np.asarray(lengths)
    for piece in pieces:
        if piece.item >= len(known) or piece.stop > known[piece.item]:
            raise ValueError(
                f"the sampler gives {piece}, which is no part of {len(known)} samples of these "
                "lengths; give those that the sampler was given"
            )
    return np.array([piece.stop - piece.start for piece in pieces], dtype=np.int64)


def _padding_and_tokens(
    epoch: Epoch | None, batches: list[Any], lengths: ArrayLike | None, padding_value: int | None
) -> tuple[float | None, NDArray[np.int64]]:
    """Return the share of padding, and the tokens per batch: of the epoch, or of what is known."""
    if lengths is not None and epoch:
        return _number(padding_share(epoch, lengths)), batch_tokens(epoch, lengths)
    counts = [tokens_and_positions(batch, padding_value) for batch in batches]
    known = [pair for pair in counts if pair is not None]
    tokens = np.array([pair[0] for pair in known], dtype=np.int64)
    positions = sum(pair[1] for pair in known)
    return (1 - float(tokens.sum()) / positions if positions else None), tokens


def _correlation(epoch: Epoch | None, lengths: ArrayLike | None) -> float | None:
    if not epoch or lengths is None:
        return None
    return _number(lag_correlation(batch_lengths(epoch, lengths)))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _epoch_bytes(epoch: Epoch | None, sizes: list[int]) -> float | None:
    """Return the bytes of an epoch: as many per sample as in the batches that were fetched."""
    if not epoch or not sizes:
        return None
    fetched = sum(len(batch) for batch in epoch[: len(sizes)])
    return sum(sizes) / fetched * sum(map(len, epoch)) if fetched else None


def _length(dataset: Any) -> int | None:
    try:
        return len(dataset)
    except TypeError:  # an iterable data set may have none
        return None


def _part_text(part: BatchPart) -> str:
    return str(part) if part.shape is None else f"{part}, {_bytes_text(part.nbytes)}"


def _bytes_text(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"
