"""What operations default to, and what their errors name."""

import inspect

import pytest

import tinytrain as tt
from tinytrain.nn import functional as F
from tinytrain.ops.activation import GELU
from tinytrain.ops.convolution import Convolution
from tinytrain.ops.huber import Huber
from tinytrain.ops.likelihood import NegativeLogLikelihood
from tinytrain.ops.logistic import Softplus
from tinytrain.ops.norm import Norm
from tinytrain.ops.normalization import BatchNorm, LayerNorm
from tinytrain.ops.one_hot import OneHot
from tinytrain.ops.order import Argsort
from tinytrain.ops.pooling import AvgPool, MaxPool
from tinytrain.ops.probability_loss import KLDivergence
from tinytrain.ops.rearrange import Diagonal, Tril
from tinytrain.ops.rectifier import ELU, Hardtanh, LeakyReLU
from tinytrain.ops.recurrent import LSTMRecurrence, RNNRecurrence
from tinytrain.ops.reduce import Sum
from tinytrain.ops.scatter import IndexAdd
from tinytrain.ops.shape import Cat, Stack

pytestmark = pytest.mark.usefixtures("device")

# ---------------------------------------------------------------- defaults

SAME_NAMES = [
    (AvgPool, F.avg_pool2d),
    (BatchNorm, F.batch_norm),
    (Convolution, F.conv2d),
    (ELU, F.elu),
    (GELU, F.gelu),
    (Huber, F.huber_loss),
    (IndexAdd, tt.index_add),
    (KLDivergence, F.kl_div),
    (LayerNorm, F.layer_norm),
    (LeakyReLU, F.leaky_relu),
    (MaxPool, F.max_pool2d),
    (NegativeLogLikelihood, F.cross_entropy),
    (OneHot, F.one_hot),
    (RNNRecurrence, F.rnn_recurrence),
    (Softplus, F.softplus),
    (Tril, tt.tril),
]
OTHER_NAMES = [
    (Argsort, tt.argsort, {"axis": "dim", "descending": "descending"}),
    (Cat, tt.cat, {"axis": "dim"}),
    (Diagonal, tt.diagonal, {"offset": "offset", "axis1": "dim1", "axis2": "dim2"}),
    (Hardtanh, F.hardtanh, {"low": "min_val", "high": "max_val"}),
    (Norm, tt.linalg.vector_norm, {"order": "ord", "axes": "dim", "keepdims": "keepdim"}),
    (Stack, tt.stack, {"axis": "dim"}),
    (Sum, tt.sum, {"axes": "dim", "keepdims": "keepdim"}),
]


def defaults(function):
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


@pytest.mark.parametrize("device", ["cpu"], indirect=True)
@pytest.mark.parametrize(
    ("operation", "function", "names"),
    [(o, f, {n: n for n in defaults(o).keys() & defaults(f).keys()}) for o, f in SAME_NAMES]
    + OTHER_NAMES,
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_operation_has_the_defaults_of_its_function(device, operation, function, names):
    assert names
    for own, other in names.items():
        assert defaults(operation)[own] == defaults(function)[other], own


# ---------------------------------------------------------------- what errors name


def image():
    return tt.ones(1, 1, 4, 4)


def integers():
    return tt.ones(2, 3, dtype="int64")


CASES = [
    (lambda: F.conv1d(tt.ones(1, 1, 2), tt.ones(1, 1, 5)), ValueError, "^conv1d: a kernel"),
    (lambda: F.max_pool1d(tt.ones(1, 1, 2), 5), ValueError, "^max_pool1d: a kernel"),
    (lambda: F.avg_pool2d(tt.ones(1, 1, 2), (1, 5)), ValueError, "^avg_pool2d: a kernel"),
    (lambda: F.adaptive_avg_pool1d(tt.ones(2), 3), ValueError, "^adaptive_avg_pool1d needs"),
    *(
        (
            lambda pool=pool, setting=setting, value=value: getattr(F, pool)(
                image(), **{"kernel_size": 2, setting: value}
            ),
            ValueError,
            f"^{pool}: {setting} ",
        )
        for pool, more in [("max_pool2d", {"dilation": 0}), ("avg_pool2d", {})]
        for setting, value in [*{"kernel_size": 0, "stride": 0, "padding": -1, **more}.items()]
    ),
    *(
        (
            lambda setting=setting, value=value: F.conv2d(image(), image(), **{setting: value}),
            ValueError,
            f"^conv2d: {setting} ",
        )
        for setting, value in [("stride", 0), ("padding", -1), ("dilation", 0), ("groups", 0)]
    ),
    *(
        (lambda name=name: getattr(F, name)(integers()), TypeError, f"^{name} ")
        for name in ("silu", "softplus", "logsigmoid", "leaky_relu", "elu")
    ),
    (lambda: F.rms_norm(tt.ones(2, 3), (3,), tt.ones(2)), ValueError, "^rms_norm"),
    (lambda: F.layer_norm(tt.ones(2, 3), (3,), tt.ones(2)), ValueError, "^layer_norm"),
]


@pytest.mark.parametrize(("call", "error", "words"), CASES)
def test_errors_begin_with_the_name_of_the_function(call, error, words):
    with pytest.raises(error, match=words):
        call()


STEPS, ROWS, SIZE, WIDTH = 2, 3, 4, 5
RIGHT = {
    "gates": (STEPS, ROWS, 4 * SIZE),
    "hidden state": (ROWS, WIDTH),
    "cell state": (ROWS, SIZE),
    "weight": (4 * SIZE, WIDTH),
    "bias": (4 * SIZE,),
    "projection": (WIDTH, SIZE),
}


def recurrence(changed):
    """Run an LSTM on tensors of ones, some of them of another shape or dtype."""
    inputs = {name: tt.ones(*shape) for name, shape in RIGHT.items()} | changed
    return LSTMRecurrence()(*(tensor.data for tensor in inputs.values()))


def test_a_recurrence_takes_arrays_that_fit():
    assert recurrence({}).shape == (STEPS, ROWS, WIDTH + SIZE)


@pytest.mark.parametrize("name", ["cell state", "bias", "projection"])
def test_a_recurrence_names_the_array_that_does_not_fit(name):
    wider = (*RIGHT[name][:-1], RIGHT[name][-1] + 1)
    with pytest.raises(ValueError, match=rf"the {name} must be \({RIGHT[name][0]},.*, got"):
        recurrence({name: tt.ones(*wider)})


@pytest.mark.parametrize("name", ["gates", "hidden state", "weight"])
def test_a_recurrence_tells_how_many_axes_it_wants(name):
    with pytest.raises(ValueError, match=r"needs gates \(L, N, 4 H\) of at least one step"):
        recurrence({name: tt.ones(1, *RIGHT[name])})


@pytest.mark.parametrize("name", list(RIGHT)[1:])
def test_a_recurrence_names_the_array_of_another_dtype(name):
    with pytest.raises(TypeError, match=f"the gates are float32 and the {name} int64"):
        recurrence({name: tt.ones(*RIGHT[name], dtype="int64")})


@pytest.mark.parametrize("device", ["cpu"], indirect=True)
@pytest.mark.parametrize("name", ["input", "target"])
def test_what_is_no_probability_is_named(device, name):
    """On the host alone: to look at values, a GPU would have to be waited for."""
    arguments = {"input": tt.ones(2), "target": tt.ones(2)}
    arguments[name] = tt.tensor([0.5, 1.5])
    with pytest.raises(ValueError, match=f"the {name} must lie between 0 and 1.*from 0.5 to 1.5"):
        F.binary_cross_entropy(**arguments)
