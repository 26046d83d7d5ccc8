"""`check_op`: a right operation passes all checks, and every planted fault is named in words."""

import math
import re

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.autograd import Function
from tinytrain.backend import xp_of
from tinytrain.testing.check_op import check_op
from tinytrain.testing.errors import CheckError


def sample(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 2.0, shape)


X, Y = sample(3, 4), sample(3, 4, seed=1)


class Right(Function):
    """z = x y; each class below differs from it in one place."""

    broadcasts = True

    def forward(self, x, y):
        self.save(x, y)
        return x * y

    def backward(self, gradient):
        x, y = self.saved
        return gradient * y, gradient * x


def composed(x, y):
    return x * y


EVERYTHING = [
    "result",
    "backward",
    "read-only arrays",
    "float32",
    "memory layouts",
    "no axes",
    "no graph under no_grad",
    "gradient",
    "gradients asked for",
    "gradients of their own",
    "result used twice",
    "diamond",
    "another call",
    "one tensor in two places",
    "backward twice",
    "memory",
    "broadcasting",
    "empty axis",
    "simple twin",
    "source for a GPU",
    "mock GPU",
]


def test_right_operation_passes_every_check():
    assert check_op(Right, X, Y, simple=composed, empty_axis=0) == EVERYTHING


def test_functions_and_tensors_are_taken_too():
    names = check_op(lambda x, power: x**power, tt.tensor([1.5, 2.0]), 2)
    assert "gradient" in names
    assert "broadcasting" not in names
    assert check_op(lambda x: x.max(1), X)  # values, and positions without a gradient
    assert check_op(lambda x, ids: x[ids], X, np.array([0, 2, 2]))


def test_what_has_no_gradient():
    assert "gradient" not in check_op(lambda x, y: x > y, X, Y)
    assert "gradient" not in check_op(lambda x: x * 2, np.arange(3), differentiable=False)


def test_inputs_and_settings_are_left_alone():
    x = tt.from_numpy(X.copy()).requires_grad_()
    tt.set_device("cpu")
    check_op(Right, x, Y)
    assert x.grad is None
    np.testing.assert_array_equal(x.data, X)
    assert tt.get_device() == "cpu"
    assert tt.is_grad_enabled()
    with pytest.raises(CheckError):
        check_op(WrongKeyword, X, Y)
    assert tt.get_device() == "cpu"


def test_nothing_to_check():
    with pytest.raises(ValueError, match="at least one tensor or array"):
        check_op(lambda x: x, 2.0)
    for nothing in (np.arange(3), np.zeros((0, 2))):
        with pytest.raises(ValueError, match=r"given none with elements: .*differentiable=False"):
            check_op(lambda x: x * 2, nothing)
    with pytest.raises(CheckError, match="at least two inputs of one shape"):
        check_op(Right, X, sample(2, 1, 1))


# ---------------------------------------------------------------- planted faults


class WrongFactor(Right):
    def backward(self, gradient):
        x, y = self.saved
        return gradient * y, gradient * x * 1.01


class Unrecorded(Right):
    differentiable = False


class Random(Right):
    calls = 0

    def forward(self, x, y):
        Random.calls += 1
        return super().forward(x, y) + Random.calls


class WritesItsInput(Right):
    def forward(self, x, y):
        self.save(x.copy(), y)
        x *= y
        return x.copy()


class WritesItsGradient(Right):
    def backward(self, gradient):
        x, y = self.saved
        other = gradient * x
        gradient *= y
        return gradient, other


class WidensItsResult(Right):
    def forward(self, x, y):
        return super().forward(x, y) * np.sqrt(1.0)


class LosesDigits(Right):
    def forward(self, x, y):
        return super().forward(x, y).astype(np.float16).astype(x.dtype)


class ReadsMemory(Right):
    def forward(self, x, y):
        self.save(x, y)
        return np.asarray(x.ravel(order="K") * y.ravel(order="K")).reshape(x.shape)


class DependsOnTheMode(Right):
    def forward(self, x, y):
        self.save(x, y)
        return x * y if True in self.needs else x * y * 1.5


class Unbroadcast(Right):
    def forward(self, x, y):
        if x.shape != y.shape:
            raise ValueError("shapes differ")
        return super().forward(x, y)


class BroadcastsTheGradientAway(Right):
    def backward(self, gradient):
        x, y = self.saved
        return gradient * y if x.ndim == y.ndim else gradient[0] * y[0], gradient * x


class NoEmptyRows(Right):
    def forward(self, x, y):
        largest = x.max(axis=0, keepdims=True)
        return super().forward(x, y) + 0 * largest


class EmptyBecomesOne(Right):
    def forward(self, x, y):
        if not len(x):
            return xp_of(x).ones((1, 4), dtype=x.dtype)
        return super().forward(x, y)


class NeedsBoth(Right):
    def backward(self, gradient):
        x, y = self.saved
        return gradient * y * (1 if all(self.needs) else 2), gradient * x


class SharesItsInput(Right):
    """Puts an input in the place of the leaf's gradient."""

    def backward(self, gradient):
        x, y = self.saved
        for edge in self.edges:
            edge.array = y
        return gradient * y, gradient * x


class AddsUpstreamOnce(Right):
    """Right for one use; with the gradient of another size it is not linear."""

    def backward(self, gradient):
        x, y = self.saved
        clipped = xp_of(gradient).clip(gradient, -2.5, 2.5)
        return clipped * y, clipped * x


class RemembersItsLastInputs(Right):
    last: tuple = ()

    def forward(self, x, y):
        self.before = type(self).last
        type(self).last = (x, y) if True in self.needs else ()
        return super().forward(x, y)

    def backward(self, gradient):
        x, y = self.saved
        type(self).last = ()
        again = len(self.before) and self.before[0] is x
        return gradient * y * (2 if again else 1), gradient * x


class OneTensorOnce(Right):
    def backward(self, gradient):
        x, y = self.saved
        return gradient * y, None if x is y else gradient * x


class SpoilsWhatItSaved(Right):
    def forward(self, x, y):
        self.save(x.copy(), y.copy())
        return x * y

    def backward(self, gradient):
        x, y = self.saved
        x *= gradient
        return gradient * y, x


class ReferToItself(Right):
    def forward(self, x, y):
        self.me = self
        return super().forward(x, y)


class KeepsAnArray(Right):
    def forward(self, x, y):
        self.product = x * y
        return super().forward(x, y)


class WrongKeyword(Right):
    def forward(self, x, y):
        return super().forward(x, y) + 0 * x.max(initial=0.0)


class NumpyCall(Right):
    def forward(self, x, y):
        self.save(x, y)
        return np.multiply(x, y)


class MaskIndex(Right):
    def forward(self, x, y):
        z = super().forward(x, y)
        z[z < 0] = 0.0
        return z


class RemembersInTheClass(Right):
    def forward(self, x, y):
        type(self).last = (x, y)
        return x * y

    def backward(self, gradient):
        x, y = self.last
        return gradient * y, gradient * x


class WritesItsOutput(Right):
    def forward(self, x, y):
        self.product = super().forward(x, y)
        return self.product

    def backward(self, gradient):
        self.product += 1
        del self.product
        return super().backward(gradient)


class InSinglePrecision(Right):
    def backward(self, gradient):
        x, y = (value.astype("float32") for value in self.saved)
        narrow = gradient.astype("float32")
        return (narrow * y).astype(gradient.dtype), (narrow * x).astype(gradient.dtype)


class OffByOneMillionth(Right):
    def backward(self, gradient):
        x, y = self.saved
        return gradient * y * (1 + 1e-6), gradient * x


class WidensItsGradient(Right):
    def backward(self, gradient):
        x, y = self.saved
        return gradient * y * np.float64(1.0), gradient * x


class NoBackward(Function):
    def forward(self, x, y):
        return x * y


class ListOfGradients(Right):
    def backward(self, gradient):
        return list(super().backward(gradient))


class TensorAsGradient(Right):
    def backward(self, gradient):
        first, second = super().backward(gradient)
        return tt.Tensor(first), second


class OneGradientOfTwo(Right):
    def backward(self, gradient):
        return super().backward(gradient)[0]


class BackwardRaises(Right):
    def backward(self, gradient):
        raise KeyError("lost")


class GivesNaN(Right):
    def forward(self, x, y):
        return super().forward(x, y) * np.nan


class Overflows(Right):
    def forward(self, x, y):
        return super().forward(x * 1e30, y * 1e30) / 1e30 / 1e30


class KeepsALittle(Right):
    def forward(self, x, y):
        self.keep = x * 1.0
        return super().forward(x, y)


class TooManyGradients(Right):
    def backward(self, gradient):
        return (*super().backward(gradient), gradient)


class WithoutAxes(Right):
    def forward(self, x, y):
        return super().forward(x, y) if x.ndim else super().forward(x, y) + 1.0


class KnowsItsNeeds(Right):
    def forward(self, x, y):
        assert self.needs[0] in (True, False)
        return super().forward(x, y)


class EverySeventhCall(Right):
    calls = 0

    def forward(self, x, y):
        EverySeventhCall.calls += 1
        return super().forward(x, y) + (self.calls % 7 == 0)


FAULTS = [
    (WithoutAxes, {}, r"no axes: output 0, element \(\) .*in the shape \(1,\) that is what comes"),
    (KnowsItsNeeds, {}, r"no graph under no_grad: it raised IndexError: .*ask any\(self.needs\)"),
    (EverySeventhCall, {}, r"float32: output 0, .*(keep no state|that is what float64 gives)"),
    (WrongFactor, {}, r"gradient: input 1, element .*analytic .*derive backward anew"),
    (lambda x, y: x.data * 2, {}, r"result: the function returned a ndarray; return a Tensor"),
    (lambda x, y: (x * y, 3), {}, r"result: output 1 is a int; return Tensors"),
    (lambda x, y: x.detach() * 2, {}, r"result: output 0 .* requires no gradient, though an input"),
    (Unrecorded, {"differentiable": True}, r"result: output 0 .*requires no gradient"),
    (Right, {"differentiable": False}, r"result: .*differentiable = False"),
    (Random, {}, r"result: output 0, element .*two calls with the same inputs differ"),
    (WritesItsInput, {}, r"result: input 0 was written to by forward"),
    (WritesItsGradient, {}, r"read-only arrays: it raised ValueError: .*read-only"),
    (WidensItsResult, {}, r"float32: output 0 is float64 \(3, 4\), expected float32 .*math.sqrt"),
    (LosesDigits, {}, r"float32|gradient: "),
    (ReadsMemory, {}, r"memory layouts: output 0, .*strided: do not rely on the order of memory"),
    (DependsOnTheMode, {}, r"no graph under no_grad: .*must not depend on whether gradients are"),
    (Unbroadcast, {}, r"broadcasting: it raised ValueError: shapes differ"),
    (BroadcastsTheGradientAway, {}, r"broadcasting: the gradient of input 0"),
    (NoEmptyRows, {"empty_axis": 0}, r"empty axis: it raised ValueError"),
    (EmptyBecomesOne, {"empty_axis": 0}, r"empty axis: .*\(1, 4\).*expected float64 \(0, 4\)"),
    (Right, {"simple": lambda x, y: x * y * 1.001}, r"simple twin: output 0, .*that is what"),
    (Right, {"simple": lambda x, y: (x * y, x)}, r"simple twin: 1 outputs, expected 2"),
    (NeedsBoth, {}, r"gradients asked for: the gradient of input 0.*needs\[0\] alone"),
    (SharesItsInput, {}, r"read-only arrays|gradients of their own"),
    (AddsUpstreamOnce, {}, r"result used twice: the gradient of input 0.*used three times"),
    (RemembersItsLastInputs, {}, r"diamond: the gradient of input 0"),
    (OneTensorOnce, {}, r"one tensor in two places: .*inputs 0 and 1 were one tensor"),
    (SpoilsWhatItSaved, {}, r"backward twice: the gradient of input 1.*find `saved` changed"),
    (ReferToItself, {}, r"memory: the node of ReferToItself stays in memory"),
    (KeepsAnArray, {}, r"memory: KeepsAnArray.product keeps an array .*self.save"),
    (NumpyCall, {}, r"source for a GPU: NumpyCall, .*line \d+: np.multiply reads an array"),
    (WrongKeyword, {}, r"(source for a GPU|mock GPU): .*initial"),
    (MaskIndex, {}, r"source for a GPU: .*a boolean mask waits .*xp.where"),
    (lambda x, y: x * y * float(x.sum() > 0), {}, r"mock GPU: it raised ImplicitSynchronization"),
    (TooManyGradients, {}, r"backward: .*returned 3 gradients for 2 inputs"),
    (RemembersInTheClass, {}, r"another call: the gradient of input 0.*nothing in the class"),
    (WritesItsOutput, {}, r"(backward|read-only arrays): it raised ValueError: .*the output"),
    (InSinglePrecision, {}, r"gradient: input 0, .*six digits: is something computed in float32"),
    (OffByOneMillionth, {}, r"gradient: input 0, .*12 of 12 elements are wrong"),
    (WidensItsGradient, {}, r"float32: .*given float32 and returned float64 for input 0"),
    (NoBackward, {}, r"backward: NoBackward defines no backward; .*differentiable = False"),
    (ListOfGradients, {}, r"backward: .*returned a list; return an array, or a tuple"),
    (TensorAsGradient, {}, r"backward: .*returned a Tensor; return an array"),
    (OneGradientOfTwo, {}, r"backward: .*returned 1 gradients for 2 inputs"),
    (BackwardRaises, {}, r"backward: it raised KeyError: 'lost'; forward and backward must run"),
    (GivesNaN, {}, r"result: output 0 is NaN at element \(0, 0\); mend forward"),
    (Overflows, {}, r"float32: output 0, element \(0, 0\) is inf in float32, and .*beyond 3.4e38"),
]


@pytest.mark.parametrize(("function", "settings", "words"), FAULTS)
def test_planted_fault_is_named(function, settings, words):
    with pytest.raises(CheckError) as caught:
        check_op(function, X, Y, **settings)
    assert re.search(words, str(caught.value)), str(caught.value)
    assert str(caught.value).startswith(getattr(function, "__name__", "") + ": ")


def test_small_samples_show_what_is_kept():
    with pytest.raises(CheckError, match=r"memory: KeepsALittle.keep keeps an array .*\(2, 3\)"):
        check_op(KeepsALittle, X[:2, :3], Y[:2, :3])


class Power(Function):
    def __init__(self, exponent):
        self.exponent = exponent


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (Right(), r"got an object of Right, which would run forward alone: give the class"),
        (Power, r"makes Power\(\), but its __init__ needs exponent: give a function"),
        (None, r"takes a subclass of tt.Function or a function of tensors, got None"),
    ],
)
def test_what_is_no_operation(function, words):
    with pytest.raises(TypeError, match=words):
        check_op(function, X, Y)


def test_every_check_can_object():
    told = "\n".join(words for _, _, words in FAULTS)
    missing = [name for name in EVERYTHING if name not in told]
    assert not missing


def test_waiting_on_purpose_may_be_allowed():
    def positive(x):
        return x[x > 0]

    with pytest.raises(CheckError, match="mock GPU"):
        check_op(positive, X - 1)
    assert check_op(positive, X - 1, may_wait=True)


def test_magnified_rounding_may_be_allowed():
    def cancelling(x):
        return (x + 1e6) - 1e6

    with pytest.raises(CheckError, match="float32: output 0"):
        check_op(cancelling, X)
    assert check_op(cancelling, X, float32_rtol=None, atol=1e-3, rtol=1e-3)


def test_constants_of_python_are_no_fault():
    assert check_op(lambda x: x * math.sqrt(2), X)
