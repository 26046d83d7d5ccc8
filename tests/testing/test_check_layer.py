"""`check_layer`: right layers pass, and every planted fault is named in words."""

import random
import re
import warnings

import numpy as np
import pytest

import tinytrain as tt
from tinytrain import nn
from tinytrain.testing.check_layer import check_layer
from tinytrain.testing.errors import CheckError

X = np.random.default_rng(0).uniform(0.5, 2.0, (4, 3))
counter = [0]


class Scale(nn.Module):
    """z = x w + b; each class below differs from it in one place."""

    def __init__(self):
        self.weight = nn.Parameter(tt.rand(3) + 0.5)
        self.bias = nn.Parameter(tt.rand(3))

    def forward(self, x):
        return x * self.weight + self.bias


EVERYTHING = [
    "parameters",
    "instances",
    "modes",
    "batch sizes",
    "dtype",
    "gradients reach",
    "state dict",
    "gradient",
    "gradient in training",
    "repr",
    "global state",
    "mock GPU",
]


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (Scale, [X]),
        (nn.Linear(3, 2), [X]),
        (lambda: nn.LayerNorm(3), [tt.tensor(X)]),
        (lambda: nn.BatchNorm1d(3), [X]),
        (lambda: nn.Embedding(5, 2), [np.array([[0, 4], [1, 1]])]),
        (lambda: nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Dropout(0.5)), [X]),
        (lambda: nn.Dropout(0.5), [X]),
    ],
)
def test_right_layer_passes_every_check(make, inputs):
    expected = EVERYTHING
    if isinstance(make, nn.Module):
        expected = ["copies" if name == "instances" else name for name in EVERYTHING]
    assert check_layer(make, *inputs) == expected


def test_the_layer_is_left_alone():
    layer = Scale()
    before = layer.state_dict()
    layer.eval()
    check_layer(layer, X)
    assert not layer.training
    assert layer.weight.grad is None
    assert all((before[n].data == v.data).all() for n, v in layer.state_dict().items())


class PlainTensor(Scale):
    def __init__(self):
        super().__init__()
        self.shift = tt.ones(3)


class OtherOrder(nn.Module):
    def __init__(self):
        counter[0] += 1
        for name in ("a", "b") if counter[0] % 2 else ("b", "a"):
            setattr(self, name, nn.Parameter(tt.rand(3)))

    def forward(self, x):
        return x * self.a + self.b


class SwitchesItself(Scale):
    def forward(self, x):
        self.training = True
        return super().forward(x)


class AlwaysRandom(Scale):
    def forward(self, x):
        return nn.functional.dropout(super().forward(x), 0.5)


class LearnsInEvaluation(Scale):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", tt.zeros(3))

    def forward(self, x):
        self.mean.data[...] += 1.0
        return super().forward(x)


class WritesItsInput(Scale):
    def forward(self, x):
        x.data[...] = 0.0
        return super().forward(x)


class Forgotten(Scale):
    def forward(self, x):
        return x * self.weight


class Detached(Scale):
    def forward(self, x):
        return x * self.weight + self.bias.detach()


class HiddenState(Scale):
    def __init__(self):
        super().__init__()
        counter[0] += 1
        self.factor = float(counter[0])

    def forward(self, x):
        return super().forward(x) * self.factor


class Crooked(tt.Function):
    def forward(self, x):
        return x * 2

    def backward(self, gradient):
        return gradient * 3


class WrongGradient(Scale):
    def forward(self, x):
        return x * tt.apply(Crooked(), self.weight) + self.bias


class OddRepr(Scale):
    def __repr__(self):
        return "a scale"


class ChangesRandomState(Scale):
    def forward(self, x):
        tt.rand(2)
        return super().forward(x)


class ChangesNumpyRandomState(Scale):
    def forward(self, x):
        np.random.rand()
        return super().forward(x)


class ReadsValues(Scale):
    def forward(self, x):
        return super().forward(x) * (1.0 if x.sum() > -1e9 else 2.0)


class HostArray(Scale):
    def forward(self, x):
        return super().forward(x) + tt.Tensor(np.zeros(3, dtype=x.dtype))


class TensorsInATuple(Scale):
    def __init__(self):
        super().__init__()
        self.shifts = (tt.ones(3), tt.ones(3))

    def forward(self, x):
        return super().forward(x) + self.shifts[0]


class OfTheClass(Scale):
    factor = nn.Parameter(tt.ones(3))

    def forward(self, x):
        return super().forward(x) * self.factor


shared_factor = nn.Parameter(tt.ones(3))


class SharedParameter(Scale):
    def __init__(self):
        super().__init__()
        self.factor = shared_factor

    def forward(self, x):
        return super().forward(x) * self.factor


class SeedsInInit(Scale):
    def __init__(self):
        tt.manual_seed(0)
        super().__init__()


class SeedsNumpyInInit(Scale):
    def __init__(self):
        np.random.seed(0)
        super().__init__()


class RunningMeanAsNumber(Scale):
    def __init__(self):
        super().__init__()
        self.mean = 0.0

    def forward(self, x):
        if self.training:
            self.mean += 0.1 * (float(x.detach().mean()) - self.mean)
        return super().forward(x) - self.mean


class WrongGradientInTraining(Scale):
    def forward(self, x):
        weight = tt.apply(Crooked(), self.weight) if self.training else self.weight * 2
        return x * weight + self.bias


class DetachesInTraining(Scale):
    def forward(self, x):
        return super().forward(x.detach() if self.training else x)


class WritesItsInputInTraining(Scale):
    def forward(self, x):
        if self.training:
            x.data *= 1.5
        return super().forward(x)


class SeedsNumpyInTraining(Scale):
    def forward(self, x):
        if self.training:
            np.random.seed(0)
        return super().forward(x)


class SeedsInTraining(Scale):
    def forward(self, x):
        if self.training:
            tt.manual_seed(3)
        return super().forward(x)


class TimesZero(Scale):
    def forward(self, x):
        return x * self.weight + 0 * self.bias


class DoubleParameter(Scale):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(tt.ones(3, dtype=tt.float64))


class SharesTheLoadedArrays(Scale):
    def load_state_dict(self, state_dict, strict=True):
        for name, parameter in self.named_parameters():
            parameter.data = state_dict[name].data


class NotATensor(Scale):
    def forward(self, x):
        return {"x": x}


class SetsErrors(Scale):
    def forward(self, x):
        np.seterr(under="raise")
        return super().forward(x)


class SetsWarnings(Scale):
    def forward(self, x):
        warnings.simplefilter("ignore")
        return super().forward(x)


class SeedsPython(Scale):
    def forward(self, x):
        random.seed(0)
        return super().forward(x)


class DrawsFromPython(Scale):
    def forward(self, x):
        random.random()
        return super().forward(x)


class FourRows(Scale):
    def forward(self, x):
        return super().forward(x.reshape(4, 3))


class DependsOnTheSize(Scale):
    def forward(self, x):
        return super().forward(x) * (1.0 if len(x) == 4 else 2.0)


class CountsCalls(Scale):
    def forward(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return super().forward(x) * self.calls


FAULTS = [
    (SetsErrors, r"global state: train\(True\) .*changed np.errstate"),
    (SetsWarnings, r"global state: .*changed the filters of warnings"),
    (SeedsPython, r"global state: .*changed Python's random state"),
    (DrawsFromPython, r"global state: .*changed Python's random state"),
    (FourRows, r"batch sizes: with 5 instead of 4 rows .*raised ValueError.*batch_axis=None"),
    (DependsOnTheSize, r"batch sizes: output 0, .*5 instead of 4 rows .*depend on the batch"),
    (CountsCalls, r"modes: output 0, .*count no calls"),
    (PlainTensor, r"parameters: shift is a plain Tensor, .*register_buffer"),
    (OtherOrder, r"parameters: two instances have their parameters in other orders"),
    (SwitchesItself, r"modes: the layer has training=True after train\(False\)"),
    (AlwaysRandom, r"modes: output 0, .*draw random numbers in training only"),
    (LearnsInEvaluation, r"modes: mean, element .*must change no parameter and no buffer"),
    (WritesItsInput, r"modes: input 0, .*must not write into it"),
    (NotATensor, r"modes: the function returned a dict; return a Tensor"),
    (Forgotten, r"gradients reach: no gradient reaches parameter bias"),
    (Detached, r"gradients reach: no gradient reaches parameter bias"),
    (HiddenState, r"state dict: output 0, .*whatever decides the output is a parameter, a buffer"),
    (WrongGradient, r"gradient: input 1, element .*1 is weight, 2 is bias"),
    (TensorsInATuple, r"parameters: shifts is a plain Tensor in a tuple, .*nor moved to a GPU"),
    (OfTheClass, r"parameters: factor is a Parameter of the class OfTheClass, shared by all"),
    (SharedParameter, r"instances: factor of one instance shares memory with factor of another"),
    (SeedsInInit, r"instances: making a layer reseeded tinytrain's default generator"),
    (SeedsNumpyInInit, r"instances: making a layer changed np.random's state"),
    (RunningMeanAsNumber, r"state dict: output 0, .*a buffer \(as a running mean\)"),
    (WrongGradientInTraining, r"gradient in training: input 1, element .*1 is weight"),
    (DetachesInTraining, r"gradient in training: input 0, element .*analytic 0,"),
    (WritesItsInputInTraining, r"modes: input 0, .*must not write into it \(in training\)"),
    (SeedsNumpyInTraining, r"global state: train\(True\) .*changed np.random's state"),
    (SeedsInTraining, r"global state: a call in training mode reseeded tinytrain's"),
    (TimesZero, r"gradients reach: the gradient of parameter bias is 0 everywhere, .*unused"),
    (DoubleParameter, r"dtype: output 0 is float64 for inputs of float32 .*bias is float64"),
    (SharesTheLoadedArrays, r"state dict: weight shares memory with the state dict"),
    (OddRepr, r"repr: repr is 'a scale', expected OddRepr\(...\)"),
    (ChangesRandomState, r"global state: .*changed the default generator's state"),
    (ChangesNumpyRandomState, r"global state: .*changed np.random's state"),
    (ReadsValues, r"mock GPU: it raised ImplicitSynchronization"),
    (HostArray, r"mock GPU: it raised RuntimeError: .*different devices"),
]


@pytest.mark.parametrize(("make", "words"), FAULTS)
def test_planted_fault_is_named(make, words):
    with pytest.raises(CheckError) as caught:
        check_layer(make, X)
    assert re.search(words, str(caught.value)), str(caught.value)
    assert tt.get_device() == "cpu"


def test_every_check_can_object():
    told = {words.split(":")[0] for _, words in FAULTS}
    assert told == set(EVERYTHING)


def test_exceptions_may_be_named():
    assert check_layer(Forgotten, X, unused=["bias"])
    assert check_layer(ReadsValues, X, may_wait=True)


class HoldsItself(Scale):
    def __init__(self):
        super().__init__()
        self.scaled = lambda x: x * self.weight

    def forward(self, x):
        return self.scaled(x) + self.bias


def test_function_that_holds_the_layer_is_named_where_copies_are_made():
    words = r"copies: scaled is a function that holds a layer .*make it a method"
    with pytest.raises(CheckError, match=words):
        check_layer(HoldsItself(), X)
    assert check_layer(HoldsItself, X)


def test_layers_that_mean_it():
    assert check_layer(TimesZero, X, unused=["bias"])
    assert check_layer(DoubleParameter, tt.tensor(X, dtype=tt.float64))

    class Gate(Scale):
        def __init__(self):
            super().__init__()
            self.gate = nn.Parameter(tt.zeros(1))

        def forward(self, x):
            return x + self.gate * super().forward(x)

    assert check_layer(Gate, X)


def test_generators_are_left_alone():
    before = tt.default_generator().get_state()
    check_layer(lambda: nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)), X)
    assert tt.default_generator().get_state() == before


@pytest.mark.parametrize("layer", [3, None, "Linear"])
def test_what_is_no_layer(layer):
    with pytest.raises(TypeError, match=r"takes an nn\.Module or what makes one, got"):
        check_layer(layer, X)


def test_what_cannot_be_checked():
    with pytest.raises(TypeError, match=r"takes an nn\.Module"):
        check_layer(lambda: 3, X)


class MeanOverRows(Scale):
    def forward(self, x):
        return super().forward(x - x.mean(0))


def test_batch_sizes_of_layers_whose_rows_mix_and_without_a_batch():
    assert check_layer(MeanOverRows, X)
    assert check_layer(FourRows, X, batch_axis=None)
    assert check_layer(lambda: nn.GRU(3, 2, batch_first=True), X[:, None] * np.ones((1, 2, 1)))
    assert check_layer(lambda: nn.GRU(3, 2), X[:, None] * np.ones((1, 2, 1)), batch_axis=1)


def test_global_state_is_left_as_it_was():
    before = random.getstate(), np.geterr(), list(warnings.filters)
    for fault in (SeedsPython, DrawsFromPython, SetsErrors, SetsWarnings):
        with pytest.raises(CheckError):
            check_layer(fault, X)
        assert (random.getstate(), np.geterr(), list(warnings.filters)) == before
