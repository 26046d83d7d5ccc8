"""Normalisation layers beside BatchNorm1d and LayerNorm, and activations, against PyTorch's."""

import numpy as np
import pytest

import tinytrain as tt
from tests.nn.comparison import assert_like_torch, copy_state, numbers

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("torch_on_one_thread", "device")]


def pair(name, *arguments, **settings):
    """Build a layer of one name on both sides, with the same parameters, away from 1 and 0."""
    ours = getattr(tt.nn, name)(*arguments, **settings)
    theirs = getattr(torch.nn, name)(*arguments, **settings)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += torch.tensor(numbers(*parameter.shape, seed=5))
    copy_state(ours, theirs)
    return ours, theirs


def check_steps(name, *arguments, shape, **settings):
    """Compare over some steps of training, and then in evaluation."""
    ours, theirs = pair(name, *arguments, **settings)
    for step in range(4):
        if step == 3:
            ours.eval()
            theirs.eval()
        assert_like_torch(ours, theirs, 2 + 3 * numbers(*shape, seed=step))
        ours.zero_grad()
        theirs.zero_grad()


SETTINGS = [
    {},
    {"affine": False},
    {"affine": True, "bias": False},
    {"track_running_stats": False},
    {"track_running_stats": True, "affine": True},
    {"momentum": 0.3, "eps": 0.01},
]


@pytest.mark.parametrize("settings", [*SETTINGS, {"momentum": None}])
def test_batch_norm_2d(settings):
    check_steps("BatchNorm2d", 3, shape=(4, 3, 2, 5), **settings)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4)])
@pytest.mark.parametrize("settings", [{"momentum": None}, {"bias": False}])
def test_batch_norm_1d(shape, settings):
    check_steps("BatchNorm1d", 3, shape=shape, **settings)


@pytest.mark.parametrize(("name", "rest"), [("BatchNorm1d", (4,)), ("BatchNorm2d", (4, 2))])
def test_batch_norm_of_an_empty_batch(name, rest):
    check_steps(name, 3, shape=(0, 3, *rest))


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("lead", [(4,), ()])
def test_instance_norm(lead, settings):
    check_steps("InstanceNorm1d", 3, shape=(*lead, 3, 5), **settings)
    check_steps("InstanceNorm2d", 3, shape=(*lead, 3, 5, 2), **settings)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3), (2, 6, 3, 2), (0, 6, 3)])
@pytest.mark.parametrize("settings", [{}, {"affine": False}, {"bias": False}, {"eps": 0.5}])
def test_group_norm(groups, shape, settings):
    assert_like_torch(*pair("GroupNorm", groups, 6, **settings), 2 + 3 * numbers(*shape))


@pytest.mark.parametrize("settings", [{}, {"elementwise_affine": False}, {"eps": 0.5}])
@pytest.mark.parametrize("lead", [(), (5,), (2, 3), (0,)])
def test_rms_norm(lead, settings):
    assert_like_torch(*pair("RMSNorm", 7, **settings), 2 + numbers(*lead, 7))
    assert_like_torch(*pair("RMSNorm", (4, 3), **settings), 2 + numbers(*lead, 4, 3))


def test_rows_without_variance():
    x = np.array([[3.0] * 6, [0.0] * 6])
    for name, arguments in [("LayerNorm", (6,)), ("RMSNorm", (6,)), ("GroupNorm", (2, 6))]:
        assert_like_torch(*pair(name, *arguments), x, tolerance=1e-9)


ACTIVATIONS = [
    ("SiLU", {}),
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 0.3}),
    ("ELU", {}),
    ("ELU", {"alpha": 0.5}),
    ("Softplus", {}),
    ("Softplus", {"beta": 3.0, "threshold": 1.0}),
    ("LogSigmoid", {}),
    ("Hardtanh", {}),
    ("Hardtanh", {"min_val": -0.5, "max_val": 2.0}),
    ("ReLU6", {}),
    ("Softmax", {"dim": 0}),
    ("LogSoftmax", {"dim": -1}),
    ("Identity", {}),
]


@pytest.mark.parametrize(("name", "settings"), ACTIVATIONS)
def test_activations(name, settings):
    for shape in [(), (7,), (3, 5), (0, 2)]:
        if not (name in ("Softmax", "LogSoftmax") and 0 in shape):
            assert_like_torch(*pair(name, **settings), 4 * np.asarray(numbers(*shape)))
    far = np.array([-700.0, -40.0, -6.0, -1.0, -1e-9, 0.0, 1e-9, 1.0, 6.0, 40.0, 700.0])
    assert_like_torch(*pair(name, **settings), far)


@pytest.mark.parametrize(("name", "settings"), ACTIVATIONS)
def test_float32_is_as_near_as_torchs(name, settings):
    x = (6 * numbers(500)).astype(np.float32)
    exact = getattr(torch.nn, name)(**settings)(torch.tensor(x.astype(np.float64))).numpy()
    theirs = getattr(torch.nn, name)(**settings)(torch.tensor(x)).numpy()
    ours = getattr(tt.nn, name)(**settings)(tt.tensor(x)).cpu().numpy()
    assert ours.dtype == np.float32
    scale = np.abs(exact).max()
    assert np.abs(ours - exact).max() <= 4 * np.abs(theirs - exact).max() + 1e-7 * scale


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_in_another_dtype(name):
    x = numbers(3, 4).astype(np.float32)
    ours = getattr(tt.nn.functional, name)(tt.tensor(x), 1, dtype=np.float64)
    theirs = getattr(torch.nn.functional, name)(torch.tensor(x), 1, dtype=torch.float64)
    np.testing.assert_allclose(ours.cpu().numpy(), theirs.numpy(), rtol=1e-12)
