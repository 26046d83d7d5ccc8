"""Functions on integers and booleans, and on tensors without axes, as PyTorch has them."""

import pytest

import tinytrain as tt
from tinytrain.nn import functional as F

pytestmark = pytest.mark.usefixtures("device")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-1, 1, [-1, -1, 0, 1, 1]), (-0.5, 1.5, [0, 0, 0, 1, 1]), (0.0, 0.0, [0, 0, 0, 0, 0])],
)
def test_hardtanh_of_integers_cuts_its_bounds_to_whole_numbers(low, high, expected):
    result = F.hardtanh(tt.tensor([-3, -1, 0, 1, 2]), low, high)
    assert (result.tolist(), str(result.dtype)) == (expected, "int64")


def test_relu6_of_integers():
    assert F.relu6(tt.tensor([-1, 3, 9])).tolist() == [0, 3, 6]
    small = F.relu6(tt.tensor([3, 200], dtype="uint8"))
    assert (small.tolist(), str(small.dtype)) == ([3, 6], "uint8")


@pytest.mark.parametrize("dtype", ["bool", "uint8"])
def test_bounds_that_a_dtype_cannot_hold(dtype):
    with pytest.raises(TypeError, match=rf"hardtanh to -1\.0 and 1\.0 is not for {dtype}"):
        F.hardtanh(tt.tensor([1, 0], dtype=dtype))


def test_padding_of_booleans():
    x = tt.tensor([True])
    assert F.pad(x, (1, 1), value=2.0).tolist() == [True, True, True]
    assert F.pad(x, (1, 1)).tolist() == [False, True, False]
    with pytest.raises(TypeError, match=r"pad: 0\.5 is no value of int64"):
        F.pad(tt.tensor([1]), (1, 1), value=0.5)


def test_roll_along_an_axis_that_is_not_there():
    with pytest.raises(IndexError, match="no axis 0 in a tensor without axes"):
        tt.roll(tt.tensor(1.0), 1, 0)
    assert tt.roll(tt.tensor(1.0), 1).item() == 1
