"""Initial parameters against PyTorch's: names, shapes, dtypes and distributions."""

import inspect

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("torch_on_one_thread")]

LAYERS = [
    ("Linear", (64, 96), {}),
    ("Linear", (3, 2000), {"bias": False}),
    ("Embedding", (100, 40), {}),
    ("LayerNorm", ((8, 4),), {}),
    ("LayerNorm", (32,), {"bias": False}),
    ("LayerNorm", (32,), {"elementwise_affine": False}),
    ("BatchNorm1d", (32,), {}),
    ("BatchNorm1d", (32,), {"affine": False}),
    ("BatchNorm1d", (32,), {"track_running_stats": False}),
    ("MultiheadAttention", (48, 4), {}),
    ("MultiheadAttention", (48, 4), {"bias": False, "batch_first": True, "dropout": 0.1}),
]


def farthest_distance(one, other):
    """The largest gap between two empirical distribution functions (Kolmogorov and Smirnov)."""
    points = np.concatenate([one, other])
    steps = [np.searchsorted(np.sort(x), points, side="right") / len(x) for x in (one, other)]
    return np.abs(steps[0] - steps[1]).max()


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(("name", "arguments", "settings"), LAYERS)
def test_names_shapes_and_distributions(name, arguments, settings):
    tt.manual_seed(0)
    torch.manual_seed(0)
    ours = getattr(tt.nn, name)(*arguments, **settings).state_dict()
    theirs = getattr(torch.nn, name)(*arguments, **settings).state_dict()
    assert list(ours) == list(theirs)
    for key, expected in theirs.items():
        one, other = host(ours[key]), expected.numpy()
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        one, other = one.ravel(), other.ravel()
        if np.ptp(other) == 0:
            np.testing.assert_array_equal(one, other, err_msg=key)
        else:  # 1.95 sqrt(2 / n) is exceeded by chance once in a thousand times
            assert farthest_distance(one, other) < 1.95 * np.sqrt(2 / len(one)), key
            spread = abs(one.max() / other.max() - 1)
            assert spread < (0.3 if name == "Embedding" else 0.05), key


def test_the_distance_notices_a_wrong_scale():
    source = np.random.default_rng(0)
    one, other = source.uniform(-1, 1, 4000), source.uniform(-1, 1, 4000)
    assert farthest_distance(one, other) < 1.95 * np.sqrt(2 / 4000)
    assert farthest_distance(one, 1.1 * other) > 1.95 * np.sqrt(2 / 4000)
    assert farthest_distance(one, source.normal(0, 1 / np.sqrt(3), 4000)) > 0.05


def test_signatures_take_the_same_arguments_in_the_same_order():
    """What may be given by position stands where PyTorch has it; defaults are PyTorch's."""
    layers = [name for name, *_ in LAYERS] + ["GELU", "ReLU", "Tanh", "Sigmoid", "Dropout"]
    for name in [*layers, "CrossEntropyLoss", "MSELoss"]:
        ours, theirs = getattr(tt.nn, name), getattr(torch.nn, name)
        assert_arguments_fit(name, ours, theirs)
        assert_arguments_fit(name, ours.forward, theirs.forward)
    for name in ("layer_norm", "batch_norm", "cross_entropy", "mse_loss", "dropout", "embedding"):
        ours = getattr(tt.nn.functional, name)
        assert_arguments_fit(name, ours, getattr(torch.nn.functional, name))


def assert_arguments_fit(name, ours, theirs):
    expected = inspect.signature(theirs).parameters
    for position, (argument, given) in enumerate(inspect.signature(ours).parameters.items()):
        if argument == "generator":  # tinytrain's own
            continue
        assert argument in expected, f"{name} in PyTorch has no {argument}"
        assert given.default == expected[argument].default, f"{name}: default of {argument}"
        if given.kind is given.POSITIONAL_OR_KEYWORD:
            assert list(expected)[position] == argument, f"{name}: {argument} stands elsewhere"
