"""Bad input of the layers' operations: what was wrong, which shapes and dtypes, what to do."""

import numpy as np
import pytest
from device_helpers import host

import tinytrain as tt
from tinytrain.nn import functional as F

pytestmark = pytest.mark.usefixtures("device")

ONES = tt.ones


def ids():
    return tt.tensor([0, 1])


def attention(q=(2, 3), k=(4, 3), v=(4, 5), mask=None, dtypes=("float32",) * 3):
    inputs = [ONES(*shape).to(dtype) for shape, dtype in zip((q, k, v), dtypes, strict=True)]
    return F.scaled_dot_product_attention(*inputs, mask)


CASES = [
    # linear and embedding
    (lambda: F.linear(ONES(2, 3), ONES(4, 2)), ValueError, r"expects 2 features.*got 3.*\(2, 3\)"),
    (lambda: F.linear(tt.tensor(1.0), ONES(4, 2)), ValueError, "got a 0-d tensor"),
    (lambda: F.linear(ONES(2), ONES(2)), ValueError, r"weight of shape \(out, in\)"),
    (lambda: F.linear(ONES(2), ONES(4, 2), ONES(3)), ValueError, r"bias of shape \(4,\)"),
    (lambda: F.linear(ONES(2), ONES(4, 2).double()), TypeError, "float32, weight is float64"),
    (lambda: F.embedding(tt.tensor([0, 5]), ONES(5, 2)), IndexError, r"id 5 at position \(1,\)"),
    (lambda: F.embedding(tt.tensor([[-1]]), ONES(5, 2)), IndexError, r"-1 at position \(0, 0\)"),
    (lambda: F.embedding(ONES(2), ONES(5, 2)), TypeError, "must be integers, got float32"),
    (lambda: F.embedding(tt.tensor([True]), ONES(5, 2)), TypeError, "must be integers, got bool"),
    (lambda: F.embedding(ids(), ONES(5)), ValueError, r"weight of shape \(V, D\), got \(5,\)"),
    (lambda: F.embedding(ids(), ONES(5, 2, 2)), ValueError, r"weight of shape \(V, D\)"),
    # norms
    (lambda: F.layer_norm(ONES(2, 3), (2,)), ValueError, r"layer_norm over \(2,\).*shape \(2, 3\)"),
    (lambda: F.layer_norm(ONES(2, 3), ()), ValueError, "layer_norm over"),
    (lambda: F.layer_norm(ONES(2, 3), (3,), ONES(2)), ValueError, r"weight has shape \(2,\)"),
    (lambda: F.layer_norm(ONES(2), (2,), None, ONES(2).double()), TypeError, "bias is float64"),
    (lambda: F.layer_norm(ids(), (2,)), TypeError, "floating-point input, got int64"),
    (lambda: F.batch_norm(ONES(3), None, None, training=True), ValueError, r"shape \(N, C\)"),
    (
        lambda: F.batch_norm(ONES(1, 3), None, None, training=True),
        ValueError,
        "more than one value",
    ),
    (lambda: F.batch_norm(ONES(2, 3), None, None), ValueError, "needs running_mean"),
    (lambda: F.batch_norm(ONES(2, 3), ONES(1), ONES(3)), ValueError, r"running_mean.*\(1,\)"),
    (
        lambda: F.batch_norm(ONES(2, 3), ONES(3), ONES(3).double()),
        TypeError,
        "running_var is float64",
    ),
    (lambda: F.batch_norm(ONES(2, 3), ONES(3), ONES(3), ONES(2)), ValueError, "^batch_norm"),
    # losses
    (
        lambda: F.cross_entropy(ONES(2, 3), tt.tensor([0, 3])),
        IndexError,
        r"class 3 at position \(1,\)",
    ),
    (lambda: F.cross_entropy(ONES(2, 3), tt.tensor([0, -1])), IndexError, "class -1"),
    (lambda: F.cross_entropy(ONES(2, 3), ids().float()), TypeError, "targets, got float32"),
    (lambda: F.cross_entropy(tt.tensor([[1, 2]]), tt.tensor([0])), TypeError, "got int64"),
    (lambda: F.cross_entropy(ONES(2, 3), tt.tensor([0])), ValueError, r"\(2, 3\) and \(1,\)"),
    (lambda: F.cross_entropy(ONES(2, 3, 4), ids()), ValueError, r"\(2, 3, 4\) and \(2,\)"),
    (lambda: F.cross_entropy(ONES(2, 3), ids(), reduction="avg"), ValueError, "not 'avg'"),
    (lambda: F.cross_entropy(ONES(2, 3), ids(), label_smoothing=2), ValueError, "0 to 1, got 2"),
    (lambda: F.mse_loss(ONES(2), ONES(2, 1)), ValueError, "make them equal"),
    # activations
    (lambda: F.gelu(ids()), TypeError, "floating-point tensor, got int64"),
    (lambda: F.gelu(ONES(2), approximate="fast"), ValueError, "'none' or 'tanh', not 'fast'"),
    (lambda: F.dropout(ONES(2), 1.5), ValueError, "got 1.5"),
    (lambda: F.dropout(ids(), 0.5), TypeError, "floating-point tensor, got int64"),
    # attention
    (lambda: attention(q=(3,)), ValueError, "at least two axes"),
    (lambda: attention(q=(2, 4)), ValueError, "differ in width"),
    (lambda: attention(v=(3, 5)), ValueError, "differ in number"),
    (lambda: attention(q=(2, 2, 3), k=(3, 4, 3)), ValueError, "cannot be broadcast"),
    (lambda: attention(dtypes=("float64", "float32", "float32")), TypeError, "dtypes differ"),
    (lambda: attention(mask=ONES(3, 4)), ValueError, r"\(3, 4\) and \(2, 4\) cannot be broadcast"),
    (lambda: attention(mask=ONES(3, 2, 4)), ValueError, r"mask \(3, 2, 4\) is larger.*\(2, 4\)"),
    (lambda: attention(q=(1, 3), mask=ONES(2, 4)), ValueError, r"mask \(2, 4\) is larger"),
    (lambda: attention(mask=ONES(2, 4).double()), TypeError, "must be float32 as the queries"),
    (lambda: F.packed_self_attention(ONES(1, 2, 10), 2), ValueError, "multiple of 2 heads"),
    (
        lambda: F.packed_self_attention(ONES(1, 2, 12), 2, ONES(3, 1, 2, 2)),
        ValueError,
        r"mask \(3, 1, 2, 2\) is larger than the scores \(1, 2, 2, 2\)",
    ),
    (
        lambda: F.packed_self_attention(ONES(1, 2, 12), 2, tt.ones(2, 2, requires_grad=True)),
        ValueError,
        "gives its mask no gradient",
    ),
    (lambda: F.segment_mask(ONES(1, 2)), ValueError, r"integers \(B, T\), got float32 \(1, 2\)"),
]


@pytest.mark.parametrize(("call", "error", "words"), CASES)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_mask_of_fewer_axes():
    """A mask may have one axis, or none."""
    x = tt.randn(2, 2, 3, 4, generator=tt.Generator(0))
    qkv = tt.randn(2, 3, 12, generator=tt.Generator(0))
    row = tt.tensor([0.0, -np.inf, 1.0])
    for mask in (row, tt.tensor(0.0), row == 0):
        full = mask.expand(3, 3)
        one, two = (F.scaled_dot_product_attention(x, x, x, m) for m in (mask, full))
        np.testing.assert_array_equal(host(one), host(two))
        one, two = (F.packed_self_attention(qkv, 2, m) for m in (mask, full))
        np.testing.assert_array_equal(host(one), host(two))


def test_query_that_sees_nothing_gets_zero_and_finite_gradients():
    x = tt.randn(1, 1, 2, 4, generator=tt.Generator(0), requires_grad=True)
    nothing = tt.tensor([[False, False], [True, False]])
    out = F.scaled_dot_product_attention(x, x, x, nothing)
    assert out[0, 0, 0].tolist() == [0] * 4
    out.sum().backward()
    assert np.isfinite(host(x.grad)).all()


def test_loss_of_nothing_counted():
    logits = tt.ones(2, 3, requires_grad=True)
    ignored = tt.tensor([-100, -100])
    assert np.isnan(F.cross_entropy(logits, ignored).item())
    total = F.cross_entropy(logits, ignored, reduction="sum")
    total.backward()
    assert total.item() == 0
    assert logits.grad.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_running_statistics_move_towards_the_batch():
    x = tt.tensor([[1.0, 10.0], [3.0, 30.0], [5.0, 20.0]])
    mean, variance = tt.zeros(2), tt.ones(2)
    F.batch_norm(x, mean, variance, training=True, momentum=0.5)
    assert mean.tolist() == [1.5, 10]
    assert variance.tolist() == [0.5 + 0.5 * 4, 0.5 + 0.5 * 100]  # the unbiased variance
    F.batch_norm(x, mean, variance)
    assert mean.tolist() == [1.5, 10]


def test_dropout_without_training_or_probability_is_nothing():
    x = tt.ones(3)
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0.0) is x


def test_dropout_keeps_the_mean():
    kept = F.dropout(tt.ones(20_000), 0.3, generator=tt.Generator(1))
    assert set(np.unique(host(kept))) == {0, np.float32(1 / 0.7)}
    assert kept.mean().item() == pytest.approx(1, abs=0.02)
