"""Which part of the standard library does this docstring belong to? Padding, buckets and packing.

    python examples/docstrings.py            # about half a minute
    python examples/docstrings.py --quick    # a few seconds

The docstrings are those of the Python that runs this script, from a few characters to some six
thousand. One small classifier is trained on them three times, by batches that differ in how
documents of different lengths get into rectangular arrays:

- padding: documents at random, each padded to the longest of its batch;
- buckets: documents of similar lengths, as many as fit into a budget of positions;
- packing: several documents side by side in a row of fixed length, and one mean for each.

All three give the same gradient of a set of documents, which is checked first on those held out
for validation. Batches of buckets have
few long documents or many short ones, and a step for each would let a long one count several times
as much as a short one. So a step takes as many batches as hold some number of documents, adds up
the losses, and divides once by that number, in all three ways: every document has the same weight.
What is left to differ is which documents meet in a step, and how much of the work is spent on
padding: about as many steps lead to the same accuracy, in other times.
"""

import argparse
import ast
import sysconfig
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import tinytrain as tt
from tinytrain.data import (
    DataLoader,
    Dataset,
    PackedBatch,
    PackedDataset,
    TokenBudgetBatchSampler,
    collate_packed,
    pad_collate,
    plan_packing,
)

# Modules and packages of one topic. Some moved between versions: those that are not there are
# left out, as a package's own tests are.
TOPICS = {
    "archives": ("tarfile", "zipfile", "shutil", "gzip", "lzma", "bz2"),
    "asyncio": ("asyncio",),
    "debugging": ("pdb", "bdb", "inspect", "traceback", "pydoc", "doctest"),
    "decimal": ("_pydecimal", "decimal", "fractions", "statistics", "numbers"),
    "email": ("email", "mailbox"),
    "files": ("_pyio", "pathlib", "os", "tempfile", "glob", "fileinput"),
    "importlib": ("importlib", "pkgutil", "zipimport"),
    "logging": ("logging",),
    "multiprocessing": ("multiprocessing", "concurrent", "threading", "queue"),
    "turtle": ("turtle",),
    "unittest": ("unittest",),
    "web": ("http", "urllib", "wsgiref", "xmlrpc", "socketserver"),
    "xml": ("xml",),
}
LONGEST = 6000  # bytes; documents beyond are cut there, and counted
VOCABULARY = 4096
HELD_OUT = 0.2


class Documents(NamedTuple):
    """Texts as tokens, and the number of the topic of each."""

    tokens: list[np.ndarray]
    topics: np.ndarray


def docstrings_of(path: Path) -> list[str]:
    """Return the docstrings of a source file, in the order in which they stand there."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [n for n in ast.walk(ast.parse(path.read_bytes())) if isinstance(n, kinds)]
    nodes.sort(key=lambda node: getattr(node, "lineno", 0))
    return [text for node in nodes if (text := ast.get_docstring(node))]


def sources_of(library: Path, module: str) -> list[Path]:
    """Return the files of a module or package, in alphabetical order, without tests."""
    found = [library / f"{module}.py", *(library / module).rglob("*.py")]
    inner = sorted(path for path in found if path.is_file())
    return [p for p in inner if not {"test", "tests"} & set(p.relative_to(library).parts)]


def load_documents(library: Path) -> tuple[list[str], np.ndarray]:
    """Return the different docstrings of all topics, and the topic of each."""
    topic_of: dict[str, int] = {}
    for number, modules in enumerate(TOPICS.values()):
        for path in (path for module in modules for path in sources_of(library, module)):
            for text in docstrings_of(path):
                topic_of.setdefault(text, number)
    if not topic_of:
        raise SystemExit(f"error: no docstrings in {library}: is the library there as source?")
    return list(topic_of), np.array(list(topic_of.values()))


def encode(text: str) -> np.ndarray:
    """Return one token per byte: a hash of the byte and the two before it."""
    codes = np.frombuffer(text.encode()[:LONGEST], dtype=np.uint8).astype(np.uint32)
    before = np.concatenate([np.zeros(2, np.uint32), codes])
    trigrams = codes + 256 * before[1:-1] + 65536 * before[:-2]
    hashed = trigrams * np.uint32(2654435761)  # Knuth's multiplicative hash, modulo 2**32
    return (hashed >> np.uint32(32 - 12)).astype(np.int64)


# ------------------------------------------------------------------------------ batches


def as_batch(rows: PackedBatch, topics: np.ndarray) -> dict[str, np.ndarray]:
    """Say for every position to which document of the batch it belongs.

    That number is len(topics), one more than there are, at padding.
    """
    lengths = np.diff(rows.cu_seqlens)
    document = np.full(rows.input_ids.size, len(lengths))
    document[rows.segment_ids.ravel() > 0] = np.repeat(np.arange(len(lengths)), lengths)
    return {"ids": rows.input_ids, "document": document, "lengths": lengths, "topics": topics}


class PaddedDocuments(Dataset):
    """One document per sample, with its topic."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents

    def __len__(self) -> int:
        return len(self.documents.tokens)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.documents.tokens[index], self.documents.topics[index]


def collate_padded(samples: list[tuple[np.ndarray, int]]) -> dict[str, np.ndarray]:
    tokens, topics = zip(*samples, strict=True)
    return as_batch(pad_collate(tokens), np.array(topics))


class PackedDocuments(Dataset):
    """One row of several documents per sample, with their topics."""

    def __init__(self, documents: Documents, capacity: int) -> None:
        self.plan = plan_packing([len(tokens) for tokens in documents.tokens], capacity)
        self.rows = PackedDataset(documents.tokens, self.plan)
        self.topics = documents.topics

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[PackedBatch, np.ndarray]:
        return self.rows[index], self.topics[self.plan.rows[index]]


def collate_rows(samples: list[tuple[PackedBatch, np.ndarray]]) -> dict[str, np.ndarray]:
    rows, topics = zip(*samples, strict=True)
    return as_batch(collate_packed(rows), np.concatenate(topics))


def make_loaders(documents: Documents, budget: int, seed: int) -> dict[str, DataLoader]:
    """Return a loader for each way, with the same budget of positions per batch.

    Padded at random, a batch has as many documents as would fill the budget without padding.
    """
    lengths = np.array([len(tokens) for tokens in documents.tokens])
    padded = PaddedDocuments(documents)
    per_batch = max(1, round(budget / lengths.mean()))
    buckets = TokenBudgetBatchSampler(lengths, budget, batches_per_bucket=6, seed=seed)
    return {
        "padding": DataLoader(
            padded, per_batch, shuffle=True, collate_fn=collate_padded, generator=seed
        ),
        "buckets": DataLoader(padded, batch_sampler=buckets, collate_fn=collate_padded),
        "packing": DataLoader(
            PackedDocuments(documents, budget),
            1,
            shuffle=True,
            collate_fn=collate_rows,
            generator=seed,
        ),
    }


# ------------------------------------------------------------------------------ the model


class Classifier(tt.nn.Module):
    """A layer for each position, the mean over each document, a layer for each document."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = tt.nn.Embedding(VOCABULARY, width)
        # Small: a token that is rarely seen should say little, and not something at random.
        tt.nn.init.normal_(self.embedding.weight, std=0.1)
        self.position = tt.nn.Linear(width, width)
        self.output = tt.nn.Linear(width, len(TOPICS))

    def forward(self, batch: dict[str, tt.Tensor]) -> tt.Tensor:
        """Return the logits (documents, topics)."""
        hidden = tt.nn.functional.relu(self.position(self.embedding(batch["ids"])))
        width = hidden.shape[-1]
        documents = len(batch["lengths"])
        # Row by row a sum for each document; that of all padding is thrown away.
        sums = tt.zeros(documents + 1, width).index_add(
            0, batch["document"], hidden.reshape(-1, width)
        )
        means = sums[:documents] / batch["lengths"].float().reshape(-1, 1)
        return self.output(means)


def loss_function(model: tt.nn.Module, batch: dict[str, tt.Tensor]) -> tuple[tt.Tensor, int]:
    """Return the sum of the losses of the documents, and their number."""
    topics = batch["topics"]
    return tt.nn.functional.cross_entropy(model(batch), topics, reduction="sum"), len(topics)


def accuracy(model: tt.nn.Module, batches: Iterable[dict[str, np.ndarray]]) -> float:
    right = total = 0
    with tt.no_grad():
        for batch in batches:
            predicted = model(tt.to_device(batch)).argmax(dim=1).cpu().numpy()
            right += int((predicted == batch["topics"]).sum())
            total += len(predicted)
    return right / total


def check_gradients(model: tt.nn.Module, loaders: dict[str, DataLoader]) -> None:
    """Print how far the gradients of the mean over all documents are from each other."""
    gradients = []
    for loader in loaders.values():
        model.zero_grad()
        _, documents = tt.train.accumulate_gradients(model, loss_function, loader)
        tt.train.divide_gradients(model.parameters(), documents)
        flat = [parameter.grad.cpu().numpy().ravel() for parameter in model.parameters()]
        gradients.append(np.concatenate(flat))
    first, *others = gradients
    difference = max(np.linalg.norm(other - first) for other in others) / np.linalg.norm(first)
    print(
        f"the gradient of {documents} documents, three ways: relative difference {difference:.1e}"
    )


# ------------------------------------------------------------------------------ the race


class Run(NamedTuple):
    """What one training run needed."""

    steps: int
    batches: int
    documents: int
    tokens: int
    positions: int
    seconds: float
    accuracy: float
    reached: bool


def steps_of(loader: DataLoader, documents: int) -> Iterator[list[dict[str, np.ndarray]]]:
    """Yield the batches of each step, epoch after epoch: n steps have n x `documents` documents.

    The last batch of a step may have more than are missing; the next step then has fewer.
    """
    seen, step = 0, []
    while True:
        for batch in loader:
            step.append(batch)
            seen += len(batch["topics"])
            if seen >= documents:
                yield step
                seen, step = seen - documents, []


def race(loader: DataLoader, validation: list[dict[str, np.ndarray]], arguments) -> Run:
    """Train until the accuracy on the validation data is reached; its measuring takes no time."""
    tt.manual_seed(arguments.seed)
    model = Classifier(arguments.width)
    optimizer = tt.optim.AdamW(model.parameters(), lr=arguments.lr)
    documents = tokens = positions = batches = 0
    seconds, started = 0.0, time.perf_counter()
    for number, step in enumerate(steps_of(loader, arguments.documents), start=1):
        optimizer.zero_grad()
        _, count = tt.train.accumulate_gradients(model, loss_function, step)
        # By the same number in every step, so that each document has the same weight.
        tt.train.divide_gradients(model.parameters(), arguments.documents)
        optimizer.step()
        batches += len(step)
        documents += count
        tokens += sum(int(batch["lengths"].sum()) for batch in step)
        positions += sum(batch["ids"].size for batch in step)
        last = number == arguments.max_steps
        if number % arguments.eval_every == 0 or last:
            tt.synchronize()
            seconds += time.perf_counter() - started
            found = accuracy(model, validation)
            reached = found >= arguments.accuracy
            if last or reached:
                break
            started = time.perf_counter()
    return Run(number, batches, documents, tokens, positions, seconds, found, reached)


def print_table(runs: dict[str, Run], wanted: float) -> None:
    print(f"\n{'':<8} {'documents':>10} {'padding':>8} {'tokens':>9} {'steps':>6} {'seconds':>8}")
    print(f"{'':<8} {'per batch':>10} {'share':>8} {'per s':>9} {f'to {wanted:.0%} accuracy':>15}")
    for name, run in runs.items():
        padding = 1 - run.tokens / run.positions
        row = (
            f"{name:<8} {run.documents / run.batches:>10.1f} {padding:>8.1%} "
            f"{run.tokens / run.seconds:>9,.0f}"
        )
        if run.reached:
            print(f"{row} {run.steps:>6,} {run.seconds:>8.2f}")
        else:
            print(f"{row} not reached: {run.accuracy:.1%} after {run.steps:,} steps")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tt.train.add_device_flag(parser)
    parser.add_argument("--seed", type=int, default=0, help="of weights and data order")
    parser.add_argument("--budget", type=int, default=6400, help="positions per batch")
    parser.add_argument("--documents", type=int, default=100, help="per step")
    parser.add_argument("--width", type=int, default=32, help="of the embedding")
    parser.add_argument("--lr", type=float, default=0.03, help="the learning rate")
    parser.add_argument("--accuracy", type=float, default=0.65, help="where the race ends")
    parser.add_argument("--max-steps", type=int, default=1000, help="where it ends at the latest")
    parser.add_argument("--eval-every", type=int, default=5, help="steps between measurements")
    parser.add_argument("--quick", action="store_true", help="a run of a few seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.width, arguments.max_steps, arguments.accuracy = 16, 200, 0.2
        arguments.documents = 25
        arguments.eval_every = 2
    return arguments


def main() -> None:
    arguments = parse_arguments()
    try:
        tt.set_device(arguments.device)
    except (RuntimeError, ValueError) as error:  # a message for the terminal, not a traceback
        raise SystemExit(f"error: {error}") from error

    texts, topics = load_documents(Path(sysconfig.get_path("stdlib")))
    tokens = [encode(text) for text in texts]
    order = tt.Generator(0).randperm(len(texts))  # the split is the same for every seed
    if arguments.quick:
        order = order[:400]
    cut = int(HELD_OUT * len(order))
    held_out, training = (
        Documents([tokens[i] for i in part], topics[part]) for part in (order[:cut], order[cut:])
    )
    used = topics[order]
    lengths = np.array([len(texts[i].encode()) for i in order])
    print(
        f"{len(order):,} docstrings of {len(np.unique(used))} topics, "
        f"{lengths.min()} to {lengths.max():,} bytes (median {np.median(lengths):.0f}), "
        f"{(lengths > LONGEST).sum()} of them cut at {LONGEST:,}; "
        f"the largest topic has {np.bincount(used).max() / len(used):.1%}"
    )
    tt.manual_seed(arguments.seed)
    ways = make_loaders(held_out, arguments.budget, arguments.seed)
    check_gradients(Classifier(arguments.width), ways)

    validation = list(ways["buckets"])
    loaders = make_loaders(training, arguments.budget, arguments.seed)
    runs = {name: race(loader, validation, arguments) for name, loader in loaders.items()}
    print_table(runs, arguments.accuracy)


if __name__ == "__main__":
    main()
