"""What the batch size does: the same data at batch sizes from 1 to all of them.

    python examples/batch_size.py            # about 40 seconds
    python examples/batch_size.py --quick    # about ten seconds

Every run sees the same number of handwritten digits (the 1,437 training images that are left of
scikit-learn's 1,797), so that a batch twice as large means half as many steps. The learning rate
follows the linear rule up to a limit. Small batches make many noisy steps; large ones few sure
ones, which a computer makes faster. Where the trade turns, the gradient noise scale tells.
"""

import argparse
import json
import math
import time
from pathlib import Path

from digits import load
from plots import plt

import tinytrain as tt
from tinytrain.data import DataLoader
from tinytrain.models import MLP, classification_loss
from tinytrain.optim import linear_scaling
from tinytrain.train.callback import Callback

BATCH_SIZES = (1, 4, 16, 64, 256)  # and all
QUICK_BATCH_SIZES = (16, 64, 128)
REFERENCE_BATCH = 16  # the batch that --lr is for
LARGEST_RATE = 0.5  # beyond which the linear rule does not hold for this model
MICRO_BATCHES = 8  # a batch is cut into so many at most: their differences tell the noise
AVERAGED = 3000  # images over which the noise is averaged: single steps tell little
TARGET = 0.3  # a loss, in nats per image
POINTS = 60  # of a curve


class History(Callback):
    """Collects the records of a run."""

    def __init__(self) -> None:
        self.records: list[dict] = []

    def on_record(self, trainer: tt.Trainer, record: dict) -> None:
        """Keep a record of training."""
        if "loss" in record:
            self.records.append(dict(record))


def train(training, test, batch_size: int, epochs: int, lr: float, seed: int) -> dict:
    """Train a fresh model at one batch size; return the curve and what the run took."""
    tt.manual_seed(seed)
    model = MLP([64, 64, 10])
    rate = min(linear_scaling(lr, REFERENCE_BATCH, batch_size), LARGEST_RATE)
    loader = DataLoader(training, batch_size, shuffle=True, drop_last=True, generator=seed)
    steps = max(epochs * len(training) // batch_size, 1)
    every = max(steps // POINTS, 1)
    steps -= steps % every  # so that no record covers fewer steps than the others
    history = History()
    trainer = tt.Trainer(
        model,
        tt.optim.SGD(model.parameters(), lr=rate),
        classification_loss,
        loader,
        max_steps=steps,
        micro_batch_size=math.ceil(batch_size / MICRO_BATCHES),
        log_every=every,
        progress=False,
        callbacks=[history, tt.train.GradientNoiseScale(math.exp(-batch_size / AVERAGED))],
    )
    began = time.perf_counter()
    trainer.fit()
    seconds = time.perf_counter() - began
    curve = [
        {
            "samples": record["step"] * batch_size,
            "seconds": seconds * record["step"] / steps,
            "loss": record["loss"],
            "noise_scale": record.get("noise_scale", math.nan),  # none of single images
        }
        for record in history.records
    ]
    last = [point["noise_scale"] for point in curve if math.isfinite(point["noise_scale"])]
    return {
        "batch_size": batch_size,
        "lr": rate,
        "steps": steps,
        "seconds": seconds,
        "training_loss": curve[-1]["loss"],
        "test_loss": trainer.evaluate(DataLoader(test, 256)),
        "steps_to_target": steps_to_target(curve, batch_size),
        "noise_scale": last[-1] if last else math.nan,
        "curve": curve,
    }


def steps_to_target(curve: list[dict], batch_size: int) -> float:
    """Return how many steps a run took until its training loss was below the target."""
    for point in curve:
        if point["loss"] < TARGET:
            return point["samples"] / batch_size
    return math.nan


def without_nan(value):
    """Put null in the place of NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {name: without_nan(part) for name, part in value.items()}
    if isinstance(value, list):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def show(runs: list[dict]) -> None:
    print(
        f"{'batch':>6}  {'rate':>6}  {'steps':>6}  {'seconds':>7}  {'training':>8}  {'test':>6}",
        end="",
    )
    print(f"  {f'steps to {TARGET}':>12}  {f'images to {TARGET}':>13}  {'noise scale':>11}")
    for run in runs:
        steps = run["steps_to_target"]
        reached = f"{steps:.0f}", f"{steps * run['batch_size']:.0f}"
        if math.isnan(steps):
            reached = "not reached", "not reached"
        noise = "-" if math.isnan(run["noise_scale"]) else f"{run['noise_scale']:.0f}"
        print(
            f"{run['batch_size']:>6}  {run['lr']:>6.3f}  {run['steps']:>6}  {run['seconds']:>7.1f}"
            f"  {run['training_loss']:>8.3f}  {run['test_loss']:>6.3f}"
            f"  {reached[0]:>12}  {reached[1]:>13}  {noise:>11}"
        )


def plot(runs: list[dict], picture: Path) -> Path | None:
    """Draw the four sides of the trade-off; None where there is no matplotlib."""
    if plt is None:
        print("no plot: matplotlib is not installed (pip install matplotlib)")
        return None
    figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
    (by_samples, by_seconds), (noise, trade) = axes
    for run in runs:
        label = f"{run['batch_size']:,}"
        columns = {key: [point[key] for point in run["curve"]] for key in run["curve"][0]}
        by_samples.plot(columns["samples"], columns["loss"], label=label)
        by_seconds.plot(columns["seconds"], columns["loss"], label=label)
        if any(map(math.isfinite, columns["noise_scale"])):  # single images tell of none
            noise.plot(columns["samples"], columns["noise_scale"], label=label)
    by_samples.set(xlabel="images seen", ylabel="training loss (nats per image)", yscale="log")
    by_samples.legend(title="batch size")
    by_seconds.set(xlabel="seconds", ylabel="training loss (nats per image)", xscale="log")
    by_seconds.set_yscale("log")
    noise.set(xlabel="images seen", ylabel="gradient noise scale (images)")
    noise.legend(title="batch size")
    reached = [run for run in runs if math.isfinite(run["steps_to_target"])]
    sizes = [run["batch_size"] for run in reached]
    steps = [run["steps_to_target"] for run in reached]
    trade.plot(sizes, steps, "o-", label="steps")
    images = [count * size for count, size in zip(steps, sizes, strict=True)]
    trade.plot(sizes, images, "s-", label="images")
    trade.set(xlabel="batch size", ylabel=f"needed to reach {TARGET} nats")
    if reached:
        trade.set(xscale="log", yscale="log")
        trade.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
        trade.minorticks_off()
        trade.legend()
    else:
        words = f"no run came to {TARGET} nats"
        trade.text(0.5, 0.5, words, ha="center", transform=trade.transAxes)
    for one in axes.flat:
        one.grid(alpha=0.3)
    figure.savefig(picture, dpi=150)
    plt.close(figure)
    return picture


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tt.train.add_device_flag(parser)
    parser.add_argument("--batch-sizes", type=int, nargs="+", help="instead of 1, 4, 16, ..., all")
    parser.add_argument("--epochs", type=int, help="passes over the data (default: 12; quick: 10)")
    parser.add_argument("--lr", type=float, default=0.05, help=f"at batch size {REFERENCE_BATCH}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="runs/batch_size", help="the folder for results")
    parser.add_argument("--quick", action="store_true", help="three batch sizes, ten seconds")
    return parser


def main() -> None:
    arguments = make_parser().parse_args()
    try:
        print(f"device: {tt.set_device(arguments.device)}")
    except (RuntimeError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
    training, test = load()
    if arguments.epochs is not None and arguments.epochs < 1:
        raise SystemExit(f"error: --epochs is a number from 1, got {arguments.epochs}")
    epochs = arguments.epochs or (10 if arguments.quick else 12)
    chosen = QUICK_BATCH_SIZES if arguments.quick else BATCH_SIZES
    sizes = arguments.batch_sizes or [*chosen, *([] if arguments.quick else [len(training)])]
    if not all(1 <= size <= len(training) for size in sizes):
        raise SystemExit(f"error: batch sizes lie in 1 to {len(training)}, got {sizes}")
    print(f"as many images as in {epochs} passes over {len(training):,}, at each batch size\n")
    runs = [train(training, test, size, epochs, arguments.lr, arguments.seed) for size in sizes]
    show(runs)

    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    figures = out / "batch_size.json"
    figures.write_text(json.dumps(without_nan(runs), indent=1) + "\n")
    picture = plot(runs, out / "batch_size.png")
    print(f"\nresults: {', '.join(str(path) for path in (figures, picture) if path)}")


if __name__ == "__main__":
    main()
