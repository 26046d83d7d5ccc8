"""Gradient accumulation: proof that it is exact, what the usual loop gets wrong, what it saves.

    python examples/accumulation.py            # about half a minute
    python examples/accumulation.py --quick    # a few seconds

The data are paragraphs of the Python language reference, which ships inside Python: sequences of
very different lengths, one character per token. A batch of them is cut into more and more
micro-batches.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from plots import plt
from train_gpt import encode, load_paragraphs

import tinytrain as tt
from tinytrain.data import pad_collate, split_sequences
from tinytrain.models import GPT, MLP, GPTConfig, classification_loss, language_model_loss
from tinytrain.train.exact_batch_norm import sum_gradients_exactly
from tinytrain.train.split_batch import split_batch

SMALLEST = 1e-9
"""The smallest error that is drawn: a logarithm of 0 there is not."""


def gradient_of(model: tt.nn.Module) -> np.ndarray:
    """Return all gradients as one vector in host memory."""
    return np.concatenate([p.grad.cpu().numpy().ravel() for p in model.parameters()])


def exact_gradient(model: tt.nn.Module, micro_batches: list) -> tuple[np.ndarray, float]:
    """Add up sums, divide once; return the gradient and the loss."""
    model.zero_grad()
    loss_sum, items = tt.train.accumulate_gradients(model, language_model_loss, micro_batches)
    tt.train.divide_gradients(model.parameters(), items)
    return gradient_of(model), loss_sum.cpu().item() / items


def mean_of_means(model: tt.nn.Module, micro_batches: list) -> tuple[np.ndarray, float]:
    """Do what most loops do: differentiate the mean of each micro-batch, and average."""
    model.zero_grad()
    total = 0.0
    for micro_batch in micro_batches:
        loss_sum, items = language_model_loss(model, tt.to_device(micro_batch))
        loss = loss_sum / items / len(micro_batches)
        loss.backward()
        total += loss.detach().cpu().item()
    return gradient_of(model), total


def measure(model: tt.nn.Module, batch: tt.data.PackedBatch) -> list[dict]:
    """Cut a batch into micro-batches of half as many rows each time, and compare."""
    whole, loss = exact_gradient(model, [batch])
    found, rows = [], len(batch.input_ids)
    while rows:
        micro_batches = split_batch(batch, rows)
        with tt.memory.count_memory() as ledger:
            exact, exact_loss = exact_gradient(model, micro_batches)
        usual, usual_loss = mean_of_means(model, micro_batches)
        found.append(
            {
                "rows": rows,
                "micro_batches": len(micro_batches),
                "exact_error": float(np.linalg.norm(exact - whole) / np.linalg.norm(whole)),
                "usual_error": float(np.linalg.norm(usual - whole) / np.linalg.norm(whole)),
                "exact_loss_error": abs(exact_loss - loss) / loss,
                "usual_loss_error": abs(usual_loss - loss) / loss,
                "peak_bytes": ledger.peak,
            }
        )
        rows //= 2
    return found


def show(found: list[dict]) -> None:
    print("\nthe gradient's relative error against the whole batch, and the peak of memory\n")
    print(f"{'rows':>6}  {'micro-batches':>13}  {'sums, one division':>18}  ", end="")
    print(f"{'mean of means':>13}  {'memory':>9}")
    for line in found:
        print(
            f"{line['rows']:>6}  {line['micro_batches']:>13}  {line['exact_error']:>18.1e}  "
            f"{line['usual_error']:>13.1%}  {tt.memory.format_bytes(line['peak_bytes']):>9}"
        )


def plot(found: list[dict], picture: Path) -> Path | None:
    """Draw errors over the number of micro-batches, and memory over their rows."""
    if plt is None:
        print("no plot: matplotlib is not installed (pip install matplotlib)")
        return None
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    counts = [line["micro_batches"] for line in found]
    for key, label in (("usual_error", "mean of means"), ("exact_error", "sums, one division")):
        errors = [line[key] if line[key] >= SMALLEST else SMALLEST for line in found]
        left.plot(counts, errors, "o-", label=label)
    if any(line[key] < SMALLEST for line in found for key in ("usual_error", "exact_error")):
        left.text(counts[0], 2 * SMALLEST, f"drawn at {SMALLEST:g}: that, or less, or none")
    left.set(
        xlabel="micro-batches", ylabel="relative error of the gradient", xscale="log", yscale="log"
    )
    left.set_xticks(counts, [str(count) for count in counts], minor=False)
    left.minorticks_off()
    left.legend()
    rows = [line["rows"] for line in found]
    right.plot(rows, [line["peak_bytes"] / 1e6 for line in found], "o-")
    right.set(xlabel="rows per micro-batch", ylabel="peak memory (MB)", ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=150)
    plt.close(figure)
    return picture


def verify(model: tt.nn.Module, batch: tt.data.PackedBatch) -> None:
    """Let tinytrain prove it, and find what breaks it in a model that has batch normalisation."""
    print("\nverify_accumulation of the language model")
    print(tt.train.verify_accumulation(model, language_model_loss, batch))
    source = np.random.default_rng(0)
    rows = source.normal(size=(32, 8)).astype(np.float32), source.integers(0, 4, size=32)
    normalised = MLP([8, 16, 16, 4], batch_norm=True)
    print(
        "\na perceptron with batch normalisation, which looks at the rows of a micro-batch together"
    )
    print(tt.train.verify_accumulation(normalised, classification_loss, rows))
    print("\nthe same with batch_norm='exact'")
    summing = sum_gradients_exactly
    print(tt.train.verify_accumulation(normalised, classification_loss, rows, summing=summing))


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tt.train.add_device_flag(parser)
    parser.add_argument("--rows", type=int, help="sequences in the batch (default: 64; quick: 8)")
    parser.add_argument("--context", type=int, default=64, help="the longest sequence")
    parser.add_argument("--width", type=int, help="of the model (default: 64; quick: 16)")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="runs/accumulation", help="the folder for results")
    parser.add_argument("--quick", action="store_true", help="a run of a few seconds")
    return parser


def main() -> None:
    arguments = make_parser().parse_args()
    rows = arguments.rows or (8 if arguments.quick else 64)
    width = arguments.width or (16 if arguments.quick else 64)
    try:
        print(f"device: {tt.set_device(arguments.device)}")
    except (RuntimeError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
    tt.manual_seed(arguments.seed)

    paragraphs = load_paragraphs()[:2000]
    alphabet = "".join(sorted(set("".join(paragraphs))))
    pieces = split_sequences(encode(paragraphs, alphabet), arguments.context, split="split")
    chosen = tt.Generator(arguments.seed).randperm(len(pieces))[:rows]
    batch = pad_collate([pieces[i] for i in chosen])
    lengths = [len(pieces[i]) for i in chosen]
    print(f"{rows} sequences of {min(lengths)} to {max(lengths)} tokens, padded to the longest")
    config = GPTConfig(
        len(alphabet) + 1,
        arguments.context,
        num_layers=arguments.layers,
        num_heads=4,
        embed_dim=width,
        init_std=0.06,
    )
    model = GPT(config)
    found = measure(model, batch)
    show(found)
    verify(model, batch)

    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    figures = out / "accumulation.json"
    figures.write_text(json.dumps(found, indent=1) + "\n")
    picture = plot(found, out / "accumulation.png")
    print(f"\nresults: {', '.join(str(path) for path in (figures, picture) if path)}")


if __name__ == "__main__":
    main()
