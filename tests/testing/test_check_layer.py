"""`check_layer`: right layers pass, and every planted fault is named in words."""

import re

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
    "modes",
    "gradients reach",
    "state dict",
    "gradient",
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
    assert check_layer(make, *inputs) == EVERYTHING


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


class NotATensor(Scale):
    def forward(self, x):
        return {"x": x}


FAULTS = [
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


def test_what_cannot_be_checked():
    with pytest.raises(TypeError, match=r"takes an nn\.Module"):
        check_layer(lambda: 3, X)
