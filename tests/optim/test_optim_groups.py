"""Defaults, several parameter groups, and how an optimizer shows itself."""

import inspect

import pytest

import tinytrain as tt
from tinytrain.optim import SGD, Adagrad, Adam, AdamW, Lion, RMSprop, clip_grad_norm_

pytestmark = pytest.mark.usefixtures("device")


def weights(count):
    return [tt.ones(2, requires_grad=True) for _ in range(count)]


@pytest.mark.oracle
@pytest.mark.parametrize("optimizer", [SGD, Adam, AdamW, RMSprop, Adagrad])
def test_defaults_are_those_of_torch(optimizer):
    torch = pytest.importorskip("torch")
    theirs = inspect.signature(getattr(torch.optim, optimizer.__name__)).parameters
    for name, parameter in inspect.signature(optimizer).parameters.items():
        assert parameter.default == theirs[name].default, name


def test_the_defaults_of_lion_are_those_of_its_paper():
    (group,) = Lion(weights(1)).param_groups
    assert (group["lr"], group["betas"]) == (1e-4, (0.9, 0.99))
    assert (group["weight_decay"], group["maximize"]) == (0, False)


def test_parameters_are_numbered_over_all_groups():
    optimizer = SGD([{"params": weights(count)} for count in (2, 1, 3)], lr=0.5, momentum=0.5)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.sum().backward()
    optimizer.step()
    saved = optimizer.state_dict()
    assert [group["params"] for group in saved["param_groups"]] == [[0, 1], [2], [3, 4, 5]]
    assert list(saved["state"]) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("group", [{"lr": 0.1}, [], "params", None])
def test_a_group_without_parameters_is_refused(group):
    optimizer = SGD(weights(1))
    with pytest.raises(TypeError, match="a parameter group is a dict with 'params'"):
        optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == 1


def test_the_settings_are_shown_group_by_group():
    first, second, third = weights(3)
    groups = [{"params": [first, second]}, {"params": [third], "lr": 2.0}]
    assert repr(Lion(groups, lr=0.5)) == (
        "Lion(\n"
        "  group 0: 4 values, lr=0.5, betas=(0.9, 0.99), weight_decay=0.0, maximize=False\n"
        "  group 1: 2 values, lr=2.0, betas=(0.9, 0.99), weight_decay=0.0, maximize=False\n"
        ")"
    )


def test_the_norm_of_no_gradients_has_the_default_dtype():
    assert clip_grad_norm_(weights(2), 1.0).dtype == "float32"
