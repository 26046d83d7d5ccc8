"""Edges of single operations: too few values, none, rows of -inf, settings without sense."""

import math

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.nn import functional as F

INF = math.inf


def leaf(rows):
    return tt.tensor(rows, requires_grad=True)


@pytest.mark.parametrize("correction", [3, 4, 3.5])
@pytest.mark.parametrize("axis", [None, 0])
def test_variance_of_fewer_values_than_the_correction(correction, axis, device):
    x = leaf([1.0, 2.0, 6.0])
    for spread in (tt.var, tt.std):
        assert spread(x, axis, correction=correction).item() == INF
    tt.var(x, axis, correction=correction).backward()
    along = {3: [-INF, -INF, INF], 4: [4, 2, -6], 3.5: [8, 4, -12]}  # 2 (x - 3) / (3 - correction)
    assert x.grad.tolist() == ([INF] * 3 if axis is None else along[correction])
    x.grad = None
    tt.std(x, axis, correction=correction).backward()
    if axis is None or correction == 3:
        assert np.isnan(x.grad.tolist()).all()
    else:
        assert x.grad.tolist() == [0, 0, 0]


def test_variance_of_equal_values_and_a_large_correction(device):
    x = leaf([[2.0], [2.0]])
    y = tt.var(x, 1)
    assert np.isnan(y.tolist()).all()
    y.sum().backward()
    assert np.isnan(x.grad.tolist()).all()
    assert math.isnan(tt.zeros(0).var().item())


@pytest.mark.parametrize(
    ("shape", "axis", "result"),
    [((3, 0), 1, (3,)), ((0,), 0, ()), ((2, 0, 3), (0, 1), (3,)), ((0, 3), 1, (0,))],
)
@pytest.mark.parametrize("keepdim", [False, True])
def test_logsumexp_of_no_values(shape, axis, result, keepdim, device):
    x = tt.zeros(shape, requires_grad=True)
    y = tt.logsumexp(x, axis, keepdim=keepdim)
    axes = axis if isinstance(axis, tuple) else (axis,)
    kept = tuple(1 if i in axes else size for i, size in enumerate(shape))
    assert y.shape == (kept if keepdim else result)
    assert (y == -INF).all().item()
    y.sum().backward()
    assert x.grad.shape == shape


@pytest.mark.parametrize("norm", [F.layer_norm, F.rms_norm])
@pytest.mark.parametrize("shape", [(2, 0), (0, 0), (2, 3, 0), (0, 4)])
def test_norms_of_rows_without_elements(norm, shape, device):
    x = tt.zeros(shape, requires_grad=True)
    weight = tt.ones(shape[-1:], requires_grad=True)
    y = norm(x, shape[-1:], weight)
    assert y.shape == shape
    y.sum().backward()
    assert x.grad.shape == shape
    assert weight.grad.shape == shape[-1:]
    assert norm(x.detach(), shape[-1:]).shape == shape


def test_layer_norm_of_rows_without_elements_with_a_bias(device):
    bias = tt.ones(0, requires_grad=True)
    F.layer_norm(tt.zeros(2, 0), (0,), None, bias).sum().backward()
    assert bias.grad.shape == (0,)


@pytest.mark.parametrize("training", [False, True])
def test_batch_norm_of_nothing(training, device):
    x = tt.zeros(0, requires_grad=True)
    y = F.batch_norm(x, tt.zeros(0), tt.ones(0), training=training)
    assert y.shape == (0,)
    y.sum().backward()
    assert x.grad.shape == (0,)


@pytest.mark.parametrize("eps", [-1.0, math.nan])
def test_eps_that_leaves_no_variance(eps, device):
    x, ones = tt.tensor([[1.0, 2.0], [0.1, 0.2]]), tt.ones(2)
    calls = {
        "layer_norm": lambda: F.layer_norm(x, (2,), eps=eps),
        "rms_norm": lambda: F.rms_norm(x, (2,), eps=eps),
        "batch_norm": lambda: F.batch_norm(x, ones, ones, eps=eps),
        "layer": lambda: F.group_norm(x, 1, eps=eps),
    }
    for name, call in calls.items():
        with pytest.raises(ValueError, match=f"^{name}.*eps .*from 0"):
            call()
    assert F.group_norm(x, 1, eps=0.0).shape == F.layer_norm(x, (2,), eps=1).shape


def test_eps_below_zero_and_variance_enough(device):
    """As in PyTorch; batch_norm refuses it there too."""
    rows = [[1.0, 5.0], [-3.0, 3.0]]
    found = F.layer_norm(tt.tensor(rows), (2,), eps=-1.0).tolist()
    np.testing.assert_allclose(found, np.array([[-2, 2], [-3, 3]]) / [[3**0.5], [8**0.5]], 1e-6)
    found = F.rms_norm(tt.tensor(rows), (2,), eps=-1.0).tolist()
    np.testing.assert_allclose(found, rows / np.array([[12**0.5], [8**0.5]]), 1e-6)


def test_hidden_rows_are_the_same_to_all_three(device):
    """A row that is -inf throughout: softmax 0, its logarithm and logsumexp -inf, gradients 0."""
    rows = [[-INF, -INF], [0.0, -INF]]
    probabilities, logarithms = F.softmax(tt.tensor(rows), 1), F.log_softmax(tt.tensor(rows), 1)
    assert probabilities.tolist() == [[0, 0], [1, 0]]
    assert logarithms.tolist() == [[-INF, -INF], [0, -INF]]
    assert tt.logsumexp(tt.tensor(rows), 1).tolist() == [-INF, 0]
    for function in (F.softmax, F.log_softmax, tt.logsumexp):
        x = leaf(rows)
        y = function(x, 1)
        y.backward(tt.ones(y.shape))
        assert x.grad.tolist()[0] == [0, 0]
        assert np.isfinite(x.grad.tolist()).all()


def test_log_softmax_of_other_rows_is_as_before(device):
    x = leaf([[-INF, -INF, -INF], [1.0, 2.0, 3.0]])
    y = F.log_softmax(x, 1)
    expected = np.array([1, 2, 3]) - np.log(np.exp([1, 2, 3]).sum())
    np.testing.assert_allclose(y.tolist()[1], expected, rtol=1e-6)
    y.backward(tt.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    assert x.grad.tolist()[0] == [0, 0, 0]
    np.testing.assert_allclose(x.grad.tolist()[1], [0, 0, 1] - np.exp(expected), rtol=1e-5)


def test_scatter_casts_a_number_to_the_tensor(device):
    index = tt.tensor([0, 0])
    counts = tt.zeros(3, dtype="int64").scatter(0, index, 2.5, reduce="add")
    assert counts.dtype == np.int64
    assert counts.tolist() == [4, 0, 0]
    marks = tt.zeros(3, dtype="bool").scatter(0, tt.tensor([1]), 2.5, reduce="add")
    assert marks.dtype == np.bool_
    assert marks.tolist() == [False, True, False]
    assert tt.tensor(1).scatter(0, tt.tensor(0), 2.5, reduce="add").tolist() == 3
    assert tt.zeros(2).scatter(0, tt.tensor([1]), 2.5, reduce="add").tolist() == [0, 2.5]


@pytest.mark.parametrize(
    ("shape", "sizes"), [((1, 3), (-2, 3)), ((1, 3), (2, -2)), ((3,), (-1, 3)), ((3,), (-2, 3))]
)
def test_expand_to_sizes_that_are_none(shape, sizes, device):
    with pytest.raises(ValueError, match="at least 0, or -1 to keep that of an axis that is there"):
        tt.zeros(shape).expand(*sizes)


def test_expand_keeps_sizes(device):
    assert tt.zeros(1, 3).expand(2, -1).shape == (2, 3)
    assert tt.zeros(3).expand(0, -1).shape == (0, 3)
