"""The layers against PyTorch's, in float64: outputs, all gradients, and state dicts."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.nn.comparison import (
    assert_close,
    assert_like_torch,
    assert_same_state,
    copy_state,
    numbers,
)

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("torch_on_one_thread", "device")]

LEADS = [(), (1,), (5,), (2, 3), (0, 3)]


def check(name, *arguments, inputs, **settings):
    """Build a layer of one name on both sides, and compare."""
    ours = getattr(tt.nn, name)(*arguments, **settings)
    theirs = getattr(torch.nn, name)(*arguments, **settings)
    copy_state(ours, theirs)
    assert_like_torch(ours, theirs, *inputs)


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("bias", [True, False])
def test_linear(lead, bias):
    check("Linear", 7, 3, bias, inputs=[numbers(*lead, 7)])


@pytest.mark.parametrize("shape", [(), (4,), (3, 5), (0,)])
def test_embedding(shape):
    ids = np.asarray(np.random.default_rng(0).integers(0, 11, shape))
    check("Embedding", 11, 3, inputs=[ids])


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("settings", [{}, {"elementwise_affine": False}, {"bias": False}])
def test_layer_norm(lead, settings):
    check("LayerNorm", 7, inputs=[2 + 3 * numbers(*lead, 7)], **settings)


def test_layer_norm_over_several_axes_with_another_eps():
    check("LayerNorm", (3, 5), 0.1, inputs=[numbers(4, 3, 5)])


@pytest.mark.parametrize("form", ["none", "tanh"])
@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (0, 2)])
def test_gelu(form, shape):
    check("GELU", approximate=form, inputs=[4 * numbers(*shape)])


@pytest.mark.parametrize("name", ["ReLU", "Tanh", "Sigmoid"])
@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (0, 2)])
def test_activations(name, shape):
    check(name, inputs=[4 * numbers(*shape)])


def test_slopes_at_zero():
    for name in ("ReLU", "Tanh", "Sigmoid", "GELU"):
        check(name, inputs=[np.array([0.0, -0.0])])


@pytest.mark.parametrize("name", ["Tanh", "Sigmoid", "GELU", "ReLU"])
def test_activations_far_out(name):
    check(name, inputs=[np.array([-700.0, -40.0, -1e-9, 1e-9, 40.0, 700.0])])


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, dim):
    ours, theirs = getattr(tt.nn.functional, name), getattr(torch.nn.functional, name)
    assert_like_torch(lambda x: ours(x, dim), lambda x: theirs(x, dim), 5 * numbers(3, 4, 5))


# ---------------------------------------------------------------- batch normalisation

BATCH_NORMS = [
    {},
    {"affine": False},
    {"track_running_stats": False},
    {"affine": False, "track_running_stats": False},
    {"momentum": 0.3, "eps": 0.01},
]


@pytest.mark.parametrize("shape", [(5, 3), (2, 3), (4, 3, 7), (1, 3, 2)])
@pytest.mark.parametrize("settings", BATCH_NORMS)
def test_batch_norm_over_several_steps_and_in_evaluation(shape, settings):
    ours, theirs = tt.nn.BatchNorm1d(3, **settings), torch.nn.BatchNorm1d(3, **settings)
    copy_state(ours, theirs)
    for step in range(4):
        assert_like_torch(ours, theirs, 2 + 3 * numbers(*shape, seed=step))
        zero_gradients(ours, theirs)
    if ours.track_running_stats:
        assert ours.num_batches_tracked.item() == 4
    ours.eval()
    theirs.eval()
    state = ours.state_dict()
    assert_like_torch(ours, theirs, numbers(*shape, seed=9))
    for name, value in ours.state_dict().items():  # evaluation leaves everything as it was
        np.testing.assert_array_equal(host(value), host(state[name]))


def zero_gradients(ours, theirs):
    ours.zero_grad()
    theirs.zero_grad()


def test_batch_norm_evaluates_an_empty_batch():
    ours, theirs = tt.nn.BatchNorm1d(3).eval(), torch.nn.BatchNorm1d(3).eval()
    copy_state(ours, theirs)
    assert_like_torch(ours, theirs, numbers(0, 3))


@pytest.mark.parametrize("training", [True, False])
def test_functional_batch_norm(training):
    x, weight, bias = numbers(4, 3, 2, 5), numbers(3, seed=1), numbers(3, seed=2)
    statistics = [numbers(3, seed=3), 1 + numbers(3, seed=4) ** 2]
    mine = [tt.tensor(s) for s in statistics]
    reference = [torch.tensor(s) for s in statistics]
    assert_like_torch(
        lambda x, w, b: tt.nn.functional.batch_norm(x, *mine, w, b, training, 0.2, 1e-3),
        lambda x, w, b: torch.nn.functional.batch_norm(x, *reference, w, b, training, 0.2, 1e-3),
        x,
        weight,
        bias,
    )
    for one, other in zip(mine, reference, strict=True):
        assert_close(host(one), other.numpy(), 1e-12)


# ---------------------------------------------------------------- losses


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("ignored", [-100, 2])
@pytest.mark.parametrize("shape", [(5,), (7, 5), (1, 1), (4, 5, 3), (2, 5, 3, 2)])
def test_cross_entropy(shape, ignored, smoothing, reduction):
    classes = shape[1] if len(shape) > 1 else shape[0]
    items = (*shape[:1], *shape[2:]) if len(shape) > 1 else ()
    targets = np.asarray(np.random.default_rng(3).integers(0, classes, items))
    if targets.size > 1:
        targets.flat[::3] = ignored
    check(
        "CrossEntropyLoss",
        ignore_index=ignored,
        reduction=reduction,
        label_smoothing=smoothing,
        inputs=[4 * numbers(*shape), targets],
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_with_all_labels_ignored(reduction, smoothing):
    check(
        "CrossEntropyLoss",
        reduction=reduction,
        label_smoothing=smoothing,
        inputs=[numbers(3, 4), np.full(3, -100)],
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_of_an_empty_batch(reduction):
    inputs = [numbers(0, 4), np.zeros(0, dtype=np.int64)]
    check("CrossEntropyLoss", reduction=reduction, inputs=inputs)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_with_hidden_classes(smoothing):
    logits = numbers(3, 4)
    logits[0, 1] = logits[1, 2] = -np.inf  # the second is a target: its loss is infinite
    check(
        "CrossEntropyLoss",
        label_smoothing=smoothing,
        reduction="none",
        inputs=[logits, np.array([0, 2, 1])],
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(), (7,), (3, 5)])
def test_mean_squared_error(shape, reduction):
    inputs = [numbers(*shape), numbers(*shape, seed=1)]
    check("MSELoss", reduction=reduction, inputs=inputs)


# ---------------------------------------------------------------- whole models


def test_nested_models_have_the_same_state_dict():
    def build(nn):
        return nn.Sequential(
            nn.Embedding(7, 4),
            nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 6), nn.GELU()),
            nn.Linear(6, 5, bias=False),
        )

    ours, theirs = build(tt.nn), build(torch.nn)
    copy_state(ours, theirs)
    assert_like_torch(ours, theirs, np.array([[1, 2, 2], [0, 6, 3]]))
    assert_same_state(ours, theirs, 1e-10)
