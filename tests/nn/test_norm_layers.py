"""Group, instance and RMS normalisation, batch normalisation of images, and dropout of channels."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.nn.comparison import assert_close, assert_twins, numbers
from tinytrain import nn
from tinytrain.nn import functional as F
from tinytrain.testing import mock
from tinytrain.train.accumulation import pooled_statistics

pytestmark = pytest.mark.usefixtures("device")


def ones(*shape):
    return tt.ones(*shape)


# ---------------------------------------------------------------- relatives of each other


def test_one_group_is_layer_norm_and_single_channels_are_instance_norm():
    x = numbers(2, 6, 5)
    assert_twins(lambda x: F.group_norm(x, 1), lambda x: F.layer_norm(x, (6, 5)), x)
    assert_twins(lambda x: F.group_norm(x, 6), F.instance_norm, x)
    assert_twins(
        F.instance_norm,
        lambda x: F.layer_norm(x, (5,)),
        x,
    )


def test_groups_are_normalised_on_their_own():
    x = numbers(3, 4, 5)
    whole = host(F.group_norm(tt.tensor(x), 2))
    for group in (slice(0, 2), slice(2, 4)):
        part = host(F.group_norm(tt.tensor(x[1:2, group]), 1))
        assert_close(part, whole[1:2, group], 1e-12)


def test_rms_norm_does_not_depend_on_the_scale():
    x = numbers(3, 7)
    one, other = (F.rms_norm(tt.tensor(s * x), (7,), eps=0.0) for s in (1.0, 1e-3))
    assert_close(host(one), host(other), 1e-12)


# ---------------------------------------------------------------- statistics


@pytest.mark.parametrize("momentum", [0.1, None])
def test_images_are_pooled_as_rows_are(momentum):
    x = 5 + numbers(8, 3, 2, 4)
    whole, split = (nn.BatchNorm2d(3, momentum=momentum).to("float64") for _ in range(2))
    for step in range(3):
        whole(tt.tensor(x + step))
        with pooled_statistics(nn.Sequential(split)):
            for piece in np.split(x + step, [3, 4]):
                split(tt.tensor(piece))
    for one, other in zip(split.buffers(), whole.buffers(), strict=True):
        assert_close(host(one), host(other), 1e-12)


def test_cumulative_average_does_not_wait_for_the_gpu(device):
    if device != "mock":
        pytest.skip("the mock counts waits")
    layer, x = nn.BatchNorm2d(2, momentum=None), tt.tensor(numbers(3, 2, 2, 2).astype("float32"))
    with mock.forbid_sync():
        layer(x)


def test_instance_norm_follows_the_average_of_the_items():
    layer = nn.InstanceNorm1d(3, momentum=0.5, track_running_stats=True).to("float64")
    x = numbers(4, 3, 6)
    layer(tt.tensor(x))
    assert_close(host(layer.running_mean), 0.5 * x.mean(2).mean(0), 1e-12)
    expected = 0.5 + 0.5 * x.var(2, ddof=1).mean(0)
    assert_close(host(layer.running_var), expected, 1e-12)
    before = host(layer.running_mean).copy()
    layer.eval()(tt.tensor(x))
    np.testing.assert_array_equal(host(layer.running_mean), before)


@pytest.mark.parametrize("shape", [(0, 4, 5), (2, 4, 0)])
def test_nothing_to_normalise(shape):
    """PyTorch gives NaN for the gradients of the weight here, or an error."""
    layers = [nn.GroupNorm(2, 4)]
    layers.append(nn.InstanceNorm1d(4, affine=True, track_running_stats=True))
    for layer in layers:
        x = tt.ones(*shape, requires_grad=True)
        output = layer(x)
        output.sum().backward()
        assert output.shape == x.grad.shape == shape
        assert host(layer.weight.grad).tolist() == [0] * 4
        assert all(np.isfinite(host(buffer)).all() for buffer in layer.buffers())


# ---------------------------------------------------------------- dropout


@pytest.mark.parametrize(
    ("name", "shape", "channels"),
    [("Dropout1d", (40, 50, 3), 2), ("Dropout1d", (200, 3), 1), ("Dropout2d", (40, 50, 3, 2), 2)],
)
def test_channels_are_dropped_as_a_whole(name, shape, channels):
    layer = getattr(nn, name)(0.25, generator=tt.Generator(3))
    x = tt.ones(*shape, requires_grad=True)
    output = layer(x)
    output.backward(tt.ones(*shape))
    rows = host(output).reshape(np.prod(shape[:channels]), -1)
    assert (rows == rows[:, :1]).all()
    assert set(np.unique(rows)) == {0, np.float32(1 / 0.75)}
    assert (rows[:, 0] == 0).mean() == pytest.approx(0.25, abs=0.08)
    np.testing.assert_array_equal(host(x.grad), host(output))
    assert layer.eval()(x) is x
    assert getattr(nn, name)(0.0)(x) is x
    assert not host(getattr(nn, name)(1.0)(x)).any()


# ---------------------------------------------------------------- bad input

CASES = [
    (lambda: F.group_norm(ones(2, 6, 3), 4), r"6 channels .* for 4 groups"),
    (lambda: F.group_norm(ones(2, 6, 3), 0), "for 0 groups"),
    (lambda: F.group_norm(ones(2), 1), r"\(N, C\) or \(N, C, ...\), got \(2,\)"),
    (lambda: F.group_norm(ones(1, 2), 2), "more than one value per group"),
    (lambda: F.group_norm(ones(2, 6), 2, ones(2)), r"weight has shape \(2,\), expected \(6,\)"),
    (lambda: F.instance_norm(ones(2, 3)), r"more than one position per channel, got \(2, 3\)"),
    (lambda: F.instance_norm(ones(2, 3, 1)), "more than one position"),
    (lambda: F.instance_norm(ones(2, 3, 4), ones(2)), r"instance_norm: running_mean .* \(2,\)"),
    (lambda: F.instance_norm(ones(2, 3, 4), use_input_stats=False), "needs running_mean"),
    (lambda: F.rms_norm(ones(2, 3), (2,)), r"rms_norm over \(2,\).*shape \(2, 3\)"),
    (lambda: F.rms_norm(ones(2, 3), (3,), ones(2)), r"rms_norm: weight has shape \(2,\)"),
    (lambda: nn.GroupNorm(4, 6), "cannot part 6 channels in 4 groups"),
    (lambda: nn.GroupNorm(2, 6)(ones(2, 4)), r"expects shape \(N, 6, ...\), got \(2, 4\)"),
    (lambda: nn.InstanceNorm1d(3)(ones(2, 4, 5)), r"\(N, 3, L\) or \(3, L\), got \(2, 4, 5\)"),
    (lambda: nn.InstanceNorm2d(3)(ones(3, 5)), r"\(N, 3, H, W\) or \(3, H, W\)"),
    (lambda: nn.BatchNorm2d(3)(ones(2, 3, 4)), r"\(N, 3, H, W\), got \(2, 3, 4\)"),
    (lambda: nn.BatchNorm2d(3)(ones(1, 3, 1, 1)), "more than one value per channel"),
    (lambda: F.dropout1d(ones(3)), r"\(N, C, L\) or \(C, L\), got \(3,\)"),
    (lambda: F.dropout2d(ones(3)), r"\(N, C, H, W\), got \(3,\)"),
    (lambda: F.dropout2d(ones(3, 2), p=2.0), "got 2.0"),
    (lambda: nn.Dropout1d(1.5), "got 1.5"),
    (lambda: nn.ReLU(inplace=True), "ReLU cannot work in place"),
    (lambda: F.silu(ones(1), inplace=True), "silu cannot work in place"),
    (lambda: F.dropout(ones(1), inplace=True), "dropout cannot work in place"),
    (lambda: F.softplus(ones(1), beta=0.0), "must not be 0"),
    (lambda: F.hardtanh(ones(1), 1.0, -1.0), "lower bound 1.0 is above the upper bound -1.0"),
    (lambda: nn.Hardtanh(1.0, 1.0), "min_val below max_val"),
]


@pytest.mark.parametrize(("call", "words"), CASES)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_integers_are_refused():
    integers = tt.tensor([1, 2])
    for name in ("silu", "leaky_relu", "elu", "softplus", "logsigmoid"):
        with pytest.raises(TypeError, match="floating-point tensor, got int64"):
            getattr(F, name)(integers)
    with pytest.raises(TypeError, match="rms_norm needs a floating-point"):
        F.rms_norm(integers, (2,))
    with pytest.raises(TypeError, match="dropout1d needs a floating-point"):
        F.dropout1d(integers.reshape(1, 2))
    with pytest.raises(TypeError, match="dropout: input must be a tensor, got a bare ndarray"):
        F.dropout(np.ones(2))
