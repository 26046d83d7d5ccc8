"""User code that is right passes the kits, though it is not what they were made from."""

import numpy as np

import tinytrain as tt
from tinytrain import nn
from tinytrain.testing import check_layer, check_optimizer


class Temperature(nn.Module):
    """A layer with a parameter without axes."""

    def __init__(self):
        super().__init__()
        self.log_scale = nn.Parameter(tt.tensor(0.0))

    def forward(self, x):
        return x * self.log_scale.exp()


class WithoutRate(tt.optim.Optimizer):
    """Calls its step size another name than lr."""

    def __init__(self, params, eta=0.05):
        super().__init__(params, {"eta": eta})

    def update(self, parameter, gradient, state, settings, step):
        parameter -= settings["eta"] * gradient


def test_a_parameter_without_axes():
    check_layer(Temperature, np.ones((2, 3)))


def test_a_step_size_of_another_name():
    check_optimizer(WithoutRate)


def test_new_data_for_a_parameter_without_axes():
    weight = nn.Parameter(tt.tensor(1.0))
    optimizer = tt.optim.SGD([weight], lr=0.5)
    weight.data = weight.data * 4.0
    (weight * 2.0).backward()
    optimizer.step()
    assert weight.item() == 3.0


def test_containers_take_what_they_give():
    layers = nn.ModuleDict({"kind": nn.ReLU(), "b": nn.Linear(1, 1)})
    assert list(nn.ModuleDict(layers)) == ["kind", "b"]
    factors = nn.ParameterDict({"a": tt.ones(1)})
    assert nn.ParameterDict(factors)["a"] is factors["a"]
    assert nn.ModuleList([nn.ReLU()] * 3)[np.int64(1)] is not None
