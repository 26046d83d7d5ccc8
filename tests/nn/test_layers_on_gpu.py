"""Every layer, loss and optimizer trains without waiting for the GPU and without float64."""

import inspect

import numpy as np
import pytest

import tinytrain as tt
from tinytrain import nn
from tinytrain.testing import mock

IDS = np.array([[0, 3, 1], [4, 4, 2]])
ROWS = np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4)
SEQUENCES = np.linspace(-1, 1, 48, dtype=np.float32).reshape(2, 6, 4)
CLASSES = np.array([0, 3, 1, 2, -100, 0])

LAYERS = {
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), ROWS),
    "CausalSelfAttention": (lambda: nn.CausalSelfAttention(4, 2, 0.1), SEQUENCES),
    "Dropout": (lambda: nn.Dropout(0.5), ROWS),
    "Embedding": (lambda: nn.Embedding(5, 4), IDS),
    "GELU": (lambda: nn.Sequential(nn.GELU(), nn.GELU("tanh")), ROWS),
    "LayerNorm": (lambda: nn.LayerNorm(4), ROWS),
    "Linear": (lambda: nn.Linear(4, 4), ROWS),
    "MultiheadAttention": (lambda: SelfAttention(), SEQUENCES),
    "ReLU": (lambda: nn.ReLU(), ROWS),
    "Sigmoid": (lambda: nn.Sigmoid(), ROWS),
    "Tanh": (lambda: nn.Tanh(), ROWS),
}
LOSSES = {
    "CrossEntropyLoss": (lambda: nn.CrossEntropyLoss(label_smoothing=0.1), CLASSES),
    "MSELoss": (lambda: nn.MSELoss(), ROWS[::-1].copy()),
}
CONTAINERS = {"Module", "ModuleList", "Sequential"}
OPTIMIZERS = {
    "SGD": lambda parameters: tt.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    "AdamW": lambda parameters: tt.optim.AdamW(parameters, lr=0.01),
}


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself."""

    def __init__(self):
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0]


@pytest.fixture(autouse=True)
def _on_the_mock():
    tt.set_device("mock")
    yield
    tt.set_device("cpu")


def classes_of(module, base):
    return {
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, base)
    }


def test_every_layer_and_optimizer_is_here():
    assert classes_of(nn, nn.Module) - CONTAINERS == LAYERS.keys() | LOSSES.keys()
    assert classes_of(tt.optim, tt.optim.Optimizer) - {"Optimizer"} == OPTIMIZERS.keys()


def train(model, loss, inputs, targets, optimizer):
    """Make two steps, and return the copies to the device in each."""
    copies = []
    for _ in range(2):
        with mock.record() as ledger, mock.forbid_sync():
            batch = tt.to_device((inputs,) if targets is None else (inputs, targets))
            output = model(batch[0])
            total = (output * output).sum() if targets is None else loss(output, batch[1])
            optimizer.zero_grad()
            total.backward()
            tt.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        assert not ledger.waits, ledger.waits
        copies.append(ledger.copies_to_device)
    return copies


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_trains(name, optimizer):
    make, inputs = LAYERS[name]
    model = nn.Sequential(make(), nn.Linear(4, 2))
    made = OPTIMIZERS[optimizer](list(model.parameters()))
    assert train(model, None, inputs, None, made) == [1, 1]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_trains(name, optimizer):
    make, targets = LOSSES[name]
    model = nn.Linear(4, 4)
    made = OPTIMIZERS[optimizer](list(model.parameters()))
    assert train(model, make(), ROWS, targets, made) == [2, 2]


def test_evaluation_waits_only_for_what_it_reads():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).eval()
    batch = tt.from_numpy(ROWS)
    with mock.record() as ledger, mock.forbid_sync(), tt.no_grad():
        model(batch).cpu()
    assert (ledger.copies_to_host, ledger.waits.total()) == (1, 1)
