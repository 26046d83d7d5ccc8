"""Input that does not fit a layer: the error names the layer, what came, and what is wanted."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain import nn
from tinytrain.nn import functional as F

pytestmark = pytest.mark.usefixtures("device")

X = np.zeros((2, 4), np.float32)


def targets():
    return tt.tensor([0, 1])


def message_of(call):
    """Everything that a user would read: the message and its notes."""
    with pytest.raises((TypeError, ValueError, IndexError)) as caught:
        call()
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


CASES = {
    # wrong sizes
    "linear": (lambda: nn.Linear(4, 3)(tt.zeros(2, 5)), ["4 features", "got 5", "(2, 5)"]),
    "linear, 0-d": (lambda: nn.Linear(4, 3)(tt.tensor(1.0)), ["4 features", "0-d"]),
    "layer norm": (lambda: nn.LayerNorm(4)(tt.zeros(2, 5)), ["(4,)", "(2, 5)"]),
    "layer norm, one axis": (lambda: nn.LayerNorm((2, 4))(tt.zeros(4)), ["(2, 4)", "(4,)"]),
    "batch norm": (lambda: nn.BatchNorm1d(4)(tt.zeros(2, 5)), ["(N, 4)", "(2, 5)"]),
    "batch norm, one axis": (lambda: nn.BatchNorm1d(4)(tt.zeros(4)), ["(N, 4)", "(4,)"]),
    "batch norm, four axes": (lambda: nn.BatchNorm1d(4)(tt.zeros(2, 4, 1, 1)), ["(N, 4, L)"]),
    "batch norm statistics": (
        lambda: F.batch_norm(tt.zeros(2, 4), tt.zeros(3), tt.ones(3)),
        ["running_mean has shape (3,)", "(2, 4)"],
    ),
    "cross-entropy": (
        lambda: nn.CrossEntropyLoss()(tt.zeros(3, 4), targets()),
        ["(N, C)", "(3, 4)", "(2,)"],
    ),
    "cross-entropy, more axes": (
        lambda: nn.CrossEntropyLoss()(tt.zeros(2, 4, 3), targets()),
        ["(N, C, ...)", "(2, 4, 3)", "(2,)"],
    ),
    "cross-entropy, one item": (
        lambda: nn.CrossEntropyLoss()(tt.zeros(4), targets()),
        ["(C,)", "(4,)", "(2,)"],
    ),
    "cross-entropy, no axis": (
        lambda: nn.CrossEntropyLoss()(tt.tensor(1.0), tt.tensor(0)),
        ["(N, C, ...)", "()"],
    ),
    "squared error": (
        lambda: nn.MSELoss()(tt.zeros(2, 1), tt.zeros(2)),
        ["(2, 1)", "(2,)", "make them equal"],
    ),
    # wrong dtypes
    "linear, float64": (
        lambda: nn.Linear(4, 3)(tt.tensor(X).double()),
        ["input is float64", "weight is float32", ".to("],
    ),
    "linear, integers": (
        lambda: nn.Linear(4, 3)(tt.tensor(X).long()),
        ["int64", "float32", ".to("],
    ),
    "layer norm, float64": (
        lambda: nn.LayerNorm(4)(tt.tensor(X).double()),
        ["float64", "float32", ".to("],
    ),
    "layer norm, integers": (
        lambda: nn.LayerNorm(4)(tt.tensor(X).long()),
        ["floating-point", "int64"],
    ),
    "batch norm, float64": (
        lambda: nn.BatchNorm1d(4)(tt.tensor(X).double()),
        ["float64", "float32", ".to("],
    ),
    "batch norm, float64, no parameters": (
        lambda: nn.BatchNorm1d(4, affine=False)(tt.tensor(X).double()),
        ["float64", "float32", ".to("],
    ),
    "batch norm, integers, nothing kept": (
        lambda: nn.BatchNorm1d(4, affine=False, track_running_stats=False)(tt.tensor(X).long()),
        ["floating-point", "int64"],
    ),
    "batch norm as a function, float64": (
        lambda: F.batch_norm(tt.tensor(X).double(), tt.zeros(4), tt.ones(4), training=True),
        ["float64", "running_mean is float32", ".to("],
    ),
    "embedding, floats": (lambda: nn.Embedding(4, 3)(tt.tensor(X)), ["integers", "float32"]),
    "embedding, booleans": (lambda: nn.Embedding(4, 3)(tt.tensor([True])), ["integers", "bool"]),
    "embedding, out of range": (
        lambda: nn.Embedding(4, 3)(tt.tensor([[0, 4]])),
        ["id 4", "(0, 1)", "0 to 3"],
    ),
    "embedding, negative": (lambda: nn.Embedding(4, 3)(tt.tensor([-1])), ["id -1", "0 to 3"]),
    "gelu, integers": (lambda: nn.GELU()(tt.tensor([1])), ["floating-point", "int64"]),
    "dropout, integers": (lambda: nn.Dropout()(tt.tensor([1])), ["floating-point", "int64"]),
    "dropout, integers, evaluated": (
        lambda: nn.Dropout().eval()(tt.tensor([1])),
        ["floating-point", "int64"],
    ),
    "cross-entropy, integers": (
        lambda: nn.CrossEntropyLoss()(tt.zeros(2, 4).long(), targets()),
        ["floating-point", "int64"],
    ),
    "cross-entropy, float targets": (
        lambda: nn.CrossEntropyLoss()(tt.zeros(2, 4), tt.zeros(2)),
        ["integer class targets", "float32"],
    ),
    "squared error, two dtypes": (
        lambda: nn.MSELoss()(tt.zeros(2), tt.zeros(2).double()),
        ["float32", "float64", ".to("],
    ),
    "squared error, integers": (
        lambda: nn.MSELoss()(tt.zeros(2).long(), tt.zeros(2).long()),
        ["int64", "floating-point"],
    ),
    # settings that do not exist
    "gelu form": (lambda: nn.GELU("fast")(tt.zeros(1)), ["'none' or 'tanh'", "'fast'"]),
    "reduction": (
        lambda: nn.CrossEntropyLoss(reduction="avg")(tt.zeros(2, 4), targets()),
        ["mean, sum, none", "'avg'"],
    ),
    "reduction of squares": (
        lambda: nn.MSELoss(reduction="avg")(tt.zeros(2), tt.zeros(2)),
        ["mean, sum, none", "'avg'"],
    ),
    "smoothing": (
        lambda: nn.CrossEntropyLoss(label_smoothing=1.5)(tt.zeros(2, 4), targets()),
        ["0 to 1", "1.5"],
    ),
    "softmax axis": (lambda: F.softmax(tt.zeros(2, 4), 2), ["2", "in operation Softmax"]),
}

LAYERS = [
    "Linear",
    "LayerNorm",
    "BatchNorm1d",
    "CrossEntropyLoss",
    "MSELoss",
    "Embedding",
    "GELU",
    "Dropout",
]


@pytest.mark.parametrize("case", CASES)
def test_the_message_says_what_came_and_what_is_wanted(case):
    call, words = CASES[case]
    message = message_of(call)
    for word in words:
        assert word in message, message
    named = [name for name in LAYERS if f"in layer {name}(" in message]
    assert named or "batch_norm" in message or "operation" in message, message


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(4, 3),
        nn.LayerNorm(4),
        nn.BatchNorm1d(4),
        nn.GELU(),
        nn.ReLU(),
        nn.Tanh(),
        nn.Sigmoid(),
        nn.Dropout(),
        nn.Dropout().eval(),
        nn.Sequential(nn.Linear(4, 3)),
        nn.Embedding(4, 3),
        lambda x: nn.CrossEntropyLoss()(x, np.zeros(2, np.int64)),
        lambda x: nn.MSELoss()(x, x),
        lambda x: nn.MSELoss()(tt.tensor(x), x),
        lambda x: F.softmax(x, 1),
        lambda x: F.log_softmax(x, 1),
    ],
)
def test_a_bare_array_is_refused_with_the_way_to_wrap_it(device, layer):
    if isinstance(layer, nn.Module):
        layer.to(device)
    message = message_of(lambda: layer(X))
    assert "bare ndarray" in message
    assert "tt.tensor(...)" in message


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Linear(0, 3), "Linear needs positive sizes, got 0 -> 3"),
        (lambda: nn.Linear(3, 0), "Linear needs positive sizes, got 3 -> 0"),
        (lambda: nn.Linear(3, -1), "got 3 -> -1"),
        (lambda: nn.Embedding(0, 3), "Embedding needs positive sizes, got 0 rows of 3"),
        (lambda: nn.Embedding(3, -1), "got 3 rows of -1"),
    ],
)
def test_sizes_are_positive(make, words):
    assert words in message_of(make)


def test_nothing_is_changed_by_a_refused_input():
    layer = nn.BatchNorm1d(4, affine=False)
    before = layer.state_dict()
    for wrong in (tt.zeros(2, 5), tt.tensor(X).double(), tt.zeros(1, 4)):
        message_of(lambda wrong=wrong: layer(wrong))
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(host(value), host(before[name]))
