"""Pictures of a run, where matplotlib is installed."""

from pathlib import Path

import numpy as np

from tinytrain.train import read_log

try:
    import matplotlib

    matplotlib.use("Agg")  # files only: no window is opened
    from matplotlib import pyplot as plt
except ModuleNotFoundError:
    plt = None


def plot_losses(log: Path, picture: Path, unit: str) -> Path | None:
    """Draw training and validation loss over steps; None where there is no matplotlib."""
    if plt is None:
        print("no plot: matplotlib is not installed (pip install matplotlib)")
        return None
    records = read_log(log)
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for key, label, style in (("loss", "training", "-"), ("validation_loss", "validation", "o-")):
        points = [
            (record["step"], record[key])
            for record in records
            if isinstance(record.get(key), float)
        ]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=label, markersize=4)
    axes.set(xlabel="optimizer step", ylabel=f"loss ({unit})")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=150)
    plt.close(figure)
    return picture


def plot_confusion(counts: np.ndarray, picture: Path) -> Path | None:
    """Draw a confusion matrix; None where there is no matplotlib."""
    if plt is None:
        return None
    figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
    axes.imshow(np.sqrt(counts), cmap="Blues")  # the root makes single mistakes visible
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if count > counts.max() / 2 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=color)
    axes.set(xlabel="predicted digit", ylabel="true digit", xticks=range(10), yticks=range(10))
    figure.savefig(picture, dpi=150)
    plt.close(figure)
    return picture
