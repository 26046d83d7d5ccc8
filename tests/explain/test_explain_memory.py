"""Where memory goes: the arithmetic by layer, and the prediction against tracemalloc (A12)."""

import tracemalloc

import numpy as np
import pytest
from device_helpers import host

import tinytrain as tt
from tinytrain import nn
from tinytrain.autograd import watchers
from tinytrain.models import GPT, MLP, GPTConfig, classification_loss, language_model_loss


def rows(count, width):
    return np.ones((count, width), dtype=np.float32), np.zeros(count, dtype=np.int64)


def packed(count, length):
    sequences = [np.arange(length + 1 - i % 3) % 60 for i in range(count)]
    return tt.data.pad_collate(sequences)


def gpt(**settings):
    sizes = {"vocab_size": 65, "context_length": 65, "num_layers": 2, "embed_dim": 48}
    return GPT(GPTConfig(**{**sizes, **settings}))


class Sequences(nn.Module):
    """A recurrent layer, and a linear one on the mean of its outputs."""

    def __init__(self, recurrent, width=32):
        self.recurrent, self.last = recurrent(16, width, batch_first=True), nn.Linear(width, 10)

    def forward(self, x):
        return self.last(self.recurrent(x)[0].mean(1))


def images(count, channels=1, size=28):
    return np.ones((count, channels, size, size), np.float32), np.zeros(count, np.int64)


def steps(count, length=20):
    return np.ones((count, length, 16), np.float32), np.zeros(count, np.int64)


def cnn(norm=False, channels=8):
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        *([nn.BatchNorm2d(channels)] if norm else []),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 49, 10),
    )


CASES = {
    "cnn": (cnn, classification_loss, images(32)),
    "cnn, many rows": (lambda: cnn(channels=24), classification_loss, images(128)),
    "cnn, batch norm": (lambda: cnn(True), classification_loss, images(32)),
    "rnn": (lambda: Sequences(nn.RNN), classification_loss, steps(64, 40)),
    "lstm": (lambda: Sequences(nn.LSTM), classification_loss, steps(32)),
    "lstm, long": (lambda: Sequences(nn.LSTM, 64), classification_loss, steps(16, 100)),
    "gru": (lambda: Sequences(nn.GRU), classification_loss, steps(32)),
    "gru, long": (lambda: Sequences(nn.GRU, 64), classification_loss, steps(16, 100)),
    "mlp": (lambda: MLP([64, 256, 256, 10]), classification_loss, rows(256, 64)),
    "mlp, batch norm": (lambda: MLP([64, 128, 10], True), classification_loss, rows(256, 64)),
    "mlp, few rows": (lambda: MLP([64, 256, 256, 10]), classification_loss, rows(16, 64)),
    "mlp, dropout": (lambda: MLP([64, 128, 10], dropout=0.2), classification_loss, rows(256, 64)),
    "gpt": (gpt, language_model_loss, packed(4, 64)),
    "gpt, dropout": (lambda: gpt(dropout=0.1), language_model_loss, packed(4, 64)),
    "gpt, tiles": (lambda: gpt(tiled_attention=True), language_model_loss, packed(4, 64)),
    "gpt, checkpoints": (
        lambda: gpt(checkpoint_blocks=True),
        language_model_loss,
        packed(4, 64),
    ),
    "gpt, many tokens": (
        lambda: gpt(vocab_size=2000, num_layers=1),
        language_model_loss,
        packed(4, 64),
    ),
}


def peak_of_training(make, loss_function, batch):
    """Return what tracemalloc says of model, optimizer, batch and the third step, and the rest."""
    loss_function(make(), tt.to_device(batch))[0].backward()  # what is made once is made now
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        model = make()
        optimizer = tt.optim.AdamW(model.parameters())
        fields = batch if isinstance(batch, tuple) else vars(batch).values()
        size = sum(v.nbytes for v in fields if isinstance(v, np.ndarray))
        for step in range(3):
            if step == 2:
                tracemalloc.reset_peak()
            optimizer.zero_grad()
            loss_sum, _ = loss_function(model, tt.to_device(batch))
            loss_sum.backward()
            del loss_sum
            optimizer.step()
        return tracemalloc.get_traced_memory()[1] - before + size, model, optimizer
    finally:
        tracemalloc.stop()


QUICK = ("mlp", "gpt", "cnn", "lstm")  # tracemalloc takes its time


@pytest.mark.parametrize(
    "name", [c if c in QUICK else pytest.param(c, marks=pytest.mark.slow) for c in CASES]
)
def test_the_prediction_is_within_a_tenth_of_the_measured_peak(name):
    make, loss_function, batch = CASES[name]
    tt.manual_seed(0)
    peak, model, optimizer = peak_of_training(make, loss_function, batch)
    report = tt.explain.memory(model, batch, loss_function, optimizer)
    assert report.predicted == pytest.approx(peak, rel=0.1)
    assert report.predicted == pytest.approx(report.measured, rel=0.1)
    assert report.measured == pytest.approx(peak, rel=0.03)


@pytest.mark.usefixtures("device")
def test_every_part_is_where_it_belongs():
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.BatchNorm1d(16), nn.Linear(16, 4))
    model[0].bias.requires_grad = False
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = tt.optim.SGD(trained, lr=0.1, momentum=0.9)
    report = tt.explain.memory(model, rows(32, 8), classification_loss, optimizer)
    found = {
        layer.layer: (layer.weights, layer.gradients, layer.state, layer.activations)
        for layer in report.layers
    }
    x, hidden, out = 4 * 32 * 8, 4 * 32 * 16, 4 * 32 * 4
    assert found == {
        "0": (4 * 144, 4 * 128, 4 * 128, 0),  # keeps the batch, which counts apart
        "1": (0, 0, 0, hidden),
        "2": (4 * 64 + 8, 4 * 32, 4 * 32, hidden + 3 * 4 * 16),  # and the statistics
        "3": (4 * 68, 4 * 68, 4 * 68, hidden),
        "(loss)": (0, 0, 0, out + 32),  # the slope, and which rows count
    }
    assert report.batch == x + 8 * 32
    assert report.total("activations") == sum(row[3] for row in found.values())


@pytest.mark.usefixtures("device")
def test_what_several_keep_counts_once():
    x = tt.ones(100, 10)

    class Twice(nn.Module):
        def __init__(self):
            self.first, self.second = nn.Linear(10, 10), nn.Linear(10, 10)

        def forward(self, x):
            h = (x * 2).exp()
            return self.first(h) + self.second(h.reshape(10, 10, 10)).reshape(100, 10)

    report = tt.explain.memory(Twice(), x)
    assert report.batch == 4000
    found = {layer.layer: layer.activations for layer in report.layers}
    assert found == {"Twice": 0, "first": 4000, "second": 0, "(loss)": 0}
    x.requires_grad = True
    report = tt.explain.memory(Twice(), x)
    found = {layer.layer: layer.activations for layer in report.layers}
    assert found == {"Twice": 4000, "first": 0, "second": 0, "(loss)": 0}


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("measure", [False, True])
def test_everything_is_put_back(measure):
    model = MLP([6, 8, 3], batch_norm=True, dropout=0.3)
    optimizer = tt.optim.AdamW(model.parameters())
    states = model.state_dict(), optimizer.state_dict(), tt.default_generator().get_state()
    report = tt.explain.memory(model, rows(5, 6), classification_loss, optimizer, measure=measure)
    assert (report.measured is not None) == measure
    assert ("measured" in str(report)) == measure
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(host(value), host(states[0][name]))
    assert (optimizer.state_dict(), tt.default_generator().get_state()) == states[1:]
    assert all(p.grad is None for p in model.parameters())
    assert watchers() == ()
    assert not tracemalloc.is_tracing()


def test_a_model_that_is_not_trained_is_refused():
    model = nn.Linear(3, 2).requires_grad_(False)
    with pytest.raises(ValueError, match="requires no gradient"):
        tt.explain.memory(model, tt.ones(2, 3))
    assert watchers() == ()


def test_tracing_that_is_on_stays_on():
    tracemalloc.start()
    try:
        tt.explain.memory(nn.Linear(3, 2), tt.ones(2, 3))
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_a_part_of_a_model_is_not_charged_for_the_rest():
    model = nn.Sequential(nn.Linear(64, 500), nn.Linear(500, 10))
    optimizer = tt.optim.AdamW(model.parameters())
    with pytest.raises(ValueError, match="2 parameters that are not this model's"):
        tt.explain.memory(model[1], tt.ones(8, 500), optimizer=optimizer)
    part = tt.explain.memory(model[1], tt.ones(8, 500))
    alone = tt.explain.memory(nn.Linear(500, 10), tt.ones(8, 500))
    assert part.predicted == alone.predicted
    assert part.measured == pytest.approx(alone.measured, rel=0.02)
