"""Python's operators on tensors: a number on either side, and what is refused."""

import operator

import numpy as np
import pytest

import tinytrain as tt

ARITHMETIC = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"]
BITS = ["and_", "or_", "xor", "lshift", "rshift"]
REFLECTED = ["radd", "rsub", "rmul", "rtruediv", "rfloordiv", "rmod", "rpow"]
REFLECTED += ["rand", "ror", "rxor", "rlshift", "rrshift"]


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("name", ARITHMETIC + BITS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_number_on_either_side_counts_as_a_tensor(name, number):
    apply, values = getattr(operator, name), [1, 2, 5]
    x = tt.tensor(values)
    for ours, expected in [
        (apply(x, number), [apply(value, number) for value in values]),
        (apply(number, x), [apply(number, value) for value in values]),
        (apply(x, x), [apply(value, value) for value in values]),
    ]:
        assert ours.tolist() == pytest.approx(expected)
        assert ours.dtype == (np.float32 if name == "truediv" else np.int64)


@pytest.mark.parametrize("name", ARITHMETIC)
def test_a_float_makes_integers_floating_point(name):
    x = tt.tensor([1, 2, 5])
    for result in (getattr(operator, name)(x, 2.0), getattr(operator, name)(2.0, x)):
        assert result.dtype == np.float32


def test_a_quotient_rounds_down_and_the_remainder_has_the_sign_of_the_divisor():
    x, y = tt.tensor([7.0, -7.0, 7.0, -7.0]), tt.tensor([2.0, 2.0, -2.0, -2.0])
    assert (x // y).tolist() == [3, -4, -4, 3]
    assert (x % y).tolist() == [1, 1, -1, -1]
    assert ((x // y) * y + x % y).tolist() == x.tolist()


def test_the_gradient_of_a_remainder():
    x = tt.tensor([7.0, -7.0], requires_grad=True)
    y = tt.tensor([2.0, 2.0], requires_grad=True)
    (x % y).sum().backward()
    assert x.grad.tolist() == [1, 1]
    assert y.grad.tolist() == [-3, 4]
    x.grad = None
    (x // 2 + 3 // x).sum().backward()
    assert x.grad.tolist() == [0, 0]


def test_a_negative_power_of_an_integer_tensor_is_cut_to_an_integer():
    base = tt.tensor([2, -1, -1, 1, 0, 3])
    assert (base ** tt.tensor([-1, -1, -2, -5, -1, 2])).tolist() == [0, -1, 1, 1, 0, 9]
    assert (2 ** tt.tensor([-1, 0, 3])).tolist() == [0, 1, 8]
    unsigned = tt.tensor([3, 2], dtype="uint8")
    assert (unsigned ** tt.tensor([2, 3], dtype="uint8")).tolist() == [9, 8]


def test_in_place_operators_bind_the_name_anew():
    x = before = tt.tensor([5, 6])
    x //= 2
    x ^= 1
    x <<= 2
    assert x.tolist() == [12, 8]
    assert before.tolist() == [5, 6]


def test_plus_is_the_tensor_itself():
    x = tt.ones(2)
    assert +x is x


@pytest.mark.parametrize("name", BITS)
def test_bits_of_floating_point_are_refused(name):
    apply = getattr(operator, name)
    for left, right in [(tt.ones(2), 1), (1, tt.ones(2)), (tt.tensor([1, 2]), 1.0)]:
        with pytest.raises(TypeError, match="is for booleans and integers, not for"):
            apply(left, right)


@pytest.mark.parametrize("name", ["sub", "floordiv", "mod", "pow", "lshift", "rshift"])
def test_two_booleans_are_no_numbers(name):
    mask = tt.tensor([True, False])
    for left, right in [(mask, mask), (mask, True), (True, mask)]:
        with pytest.raises(TypeError, match="not for two booleans"):
            getattr(operator, name)(left, right)


def test_a_boolean_has_no_negative():
    with pytest.raises(TypeError, match="for numbers, not for booleans: use ~x"):
        -tt.tensor([True, False])


@pytest.mark.parametrize("name", [*ARITHMETIC, *BITS, "matmul"])
@pytest.mark.parametrize("other", ["text", None, [1, 2]])
def test_what_is_no_operand_is_a_type_error(name, other):
    x = tt.tensor([1, 2])
    for left, right in [(x, other), (other, x)]:
        if name == "mod" and left == "text":
            continue  # Python formats the text
        with pytest.raises(TypeError):
            getattr(operator, name)(left, right)


@pytest.mark.parametrize("name", REFLECTED)
def test_a_reflected_method_wants_a_tensor(name):
    method = getattr(tt.Tensor, f"__{name}__")
    for other in (tt.tensor([1, 2]), 3):
        with pytest.raises(TypeError, match="called on 2, which is no tensor"):
            method(2, other)


def test_a_product_of_matrices_wants_two_tensors():
    x = tt.ones(2, 2)
    for left, right in [(x, 2), (2.5, x)]:
        with pytest.raises(TypeError, match="unsupported operand"):
            left @ right
    for left, right in [(x, 2), (2.5, x)]:
        with pytest.raises(TypeError, match=r"matmul needs two tensors, got .* scales with \*"):
            tt.matmul(left, right)
    with pytest.raises(TypeError, match="bare ndarray"):
        np.ones((2, 2)) @ x
