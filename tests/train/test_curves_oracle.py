"""The loss of every step beside PyTorch's, which sees whole batches, for every accumulation."""

from pydoc_data.topics import topics

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain.data import PackedDataset, collate_packed, plan_packing, split_sequences
from tinytrain.models import GPT, GPTConfig, language_model_loss
from tinytrain.optim import WarmupCosine
from tinytrain.train import accumulate_gradients, divide_gradients

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

ROWS = 8
ADAMW = {"lr": 3e-3, "betas": (0.9, 0.99), "weight_decay": 0.1}
CLIP = 1.0
WIDTHS = {
    "narrow": {"context": 32, "layers": 2, "heads": 2, "width": 16, "steps": 20, "paragraphs": 100},
    "as in the example": {"context": 128, "layers": 3, "heads": 4, "width": 128, "steps": 200},
}


@pytest.fixture(autouse=True)
def one_thread():
    """For matrices as small as these, several threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rows_of(context, count, paragraphs=None):
    """Packed rows of the Python language reference, one character per token."""
    blocks = (block.strip() for text in topics.values() for block in text.split("\n\n"))
    paragraphs = list(dict.fromkeys(block for block in blocks if block))[:paragraphs]
    alphabet = {c: i + 1 for i, c in enumerate(sorted(set("".join(paragraphs))))}
    sequences = [np.array([0, *map(alphabet.get, text), 0]) for text in paragraphs]
    pieces = split_sequences(sequences, context, split="split")
    data = PackedDataset(pieces, plan_packing([len(piece) for piece in pieces], context))
    order = tt.Generator(0).randperm(len(data))[:count]
    return [data[int(row)] for row in order], len(alphabet) + 1


def run(model, rows, steps, accumulation_steps):
    """The loss per token before each step, as the trainer makes it."""
    optimizer = tt.optim.AdamW(model.parameters(), **ADAMW)
    schedule = WarmupCosine(optimizer, steps // 10, steps)
    size = ROWS // accumulation_steps
    losses = []
    for step in range(steps):
        batch = [rows[(step * ROWS + row) % len(rows)] for row in range(ROWS)]
        window = [collate_packed(batch[start : start + size]) for start in range(0, ROWS, size)]
        optimizer.zero_grad()
        loss_sum, items = accumulate_gradients(model, language_model_loss, window)
        divide_gradients(model.parameters(), items)
        tt.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        losses.append(loss_sum.item() / items)
    return losses


def run_torch(model, rows, steps):
    """The same in plain PyTorch: the mean loss of the whole batch, and one backward pass."""
    reference = WarmupCosine(tt.optim.SGD([tt.zeros(1, requires_grad=True)]), steps // 10, steps)
    optimizer = torch.optim.AdamW(model.parameters(), **ADAMW)
    losses = []
    for step in range(steps):
        batch = collate_packed([rows[(step * ROWS + row) % len(rows)] for row in range(ROWS)])
        optimizer.param_groups[0]["lr"] = ADAMW["lr"] * reference.factor(step)
        optimizer.zero_grad()
        loss = model.loss_sum(batch) / batch.num_supervised
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    "size", ["narrow", pytest.param("as in the example", marks=pytest.mark.slow)]
)
def test_the_loss_of_every_step(size):
    from tests.models.torch_gpt import make_torch_gpt

    settings = WIDTHS[size]
    rows, vocabulary = rows_of(settings["context"], 100 * ROWS, settings.get("paragraphs"))
    config = GPTConfig(
        vocabulary,
        settings["context"],
        num_layers=settings["layers"],
        num_heads=settings["heads"],
        embed_dim=settings["width"],
        init_std=0.06,
    )
    tt.manual_seed(0)
    weights = {name: host(value) for name, value in GPT(config).state_dict().items()}
    expected = np.array(run_torch(make_torch_gpt(config, weights), rows, settings["steps"]))
    assert expected[-1] < 0.9 * expected[0]
    for accumulation_steps in (1, 4, 8):
        model = GPT(config)
        model.load_state_dict(weights)
        found = np.array(run(model, rows, settings["steps"], accumulation_steps))
        assert np.abs(found / expected - 1).max() < 1e-4, accumulation_steps
