"""Pictures of packed rows: which positions belong together, and which may see which.

They need matplotlib. What `print` shows of a `PackedBatch` needs nothing.
"""

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytrain.data import PackedBatch

COLORS = 10
"""Colours of the sequences of a row, in turn."""


def draw_packed_rows(batch: PackedBatch) -> Any:
    """Draw the rows of a batch, (B, T), in a colour for each sequence; padding is white.

    Parameters
    ----------
    batch : PackedBatch
        Of arrays, or of tensors on any device.

    Returns
    -------
    matplotlib.figure.Figure
        ``figure.savefig("rows.png")`` writes it to a file.

    Raises
    ------
    ModuleNotFoundError
        There is no matplotlib.

    Examples
    --------
    >>> from tinytrain.data import pad_collate
    >>> draw_packed_rows(pad_collate([[1, 2, 3], [4, 5]]))  # doctest: +SKIP
    <Figure size 800x240 with 1 Axes>
    """
    segments = _segments(batch)
    rows, length = segments.shape
    figure = _figure((8, 0.8 + 0.35 * min(rows, 24)))
    axes = figure.subplots()
    axes.imshow(
        _colored(segments),
        cmap="tab10",
        vmin=0,
        vmax=COLORS - 1,
        aspect="auto",
        interpolation="none",
    )
    row, column = np.nonzero(np.diff(segments, axis=1))
    axes.vlines(column + 0.5, row - 0.5, row + 0.5, color="white", linewidth=1.5)
    axes.set(xlabel="position", ylabel="row", yticks=range(rows) if rows <= 24 else ())
    padding = 100 * float((segments == 0).mean())
    sequences = len(batch.cu_seqlens) - 1
    axes.set_title(f"{sequences} sequences in {rows} x {length} positions, {padding:.1f} % padding")
    return figure


def draw_segment_mask(batch: PackedBatch, row: int = 0, is_causal: bool = True) -> Any:
    """Draw which positions of a row attend to which, (T, T): blocks along the diagonal.

    Queries stand one below the other, keys side by side, in the colour of their sequence.

    Parameters
    ----------
    batch : PackedBatch
        Of arrays, or of tensors on any device.
    row : int
    is_causal : bool
        Hide keys s > t.

    Returns
    -------
    matplotlib.figure.Figure
        ``figure.savefig("mask.png")`` writes it to a file.

    Raises
    ------
    ModuleNotFoundError
        There is no matplotlib.
    IndexError
        There is no such row.

    Examples
    --------
    >>> from tinytrain.data import pad_collate
    >>> draw_segment_mask(pad_collate([[1, 2, 3], [4, 5]]), row=1)  # doctest: +SKIP
    <Figure size 400x400 with 1 Axes>
    """
    segments = _segments(batch)
    if not 0 <= row < len(segments):
        raise IndexError(f"the batch has {len(segments)} rows, so there is no row {row}")
    figure = _figure((4, 4))
    axes = figure.subplots()
    axes.imshow(
        _colored(seen_segments(segments[row], is_causal)),
        cmap="tab10",
        vmin=0,
        vmax=COLORS - 1,
        interpolation="none",
    )
    axes.set(xlabel="key", ylabel="query", title=f"who may see whom in row {row}")
    return figure


def seen_segments(segments: NDArray[np.integer[Any]], is_causal: bool) -> NDArray[np.integer[Any]]:
    """Return, for each query and key of a row, the segment they share, or 0: (T,) to (T, T).

    Examples
    --------
    >>> seen_segments(np.array([1, 1, 2, 0]), is_causal=True)
    array([[1, 0, 0, 0],
           [1, 1, 0, 0],
           [0, 0, 2, 0],
           [0, 0, 0, 0]])
    """
    seen = np.where(segments[:, None] == segments, segments, 0)
    return np.tril(seen) if is_causal else seen


def _segments(batch: PackedBatch) -> NDArray[np.int64]:
    return np.array(batch.segment_ids.tolist(), dtype=np.int64)


def _colored(segments: NDArray[np.integer[Any]]) -> Any:
    """Number the colours, and mask what has none."""
    return np.ma.masked_array((segments - 1) % COLORS, segments == 0)


def _figure(size: tuple[float, float]) -> Any:
    try:
        module = importlib.import_module("matplotlib.figure")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "this picture needs matplotlib: pip install matplotlib (or print the batch, which "
            "shows its rows as text)"
        ) from error
    return module.Figure(figsize=size, layout="constrained")
