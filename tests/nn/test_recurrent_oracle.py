"""Recurrent layers and cells against PyTorch's, in float64: outputs, states and all gradients."""

import itertools

import pytest

import tinytrain as tt
from tests.nn.comparison import assert_like_torch, assert_same_state, copy_state, numbers

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("torch_on_one_thread", "device")]

STEPS, BATCH, WIDTH, SIZE = 4, 3, 2, 3
KINDS = {
    "RNN": {},
    "RNN with relu": {"nonlinearity": "relu"},
    "GRU": {},
    "LSTM": {},
    "LSTM projected": {"proj_size": 2},
}


class Flat:
    """A layer whose outputs and states are one tuple, and states are arguments of their own."""

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, x, *states):
        pair = "LSTM" in type(self.layer).__name__
        outputs = self.layer(x, *([states] if pair and states else states))
        flat = []
        for output in outputs if isinstance(outputs, tuple) else (outputs,):
            flat += output if isinstance(output, tuple) else [output]
        return tuple(flat)


def compare(name, *arrays, settings, sizes=(WIDTH, SIZE)):
    ours = getattr(tt.nn, name)(*sizes, **settings)
    theirs = getattr(torch.nn, name)(*sizes, **settings)
    copy_state(ours, theirs)
    assert_like_torch(Flat(ours), Flat(theirs), *arrays)
    assert_same_state(ours, theirs, 1e-10)


def states_of(kind, layers, directions, batch):
    count = layers * directions
    rows = KINDS[kind].get("proj_size", SIZE)
    hidden = numbers(count, *batch, rows, seed=1)
    return [hidden, numbers(count, *batch, SIZE, seed=2)] if "LSTM" in kind else [hidden]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_every_option(kind, bidirectional, bias):
    """Each with and without a batch axis, initial states, several layers."""
    options = itertools.product((1, 2), (False, True), (False, True), (False, True))
    for layers, batch_first, batched, given in options:
        settings = {**KINDS[kind], "num_layers": layers, "bias": bias}
        settings |= {"bidirectional": bidirectional, "batch_first": batch_first}
        shape = (BATCH, STEPS) if batch_first else (STEPS, BATCH)
        x = numbers(*(shape if batched else (STEPS,)), WIDTH)
        batch = (BATCH,) if batched else ()
        states = states_of(kind, layers, 1 + bidirectional, batch) if given else []
        compare(kind.partition(" ")[0], x, *states, settings=settings)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_off_in_evaluation_and_kills_all_at_one(kind):
    name = kind.partition(" ")[0]
    settings = {**KINDS[kind], "num_layers": 2}
    for dropout, training in ((0.5, False), (1.0, True)):
        ours = getattr(tt.nn, name)(WIDTH, SIZE, dropout=dropout, **settings).train(training)
        theirs = getattr(torch.nn, name)(WIDTH, SIZE, dropout=dropout, **settings).train(training)
        copy_state(ours, theirs)
        assert_like_torch(Flat(ours), Flat(theirs), numbers(STEPS, BATCH, WIDTH))


@pytest.mark.parametrize("name", ["RNNCell", "GRUCell", "LSTMCell"])
@pytest.mark.parametrize("batch", [(), (1,), (BATCH,)])
@pytest.mark.parametrize("bias", [False, True])
def test_cells(name, batch, bias):
    kinds = [{}, {"nonlinearity": "relu"}] if name == "RNNCell" else [{}]
    states = [numbers(*batch, SIZE, seed=s) for s in range(2 if name == "LSTMCell" else 1)]
    for settings in kinds:
        for given in ([], states):
            compare(name, numbers(*batch, WIDTH), *given, settings={"bias": bias, **settings})
