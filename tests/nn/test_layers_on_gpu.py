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

SIGNALS = np.linspace(-1, 1, 48, dtype=np.float32).reshape(2, 4, 6)
IMAGES = np.linspace(-1, 1, 96, dtype=np.float32).reshape(2, 3, 4, 4)
SHARES = np.linspace(0.05, 0.95, 24, dtype=np.float32).reshape(6, 4)

ELEMENTWISE = {
    name: (getattr(nn, name), ROWS)
    for name in (
        "ELU", "GELU", "Hardtanh", "Identity", "LeakyReLU", "LogSigmoid", "ReLU", "ReLU6", "SiLU",
        "Sigmoid", "Softplus", "Tanh",
    )
}  # fmt: skip
LAYERS = ELEMENTWISE | {
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(4), SIGNALS),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((2, 4)), IMAGES),
    "AvgPool1d": (lambda: nn.AvgPool1d(3, stride=1), SIGNALS),
    "AvgPool2d": (lambda: nn.AvgPool2d(3, stride=1, padding=1), IMAGES),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), ROWS),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3, momentum=None), IMAGES),
    "CausalSelfAttention": (lambda: nn.CausalSelfAttention(4, 2, 0.1), SEQUENCES),
    "Conv1d": (lambda: nn.Conv1d(4, 2, 3), SIGNALS),
    "Conv2d": (lambda: nn.Conv2d(3, 2, 3, padding="same"), IMAGES),
    "Dropout": (lambda: nn.Dropout(0.5), ROWS),
    "Dropout1d": (lambda: nn.Dropout1d(0.5), SIGNALS[:, :, :4].copy()),
    "CircularPad1d": (
        lambda: nn.Sequential(nn.CircularPad1d(1), nn.MaxPool1d(3, 1)),
        SIGNALS[:, :, :4].copy(),
    ),
    "CircularPad2d": (lambda: nn.Sequential(nn.CircularPad2d(1), nn.MaxPool2d(3, 1)), IMAGES),
    "ConstantPad1d": (
        lambda: nn.Sequential(nn.ConstantPad1d(1, 0.5), nn.MaxPool1d(3, 1)),
        SIGNALS[:, :, :4].copy(),
    ),
    "ConstantPad2d": (lambda: nn.Sequential(nn.ConstantPad2d(1, 0.5), nn.MaxPool2d(3, 1)), IMAGES),
    "ReflectionPad1d": (
        lambda: nn.Sequential(nn.ReflectionPad1d(1), nn.MaxPool1d(3, 1)),
        SIGNALS[:, :, :4].copy(),
    ),
    "ReflectionPad2d": (lambda: nn.Sequential(nn.ReflectionPad2d(1), nn.MaxPool2d(3, 1)), IMAGES),
    "ReplicationPad1d": (
        lambda: nn.Sequential(nn.ReplicationPad1d(1), nn.MaxPool1d(3, 1)),
        SIGNALS[:, :, :4].copy(),
    ),
    "ReplicationPad2d": (lambda: nn.Sequential(nn.ReplicationPad2d(1), nn.MaxPool2d(3, 1)), IMAGES),
    "ZeroPad1d": (
        lambda: nn.Sequential(nn.ZeroPad1d(1), nn.MaxPool1d(3, 1)),
        SIGNALS[:, :, :4].copy(),
    ),
    "ZeroPad2d": (lambda: nn.Sequential(nn.ZeroPad2d(1), nn.MaxPool2d(3, 1)), IMAGES),
    "Dropout2d": (lambda: nn.Dropout2d(0.5), IMAGES),
    "Embedding": (lambda: nn.Embedding(5, 4, padding_idx=4), IDS),
    "Flatten": (lambda: nn.Flatten(0, 2), IMAGES),
    "GroupNorm": (lambda: nn.GroupNorm(1, 3), IMAGES),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(4), SIGNALS[:, :, :4].copy()),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(3, affine=True), IMAGES),
    "GRU": (lambda: FirstOutput(nn.GRU(4, 2, bidirectional=True)), SEQUENCES),
    "GRUCell": (lambda: nn.GRUCell(4, 4), ROWS),
    "LSTM": (lambda: FirstOutput(nn.LSTM(4, 4, 2, dropout=0.1)), SEQUENCES),
    "LSTMCell": (lambda: FirstOutput(nn.LSTMCell(4, 4)), ROWS),
    "LayerNorm": (lambda: nn.LayerNorm(4), ROWS),
    "Linear": (lambda: nn.Linear(4, 4), ROWS),
    "LogSoftmax": (lambda: nn.LogSoftmax(-1), ROWS),
    "MaxPool1d": (lambda: nn.MaxPool1d(3, stride=1), SIGNALS),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, stride=1, padding=1), IMAGES),
    "MultiheadAttention": (lambda: SelfAttention(), SEQUENCES),
    "RMSNorm": (lambda: nn.RMSNorm(4), ROWS),
    "Softmax": (lambda: nn.Softmax(-1), ROWS),
    "Unflatten": (lambda: nn.Unflatten(0, (2, 3)), ROWS),
    "RNN": (lambda: FirstOutput(nn.RNN(4, 4, batch_first=True)), SEQUENCES),
    "RNNCell": (lambda: nn.RNNCell(4, 4), ROWS),
    "TransformerEncoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 2),
        SEQUENCES,
    ),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(4, 2, 8), SEQUENCES),
}
LOSSES = {
    "BCELoss": (lambda: nn.Sequential(nn.Sigmoid()), nn.BCELoss, SHARES),
    "BCEWithLogitsLoss": (nn.Identity, nn.BCEWithLogitsLoss, SHARES),
    "CrossEntropyLoss": (nn.Identity, lambda: nn.CrossEntropyLoss(label_smoothing=0.1), CLASSES),
    "HuberLoss": (nn.Identity, nn.HuberLoss, ROWS[::-1].copy()),
    "KLDivLoss": (lambda: nn.LogSoftmax(-1), lambda: nn.KLDivLoss(reduction="batchmean"), SHARES),
    "L1Loss": (nn.Identity, nn.L1Loss, ROWS[::-1].copy()),
    "MSELoss": (nn.Identity, nn.MSELoss, ROWS[::-1].copy()),
    "NLLLoss": (lambda: nn.LogSoftmax(-1), nn.NLLLoss, CLASSES),
    "SmoothL1Loss": (nn.Identity, nn.SmoothL1Loss, ROWS[::-1].copy()),
}
CONTAINERS = {
    "Module",
    "ModuleDict",
    "ModuleList",
    "ParameterDict",
    "ParameterList",
    "Sequential",
}
OPTIMIZERS = {
    "Adagrad": lambda parameters: tt.optim.Adagrad(parameters, lr=0.1, weight_decay=0.01),
    "Adam": lambda parameters: tt.optim.Adam(parameters, lr=0.01, amsgrad=True, weight_decay=0.01),
    "AdamW": lambda parameters: tt.optim.AdamW(parameters, lr=0.01),
    "Lion": lambda parameters: tt.optim.Lion(parameters, lr=0.01, weight_decay=0.01),
    "RMSprop": lambda parameters: tt.optim.RMSprop(parameters, momentum=0.9, centered=True),
    "SGD": lambda parameters: tt.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
}
SOME_OPTIMIZERS = ("AdamW", "SGD")


class FirstOutput(nn.Module):
    """A layer that returns states beside its output, which are left out."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


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


@pytest.mark.parametrize("optimizer", SOME_OPTIMIZERS)
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_trains(name, optimizer):
    make, inputs = LAYERS[name]
    model = nn.Sequential(make(), nn.Linear(4, 2))
    made = OPTIMIZERS[optimizer](list(model.parameters()))
    assert train(model, None, inputs, None, made) == [1, 1]


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_trains(name):
    last_layer, make, targets = LOSSES[name]
    model = nn.Sequential(nn.Linear(4, 4), last_layer())
    made = tt.optim.SGD(list(model.parameters()), lr=0.1)
    assert train(model, make(), ROWS, targets, made) == [2, 2]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_steps(name):
    model = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))
    made = OPTIMIZERS[name](list(model.parameters()))
    assert train(model, None, ROWS, None, made) == [1, 1]


def test_evaluation_waits_only_for_what_it_reads():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).eval()
    batch = tt.from_numpy(ROWS)
    with mock.record() as ledger, mock.forbid_sync(), tt.no_grad():
        model(batch).cpu()
    assert (ledger.copies_to_host, ledger.waits.total()) == (1, 1)
