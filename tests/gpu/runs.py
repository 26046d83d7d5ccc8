"""Short training runs, whose every number is brought to the host, to compare devices by."""

from dataclasses import dataclass

import numpy as np

import tinytrain as tt
from tinytrain.backend import to_host
from tinytrain.data import PackedDataset, collate_packed, plan_packing
from tinytrain.models import GPT, MLP, GPTConfig, classification_loss, language_model_loss
from tinytrain.nn.utils import clip_grad_norm_

STEPS = 4
VOCABULARY, CAPACITY = 13, 12
LENGTHS = (12, 1, 7, 5, 2, 9, 3, 4, 1, 11, 6, 2)


@dataclass
class Trace:
    """What a run came past: a loss and the gradients of each step, and the state at its end."""

    losses: list[float]
    gradients: list[dict[str, np.ndarray]]
    state: dict[str, np.ndarray]


def make_mlp():
    """Batch normalisation, ReLU and dropout; SGD with momentum."""
    tt.manual_seed(0)
    model = MLP([20, 48, 33, 5], batch_norm=True, dropout=0.2)
    optimizer = tt.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    return model, optimizer, classification_loss


def make_gpt():
    """Embeddings, attention, layer normalisation, GELU and dropout; AdamW.

    A key's bias has no effect, so that its gradient is rounding noise, different on each device.
    With the usual eps AdamW would scale that up to whole steps.
    """
    tt.manual_seed(0)
    config = GPTConfig(
        VOCABULARY, CAPACITY, num_layers=2, num_heads=2, embed_dim=24, dropout=0.1, init_std=0.2
    )
    model = GPT(config)
    optimizer = tt.optim.AdamW(model.parameters(), lr=1e-2, eps=1e-3)
    return model, optimizer, language_model_loss


def mlp_batches():
    """Endless batches of random inputs and classes."""
    source = np.random.default_rng(1)
    while True:
        yield source.standard_normal((37, 20), dtype=np.float32), source.integers(0, 5, 37)


def gpt_batches():
    """Endless packed batches: rows with several sequences, and padding."""
    source = np.random.default_rng(2)
    while True:
        sequences = [source.integers(0, VOCABULARY, size=length) for length in LENGTHS]
        rows = PackedDataset(sequences, plan_packing(LENGTHS, CAPACITY))
        yield collate_packed([rows[index] for index in range(len(rows))])


RUNS = {"mlp": (make_mlp, mlp_batches), "gpt": (make_gpt, gpt_batches)}


def step_over(model, optimizer, loss_function, batch):
    """Make one optimizer step, and return the loss per item, on the device."""
    optimizer.zero_grad()
    loss_sum, items = loss_function(model, tt.to_device(batch))
    loss = loss_sum / items
    loss.backward()
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss


def train(kind, device):
    """Run `STEPS` steps of a model on a device."""
    make, batches = RUNS[kind]
    tt.set_device(device)
    model, optimizer, loss_function = make()
    assert {parameter.device for parameter in model.parameters()} == {device}
    losses, gradients = [], []
    for _, batch in zip(range(STEPS), batches(), strict=False):
        losses.append(step_over(model, optimizer, loss_function, batch).item())
        with_gradient = (item for item in model.named_parameters() if item[1].grad is not None)
        gradients.append({name: on_host(p.grad).copy() for name, p in with_gradient})
    state = {name: on_host(value) for name, value in model.state_dict().items()}
    return Trace(losses, gradients, state)


def on_host(value):
    """The array of a tensor or an array, in host memory."""
    return to_host(getattr(value, "data", value))


def relative_difference(found, expected, scale=0.0):
    """The norm of the difference, over the norm of what was expected or a larger scale."""
    found, expected = (np.asarray(values, dtype=np.float64) for values in (found, expected))
    assert found.shape == expected.shape
    return np.linalg.norm(found - expected) / max(np.linalg.norm(expected), scale, 1e-30)
