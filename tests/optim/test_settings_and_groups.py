"""What an optimizer refuses before it changes anything, and what its state shares with others."""

import json
import math

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain.optim import SGD, Adagrad, Adam, AdamW, Lion, RMSprop
from tinytrain.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, OneCycleLR


def weight(size=2):
    return tt.ones(size, requires_grad=True)


def step(optimizer, times=1):
    for _ in range(times):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = tt.ones(*parameter.shape)
        optimizer.step()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: Adam(p, amsgrad="no"), TypeError, "amsgrad must be True or False, got 'no'"),
        (lambda p: SGD(p, lr=True), TypeError, "lr must be a number, got True"),
        (lambda p: SGD(p, lr=math.inf), ValueError, "lr is inf, not a finite number"),
        (lambda p: SGD(p, lr="0.1"), TypeError, "lr must be a number, got '0.1'"),
        (lambda p: SGD(p, maximize=None), TypeError, "SGD: maximize must be True or False"),
        (lambda p: SGD(p, nesterov=2), TypeError, "nesterov must be True or False, got 2"),
        (lambda p: SGD(p, dampening="a"), TypeError, "dampening must be a number"),
        (lambda p: SGD(p, dampening=math.nan), ValueError, "dampening is nan"),
        (lambda p: SGD(p, momentum=math.inf), ValueError, "momentum is inf"),
        (lambda p: RMSprop(p, alpha=2), ValueError, "alpha is 2, not from 0 to 1"),
        (lambda p: RMSprop(p, centered="yes"), TypeError, "RMSprop: centered must be True"),
        (lambda p: Adagrad(p, maximize=[]), TypeError, "Adagrad: maximize must be True"),
        (lambda p: AdamW(p, weight_decay=math.inf), ValueError, "AdamW: weight_decay is inf"),
        (lambda p: AdamW(p, betas=(False, 0.9)), ValueError, "betas must be two numbers"),
        (lambda p: Lion(p, maximize=0.5), TypeError, "Lion: maximize must be True or False"),
    ],
)
def test_settings_that_cannot_be_meant(make, error, message):
    parameter = weight()
    with pytest.raises(error, match=message):
        make([parameter])
    SGD([parameter])  # nothing was taken


@pytest.mark.parametrize("flag", [1, 0, np.True_, np.False_, True])
def test_flags_of_other_kinds(flag):
    assert Adam([weight()], amsgrad=flag).param_groups[0]["amsgrad"] == flag


def test_settings_that_are_lists_are_copied_in_and_out():
    betas = [0.9, 0.99]
    optimizer = Adam([weight()], betas=betas)
    betas[0] = 0.0
    assert optimizer.param_groups[0]["betas"] == [0.9, 0.99]
    optimizer.add_param_group({"params": [weight()]})
    assert optimizer.param_groups[1]["betas"] == [0.9, 0.99]
    state = optimizer.state_dict()
    state["param_groups"][0]["betas"][0] = 0.0
    assert optimizer.param_groups[0]["betas"] == [0.9, 0.99]
    optimizer.load_state_dict(state)
    state["param_groups"][0]["betas"][0] = 0.5
    assert optimizer.param_groups[0]["betas"] == [0.0, 0.99]


def chained(optimizer):
    return CosineAnnealingLR(optimizer, T_max=5, eta_min=0.1), ExponentialLR(optimizer, 0.5)


def test_a_rate_that_a_schedule_took_below_zero_is_resumed():
    first = SGD([weight()], lr=1.0)
    schedules = chained(first)
    while first.param_groups[0]["lr"] >= 0:
        step(first)
        for schedule in schedules:
            schedule.step()
        assert schedules[0].last_epoch < 20
    states = json.loads(json.dumps([s.state_dict() for s in schedules]))
    second = SGD([weight()], lr=1.0)
    resumed = chained(second)
    second.load_state_dict(first.state_dict())
    for schedule, state in zip(resumed, states, strict=True):
        schedule.load_state_dict(state)
    second.param_groups[0]["params"][0].data[...] = first.param_groups[0]["params"][0].data
    for optimizer, moving in ((first, schedules), (second, resumed)):
        for _ in range(3):
            step(optimizer)
            for schedule in moving:
                schedule.step()
    assert first.param_groups[0]["lr"] == second.param_groups[0]["lr"]
    values = [host(o.param_groups[0]["params"][0]) for o in (first, second)]
    np.testing.assert_array_equal(*values)


def test_a_setting_changed_on_the_way_leaves_a_state_that_loads():
    optimizer = Adam([weight()])
    step(optimizer)
    optimizer.param_groups[0]["amsgrad"] = True
    other = Adam([weight()])
    other.load_state_dict(optimizer.state_dict())
    assert sorted(other.state_dict()["state"][0]) == sorted(optimizer.state_dict()["state"][0])
    step(other)


def test_momenta_that_a_cycle_cannot_have_are_refused_before_they_are_set():
    optimizer = AdamW([weight()])
    for name in ("base_momentum", "max_momentum"):
        with pytest.raises(ValueError, match=f"OneCycleLR: {name} must be below 1, got 1.5"):
            OneCycleLR(optimizer, 0.1, 10, **{name: 1.5})
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.999)
    assert "max_lr" not in optimizer.param_groups[0]


@pytest.mark.parametrize("count", [-1, 2.7, math.nan, math.inf, "3", True, np.zeros(2)])
def test_a_number_of_updates_that_is_none(count):
    optimizer = AdamW([weight()])
    step(optimizer, 2)
    state = optimizer.state_dict()
    state["state"][0]["step"] = count
    with pytest.raises(ValueError, match=r"state 'step' of parameter 0 \(0\.0\): "):
        optimizer.load_state_dict(state)
    assert optimizer.state_dict()["state"][0]["step"] == 2


@pytest.mark.parametrize("count", [3, 3.0, np.float32(3), np.array(3.0), tt.tensor([3.0])])
def test_a_number_of_updates_of_any_kind(count):
    optimizer = AdamW([weight()])
    step(optimizer)
    state = optimizer.state_dict()
    state["state"][0]["step"] = count
    optimizer.load_state_dict(state)
    loaded = optimizer.state_dict()["state"][0]["step"]
    assert loaded == 3
    assert type(loaded) is int


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "an optimizer's state is a dict, as state_dict.. returns it, got None"),
        ([1], "an optimizer's state is a dict"),
        ({"state": None, "param_groups": []}, "'state' must be a dict of one dict per parameter"),
        ({"state": {0: 3}, "param_groups": []}, "'state' must be a dict"),
        ({"state": {}, "param_groups": None}, "'param_groups' must be a list of dicts"),
        ({"state": {}, "param_groups": [{"lr": 0.1}]}, "dicts with 'params'"),
    ],
)
def test_what_is_no_state_at_all(state, message):
    with pytest.raises(TypeError, match=message):
        SGD([weight()]).load_state_dict(state)


@pytest.mark.parametrize(
    "change",
    [
        lambda o: o.param_groups[0]["params"].append(weight()),
        lambda o: o.param_groups[0]["params"].pop(),
        lambda o: o.param_groups[0]["params"].__setitem__(0, weight()),
        lambda o: o.param_groups.append({**o.param_groups[0], "params": [weight()]}),
        lambda o: o.param_groups.pop(),
    ],
)
def test_groups_changed_by_hand_are_an_error_before_anything_moves(change):
    parameters = [weight(), weight()]
    optimizer = SGD([{"params": [parameters[0]]}, {"params": [parameters[1]]}], lr=1.0)
    saved = optimizer.state_dict()
    step(optimizer)
    change(optimizer)
    for parameter in parameters:
        parameter.grad = tt.ones(2)
    for use in (optimizer.step, optimizer.state_dict, lambda: optimizer.load_state_dict(saved)):
        with pytest.raises(ValueError, match=r"changed by hand.* add some with add_param_group"):
            use()
    assert [p.tolist() for p in parameters] == [[0, 0], [0, 0]]


def test_optimizers_and_schedules_are_offered_by_name():
    for module in (tt.optim, tt.optim.lr_scheduler):
        assert all(hasattr(module, name) for name in module.__all__)
        assert len(set(module.__all__)) == len(module.__all__)
    for name in ("Schedule", "ConstantSchedule", "WarmupCosine", "WarmupLinear"):
        assert getattr(tt.optim, name) is getattr(tt.optim.lr_scheduler, name)
