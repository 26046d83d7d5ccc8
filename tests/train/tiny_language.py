"""A small GPT and ragged sequences, packed, padded and one by one, for tests of training."""

import numpy as np

import tinytrain as tt
from tests.device_helpers import host
from tinytrain.data import PackedDataset, collate_packed, plan_packing
from tinytrain.models import GPT, GPTConfig, language_model_loss

VOCABULARY = 13
CAPACITY = 12
LENGTHS = (12, 1, 7, 5, 2, 9, 3, 4, 1, 11, 6, 2)  # those of length 1 supervise nothing


def sequences():
    source = np.random.default_rng(3)
    return [source.integers(0, VOCABULARY, size=length) for length in LENGTHS]


def packed_rows():
    """The sequences packed into rows; each row is a batch of its own."""
    data = PackedDataset(sequences(), plan_packing(LENGTHS, CAPACITY))
    return [data[row] for row in range(len(data))]


def make_gpt(dtype="float64", **settings):
    """A GPT whose weights are large enough for attention and positions to matter."""
    tt.manual_seed(0)
    config = {"num_layers": 2, "num_heads": 2, "embed_dim": 8, **settings}
    model = GPT(GPTConfig(VOCABULARY, CAPACITY, **config)).to(dtype)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data *= 20
    return model


def gradient_of(model):
    """All gradients as one vector, in float64; zeros where there is none."""
    return np.concatenate(
        [
            (np.zeros(p.shape) if p.grad is None else host(p.grad).astype(np.float64)).ravel()
            for p in model.parameters()
        ]
    )


def gradient_over(model, micro_batches, loss_function=language_model_loss):
    """The gradient of the mean loss over all items of some micro-batches, as the trainer has it."""
    model.zero_grad()
    _, items = tt.train.accumulate_gradients(model, loss_function, micro_batches)
    tt.train.divide_gradients(model.parameters(), items)
    return gradient_of(model)


def relative_difference(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def split(rows, sizes):
    """Cut rows into micro-batches of the given numbers of rows."""
    ends = np.cumsum(sizes)
    assert ends[-1] == len(rows)
    return [collate_packed(rows[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
