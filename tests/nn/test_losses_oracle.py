"""The losses against PyTorch's, in float64: values, all gradients, and state dicts."""

import numpy as np
import pytest

import tinytrain as tt
from tests.nn.comparison import assert_like_torch, copy_state, numbers

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("torch_on_one_thread", "device")]

REDUCTIONS = ["mean", "sum", "none"]
SHAPES = [(5,), (7, 5), (1, 1), (4, 5, 3), (2, 5, 3, 2)]


def check(name, *inputs, weights=None, **settings):
    """Build a loss of one name on both sides, and compare."""
    weights = weights or {}
    ours = getattr(tt.nn, name)(**{k: tt.tensor(w) for k, w in weights.items()}, **settings)
    theirs = getattr(torch.nn, name)(**{k: torch.tensor(w) for k, w in weights.items()}, **settings)
    copy_state(ours, theirs)
    assert_like_torch(ours, theirs, *inputs)


def classes_for(shape, ignored):
    """Choose classes for logits of a shape; every third one is ignored."""
    items = (*shape[:1], *shape[2:]) if len(shape) > 1 else ()
    count = shape[1] if len(shape) > 1 else shape[0]
    targets = np.asarray(np.random.default_rng(3).integers(0, count, items))
    if targets.size > 1:
        targets.flat[::3] = ignored
    return targets, count


def probabilities(*shape, seed=0):
    return np.asarray(np.random.default_rng([seed, *shape]).uniform(0.01, 0.99, shape))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [-100, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_classes(shape, ignored, weighted, reduction):
    targets, count = classes_for(shape, ignored)
    weights = {"weight": probabilities(count)} if weighted else None
    settings = {"ignore_index": ignored, "reduction": reduction, "weights": weights}
    check("NLLLoss", 4 * numbers(*shape), targets, **settings)
    for smoothing in (0.0, 0.1):
        x = 4 * numbers(*shape)
        check("CrossEntropyLoss", x, targets, label_smoothing=smoothing, **settings)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("shape", SHAPES)
def test_class_probabilities(shape, smoothing, weighted, reduction):
    count = shape[1] if len(shape) > 1 else shape[0]
    weights = {"weight": probabilities(count)} if weighted else None
    check(
        "CrossEntropyLoss",
        4 * numbers(*shape),
        probabilities(*shape),
        label_smoothing=smoothing,
        reduction=reduction,
        weights=weights,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_weighted_classes_with_all_labels_ignored(reduction, smoothing):
    check(
        "CrossEntropyLoss",
        numbers(3, 4),
        np.full(3, -100),
        weights={"weight": probabilities(4)},
        label_smoothing=smoothing,
        reduction=reduction,
    )


@pytest.mark.filterwarnings("ignore:reduction. 'mean':UserWarning")  # torch's
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_losses_of_nothing(reduction):
    none = np.zeros(0, dtype=np.int64)
    for name in ("NLLLoss", "CrossEntropyLoss"):
        check(name, numbers(0, 3), none, reduction=reduction)
        check(name, numbers(0, 3), none, reduction=reduction, weights={"weight": np.ones(3)})
    check("CrossEntropyLoss", numbers(0, 3), numbers(0, 3), reduction=reduction)
    names = ["MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss", "BCEWithLogitsLoss"]
    for name in [*names, "KLDivLoss"]:
        check(name, numbers(0, 3), numbers(0, 3), reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (4,), (3, 5)])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("MSELoss", {}),
        ("L1Loss", {}),
        ("SmoothL1Loss", {}),
        ("SmoothL1Loss", {"beta": 0.3}),
        ("SmoothL1Loss", {"beta": 0.0}),
        ("HuberLoss", {}),
        ("HuberLoss", {"delta": 0.3}),
        ("BCEWithLogitsLoss", {}),
    ],
)
def test_distances(name, settings, shape, reduction):
    x = 2 * np.asarray(numbers(*shape))
    check(name, x, np.asarray(numbers(*shape, seed=1)), reduction=reduction, **settings)
    check(name, x, x, reduction=reduction, **settings)  # the slope where both are equal


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weights_of_elements(reduction):
    x, y, w = numbers(3, 4), numbers(3, 4, seed=1), probabilities(3, 4)
    for name in ("mse_loss", "l1_loss", "huber_loss"):
        ours, theirs = getattr(tt.nn.functional, name), getattr(torch.nn.functional, name)
        assert_like_torch(
            lambda x, y, w, loss=ours: loss(x, y, weight=w, reduction=reduction),
            lambda x, y, w, loss=theirs: loss(x, y, weight=w, reduction=reduction),
            x,
            y,
            w,
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(3, 5), (5,), (3, 1), ()])
def test_binary_cross_entropy_with_weights(shape, reduction):
    weights = {"weight": probabilities(*shape)}
    x, y = probabilities(3, 5), probabilities(3, 5, seed=1)
    check("BCELoss", x, y, weights=weights, reduction=reduction)
    check("BCEWithLogitsLoss", 4 * numbers(3, 5), y, weights=weights, reduction=reduction)
    both = {**weights, "pos_weight": 3 * probabilities(*shape, seed=2)}
    check("BCEWithLogitsLoss", 4 * numbers(3, 5), y, weights=both, reduction=reduction)


@pytest.mark.filterwarnings("ignore:reduction. 'mean':UserWarning")  # torch's
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("shape", [(), (4,), (3, 5)])
def test_divergence(shape, log_target, reduction):
    x, y = np.asarray(numbers(*shape)), probabilities(*shape)
    check("KLDivLoss", x, y, log_target=log_target, reduction=reduction)


def test_extreme_logits_of_yes_or_no():
    x = np.array([1000.0, -1000.0, 40.0, -40.0, 0.0])
    for y in (np.zeros(5), np.ones(5), np.full(5, 0.5)):
        check("BCEWithLogitsLoss", x, y, reduction="none")
        check("BCEWithLogitsLoss", x, y, weights={"pos_weight": np.array(3.0)}, reduction="none")
