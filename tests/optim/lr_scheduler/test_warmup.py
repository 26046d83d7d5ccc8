"""Learning-rate schedules: positive while the run lasts, and never rising after the warm-up."""

import itertools
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytrain as tt
from tinytrain.optim import SGD, ConstantSchedule, Schedule, WarmupCosine, lr_scheduler


def optimizer_of(*rates):
    return SGD([{"params": [tt.ones(1, requires_grad=True)], "lr": rate} for rate in rates])


def factors(count, warmup_steps, total_steps, floor=0.0):
    schedule = WarmupCosine(optimizer_of(1.0), warmup_steps, total_steps, floor)
    return [schedule.factor(step) for step in range(count)]


def test_the_usual_traps():
    """Of the usual code: lr 0 at step 0, a second hill after the end, division by 0."""
    values = factors(400, 10, 100)
    assert values[0] == 1 / 11
    assert values[10] == 1
    assert values[55] == pytest.approx(0.5)
    assert 0 < values[99] < 0.001
    assert values[100:] == [0.0] * 300
    assert values[190] == 0  # the usual formula gives the full rate here
    assert factors(5, 3, 3, floor=0.1) == [0.25, 0.5, 0.75, 0.1, 0.1]
    assert factors(3, 0, 2, floor=0.2) == pytest.approx([1, 0.6, 0.2])


@given(st.data())
def test_positive_within_the_run_and_never_rising_after_warmup(data):
    total = data.draw(st.integers(1, 300))
    warmup = data.draw(st.integers(0, total))
    floor = data.draw(st.floats(0, 1))
    values = factors(total + 200, warmup, total, floor)
    assert all(0 < value <= 1 for value in values[:total])
    rising, falling = values[:warmup], values[warmup:]
    assert all(a < b for a, b in itertools.pairwise(rising))
    assert all(a >= b for a, b in itertools.pairwise(falling))
    assert values[total:] == [floor] * 200
    if warmup < total:
        assert values[warmup] == 1


def test_the_formula():
    values = factors(50, 5, 40, floor=0.25)
    for step, value in enumerate(values):
        if step < 5:
            expected = (step + 1) / 6
        elif step < 40:
            expected = 0.25 + 0.75 * (1 + math.cos(math.pi * (step - 5) / 35)) / 2
        else:
            expected = 0.25
        assert value == pytest.approx(expected, rel=1e-14)


def test_every_group_is_moved_from_its_own_rate():
    optimizer = optimizer_of(1.0, 0.1)
    schedule = WarmupCosine(optimizer, 1, 3)
    seen = [schedule.get_last_lr()]
    for _ in range(3):
        schedule.step()
        seen.append(schedule.get_last_lr())
        assert seen[-1] == [group["lr"] for group in optimizer.param_groups]
    for (first, second), factor in zip(seen, [0.5, 1.0, 0.5, 0.0], strict=True):
        assert (first, second) == pytest.approx((factor, 0.1 * factor))


@pytest.mark.parametrize("steps", [0, 1, 7, 12])
def test_a_state_continues(steps):
    schedule = WarmupCosine(optimizer_of(1.0, 0.3), 2, 10)
    for _ in range(steps):
        schedule.step()
    state = json.loads(json.dumps(schedule.state_dict()))
    resumed = WarmupCosine(optimizer_of(5.0, 5.0), 2, 10)
    resumed.load_state_dict(state)
    for _ in range(5):
        assert resumed.get_last_lr() == schedule.get_last_lr()
        assert resumed.last_epoch == schedule.last_epoch
        resumed.step()
        schedule.step()


def test_the_number_of_groups_must_stay():
    optimizer = optimizer_of(1.0)
    schedule = ConstantSchedule(optimizer)
    with pytest.raises(ValueError, match="is of 2 parameter groups, this one has 1"):
        schedule.load_state_dict(ConstantSchedule(optimizer_of(1.0, 2.0)).state_dict())
    assert schedule.base_lrs == [1.0]
    optimizer.add_param_group({"params": [tt.ones(1, requires_grad=True)]})
    with pytest.raises(ValueError, match="after the last add_param_group"):
        schedule.step()


def test_constant():
    schedule = ConstantSchedule(optimizer_of(0.3))
    for _ in range(5):
        schedule.step()
    assert schedule.get_last_lr() == [0.3]
    assert lr_scheduler.ConstantSchedule is ConstantSchedule


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((5, 4), "warm-up of 5 steps of 4"),
        ((-1, 4), "warm-up of -1"),
        ((0, 0), "a total of at least 1"),
        ((0, 4, 1.5), "share of the full rate, 0 to 1, got 1.5"),
        ((0, 4, math.nan), "got nan"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        WarmupCosine(optimizer_of(1.0), *settings)


def test_a_schedule_of_ones_own_needs_only_a_factor():
    class Halving(Schedule):
        def factor(self, step):
            return 0.5**step

    schedule = Halving(optimizer_of(8.0))
    schedule.step()
    schedule.step()
    assert schedule.get_last_lr() == [2.0]
    with pytest.raises(NotImplementedError, match="Schedule must define factor"):
        Schedule(optimizer_of(1.0))
