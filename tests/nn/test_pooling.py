"""Pooling, padding, one-hot vectors and normalised vectors, on their edges."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytrain as tt
from tests.device_helpers import host
from tests.nn.comparison import assert_close, assert_like_torch, numbers, value_and_gradients
from tinytrain import nn
from tinytrain.nn import functional as F
from tinytrain.testing import mock

on_every_device = pytest.mark.usefixtures("device")
ONES = tt.ones


# ---------------------------------------------------------------- max pooling

POOLS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (3, 2), "stride": (1, 2), "ceil_mode": True},
    {"kernel_size": 2, "stride": 2, "padding": 1, "dilation": 2},
]


@on_every_device
@pytest.mark.parametrize("settings", POOLS)
def test_indices_point_at_the_values(settings):
    x = numbers(2, 3, 6, 7)
    values, indices = F.max_pool2d(tt.tensor(x), **settings, return_indices=True)
    flat, where = x.reshape(2, 3, -1), host(indices).reshape(2, 3, -1)
    assert indices.dtype == np.int64
    found = np.take_along_axis(flat, where, axis=2).reshape(values.shape)
    np.testing.assert_array_equal(host(values), found)
    np.testing.assert_array_equal(host(values), host(F.max_pool2d(tt.tensor(x), **settings)))


@on_every_device
def test_of_equal_elements_the_first_is_taken():
    x = np.zeros((1, 1, 4, 4))
    _, (gradient,) = value_and_gradients(lambda x: F.max_pool2d(x, 2), x)
    assert (gradient[0, 0, ::2, ::2] != 0).all()
    assert np.count_nonzero(gradient) == 4
    _, indices = F.max_pool1d(tt.tensor([[2.0, 5.0, 5.0, 5.0]]), 3, 1, return_indices=True)
    assert indices.tolist() == [[1, 1]]


@on_every_device
def test_where_windows_overlap_gradients_add():
    x = tt.tensor([[0.0, 9.0, 1.0, 2.0]], requires_grad=True)
    F.max_pool1d(x, 2, 1).sum().backward()
    assert x.grad.tolist() == [[0.0, 2.0, 0.0, 1.0]]


def test_a_large_window_counts_its_positions():
    x = np.arange(400.0).reshape(1, 1, 20, 20)
    values, indices = F.max_pool2d(tt.tensor(x), (18, 20), return_indices=True, stride=1)
    assert values.tolist() == [[[[359.0], [379.0], [399.0]]]]
    assert indices.tolist() == [[[[359], [379], [399]]]]


def test_integers_are_pooled_without_overflow():
    lowest = np.iinfo(np.int64).min
    x = tt.tensor(np.array([[lowest, lowest, 3]]))
    values, indices = F.max_pool1d(x, 2, 1, 1, return_indices=True)
    assert values.tolist() == [[lowest, lowest, 3, 3]]
    assert indices.tolist() == [[0, 0, 2, 2]]


def test_indices_are_found_without_waiting():
    tt.set_device("mock")
    try:
        x = tt.ones(2, 3, 4, 4)
        with mock.forbid_sync(), mock.record() as ledger:
            F.max_pool2d(x, 3, 2, 1, return_indices=True)
        assert not ledger.waits
    finally:
        tt.set_device("cpu")


SPECIAL = [-math.inf, math.inf, math.nan, 0.0, 0.0, 1.0]


@pytest.mark.oracle
@pytest.mark.parametrize("settings", POOLS)
@pytest.mark.parametrize("values", [[-math.inf], [-math.inf, 1.0], [math.nan, 2.0], SPECIAL])
def test_special_values_are_treated_as_in_pytorch(settings, values):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(2).choice(values, (2, 3, 6, 7))
    ours, theirs = tt.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    pooled, indices = F.max_pool2d(ours, **settings, return_indices=True)
    expected, wanted = torch.nn.functional.max_pool2d(theirs, **settings, return_indices=True)
    np.testing.assert_array_equal(pooled.detach().numpy(), expected.detach().numpy())
    np.testing.assert_array_equal(indices.numpy(), wanted.numpy())
    upstream = numbers(*pooled.shape)
    pooled.backward(tt.tensor(upstream))
    expected.backward(torch.tensor(upstream))
    assert_close(ours.grad.numpy(), theirs.grad.numpy(), 1e-12)


# ---------------------------------------------------------------- means


@given(size=st.integers(1, 9), wanted=st.integers(1, 9))
def test_adaptive_means_keep_a_constant_and_share_its_gradient(size, wanted):
    x = tt.full((1, 2, size), 3.0, dtype="float64", requires_grad=True)
    y = F.adaptive_avg_pool1d(x, wanted)
    np.testing.assert_allclose(y.detach().numpy(), np.full((1, 2, wanted), 3.0))
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy().sum(axis=2), [[wanted, wanted]])


@on_every_device
def test_one_adaptive_window_is_the_mean():
    x = numbers(2, 3, 5, 4)
    assert_close(
        host(F.adaptive_avg_pool2d(tt.tensor(x), 1)), x.mean(axis=(2, 3), keepdims=True), 1e-14
    )


@on_every_device
def test_an_average_of_ones_is_one_without_the_padding():
    for settings in ({"padding": 1}, {"padding": 1, "ceil_mode": True}, {"ceil_mode": True}):
        y = F.avg_pool2d(ONES(1, 1, 6, 7), 3, 2, count_include_pad=False, **settings)
        np.testing.assert_allclose(host(y), np.ones(y.shape), rtol=1e-6)


# ---------------------------------------------------------------- padding


@on_every_device
@pytest.mark.parametrize(
    ("mode", "numpys"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")]
)
def test_padding_is_numpys(mode, numpys):
    x = numbers(2, 3, 4, 5)
    padded = F.pad(tt.tensor(x), (3, 1, 2, 3), mode=mode)
    np.testing.assert_array_equal(
        host(padded), np.pad(x, ((0, 0), (0, 0), (2, 3), (3, 1)), mode=numpys)
    )


@on_every_device
def test_padding_keeps_the_dtype_and_takes_any_number_of_it():
    assert F.pad(tt.tensor([1, 2]), (1, 0), value=7).tolist() == [7, 1, 2]
    assert F.pad(tt.tensor([True]), (1, 0)).tolist() == [False, True]
    assert F.pad(tt.tensor([1.0]), (1, 0), value=-math.inf).tolist() == [-math.inf, 1.0]
    assert F.pad(ONES(2), (1, 1)).dtype == np.float32


# ---------------------------------------------------------------- one-hot, normalize


@on_every_device
@given(rows=st.lists(st.integers(0, 6), min_size=1, max_size=8))
def test_one_hot_is_undone_by_argmax(rows):
    vectors = F.one_hot(tt.tensor(rows))
    assert vectors.shape == (len(rows), max(rows) + 1)
    assert vectors.dtype == np.int64
    assert vectors.argmax(1).tolist() == rows
    assert vectors.sum(1).tolist() == [1] * len(rows)


@on_every_device
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, math.inf])
def test_normalized_vectors_have_length_one(p):
    x = numbers(3, 4, 5)
    y = host(F.normalize(tt.tensor(x), p, dim=-1))
    np.testing.assert_allclose(np.linalg.norm(y, p, axis=-1), np.ones((3, 4)))


@pytest.mark.oracle
@pytest.mark.parametrize("settings", [{}, {"dim": 0}, {"p": 1.0}, {"p": 3.0, "eps": 5.0}])
def test_normalize_is_pytorchs(settings):
    torch = pytest.importorskip("torch")
    x = numbers(3, 4, 5)
    x[0] = 0
    assert_like_torch(
        lambda x: F.normalize(x, **settings),
        lambda x: torch.nn.functional.normalize(x, **settings),
        x,
    )


# ---------------------------------------------------------------- layers

LAYERS = [
    ("MaxPool1d", (3, 2, 1), {"dilation": 1, "ceil_mode": True}),
    ("MaxPool2d", (2,), {}),
    ("MaxPool2d", ((3, 2), 1, (1, 0), 2), {}),
    ("AvgPool1d", (3, 2, 1, True, False), {}),
    ("AvgPool2d", ((2, 3),), {"stride": 2, "divisor_override": 7}),
    ("AdaptiveAvgPool1d", (3,), {}),
    ("AdaptiveAvgPool2d", ((None, 2),), {}),
    ("Flatten", (), {}),
    ("Flatten", (0, 1), {}),
    ("Unflatten", (1, (2, -1)), {}),
    ("Unflatten", (-3, (2, 2)), {}),
]


@pytest.mark.oracle
@on_every_device
@pytest.mark.parametrize(("name", "arguments", "more"), LAYERS)
def test_layers_are_pytorchs(name, arguments, more):
    torch = pytest.importorskip("torch")
    ours = getattr(nn, name)(*arguments, **more)
    theirs = getattr(torch.nn, name)(*arguments, **more)
    assert repr(ours) == repr(theirs)
    shape = (2, 4, 9) if name.endswith("1d") else (2, 4, 7, 6)
    assert_like_torch(ours, theirs, numbers(*shape))


@on_every_device
def test_a_layer_returns_indices_where_asked():
    values, indices = nn.MaxPool1d(2, return_indices=True)(tt.tensor([[1.0, 2.0, 4.0, 3.0]]))
    assert (values.tolist(), indices.tolist()) == ([[2.0, 4.0]], [[1, 2]])


# ---------------------------------------------------------------- bad input

IMAGES = (2, 3, 4, 4)
CASES = [
    (lambda: F.max_pool2d(ONES(3, 4), 2), ValueError, r"\(N, C, H, W\) or .* got \(3, 4\)"),
    (lambda: F.max_pool1d(ONES(*IMAGES), 2), ValueError, r"\(N, C, L\) or \(C, L\)"),
    (lambda: F.max_pool2d(ONES(2, 0, 4, 4), 2), ValueError, "only the batch may be empty"),
    (lambda: F.max_pool2d(ONES(*IMAGES), 5), ValueError, "does not fit the input"),
    (lambda: F.max_pool2d(ONES(*IMAGES), 2, padding=2), ValueError, "more than half"),
    (lambda: F.avg_pool2d(ONES(*IMAGES), 2, padding=(0, 2)), ValueError, "more than half"),
    (lambda: F.max_pool2d(ONES(*IMAGES), 0), ValueError, "kernel_size must be at least 1"),
    (lambda: F.max_pool2d(ONES(*IMAGES), 2, 0), ValueError, "stride must be at least 1"),
    (lambda: F.max_pool2d(ONES(*IMAGES), 2, dilation=0), ValueError, "dilation must be"),
    (lambda: F.max_pool2d(ONES(*IMAGES), 2, padding=-1), ValueError, "padding must be at least 0"),
    (lambda: F.max_pool2d(ONES(*IMAGES), "2"), TypeError, "kernel_size needs integers"),
    (lambda: F.max_pool2d(ONES(*IMAGES).bool(), 2), TypeError, "compares numbers, not bool"),
    (lambda: F.max_pool2d(None, 2), TypeError, "input must be a tensor, got a None"),
    (lambda: F.avg_pool2d(ONES(*IMAGES).long(), 2), TypeError, "floating-point tensor, got int64"),
    (lambda: F.avg_pool2d(ONES(*IMAGES), 2, divisor_override=0), ValueError, "must not be 0"),
    (lambda: F.adaptive_avg_pool2d(ONES(*IMAGES), (1, 2, 3)), ValueError, "one integer or 2"),
    (lambda: F.adaptive_avg_pool2d(ONES(*IMAGES), -1), ValueError, "output_size must be"),
    (lambda: F.adaptive_avg_pool2d(ONES(*IMAGES).long(), 1), TypeError, "got int64"),
    (lambda: F.pad(ONES(2, 3), (1,)), ValueError, "one pair of numbers"),
    (lambda: F.pad(ONES(2), (1, 1, 1, 1)), ValueError, "at most 2 numbers"),
    (lambda: F.pad(ONES(2), (1.0, 1)), TypeError, "pad needs integers"),
    (lambda: F.pad(ONES(2), (-2, -1)), ValueError, r"impossible shape \(-1,\)"),
    (lambda: F.pad(ONES(2).long(), (1, 1), value=0.5), TypeError, "0.5 is no value of int64"),
    (lambda: F.pad(ONES(2), (1, 1), mode="mirror"), ValueError, "mode must be one of constant"),
    (lambda: F.pad(ONES(1, 2), (1, 1), "reflect", 1.0), ValueError, "takes no value"),
    (lambda: F.pad(ONES(1, 2), (2, 0), "reflect"), ValueError, "finds 1 elements .* size 2"),
    (lambda: F.pad(ONES(1, 2), (0, 3), "circular"), ValueError, "finds 2 elements"),
    (lambda: F.pad(ONES(1, 4), (3, -2), "circular"), ValueError, "finds 2 elements"),
    (lambda: F.pad(ONES(1, 0), (1, 1), "replicate"), ValueError, "finds 0 elements"),
    (lambda: F.pad(ONES(2), (1, 1), "reflect"), ValueError, "one or two axes before"),
    (lambda: F.pad(ONES(2, 2, 2, 2), (1, 1), "circular"), ValueError, "one or two axes before"),
    (lambda: F.one_hot(tt.tensor([0, 3]), 3), IndexError, "class 3 at position"),
    (lambda: F.one_hot(tt.tensor([0, -1])), IndexError, "class -1 at position"),
    (lambda: F.one_hot(tt.tensor([-1])), IndexError, "class -1 at position"),
    (lambda: F.one_hot(ONES(2)), TypeError, "needs integers, got float32"),
    (lambda: F.one_hot(tt.tensor([0]), 0), ValueError, "num_classes must be positive"),
    (lambda: F.one_hot(tt.tensor([0]), -2), ValueError, "num_classes must be positive"),
    (lambda: F.one_hot(tt.zeros(0, dtype="int64")), ValueError, "cannot read the number"),
    (lambda: nn.Unflatten(1, (2, 3))(ONES(2, 5)), ValueError, "does not fall into"),
    (lambda: nn.Unflatten(1, (-1, -1))(ONES(2, 4)), ValueError, "does not fall into"),
]


@on_every_device
@pytest.mark.parametrize("case", range(len(CASES)))
def test_bad_input_is_explained(case):
    call, kind, said = CASES[case]
    with pytest.raises(kind, match=said):
        call()
