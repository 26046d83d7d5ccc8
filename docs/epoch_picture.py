"""The picture of two epochs on the page about data: who is batched with whom, and how padded.

`python -m docs.epoch_picture` writes it anew.
"""

from pathlib import Path
from typing import Any

import numpy as np

from tinytrain.data import DataLoader
from tinytrain.data.explanation import explain
from tinytrain.data.look_ahead import upcoming_epochs

FILE = Path(__file__).resolve().parent / "_static" / "two_orders.png"
BATCH = 32


def sample_lengths() -> np.ndarray:
    """Return the lengths of 1,536 sequences, as texts have them: many short ones, few long.

    Examples
    --------
    >>> lengths = sample_lengths()
    >>> len(lengths), int(np.median(lengths)), int(lengths.max())
    (1536, 88, 1024)
    """
    drawn = np.random.default_rng(0).lognormal(4.5, 0.8, size=1536)
    return np.clip(np.rint(drawn), 1, 1024).astype(np.int64)


def length_rows(loader: DataLoader, lengths: np.ndarray) -> np.ndarray:
    """Return the lengths of the samples of the next epoch, a row per batch, shortest first.

    Examples
    --------
    >>> length_rows(DataLoader(range(4), 2), np.array([3, 1, 2, 5]))
    array([[1, 3], [2, 5]])
    """
    (epoch,) = upcoming_epochs(loader, 1) or [[]]
    return np.sort(lengths[np.array(epoch)], axis=1)


def draw() -> None:
    """Draw the two epochs, and write the picture."""
    from matplotlib import pyplot as plt

    lengths = sample_lengths()
    orders = {
        "shuffled": DataLoader(range(len(lengths)), BATCH, shuffle=True, generator=0),
        "sorted by length": DataLoader(
            range(len(lengths)), BATCH, sampler=np.argsort(lengths, kind="stable").tolist()
        ),
    }
    figure, axes = plt.subplots(1, 2, figsize=(9, 5), sharey=True, layout="constrained")
    image: Any = None
    for panel, (name, loader) in zip(axes, orders.items(), strict=True):
        report = explain(loader, lengths=lengths, fetch=0)
        image = panel.imshow(length_rows(loader, lengths), aspect="auto", norm="log")
        panel.set_title(
            f"{name}: {report.padding:.0%} padding,\n"
            f"{report.repeat_mates:.0%} repeat-mates, correlation {report.length_correlation:+.2f}",
            fontsize=10,
        )
        panel.set_xlabel("samples of a batch, shortest first")
    axes[0].set_ylabel("batch of the epoch")
    figure.colorbar(image, ax=axes, label="tokens of the sample")
    figure.savefig(FILE, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    draw()
