"""What holds for all schedules, and the messages where something makes no sense."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytrain as tt
from tinytrain.optim import SGD, Adagrad, lr_scheduler
from tinytrain.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
    WarmupInverseSquareRoot,
    WarmupLinear,
)


def optimizer_of(*rates, **settings):
    groups = [{"params": [tt.ones(1, requires_grad=True)], "lr": rate} for rate in rates]
    return SGD(groups, **settings)


def rates_of(schedule, count):
    rates = []
    for _ in range(count):
        rates += schedule.get_last_lr()
        schedule.step()
    return rates


CLOSED_FORMS = {
    "StepLR": lambda optimizer: StepLR(optimizer, 4, 0.7),
    "MultiStepLR": lambda optimizer: MultiStepLR(optimizer, [2, 9, 9], 0.7),
    "ExponentialLR": lambda optimizer: ExponentialLR(optimizer, 0.9),
    "ConstantLR": lambda optimizer: ConstantLR(optimizer, 0.3, 6),
    "LinearLR": lambda optimizer: LinearLR(optimizer, 0.2, 0.9, 8),
    "PolynomialLR": lambda optimizer: PolynomialLR(optimizer, 20, 1.7),
    "CosineAnnealingLR": lambda optimizer: CosineAnnealingLR(optimizer, 6, 0.05),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_the_closed_form_equals_the_recurrence(name):
    schedule = CLOSED_FORMS[name](optimizer_of(2.0, 0.3))
    for _ in range(40):
        assert schedule.get_last_lr() == pytest.approx(schedule.closed_form_lr(), rel=1e-10)
        schedule.step()
    schedule.restart()
    assert schedule.last_epoch == 0
    anew = CLOSED_FORMS[name](optimizer_of(2.0, 0.3))
    assert schedule.get_last_lr() == pytest.approx(anew.get_last_lr(), rel=1e-12)


@given(st.integers(0, 200), st.integers(1, 400))
def test_the_inverse_square_root_rises_and_falls(warmup, steps):
    schedule = WarmupInverseSquareRoot(optimizer_of(1.0), warmup)
    values = [schedule.factor(step) for step in range(warmup + steps)]
    for step, value in enumerate(values):
        number = (step + 1) / (warmup + 1)
        assert value == pytest.approx(min(number, number**-0.5), rel=1e-12)
    assert max(values) == values[warmup] == 1


@given(st.integers(0, 30), st.integers(1, 60), st.floats(0, 1))
def test_the_line_down(warmup, fall, floor):
    total = warmup + fall
    schedule = WarmupLinear(optimizer_of(1.0), warmup, total, floor)
    for step in range(warmup):
        assert schedule.factor(step) == (step + 1) / (warmup + 1)
    for step in range(warmup, total):
        expected = floor + (1 - floor) * (total - step) / fall
        assert schedule.factor(step) == pytest.approx(expected, rel=1e-12, abs=1e-15)
        assert schedule.factor(step) > 0
    assert {schedule.factor(step) for step in range(total, total + 99)} == {floor}


def test_the_first_rate_of_a_group_is_its_base():
    optimizer = optimizer_of(1.0)
    ExponentialLR(optimizer, 0.5).step()
    assert optimizer.param_groups[0] | {"params": None} == {
        **optimizer.defaults,
        "lr": 0.5,
        "initial_lr": 1.0,
        "params": None,
    }
    assert WarmupLinear(optimizer, 0, 4).base_lrs == [1.0]
    given_one = SGD([{"params": [tt.ones(1, requires_grad=True)], "initial_lr": 4.0}], lr=1.0)
    assert CosineAnnealingLR(given_one, 5, last_epoch=2).base_lrs == [4.0]


def test_one_cycle_ends():
    schedule = OneCycleLR(optimizer_of(1.0, momentum=0.9), 1.0, total_steps=3)
    for _ in range(3):
        schedule.step()
    with pytest.raises(ValueError, match="step 4 of 3: the cycle is over"):
        schedule.step()


def test_the_trivial_cycles():
    for share in (0.0, 0.25, 1.0):
        schedule = OneCycleLR(optimizer_of(1.0, momentum=0.9), 1.0, total_steps=4, pct_start=share)
        assert all(0 <= rate <= 1 for rate in rates_of(schedule, 4))


def test_plateau_takes_tensors_and_new_groups():
    optimizer = optimizer_of(1.0)
    schedule = ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    schedule.step(tt.tensor(1.0))
    optimizer.add_param_group({"params": [tt.ones(1, requires_grad=True)], "lr": 4.0})
    schedule.step(tt.tensor([2.0]))
    assert schedule.get_last_lr() == [0.5, 2.0]
    listed = ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.1, 0.1])
    optimizer.add_param_group({"params": [tt.ones(1, requires_grad=True)]})
    listed.step(1.0)
    with pytest.raises(RuntimeError, match="3 parameter groups, but min_lr is of 2"):
        listed.step(2.0)


def test_a_metric_that_is_nan_is_no_improvement():
    schedule = ReduceLROnPlateau(optimizer_of(1.0), patience=0, factor=0.5)
    for metric in (3.0, math.nan):
        schedule.step(metric)
    assert schedule.get_last_lr() == [0.5]


def test_a_nested_sequence_begins_where_it_should():
    optimizer = optimizer_of(1.0)
    inner = SequentialLR(
        optimizer, [ConstantLR(optimizer, 0.5, 9), ExponentialLR(optimizer, 0.5)], [2]
    )
    outer = SequentialLR(optimizer, [inner, ConstantLR(optimizer, 0.1, 9)], [4])
    assert rates_of(outer, 6) == pytest.approx([0.5, 0.5, 1.0, 0.5, 0.1, 0.1])
    with pytest.raises(ValueError, match="give the inner one's schedules to the outer one"):
        SequentialLR(optimizer, [ConstantLR(optimizer), inner], [4])


class Counting:
    """A function of the step with attributes of its own."""

    def __init__(self):
        self.calls = 0

    def __call__(self, step):
        self.calls += 1
        return 0.5**step


def test_the_attributes_of_a_callable_object_are_saved():
    function = Counting()
    schedule = LambdaLR(optimizer_of(1.0, 2.0), [function, abs])
    schedule.step()
    state = schedule.state_dict()
    assert state["lr_lambdas"] == [{"calls": 2}, None]
    other = LambdaLR(optimizer_of(1.0, 2.0), [Counting(), abs])
    other.load_state_dict(state)
    assert other.lr_lambdas[0].calls == 2
    assert other.get_last_lr() == [0.5, 2.0]
    with pytest.raises(ValueError, match="no lr_lambdas of 1 groups"):
        LambdaLR(optimizer_of(1.0), abs).load_state_dict(state)
    with pytest.raises(TypeError, match="lr_lambda must be a function"):
        MultiplicativeLR(optimizer_of(1.0), 0.5)


def test_a_state_of_another_schedule_is_refused_whole():
    schedule = StepLR(optimizer_of(1.0), 2)
    before = schedule.state_dict()
    with pytest.raises(
        ValueError, match=r"not of StepLR: missing \['step_size'\], unexpected \[\]"
    ):
        schedule.load_state_dict(ExponentialLR(optimizer_of(1.0), 0.5).state_dict())
    with pytest.raises(ValueError, match=r"unexpected \['step_size'\]"):
        ExponentialLR(optimizer_of(1.0), 0.5).load_state_dict(before)
    with pytest.raises(ValueError, match="is of 2 parameter groups, this one has 1"):
        schedule.load_state_dict(StepLR(optimizer_of(1.0, 1.0), 2).state_dict())
    assert schedule.state_dict() == before


@pytest.mark.parametrize("kind", ["sequential", "chained"])
def test_a_state_of_other_parts_is_refused_whole(kind):
    def make(second):
        optimizer = optimizer_of(1.0)
        parts = [LinearLR(optimizer, 0.5), second(optimizer)]
        if kind == "chained":
            return ChainedScheduler(parts)
        return SequentialLR(optimizer, parts, [3])

    schedule = make(lambda optimizer: StepLR(optimizer, 2))
    for _ in range(4):
        schedule.step()
    before, rates = schedule.state_dict(), schedule.present_lrs()
    with pytest.raises(ValueError, match="not of StepLR"):
        schedule.load_state_dict(make(lambda optimizer: ExponentialLR(optimizer, 0.3)).state_dict())
    with pytest.raises(ValueError, match="not of 2 schedules"):
        schedule.load_state_dict({**before, "_schedulers": before["_schedulers"][:1]})
    assert schedule.state_dict() == before
    assert schedule.present_lrs() == rates


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: StepLR(0.5, 2), TypeError, "moves an Optimizer's learning rates, got 0.5"),
        (lambda o: OneCycleLR(None, 2), TypeError, "moves an Optimizer's learning rates"),
        (lambda o: StepLR(o, 0), ValueError, "step_size must be an integer from 1, got 0"),
        (lambda o: StepLR(o, True), ValueError, "step_size must be an integer"),
        (lambda o: StepLR(o, 2, -0.5), ValueError, "gamma must be from 0 to inf, got -0.5"),
        (lambda o: MultiStepLR(o, [2], math.nan), ValueError, "gamma must be .*got nan"),
        (lambda o: ExponentialLR(o, -1), ValueError, "ExponentialLR: gamma"),
        (lambda o: ConstantLR(o, 0.0), ValueError, "factor must be above 0 and up to 1"),
        (lambda o: ConstantLR(o, total_iters=0), ValueError, "total_iters must be an integer"),
        (lambda o: LinearLR(o, total_iters=0), ValueError, "total_iters must be an integer"),
        (lambda o: LinearLR(o, 0.0), ValueError, "start_factor must be above 0"),
        (lambda o: LinearLR(o, end_factor=2), ValueError, "end_factor must be from 0 to 1"),
        (lambda o: PolynomialLR(o, 0), ValueError, "total_iters must be an integer"),
        (lambda o: PolynomialLR(o, 3, -1), ValueError, "power must be from 0"),
        (lambda o: CosineAnnealingLR(o, 0), ValueError, "T_max must be an integer from 1"),
        (lambda o: CosineAnnealingLR(o, 5, last_epoch=3), KeyError, "group 0 has no 'initial_lr'"),
        (lambda o: CosineAnnealingWarmRestarts(o, 0), ValueError, "T_0 must be an integer"),
        (lambda o: CosineAnnealingWarmRestarts(o, 2, 0), ValueError, "T_mult must be"),
        (lambda o: CosineAnnealingWarmRestarts(o, 2).step(-1), ValueError, "epoch must be from 0"),
        (lambda o: LambdaLR(o, [abs, abs]), ValueError, "2 values for 1 parameter groups"),
        (lambda o: OneCycleLR(o, 1.0), ValueError, "give total_steps, or both epochs and"),
        (lambda o: OneCycleLR(o, 1.0, 0), ValueError, "total_steps must be an integer from 1"),
        (lambda o: OneCycleLR(o, 1.0, 4, pct_start=2), ValueError, "pct_start must be from 0 to 1"),
        (lambda o: OneCycleLR(o, [1.0, 2.0], 4), ValueError, "max_lr: 2 values for 1"),
        (lambda o: OneCycleLR(o, 1.0, 4, anneal_strategy="x"), ValueError, "'cos' or 'linear'"),
        (lambda o: ReduceLROnPlateau(o, factor=1.0), ValueError, "factor must be from 0 to below"),
        (lambda o: ReduceLROnPlateau(o, "up"), ValueError, "mode is 'min' or 'max'"),
        (lambda o: ReduceLROnPlateau(o, patience=-1), ValueError, "patience"),
        (lambda o: SequentialLR(o, [], []), ValueError, "SequentialLR got no schedules"),
        (lambda o: SequentialLR(o, [None], []), TypeError, "number 0 is no schedule: None"),
        (
            lambda o: SequentialLR(o, [ReduceLROnPlateau(o)], []),
            ValueError,
            "number 0 is a ReduceLROnPlateau, whose step needs a metric",
        ),
        (
            lambda o: SequentialLR(o, [ExponentialLR(optimizer_of(1.0), 0.5)], []),
            ValueError,
            "number 0 was made for another optimizer",
        ),
        (
            lambda o: SequentialLR(o, [ExponentialLR(o, 0.5)] * 3, [4, 2]),
            ValueError,
            r"3 schedules take 2 milestones, in rising order; got \[4, 2\]",
        ),
        (lambda o: ChainedScheduler([]), ValueError, "ChainedScheduler got no schedules"),
        (lambda o: WarmupInverseSquareRoot(o, -1), ValueError, "warmup_steps must be from 0"),
        (lambda o: LRScheduler(o), NotImplementedError, r"LRScheduler must define get_lr\(\)"),
    ],
)
def test_settings_that_make_no_sense(make, error, message):
    with pytest.raises(error, match=message):
        make(optimizer_of(1.0, momentum=0.9))


def test_one_cycle_needs_a_momentum():
    optimizer = Adagrad([tt.ones(1, requires_grad=True)])
    with pytest.raises(ValueError, match="Adagrad has no momentum: give cycle_momentum=False"):
        OneCycleLR(optimizer, 1.0, total_steps=5)
    schedule = OneCycleLR(optimizer, 1.0, total_steps=5, cycle_momentum=False)
    assert schedule.get_last_lr() == pytest.approx([0.04])


def test_the_namespace_is_complete():
    classes = {name for name in lr_scheduler.__all__ if name != "LRScheduler"}
    assert all(issubclass(getattr(lr_scheduler, name), LRScheduler) for name in classes)
    assert tt.optim.lr_scheduler is lr_scheduler


# ---------------------------------------------------------------- what else a schedule sets


def one_cycle(optimizer):
    return OneCycleLR(optimizer, 0.5, total_steps=12)


def one_cycle_after_warmup(optimizer):
    schedules = [LinearLR(optimizer, 0.1, total_iters=2), OneCycleLR(optimizer, 0.5, 10)]
    return SequentialLR(optimizer, schedules, [2])


def two_cycles(optimizer):
    schedules = [OneCycleLR(optimizer, 0.5, 6), OneCycleLR(optimizer, 0.2, 6)]
    return SequentialLR(optimizer, schedules, [6])


@pytest.mark.parametrize("make", [one_cycle, one_cycle_after_warmup, two_cycles])
@pytest.mark.parametrize("kind", [SGD, tt.optim.AdamW])
@pytest.mark.parametrize("schedule_first", [True, False])
@pytest.mark.parametrize("place", [0, 1, 4, 8])
def test_a_resumed_run_has_the_settings_of_a_straight_one(make, kind, schedule_first, place):
    def parts():
        momentum = {"momentum": 0.9} if kind is SGD else {}
        optimizer = kind([tt.ones(1, requires_grad=True)], lr=0.1, **momentum)
        return optimizer, make(optimizer)

    def settings(optimizer):
        group = optimizer.param_groups[0]
        return {name: value for name, value in group.items() if name != "params"}

    optimizer, schedule = parts()
    for _ in range(place):
        schedule.step()
    saved, saved_schedule = optimizer.state_dict(), schedule.state_dict()
    resumed, resumed_schedule = parts()
    if schedule_first:
        resumed_schedule.load_state_dict(saved_schedule)
        resumed.load_state_dict(saved)
    else:
        resumed.load_state_dict(saved)
        resumed_schedule.load_state_dict(saved_schedule)
    assert settings(resumed) == settings(optimizer)
    fresh, schedule_alone = parts()
    schedule_alone.load_state_dict(saved_schedule)  # without the optimizer's state
    assert settings(fresh) == settings(optimizer)
    for _ in range(2):
        schedule.step()
        resumed_schedule.step()
        assert settings(resumed) == settings(optimizer)


def test_cycled_momentum_needs_groups_that_know_it():
    state = one_cycle(optimizer_of(0.1, momentum=0.9)).state_dict()
    other = OneCycleLR(optimizer_of(0.1), 0.5, total_steps=12, cycle_momentum=False)
    with pytest.raises(ValueError, match="have no 'max_momentum': load the optimizer's state"):
        other.load_state_dict(state)
    assert not other.cycle_momentum
