"""Schedules: settings, states and functions that cannot be meant; copies of what they save."""

import math

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.optim import SGD
from tinytrain.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
    WarmupCosine,
    WarmupInverseSquareRoot,
)


def make_optimizer(lr=1.0):
    return SGD([tt.ones(1, requires_grad=True)], lr=lr, momentum=0.9)


def sequence(optimizer, milestones):
    return SequentialLR(
        optimizer, [ConstantLR(optimizer, 0.5, 1) for _ in range(len(milestones) + 1)], milestones
    )


def rates(schedule, steps):
    found = schedule.get_last_lr()
    for _ in range(steps):
        schedule.step()
        found += schedule.get_last_lr()
    return found


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: sequence(o, [2.5]), ValueError, "milestone 0 must be an integer from 0, got 2"),
        (lambda o: sequence(o, [-2]), ValueError, "milestone 0 must be an integer from 0, got -2"),
        (lambda o: sequence(o, [2, 2]), ValueError, r"in rising order; got \[2, 2\]"),
        (lambda o: SequentialLR(o, [ConstantLR(o)], None), TypeError, "must be a list of integers"),
        (lambda o: SequentialLR(o, ConstantLR(o), []), TypeError, "takes a list of schedules"),
        (lambda o: MultiStepLR(o, "ab"), TypeError, "milestones must be a list of integers"),
        (lambda o: MultiStepLR(o, 5), TypeError, "milestones must be a list of integers, got 5"),
        (lambda o: MultiStepLR(o, [-3, 2.5]), ValueError, "milestone 0 must be .* got -3"),
        (lambda o: StepLR(o, 2, last_epoch=-5), ValueError, "last_epoch must be .* from -1, got"),
        (lambda o: StepLR(o, 2, last_epoch=1.5), ValueError, "last_epoch must be an integer"),
        (lambda o: StepLR(o, 2, gamma="a"), TypeError, "gamma must be a number, got 'a'"),
        (lambda o: ExponentialLR(o, "a"), TypeError, "gamma must be a number, got 'a'"),
        (lambda o: LinearLR(o, "a"), TypeError, "start_factor must be a number"),
        (lambda o: CosineAnnealingLR(o, 5, math.nan), ValueError, "eta_min must be a finite"),
        (lambda o: OneCycleLR(o, -0.1, 10), ValueError, "max_lr must be from 0 to inf, got -0.1"),
        (lambda o: OneCycleLR(o, math.inf, 10), ValueError, "max_lr must be a finite number"),
        (lambda o: OneCycleLR(o, 1, 9, div_factor=0), ValueError, "div_factor must be above 0"),
        (lambda o: OneCycleLR(o, 1, 9, final_div_factor=0), ValueError, "must be above 0, got 0"),
        (lambda o: OneCycleLR(o, 1, 9, base_momentum=-1), ValueError, "base_momentum must be from"),
        (
            lambda o: LambdaLR(o, lambda step: math.nan),
            ValueError,
            "step 0 .* group 0 would be nan",
        ),
        (lambda o: ReduceLROnPlateau(o, threshold=math.nan), ValueError, "threshold must be"),
        (lambda o: ReduceLROnPlateau(o, min_lr=-1), ValueError, "min_lr must be from 0 to inf"),
        (lambda o: ReduceLROnPlateau(o, patience=-1), ValueError, "patience must be .* 0, got -1"),
        (lambda o: ReduceLROnPlateau(o, cooldown=0.5), ValueError, "cooldown must be an integer"),
        (lambda o: WarmupInverseSquareRoot(o, math.inf), ValueError, "must be an integer from 0"),
        (lambda o: WarmupInverseSquareRoot(o, 2.5), ValueError, "must be an integer from 0"),
        (lambda o: WarmupCosine(o, 1.5, 4), ValueError, "warmup_steps must be an integer from 0"),
        (lambda o: WarmupCosine(o, "1", 4), TypeError, "warmup_steps must be a number, got '1'"),
        (lambda o: ChainedScheduler({1: 2}), TypeError, "ChainedScheduler takes a list of sched"),
    ],
)
def test_settings_that_cannot_be_meant(make, error, message):
    optimizer = make_optimizer()
    with pytest.raises(error, match=message):
        make(optimizer)
    assert math.isfinite(optimizer.param_groups[0]["lr"])


def test_one_schedule_stands_in_one_place():
    optimizer = make_optimizer()
    schedule = ConstantLR(optimizer, 0.5, 3)
    with pytest.raises(ValueError, match="SequentialLR: numbers 0 and 1 are one schedule"):
        SequentialLR(optimizer, [schedule, schedule], [2])
    with pytest.raises(ValueError, match="ChainedScheduler: numbers 0 and 2 are one schedule"):
        ChainedScheduler([schedule, ConstantLR(optimizer), schedule])


def test_integers_of_numpy_and_whole_floats_count():
    assert rates(StepLR(make_optimizer(), np.int64(2), 0.5), 3) == [1, 1, 0.5, 0.5]
    assert rates(MultiStepLR(make_optimizer(), [np.int64(1), 2.0], 0.5), 3) == [1, 0.5, 0.25, 0.25]
    assert type(StepLR(make_optimizer(), np.int64(2)).state_dict()["step_size"]) is int


def test_a_first_schedule_may_have_no_step():
    optimizer = make_optimizer()
    schedules = [ConstantLR(optimizer, 0.5, 1), ExponentialLR(optimizer, 0.5)]
    assert rates(SequentialLR(optimizer, schedules, [0]), 2) == [1.0, 0.5, 0.25]


def test_a_function_that_returns_nan_later_changes_no_rate():
    optimizer = make_optimizer()
    schedule = LambdaLR(optimizer, lambda step: 0.5 if step < 2 else math.nan)
    schedule.step()
    with pytest.raises(ValueError, match="LambdaLR: at step 2 the learning rate of group 0"):
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0.5


MAKERS = {
    "StepLR": lambda o: StepLR(o, 2),
    "MultiStepLR": lambda o: MultiStepLR(o, [1, 2]),
    "CosineAnnealingLR": lambda o: CosineAnnealingLR(o, 4),
    "LambdaLR": lambda o: LambdaLR(o, lambda step: 0.5),
    "OneCycleLR": lambda o: OneCycleLR(o, 0.1, 10),
    "ReduceLROnPlateau": ReduceLROnPlateau,
    "SequentialLR": lambda o: sequence(o, [2]),
    "ChainedScheduler": lambda o: ChainedScheduler([ConstantLR(o)]),
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("state", [None, [], 3])
def test_what_is_no_state_at_all(kind, state):
    with pytest.raises(TypeError, match="a schedule's state is a dict, as state_dict"):
        MAKERS[kind](make_optimizer()).load_state_dict(state)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("StepLR", {"step_size": 0}, "step_size must be an integer from 1, got 0"),
        ("StepLR", {"last_epoch": 1.5}, "last_epoch must be an integer from -1"),
        ("StepLR", {"_last_lr": [math.nan]}, "_last_lr must be a finite number, got nan"),
        ("StepLR", {"_last_lr": None}, "_last_lr must be a list of numbers"),
        ("StepLR", {"base_lrs": [0.1, 0.2]}, "is of 2 parameter groups, this one has 1"),
        ("MultiStepLR", {"milestones": [-1]}, "milestone 0 must be an integer from 0"),
        ("CosineAnnealingLR", {"T_max": 0}, "T_max must be an integer from 1"),
        ("OneCycleLR", {"total_steps": 0}, "total_steps must be an integer from 1"),
        ("OneCycleLR", {"_anneal_func_type": "x"}, "'cos' or 'linear', got 'x'"),
        ("OneCycleLR", {"_schedule_phases": []}, "no phases"),
        ("OneCycleLR", {"_schedule_phases": [{}]}, "is no phase of a cycle"),
        ("ReduceLROnPlateau", {"factor": 1.5}, "factor must be from 0 to below 1"),
        ("ReduceLROnPlateau", {"min_lrs": 0.1}, "min_lrs must be a list"),
        ("SequentialLR", {"_milestones": [2.5]}, "milestone 0 must be an integer"),
        ("SequentialLR", {"_milestones": [1, 2]}, "2 schedules take 1 milestones"),
        ("LambdaLR", {"lr_lambdas": [{"rate": 1}]}, "cannot take the saved attributes"),
    ],
)
def test_a_state_that_cannot_be_meant_is_refused_whole(kind, change, message):
    schedule = MAKERS[kind](make_optimizer())
    before = schedule.state_dict()
    lr = schedule.optimizer.param_groups[0]["lr"]
    with pytest.raises((TypeError, ValueError), match=message):
        schedule.load_state_dict({**before, **change})
    assert schedule.state_dict() == before
    assert schedule.optimizer.param_groups[0]["lr"] == lr


class Falling:
    def __init__(self):
        self.seen = [1.0]

    def __call__(self, step):
        return self.seen[0] / (1 + step)


class Slotted:
    __slots__ = ()

    def __call__(self, step):
        return 1.0


@pytest.mark.parametrize("kind", [LambdaLR, MultiplicativeLR])
def test_a_state_shares_nothing_with_an_object_that_is_a_factor(kind):
    function = Falling()
    schedule = kind(make_optimizer(), function)
    state = schedule.state_dict()
    state["lr_lambdas"][0]["seen"][0] = 0.0
    assert function.seen == [1.0]
    schedule.load_state_dict(state)
    state["lr_lambdas"][0]["seen"][0] = 2.0
    assert function.seen == [0.0]


def test_an_object_without_attributes_has_no_state():
    schedule = LambdaLR(make_optimizer(), Slotted())
    assert schedule.state_dict()["lr_lambdas"] == [None]
    schedule.load_state_dict(schedule.state_dict())


@pytest.mark.parametrize("warmup", [0, 3, 10])
def test_half_the_rate_of_the_inverse_square_root(warmup):
    schedule = WarmupInverseSquareRoot(make_optimizer(), warmup)
    assert schedule.factor(warmup) == 1
    assert schedule.factor(warmup + 3 * (warmup + 1)) == pytest.approx(0.5)
