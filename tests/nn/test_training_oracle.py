"""Fifty steps of gradient descent next to PyTorch: the same code builds the model on both sides."""

import itertools

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.nn.comparison import assert_close, copy_state

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("torch_on_one_thread", "device")]

STEPS, RATE = 50, 0.1
TOLERANCES = {"float32": 1e-5, "float64": 1e-10}


def perceptron(nn):
    return nn.Sequential(
        nn.Linear(5, 8),
        nn.Sigmoid(),
        nn.Linear(8, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Linear(16, 12, bias=False),
        nn.LayerNorm(12),
        nn.GELU(),
        nn.Dropout(0.0),
        nn.Linear(12, 8),
        nn.Tanh(),
        nn.Linear(8, 3),
    )


def transformer(nn):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first_norm = nn.LayerNorm(8)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.second_norm = nn.LayerNorm(8, bias=False)
            self.expand = nn.Linear(8, 16)
            self.activation = nn.GELU(approximate="tanh")
            self.contract = nn.Linear(16, 8)

        def forward(self, x, mask):
            y = self.first_norm(x)
            x = x + self.attention(y, y, y, attn_mask=mask, need_weights=False)[0]
            return x + self.contract(self.activation(self.expand(self.second_norm(x))))

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(11, 8)
            self.blocks = nn.ModuleList([Block(), Block()])
            self.norm = nn.LayerNorm(8)
            self.head = nn.Linear(8, 11, bias=False)
            self.head.weight = self.embedding.weight  # tied

        def forward(self, ids, mask):
            x = self.embedding(ids)
            for block in self.blocks:
                x = block(x, mask)
            return self.head(self.norm(x))

    return Transformer()


def steps():
    """Batches that can be learned: points around three centres, labelled by the centre."""
    source = np.random.default_rng(0)
    centres = 2 * source.standard_normal((3, 5))
    for _ in range(STEPS):
        labels = source.integers(0, 3, 16)
        yield centres[labels] + source.standard_normal((16, 5)), labels


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("loss", ["CrossEntropyLoss", "MSELoss"])
def test_perceptron(device, dtype, loss):
    torch.manual_seed(0)
    ours, theirs = perceptron(tt.nn), perceptron(torch.nn)
    copy_state(ours, theirs, dtype)
    criterion, reference = getattr(tt.nn, loss)(), getattr(torch.nn, loss)()

    def batches():
        for x, labels in steps():
            targets = labels if loss == "CrossEntropyLoss" else np.eye(3)[labels].astype(dtype)
            yield x.astype(dtype), targets

    train_both(
        ours,
        theirs,
        batches(),
        lambda x, y: criterion(ours(tt.tensor(x)), tt.tensor(y)),
        lambda x, y: reference(theirs(torch.tensor(x)), torch.tensor(y)),
        TOLERANCES[dtype],
        steps_on(device),
    )
    ours.eval()
    theirs.eval()
    x = np.ones((4, 5), dtype)
    expected = theirs(torch.tensor(x)).detach().numpy()
    assert_close(host(ours(tt.tensor(x))), expected, TOLERANCES[dtype], "evaluation")


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_transformer(device, dtype):
    torch.manual_seed(0)
    ours, theirs = transformer(tt.nn), transformer(torch.nn)
    copy_state(ours, theirs, dtype)
    mask = np.triu(np.ones((6, 6), bool), 1)

    def batches():
        source = np.random.default_rng(1)
        for _ in range(STEPS):
            ids = (source.integers(0, 11, (4, 1)) + np.arange(7)) % 11
            yield ids[:, :-1], ids[:, 1:]

    def our_loss(ids, targets):
        logits = ours(tt.tensor(ids), tt.tensor(mask)).reshape(-1, 11)
        return tt.nn.functional.cross_entropy(logits, tt.tensor(targets.reshape(-1)))

    def their_loss(ids, targets):
        logits = theirs(torch.tensor(ids), torch.tensor(mask)).reshape(-1, 11)
        return torch.nn.functional.cross_entropy(logits, torch.tensor(targets.reshape(-1)))

    train_both(ours, theirs, batches(), our_loss, their_loss, TOLERANCES[dtype], steps_on(device))


def steps_on(device):
    return STEPS if device == "cpu" else 15


def train_both(ours, theirs, batches, our_loss, their_loss, tolerance, steps):
    """Train side by side and hold every loss, and the state at the end, equal."""
    optimizer = torch.optim.SGD(theirs.parameters(), RATE)
    losses = []
    for step, batch in enumerate(itertools.islice(batches, steps)):
        loss, expected = our_loss(*batch), their_loss(*batch)
        assert_close(host(loss), expected.detach().numpy(), tolerance, f"loss of step {step}")
        losses.append(loss.item())
        ours.zero_grad()
        loss.backward()
        for parameter in ours.parameters():
            parameter.data -= RATE * parameter.grad.data
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
    assert len(losses) == steps
    if steps == STEPS:
        assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])  # it has learned something
    for name, value in theirs.state_dict().items():
        assert_close(host(ours.state_dict()[name]), value.numpy(), tolerance, name)
