"""Classify handwritten digits with a multi-layer perceptron and batch normalisation.

    python examples/digits.py            # about ten seconds
    python examples/digits.py --quick    # a few seconds

The data are the 1,797 images of 8 x 8 pixels that scikit-learn ships.
"""

from pathlib import Path

import numpy as np
from plots import plot_confusion, plot_losses
from sklearn.datasets import load_digits

import tinytrain as tt
from tinytrain.data import DataLoader, TensorDataset
from tinytrain.models import MLP, classification_loss

HELD_OUT = 360  # a fifth of the images

DEFAULTS = {
    "batch_size": 32,
    "grad_accum": 2,
    "epochs": 25,
    "lr": 3e-3,
    "weight_decay": 0.05,
    "warmup_steps": 20,
    "log_every": 20,
    "eval_every": 100,
    "out": "runs/digits",
}
QUICK = {"epochs": 3, "out": "runs/digits_quick"}


def load() -> tuple[TensorDataset, TensorDataset]:
    """Return training and test data: pixels scaled to 0 .. 1, and classes."""
    digits = load_digits()
    pixels = (digits.data / 16).astype(np.float32)
    order = tt.Generator(0).randperm(len(pixels))  # the split is the same for every seed
    test, train = order[:HELD_OUT], order[HELD_OUT:]
    return (
        TensorDataset(pixels[train], digits.target[train]),
        TensorDataset(pixels[test], digits.target[test]),
    )


def confusion_matrix(model: tt.nn.Module, data: TensorDataset) -> np.ndarray:
    """Count test images by true class (rows) and predicted class (columns)."""
    pixels, classes = data.tensors
    model.eval()
    with tt.no_grad():
        predicted = model(tt.from_numpy(pixels)).argmax(dim=1).cpu().numpy()
    counts = np.zeros((10, 10), dtype=np.int64)
    np.add.at(counts, (classes, predicted), 1)
    return counts


def main() -> None:
    parser = tt.train.TrainingParser(__doc__.splitlines()[0], DEFAULTS, QUICK)
    parser.add_argument("--hidden", type=int, default=128, help="the width of the hidden layers")
    parser.add_argument("--dropout", type=float, default=0.2)
    arguments = parser.parse_args()
    configuration = tt.train.start(arguments)

    training, test = load()
    plan = tt.BatchPlan(arguments.batch_size, accumulation_steps=arguments.grad_accum)
    print(f"\n{plan}")
    loader = DataLoader(
        training, plan.micro_batch, shuffle=True, drop_last=True, generator=arguments.seed
    )
    model = MLP([64, arguments.hidden, arguments.hidden, 10], True, arguments.dropout)
    print(f"\n{model}\n{model.num_parameters():,} parameters\n")
    optimizer = tt.optim.AdamW(
        model.parameters(), lr=arguments.lr, weight_decay=arguments.weight_decay
    )
    windows = -(-len(loader) // plan.accumulation_steps)
    max_steps = arguments.max_steps or arguments.epochs * windows
    trainer = tt.Trainer(
        model,
        optimizer,
        classification_loss,
        loader,
        max_steps=max_steps,
        accumulation_steps=plan.accumulation_steps,
        batch_norm="pooled",
        schedule=tt.optim.WarmupCosine(
            optimizer, min(arguments.warmup_steps, max_steps), max_steps
        ),
        clip_grad_norm=arguments.clip_grad or None,
        validation_loader=DataLoader(test, 128),
        eval_every=arguments.eval_every,
        log_every=arguments.log_every,
        save_every=arguments.save_every,
        out=arguments.out,
        config=configuration,
        item_name="images",
    )
    if arguments.resume:
        found = trainer.resume(arguments.resume)
        print(f"resumed from {found} at step {trainer.step}" if found else "nothing to resume")
    result = trainer.fit()

    counts = confusion_matrix(model, test)
    print(f"\nconfusion matrix (rows: truth, columns: prediction)\n{counts}")
    out = Path(arguments.out)
    pictures = (
        plot_losses(out / "log.jsonl", out / "loss.png", "nats per image"),
        plot_confusion(counts, out / "confusion.png"),
    )
    print(f"test accuracy {counts.trace() / counts.sum():.2%} after {result.step} steps")
    files = [str(path) for path in (result.checkpoint, out / "log.jsonl", *pictures) if path]
    print(f"results: {', '.join(files)}")


if __name__ == "__main__":
    main()
