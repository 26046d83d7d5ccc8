"""A deep copy of an optimizer, and of a model together with its optimizer and schedule."""

import copy

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain import nn
from tinytrain.optim import AdamW
from tinytrain.optim.lr_scheduler import StepLR

pytestmark = pytest.mark.usefixtures("device")


def train(model, optimizer, steps):
    for step in range(steps):
        optimizer.zero_grad()
        (model(tt.ones(2, 3)) * (step + 1.0)).sum().backward()
        optimizer.step()
    return host(model.weight).copy()


@pytest.mark.parametrize("optimizer_first", [False, True])
def test_model_and_optimizer_copied_together_go_on_alike(optimizer_first):
    model = nn.Linear(3, 2)
    optimizer = AdamW(model.parameters(), lr=0.1)
    schedule = StepLR(optimizer, 1, gamma=0.5)
    before = train(model, optimizer, 2)
    schedule.step()
    if optimizer_first:
        other_optimizer, other, other_schedule = copy.deepcopy((optimizer, model, schedule))
    else:
        other, other_optimizer, other_schedule = copy.deepcopy((model, optimizer, schedule))
    assert other_optimizer.param_groups[0]["params"][0] is other.weight
    assert other_schedule.optimizer is other_optimizer
    found = train(other, other_optimizer, 3)
    assert np.array_equal(host(model.weight), before)  # the original stayed
    assert np.array_equal(train(model, optimizer, 3), found)
    other_schedule.step()
    rates = [each.param_groups[0]["lr"] for each in (optimizer, other_optimizer)]
    assert rates == [0.05, 0.025]


def test_a_copied_optimizer_has_parameters_of_its_own():
    weight = tt.ones(2, requires_grad=True)
    optimizer = AdamW([weight], lr=0.5)
    weight.grad = tt.ones(2)
    copied = copy.deepcopy(optimizer)
    (other,) = copied.param_groups[0]["params"]
    assert other is not weight
    copied.step()
    assert weight.tolist() == [1, 1]
    assert other.tolist() != [1, 1]
    assert copied.state_dict()["state"][0]["step"] == 1
    assert optimizer.state_dict()["state"] == {}
