"""Convolution layers: against the formula, against PyTorch, and bad input."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytrain as tt
from tests.device_helpers import host
from tests.nn.comparison import assert_close, assert_like_torch, assert_twins, copy_state, numbers
from tinytrain import nn
from tinytrain.nn import functional as F
from tinytrain.ops import convolution
from tinytrain.ops.windows import Windows

on_every_device = pytest.mark.usefixtures("device")
ONES = tt.ones


# ---------------------------------------------------------------- windows


@given(
    size=st.integers(1, 12),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
)
def test_windows_are_all_that_fit(size, kernel, stride, dilation, before, after):
    windows = Windows((size,), (kernel,), (stride,), (dilation,), (before,), (after,))
    places = range(-before, size + after)
    fitting = [
        [start + k * dilation for k in range(kernel)]
        for start in places[::stride]
        if start + (kernel - 1) * dilation < size + after
    ]
    if not fitting:
        with pytest.raises(ValueError, match="does not fit"):
            windows.check("pool")
        return
    windows.check("pool")
    assert windows.count == (len(fitting),)
    padded = np.array(places)
    read = [padded[slices] for _, slices in windows.positions]
    np.testing.assert_array_equal(np.transpose(read), fitting)


# ---------------------------------------------------------------- the formula


def by_definition(x, weight, stride, padding, dilation, groups):
    """One output after the other: the sum over channels and kernel positions."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    reach = [dilation * (k - 1) + 1 for k in weight.shape[2:]]
    height, width = ((n - r) // stride + 1 for n, r in zip(padded.shape[2:], reach, strict=True))
    y = np.zeros((len(x), len(weight), height, width))
    per_group = weight.shape[1]
    for o, h, w in itertools.product(range(len(weight)), range(height), range(width)):
        first = o // (len(weight) // groups) * per_group
        window = padded[
            :,
            first : first + per_group,
            h * stride : h * stride + reach[0] : dilation,
            w * stride : w * stride + reach[1] : dilation,
        ]
        y[:, o, h, w] = (window * weight[o]).sum(axis=(1, 2, 3))
    return y


SETTINGS = [(1, 0, 1, 1), (2, 1, 1, 2), (1, 2, 2, 1), (3, 1, 2, 2)]


@on_every_device
@pytest.mark.parametrize("setting", SETTINGS)
def test_conv2d_is_its_definition(setting):
    x, weight = numbers(2, 4, 7, 6), numbers(6, 4 // setting[-1], 3, 2, seed=1)
    y = F.conv2d(tt.tensor(x), tt.tensor(weight), None, *setting)
    assert_close(host(y), by_definition(x, weight, *setting), 1e-13)


@on_every_device
def test_conv1d_is_conv2d_of_one_row():
    assert_twins(
        lambda x, w, b: F.conv1d(x, w, b, 2, 3, 2, 2),
        lambda x, w, b: F.conv2d(
            x.unsqueeze(2), w.unsqueeze(2), b, (1, 2), (0, 3), (1, 2), 2
        ).squeeze(2),
        numbers(3, 4, 9),
        numbers(6, 2, 3, seed=1),
        numbers(6, seed=2),
    )


@pytest.mark.parametrize("limit", [1, 300, 1000])
def test_the_size_of_blocks_changes_nothing(limit, monkeypatch):
    arrays = numbers(5, 3, 6, 6), numbers(4, 3, 3, 3, seed=1), numbers(4, seed=2)

    def convolve(x, w, b):
        return F.conv2d(x, w, b, padding=1)

    monkeypatch.setattr(convolution, "IN_CACHE", limit)
    assert_twins(convolve, lambda x, w, b: F.conv2d_simple(x, w, b, padding=1), *arrays)


@settings(max_examples=30)
@given(shift=st.integers(0, 4), seed=st.integers(0, 100))
def test_shifting_the_input_shifts_the_output(shift, seed):
    x, weight = np.zeros((1, 2, 20)), numbers(3, 2, 4, seed=seed)
    x[..., 6:10] = numbers(1, 2, 4, seed=seed)
    moved = np.roll(x, shift, axis=2)
    y, z = (host(F.conv1d(tt.tensor(v), tt.tensor(weight))) for v in (x, moved))
    np.testing.assert_allclose(z[..., shift:], y[..., : y.shape[2] - shift], atol=1e-12)


def test_only_the_input_is_saved():
    x, w = tt.randn(2, 3, 8, 8), tt.randn(4, 3, 3, 3, requires_grad=True)
    saved = F.conv2d(x, w).node.saved
    assert saved[0] is x.data
    assert saved[1] is None  # the weight is needed for the gradient of x alone


# ---------------------------------------------------------------- layers


def test_initial_values_are_within_the_bound():
    layer = nn.Conv2d(8, 16, (3, 5), groups=2)
    bound = 1 / np.sqrt(4 * 15)
    for values in map(host, (layer.weight, layer.bias)):
        assert np.abs(values).max() <= bound
        assert np.abs(values).max() > 0.6 * bound
    assert layer.weight.shape == (16, 4, 3, 5)
    before = host(layer.weight).copy()
    layer.reset_parameters()
    assert (host(layer.weight) != before).any()


def test_a_layer_shows_its_settings():
    assert repr(nn.Conv1d(2, 4, 3, bias=False, groups=2, dilation=2)) == (
        "Conv1d(2, 4, kernel_size=(3,), stride=(1,), dilation=(2,), groups=2, bias=False)"
    )
    assert repr(nn.Conv2d(1, 2, 3, padding="same", padding_mode="circular")) == (
        "Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=same, padding_mode=circular)"
    )


LAYERS = [
    ("Conv1d", (4, 6, 3), {}),
    ("Conv1d", (4, 6, (3,), (2,), 1, 2, 2, False), {}),
    ("Conv1d", (4, 6, 4), {"padding": "valid"}),
    ("Conv2d", (4, 6, 3), {}),
    ("Conv2d", (4, 6, (3, 2), 2, (1, 0)), {"groups": 2}),
    *(
        ("Conv2d", (4, 6, (3, 2)), {"padding": padding, "padding_mode": mode})
        for mode in ("zeros", "reflect", "replicate", "circular")
        for padding in (1, (2, 1), "same", "valid")
    ),
    ("Conv1d", (4, 6, 3), {"padding": 2, "padding_mode": "reflect", "stride": 2}),
]


@pytest.mark.oracle
@on_every_device
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize(("name", "arguments", "more"), LAYERS)
def test_layers_are_pytorchs(name, arguments, more, batched):
    torch = pytest.importorskip("torch")
    ours = getattr(nn, name)(*arguments, **more)
    theirs = getattr(torch.nn, name)(*arguments, **more)
    assert repr(ours) == repr(theirs)
    copy_state(ours, theirs)
    sizes = (9,) if name == "Conv1d" else (7, 6)
    assert_like_torch(ours, theirs, numbers(*((2,) if batched else ()), 4, *sizes))


# ---------------------------------------------------------------- bad input

X, W = (2, 4, 8, 8), (6, 4, 3, 3)
CASES = [
    (lambda: F.conv2d(ONES(4, 8), ONES(*W)), ValueError, r"\(N, C, H, W\) or .* got \(4, 8\)"),
    (lambda: F.conv1d(ONES(*X), ONES(6, 4, 3)), ValueError, r"\(N, C, L\) or \(C, L\)"),
    (lambda: F.conv2d(ONES(*X), ONES(6, 4, 3)), ValueError, r"weight of shape .* got \(6, 4, 3\)"),
    (lambda: F.conv2d(ONES(2, 3, 8, 8), ONES(*W)), ValueError, "needs 4 channels, got 3"),
    (lambda: F.conv2d(ONES(*X), ONES(5, 2, 3, 3), groups=2), ValueError, "5 output channels"),
    (lambda: F.conv2d(ONES(*X), ONES(*W), ONES(5)), ValueError, r"bias of shape \(6,\), got \(5,"),
    (lambda: F.conv2d(ONES(*X), ONES(*W).double()), TypeError, "float32, weight is float64"),
    (
        lambda: F.conv2d(ONES(*X), ONES(*W), ONES(6).double()),
        TypeError,
        "float32, bias is float64",
    ),
    (lambda: F.conv2d(ONES(*X).bool(), ONES(*W).bool()), TypeError, "not bool"),
    (lambda: F.conv2d(ONES(*X), ONES(6, 4, 9, 9)), ValueError, r"\(9, 9\).*size \(8, 8\)"),
    (lambda: F.conv2d(ONES(2, 4, 0, 8), ONES(*W), padding=3), ValueError, "does not fit"),
    (lambda: F.conv2d(ONES(*X), ONES(*W), stride=0), ValueError, "stride must be at least 1"),
    (lambda: F.conv2d(ONES(*X), ONES(*W), stride=(1, 2, 3)), ValueError, "one integer or 2"),
    (lambda: F.conv2d(ONES(*X), ONES(*W), stride=1.5), TypeError, "stride needs integers"),
    (lambda: F.conv2d(ONES(*X), ONES(*W), padding=-1), ValueError, "padding must be at least 0"),
    (lambda: F.conv2d(ONES(*X), ONES(*W), padding="full"), ValueError, "'same', 'valid' or"),
    (lambda: F.conv2d(ONES(*X), ONES(*W), None, 2, "same"), ValueError, "needs stride 1"),
    (lambda: F.conv2d(ONES(*X), ONES(*W), dilation=0), ValueError, "dilation must be at least 1"),
    (lambda: F.conv2d(ONES(*X), ONES(*W), groups=0), ValueError, "groups must be at least 1"),
    (lambda: F.conv2d(3.0, ONES(*W)), TypeError, "input must be a tensor, got a float"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "in_channels.*groups=2, got 3"),
    (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "out_channels.*groups=2, got 3"),
    (lambda: nn.Conv2d(0, 3, 3), ValueError, "in_channels must be positive"),
    (lambda: nn.Conv2d(1, 3, 0), ValueError, "Conv2d: kernel_size must be at least 1"),
    (lambda: nn.Conv2d(1, 3, 3, padding="all"), ValueError, "'same', 'valid' or integers"),
    (lambda: nn.Conv2d(1, 3, 3, 2, "same"), ValueError, "needs stride 1"),
    (lambda: nn.Conv1d(1, 3, 3, padding_mode="constant"), ValueError, "zeros, reflect"),
]


@on_every_device
@pytest.mark.parametrize("case", range(len(CASES)))
def test_bad_input_is_explained(case):
    call, kind, said = CASES[case]
    with pytest.raises(kind, match=said):
        call()
