"""Recurrent layers: fused and composed are one, directions mirror each other, errors are clear."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytrain as tt
from tests.nn.comparison import assert_close, assert_twins, numbers
from tinytrain import nn
from tinytrain.nn import functional as F

on_every_device = pytest.mark.usefixtures("device")


def inputs(gates, steps, batch, size, states=1, projected=0):
    rows = projected or size
    first = [numbers(steps, batch, gates * size), numbers(batch, rows, seed=1)]
    if states == 2:
        first.append(numbers(batch, size, seed=2))
    last = [numbers(gates * size, rows, seed=3), numbers(gates * size, seed=4)]
    return first + last + ([numbers(projected, size, seed=5)] if projected else [])


@given(
    steps=st.integers(1, 5), batch=st.integers(0, 3), size=st.integers(1, 4), reverse=st.booleans()
)
@settings(max_examples=25, deadline=None)
def test_fused_and_composed_are_one(steps, batch, size, reverse):
    sizes = (steps, batch, size)
    for nonlinearity in ("tanh", "relu"):
        assert_twins(
            lambda *x, f=nonlinearity: F.rnn_recurrence(*x, f, reverse),
            lambda *x, f=nonlinearity: F.rnn_recurrence_simple(*x, f, reverse),
            *inputs(1, *sizes),
        )
    assert_twins(
        lambda *x: F.gru_recurrence(*x, reverse),
        lambda *x: F.gru_recurrence_simple(*x, reverse),
        *inputs(3, *sizes),
    )
    for projected in (0, size):
        assert_twins(
            lambda *x: F.lstm_recurrence(*x, reverse=reverse),
            lambda *x: F.lstm_recurrence_simple(*x, reverse=reverse),
            *inputs(4, *sizes, states=2, projected=projected),
        )


@on_every_device
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_the_second_direction_is_the_first_on_the_reversed_input(kind):
    both, one = kind(2, 3, bidirectional=True), kind(2, 3)
    state = both.state_dict()
    one.load_state_dict({name: state[f"{name}_reverse"] for name in one.state_dict()})
    x = tt.tensor(numbers(5, 2, 2), dtype="float32")
    backwards = both(x)[0][:, :, 3:]
    assert_close(backwards.cpu().data, one(x.flip(0))[0].flip(0).cpu().data, 1e-6)


@on_every_device
@pytest.mark.parametrize(("layer", "cell"), [("RNN", "RNNCell"), ("GRU", "GRUCell")])
def test_a_layer_is_its_cell_repeated(layer, cell):
    layer, cell = getattr(nn, layer)(2, 3), getattr(nn, cell)(2, 3)
    cell.load_state_dict({n.removesuffix("_l0"): v for n, v in layer.state_dict().items()})
    x, state = tt.tensor(numbers(4, 2, 2), dtype="float32"), None
    for step in x:
        state = cell(step, state)
    assert_close(layer(x)[1][0].cpu().data, state.cpu().data, 1e-6)


def test_dropout_lies_between_the_layers_in_training_only():
    layer = nn.GRU(2, 8, num_layers=2, dropout=0.5)
    x = tt.randn(5, 2, 2)
    assert layer(x)[0].tolist() != layer(x)[0].tolist()
    layer.eval()
    assert layer(x)[0].tolist() == layer(x)[0].tolist()


def test_dropout_of_one_layer_is_worth_a_warning():
    with pytest.warns(UserWarning, match="there is only one"):
        nn.LSTM(2, 3, dropout=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.RNN(0, 3), "input_size 0"),
        (lambda: nn.GRU(2, 3, 0), "num_layers 0"),
        (lambda: nn.RNN(2, 3, nonlinearity="gelu"), "'tanh' or 'relu'"),
        (lambda: nn.LSTM(2, 3, 2, dropout=1.5), "0 to 1, got 1.5"),
        (lambda: nn.LSTM(2, 3, proj_size=3), "0 to hidden_size - 1 = 2, got 3"),
        (lambda: nn.GRUCell(2, 0), "positive sizes"),
        (lambda: nn.RNNCell(2, 3, nonlinearity="gelu"), "'tanh' or 'relu'"),
        (lambda: nn.RNN(2, 3)(tt.ones(5, 1, 4)), r"I = 2, got \(5, 1, 4\)"),
        (lambda: nn.RNN(2, 3)(tt.ones(2)), r"got \(2,\)"),
        (lambda: nn.GRU(2, 3, batch_first=True)(tt.ones(5, 0, 2)), "at least one step"),
        (lambda: nn.GRU(2, 3)(tt.ones(0, 2)), "at least one step"),
        (lambda: nn.GRU(2, 3)(tt.ones(5, 1, 2), tt.ones(1, 3)), r"\(1, 1, 3\).*got \(1, 3\)"),
        (lambda: nn.GRU(2, 3)(tt.ones(5, 2), tt.ones(1, 1, 3)), "without a batch axis"),
        (lambda: nn.LSTM(2, 3)(tt.ones(5, 1, 2), tt.ones(1, 1, 3)), r"\(1, 1, 3\), \(1, 1, 3\)"),
        (lambda: nn.LSTMCell(2, 3)(tt.ones(5, 3)), r"\(N, 2\) or \(2,\), got \(5, 3\)"),
        (lambda: nn.GRUCell(2, 3)(tt.ones(5, 2), tt.ones(4, 3)), r"states \(5, 3\)"),
        (
            lambda: F.lstm_recurrence(tt.ones(2, 1, 8), *[tt.ones(1, 2)] * 2, tt.ones(8, 3)),
            r"hidden state must be \(1, 3\)",
        ),
        (
            lambda: F.lstm_recurrence(
                tt.ones(2, 1, 8), tt.ones(1, 3), tt.ones(1, 2), tt.ones(8, 3)
            ),
            "not 4 x 3 wide",
        ),
        (
            lambda: F.gru_recurrence(tt.ones(1, 6), tt.ones(1, 2), tt.ones(6, 2)),
            r"needs gates \(L, N, 3 H\)",
        ),
    ],
)
def test_what_does_not_fit_is_an_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_another_dtype_is_an_error():
    with pytest.raises(TypeError, match="float64"):
        nn.GRU(2, 3)(tt.ones(5, 1, 2), tt.ones(1, 1, 3, dtype="float64"))
    with pytest.raises(TypeError, match="floating-point"):
        F.rnn_recurrence(tt.ones(1, 1, 2, dtype="int64"), tt.ones(1, 2), tt.ones(2, 2))
