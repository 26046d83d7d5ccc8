"""The gradient check: it passes what is right, and objects, in words, to every planted fault."""

import hypothesis.strategies as hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import tinytrain as tt
from tinytrain.autograd import Function
from tinytrain.backend import xp_of
from tinytrain.testing import GradcheckError, gradcheck, mock

pytestmark = pytest.mark.usefixtures("device")


def leaf(*shape, seed=0):
    values = np.asarray(np.random.default_rng(seed).uniform(0.5, 2.0, shape))
    return tt.from_numpy(values).requires_grad_()


class RightProduct(Function):
    """z = x y, done right; the faulty ones below differ from it in one place."""

    broadcasts = True

    def forward(self, x, y):
        self.save(x, y)
        return x * y

    def backward(self, gradient):
        x, y = self.saved
        return gradient * y, gradient * x


class WrongFactor(RightProduct):
    def backward(self, gradient):
        x, y = self.saved
        return gradient * y, gradient * x * 1.01


class WrongSign(RightProduct):
    def backward(self, gradient):
        x, y = self.saved
        return gradient * y, -gradient * x


class SwappedOperands(RightProduct):
    def backward(self, gradient):
        x, y = self.saved
        return gradient * x, gradient * y


class ForgottenGradient(RightProduct):
    def backward(self, gradient):
        return gradient * self.saved[1], None


class IgnoredUpstream(RightProduct):
    def backward(self, gradient):
        x, y = self.saved
        return y, x


class OneWrongElement(RightProduct):
    def backward(self, gradient):
        x, y = self.saved
        wrong = gradient * y
        wrong[0, 1] += 0.1
        return wrong, gradient * x


class NotANumber(RightProduct):
    def backward(self, gradient):
        x, y = self.saved
        wrong = gradient * y
        wrong[1, 1] = np.nan
        return wrong, gradient * x


def apply_to_matrices(operation):
    return lambda x, y: tt.apply(operation(), x, y)


def test_right_formula_passes():
    assert gradcheck(apply_to_matrices(RightProduct), [leaf(2, 3), leaf(2, 3, seed=1)])


@pytest.mark.parametrize(
    ("operation", "culprit"),
    [
        (WrongFactor, "input 1"),
        (WrongSign, "input 1"),
        (SwappedOperands, "input 0"),
        (ForgottenGradient, "input 1"),
        (IgnoredUpstream, "input 0"),
        (OneWrongElement, r"input 0, element \(0, 1\).* 1 of 6 elements"),
        (NotANumber, r"input 0, element \(1, 1\): analytic nan"),
    ],
)
def test_wrong_formula_is_found(operation, culprit):
    with pytest.raises(GradcheckError, match=culprit):
        gradcheck(apply_to_matrices(operation), [leaf(2, 3), leaf(2, 3, seed=1)])


def test_message_gives_both_values():
    class Tripled(Function):
        def forward(self, x):
            return x * 2

        def backward(self, gradient):
            return gradient * 3

    with pytest.raises(GradcheckError) as caught:
        gradcheck(
            lambda x: tt.apply(Tripled(), x), [tt.tensor([1.0, 1.0]).double().requires_grad_()]
        )
    words = str(caught.value).replace(",", "").split()
    analytic = float(words[words.index("analytic") + 1])
    numeric = float(words[words.index("numeric") + 1])
    assert analytic / numeric == pytest.approx(1.5)
    assert isinstance(caught.value, AssertionError)


class SumsTheWrongAxis(Function):
    """Broadcasts a row over a square by itself, and gives the gradient of a column."""

    def forward(self, x):
        return xp_of(x).broadcast_to(x, (3, 3)).copy()

    def backward(self, gradient):
        return gradient.sum(axis=1)


class MissingUnbroadcast(RightProduct):
    broadcasts = False


class TakesTheFirstRow(SumsTheWrongAxis):
    def backward(self, gradient):
        return gradient[0]


@pytest.mark.parametrize("operation", [SumsTheWrongAxis, TakesTheFirstRow])
def test_wrong_sum_over_a_broadcast_axis_is_found(operation):
    with pytest.raises(GradcheckError, match="input 0"):
        gradcheck(lambda x: tt.apply(operation(), x), [leaf(3)])


def test_missing_sum_over_a_broadcast_axis_is_found():
    with pytest.raises(RuntimeError, match=r"gradient of shape \(2, 3\) for input 1"):
        gradcheck(apply_to_matrices(MissingUnbroadcast), [leaf(2, 3), leaf(3)])


class WritesItsGradient(RightProduct):
    def backward(self, gradient):
        x, y = self.saved
        other = gradient * x
        gradient *= y
        return gradient, other


class WritesItsInput(RightProduct):
    def forward(self, x, y):
        self.save(x.copy(), y)
        x *= y
        return x


class WritesItsInputBackward(RightProduct):
    def backward(self, gradient):
        x, y = self.saved
        result = gradient * y, gradient * x
        x += 1
        return result


def test_gradient_written_in_place_is_found():
    with pytest.raises(
        GradcheckError, match="wrote to the gradient that it was given for output 0"
    ):
        gradcheck(apply_to_matrices(WritesItsGradient), [leaf(2, 3), leaf(2, 3)])


@pytest.mark.parametrize("operation", [WritesItsInput, WritesItsInputBackward])
def test_input_written_in_place_is_found(operation):
    # What backward needs may be read-only by then: the write itself is refused.
    with pytest.raises((GradcheckError, ValueError), match=r"input 0 was written to|read-only"):
        gradcheck(apply_to_matrices(operation), [leaf(2, 3), leaf(2, 3)])


def test_backward_that_remembers_an_earlier_one_is_found():
    kept = tt.zeros(3, dtype=tt.float64).data

    class Remembers(Function):
        def forward(self, x):
            return x * 2

        def backward(self, gradient):
            kept[...] += 2 * gradient
            return kept

    with pytest.raises(GradcheckError, match="second backward"):
        gradcheck(lambda x: tt.apply(Remembers(), x), [leaf(3)])


def test_random_function_is_found():
    random = np.random.default_rng(0)
    with pytest.raises(GradcheckError, match="differs between two calls"):
        gradcheck(lambda x: x * float(random.random()), [leaf(2)])


def test_cut_graph_is_found():
    with pytest.raises(GradcheckError, match="analytic 0, numeric"):
        gradcheck(lambda x: x.detach() * x.detach(), [leaf(2)])


def test_every_output_counts():
    class Wrong(Function):
        def forward(self, x):
            return x * 2

        def backward(self, gradient):
            return gradient * 2.5

    with pytest.raises(GradcheckError, match="input 0"):
        gradcheck(lambda x: (x * 3, tt.apply(Wrong(), x)), [leaf(2)])
    assert gradcheck(lambda x: (x * 3, x.exp(), x > 1), [leaf(2)])
    assert gradcheck(lambda x: x.max(0), [leaf(4)])  # values, and positions to be left out


def test_function_may_return_its_input():
    assert gradcheck(lambda x: x, [leaf(2)])


def test_one_tensor_in_two_places():
    x = leaf(3)
    assert gradcheck(lambda a, b: a * b, [x, x])


def test_tensors_that_the_function_holds():
    layer = tt.nn.Linear(3, 2).to(np.float64)
    assert gradcheck(lambda x, *_: layer(x), [leaf(4, 3), layer.weight, layer.bias])


def test_other_arguments_are_passed_on():
    ids = tt.tensor([0, 2, 2])
    assert gradcheck(lambda x, i, power: x[i] ** power, [leaf(3), ids, 2])


def test_inputs_of_any_layout_stay_as_they_are():
    values = np.arange(1.0, 7.0).reshape(2, 3)
    values.flags.writeable = False
    x = tt.from_numpy(values).requires_grad_()
    y = tt.from_numpy(np.array([2.0])).expand(3).requires_grad_()
    frozen, spread = x.data, y.data
    assert gradcheck(lambda a, b: a.T.reshape(2, 3) * b, [x, y])
    assert x.data is frozen
    assert y.data is spread
    assert x.grad is None


def test_function_runs_on_the_device_of_its_inputs(device):
    x, seen = leaf(2), set()

    def square(x):
        seen.add((type(x.data), x.device))
        return x * x

    assert gradcheck(square, [x])
    assert seen == {(type(x.data), device)}


def test_outputs_may_be_on_the_host():
    assert gradcheck(lambda x: (x * x).cpu(), [leaf(2)])


def test_nothing_is_read_on_the_sly():
    x = leaf(2)
    with mock.forbid_sync():
        assert gradcheck(lambda x: x * x, [x])


def test_works_under_no_grad():
    with tt.no_grad():
        assert gradcheck(lambda x: x * x, [leaf(2)])


def test_zero_dim_and_empty_inputs():
    assert gradcheck(lambda x: x.exp(), [leaf()])
    assert gradcheck(lambda x, y: tt.cat([x, y]), [leaf(0, 2), leaf(1, 2)])
    with pytest.raises(ValueError, match="are empty, so there is no element to compare"):
        gradcheck(lambda x: x.sum(0), [leaf(0, 2)])


def test_step_and_tolerances_are_used():
    with pytest.raises(GradcheckError):  # steps of 1 and 0.1 are too coarse for a fifth power
        gradcheck(lambda x: x**5, [leaf(2)], eps=1.0)
    assert gradcheck(lambda x: x**5, [leaf(2)], eps=1.0, rtol=10.0)
    assert gradcheck(apply_to_matrices(WrongFactor), [leaf(2), leaf(2)], rtol=0.1)


class InSinglePrecision(RightProduct):
    def backward(self, gradient):
        x, y = self.saved
        narrow = gradient.astype(np.float32)
        first = narrow * y.astype(np.float32)
        return first.astype(gradient.dtype), gradient * x


class OffByOneMillionth(RightProduct):
    def backward(self, gradient):
        x, y = self.saved
        return gradient * y * (1 + 1e-6), gradient * x


@pytest.mark.parametrize("operation", [InSinglePrecision, OffByOneMillionth])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_lost_digits_are_found_at_every_scale(operation, scale):
    x, y = leaf(2, 3), leaf(2, 3, seed=1)
    x.data *= scale
    with pytest.raises(GradcheckError, match=r"input 0, .*six digits: is something .*float32"):
        gradcheck(apply_to_matrices(operation), [x, y])
    assert gradcheck(apply_to_matrices(RightProduct), [x, y])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(hypothesis.floats(0.5, 3), hypothesis.integers(-3, 5))
def test_smooth_functions_raise_no_false_alarm(place, power):
    x = tt.from_numpy(np.array([place * 10.0**power, 1.0])).requires_grad_()
    assert gradcheck(lambda x: x.sqrt() + (x + 1).log() * x, [x])


def test_kink_next_to_a_sample_is_no_fault():
    x = tt.from_numpy(np.array([3e-5, -3e-5, 1.0])).requires_grad_()
    assert gradcheck(lambda x: x.relu(), [x])


def test_large_constants_hide_nothing():
    hidden = tt.tensor([True, False, False])

    class Wrong(RightProduct):
        def backward(self, gradient):
            first, second = super().backward(gradient)
            return first * 1.001, second

    with pytest.raises(GradcheckError, match="input 0"):
        gradcheck(
            lambda x, y: tt.apply(Wrong(), x, y).masked_fill(hidden, -1e9),
            [leaf(3), leaf(3, seed=1)],
        )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_of_the_forward_is_named():
    with pytest.raises(GradcheckError, match=r"output 0 is NaN at element \(1,\), .*mend forward"):
        gradcheck(lambda x: x.log(), [tt.from_numpy(np.array([1.0, -1.0])).requires_grad_()])


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        (lambda: [tt.tensor([1.0])], ValueError, "no input requires a gradient"),
        (lambda: [tt.tensor([1.0], requires_grad=True)], TypeError, "input 0 is float32"),
        (lambda: [tt.tensor(1.0), leaf(2) * 2], ValueError, "input 1 is no leaf"),
        (lambda: leaf(2), TypeError, r"takes a list of inputs, got a Tensor; write \[x\]"),
    ],
)
def test_what_cannot_be_checked(inputs, error, words):
    with pytest.raises(error, match=words):
        gradcheck(lambda *x: x[-1] * 2, inputs())


@pytest.mark.parametrize("eps", [0, -1e-4, float("nan"), float("inf")])
def test_step_that_is_none(eps):
    with pytest.raises(ValueError, match="eps is the step of the differences, above 0"):
        gradcheck(lambda x: x * 2, [leaf(2)], eps=eps)


def test_results_that_cannot_be_checked():
    with pytest.raises(TypeError, match="returned a float as output 0"):
        gradcheck(lambda x: [1.5], [leaf(2)])
    with pytest.raises(TypeError, match=r"returned a NoneType; .*is there a return"):
        gradcheck(lambda x: None, [leaf(2)])
    with pytest.raises(GradcheckError, match="no output is floating point"):
        gradcheck(lambda x: x > 1, [leaf(2)])
