"""Fifty steps of every schedule beside PyTorch's: alone, chained, in sequence, and resumed."""

import copy
import json
import warnings

import pytest

import tinytrain as tt
from tinytrain.optim import lr_scheduler as ours

torch = pytest.importorskip("torch")
theirs = torch.optim.lr_scheduler
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:Detected call of:UserWarning"),
]

STEPS = 50
RATES = (0.5, 0.03)

CASES = [
    ("StepLR", {"step_size": 1}),
    ("StepLR", {"step_size": 7, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [3, 8, 8, 30], "gamma": 0.3}),
    ("MultiStepLR", {"milestones": (20, 0, 4)}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("ExponentialLR", {"gamma": 1.05}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.25, "total_iters": 12}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 30}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.6, "total_iters": 1}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 40, "power": 2.5}),
    ("CosineAnnealingLR", {"T_max": 50}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 1}),
    ("CosineAnnealingWarmRestarts", {"T_0": 6}),
    ("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2, "eta_min": 0.02}),
    ("LambdaLR", {"lr_lambda": lambda step: 1 / (1 + step)}),
    ("LambdaLR", {"lr_lambda": [lambda step: 0.9**step, lambda step: 1 + step]}),
    ("MultiplicativeLR", {"lr_lambda": lambda step: 0.9 + 0.001 * step}),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 50}),
    ("OneCycleLR", {"max_lr": [2.0, 1.0], "epochs": 10, "steps_per_epoch": 6}),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 55, "three_phase": True, "pct_start": 0.4}),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 70, "anneal_strategy": "linear"}),
    (
        "OneCycleLR",
        {
            "max_lr": 2.0,
            "total_steps": 61,
            "base_momentum": [0.1, 0.2],
            "max_momentum": 0.7,
            "div_factor": 5.0,
            "final_div_factor": 20.0,
        },
    ),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 50, "cycle_momentum": False}),
]


def optimizers(name="SGD", **settings):
    """An optimizer of tinytrain and one of PyTorch, with two parameter groups each."""
    made = []
    for package, tensor in ((tt, tt.ones), (torch, torch.ones)):
        groups = [{"params": [tensor(1, requires_grad=True)], "lr": rate} for rate in RATES]
        made.append(getattr(package.optim, name)(groups, **settings))
    return made


def make(name, settings, optimizer=None):
    """The same schedule in both packages, with optimizers of their own or with those given."""
    mine, other = optimizer or optimizers(momentum=0.9)
    return getattr(ours, name)(mine, **settings), getattr(theirs, name)(other, **settings)


def moving(schedule):
    """All that a schedule may move: rates, and momenta where there are."""
    groups = schedule.optimizer.param_groups
    momenta = [g.get("momentum", g.get("betas")) for g in groups]
    flat = [x for m in momenta for x in (m if isinstance(m, tuple | list) else [m])]
    return [g["lr"] for g in groups] + flat


def assert_equal(mine, other):
    assert moving(mine) == pytest.approx(moving(other), rel=1e-10, abs=1e-14)
    assert mine.get_last_lr() == pytest.approx(other.get_last_lr(), rel=1e-10, abs=1e-14)
    assert mine.last_epoch == other.last_epoch


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_fifty_steps(name, settings):
    mine, other = make(name, settings)
    assert_equal(mine, other)
    for _ in range(STEPS):
        mine.step()
        other.step()
        assert_equal(mine, other)


@pytest.mark.parametrize("optimizer", ["Adam", "AdamW", "RMSprop"])
def test_one_cycle_moves_any_momentum(optimizer):
    mine, other = make("OneCycleLR", {"max_lr": 1.0, "total_steps": 30}, optimizers(optimizer))
    for _ in range(30):
        assert_equal(mine, other)
        mine.step()
        other.step()


@pytest.mark.parametrize("stop", [0, 1, 8, 23])
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_resumed_in_the_middle(name, settings, stop):
    """A state goes through JSON into new objects, which go on as if nothing had happened."""
    first, other = make(name, settings)
    for _ in range(stop):
        first.step()
        other.step()
    saved = json.loads(json.dumps(first.state_dict()))
    optimizer_state = copy.deepcopy(first.optimizer.state_dict())
    first.step()  # what was saved is a copy

    mine, _ = make(name, settings)
    mine.optimizer.load_state_dict(optimizer_state)
    mine.load_state_dict(saved)
    assert_equal(mine, other)
    for _ in range(25):
        mine.step()
        other.step()
        assert_equal(mine, other)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_a_state_of_torchs_is_continued(name, settings):
    mine, other = make(name, settings)
    for _ in range(11):
        other.step()
    mine.load_state_dict(other.state_dict())
    for _ in range(25):
        mine.step()
        other.step()
        assert mine.get_last_lr() == pytest.approx(other.get_last_lr(), rel=1e-10, abs=1e-14)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_started_after_a_given_step(name, settings):
    first, other_first = make(name, settings)
    for _ in range(9):
        first.step()
        other_first.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        after = {**settings, "last_epoch": 9}
        mine, other = make(name, after, (first.optimizer, other_first.optimizer))
    for _ in range(20):
        assert_equal(mine, other)
        mine.step()
        other.step()


CHAINABLE = [case for case in CASES if case[0] not in ("OneCycleLR", "LambdaLR")]


@pytest.mark.parametrize("second", CHAINABLE)
@pytest.mark.parametrize(
    "first", [("ConstantLR", {}), ("CosineAnnealingLR", {"T_max": 9}), ("LinearLR", {})]
)
def test_two_schedules_of_one_optimizer(first, second):
    pair = optimizers()
    schedules = [make(*first, pair), make(*second, pair)]
    for _ in range(STEPS):
        for mine, other in schedules:
            mine.step()
            other.step()
            assert_equal(mine, other)


@pytest.mark.parametrize("second", CHAINABLE)
def test_chained(second):
    pair = optimizers()
    schedules = [make("ExponentialLR", {"gamma": 0.95}, pair), make(*second, pair)]
    mine = ours.ChainedScheduler([schedule for schedule, _ in schedules])
    other = theirs.ChainedScheduler([schedule for _, schedule in schedules])
    for _ in range(30):
        mine.step()
        other.step()
        assert moving(mine) == pytest.approx(moving(other), rel=1e-10, abs=1e-14)
        assert mine.get_last_lr() == pytest.approx(other.get_last_lr(), rel=1e-10, abs=1e-14)


def in_sequence(parts, milestones):
    pair = optimizers(momentum=0.9)
    made = [make(name, settings, pair) for name, settings in parts]
    return (
        ours.SequentialLR(pair[0], [mine for mine, _ in made], milestones),
        theirs.SequentialLR(pair[1], [other for _, other in made], milestones),
    )


@pytest.mark.parametrize("second", CHAINABLE + [case for case in CASES if case[0] == "LambdaLR"])
@pytest.mark.parametrize("resumed", [None, 3, 10, 17])
def test_in_sequence(second, resumed):
    parts = [
        ("LinearLR", {"start_factor": 0.1, "total_iters": 9}),
        second,
        ("ExponentialLR", {"gamma": 0.9}),
    ]
    mine, other = in_sequence(parts, [10, 40])
    assert_equal(mine, other)
    for step in range(STEPS):
        if step == resumed:
            saved, groups = mine.state_dict(), mine.optimizer.state_dict()
            mine, _ = in_sequence(parts, [10, 40])
            mine.optimizer.load_state_dict(groups)
            mine.load_state_dict(json.loads(json.dumps(saved)))
        mine.step()
        other.step()
        assert_equal(mine, other)


@pytest.mark.parametrize("first", CHAINABLE)
def test_each_begins_a_sequence(first):
    mine, other = in_sequence([first, ("StepLR", {"step_size": 3})], [13])
    assert_equal(mine, other)
    for _ in range(STEPS):
        mine.step()
        other.step()
        assert_equal(mine, other)


@pytest.mark.parametrize("points", [[0.5, 1.25, 4.9, 5, 17.5, 40, 3], [100, 0, 2.5]])
@pytest.mark.parametrize("mult", [1, 2, 3])
def test_warm_restarts_at_any_point(points, mult):
    mine, other = make("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": mult})
    for point in points:
        mine.step(point)
        other.step(point)
        assert_equal(mine, other)
        for _ in range(8):
            mine.step()
            other.step()
            assert_equal(mine, other)


METRICS = [5.0, 4.0, 4.0, 3.9999, 4.2, 4.1, 4.05, 3.0, 3.0, 3.1, 3.2, 3.3, -1.0, -1.0, -0.9]


@pytest.mark.parametrize("stop", [0, 6])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(
    "settings",
    [
        {"patience": 0},
        {"patience": 1, "factor": 0.5},
        {"patience": 2, "cooldown": 2},
        {"patience": 0, "min_lr": 0.01, "threshold": 0.3},
        {"patience": 0, "min_lr": [0.2, 0.001], "factor": 0.7},
        {"patience": 0, "eps": 0.1},
    ],
)
def test_plateau(settings, mode, threshold_mode, stop):
    settings = {**settings, "mode": mode, "threshold_mode": threshold_mode}
    mine, other = make("ReduceLROnPlateau", settings)
    for step, metric in enumerate(METRICS * 3):
        if step == stop:
            saved = json.loads(json.dumps(mine.state_dict(), allow_nan=False))
            mine, _ = make("ReduceLROnPlateau", settings)
            mine.load_state_dict(saved)
        mine.step(metric)
        other.step(metric)
        assert_equal(mine, other)
        assert (mine.best, mine.num_bad_epochs) == (other.best, other.num_bad_epochs)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ConstantLR", {"factor": 1.5}),
        ("ConstantLR", {"factor": -0.5}),
        ("LinearLR", {"start_factor": 0.0}),
        ("LinearLR", {"start_factor": 1.5}),
        ("LinearLR", {"end_factor": -0.1}),
        ("LambdaLR", {"lr_lambda": [abs]}),
        ("CosineAnnealingWarmRestarts", {"T_0": 0}),
        ("CosineAnnealingWarmRestarts", {"T_0": 2.5}),
        ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 0}),
        ("OneCycleLR", {"max_lr": 1.0}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": -1}),
        ("OneCycleLR", {"max_lr": 1.0, "epochs": 3}),
        ("OneCycleLR", {"max_lr": 1.0, "epochs": 0, "steps_per_epoch": 3}),
        ("OneCycleLR", {"max_lr": [1.0], "total_steps": 4}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 4, "pct_start": 1.5}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 4, "anneal_strategy": "up"}),
        ("ReduceLROnPlateau", {"factor": 1.0}),
        ("ReduceLROnPlateau", {"mode": "sideways"}),
        ("ReduceLROnPlateau", {"threshold_mode": "log"}),
        ("ReduceLROnPlateau", {"min_lr": [0.1]}),
        ("SequentialLR", {"schedulers": [], "milestones": []}),
    ],
)
def test_what_torch_refuses_is_refused(name, settings):
    mine, other = optimizers(momentum=0.9)
    for package, optimizer in ((ours, mine), (theirs, other)):
        with pytest.raises(ValueError):
            getattr(package, name)(optimizer, **settings)
