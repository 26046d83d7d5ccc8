"""Lists of modules."""

import pytest

import tinytrain as tt
from tinytrain import nn

pytestmark = pytest.mark.usefixtures("device")


def test_a_list_is_read_by_position():
    layers = [nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)]
    listed = nn.ModuleList(layers)
    assert len(listed) == 3
    assert list(listed) == layers
    assert listed[0] is layers[0]
    assert listed[-1] is layers[2]
    assert listed[-3] is layers[0]
    for position in (3, -4):
        with pytest.raises(IndexError, match=f"position {position} in a list of 3 modules"):
            listed[position]
    with pytest.raises(TypeError, match="an integer, got slice"):
        listed[0:2]


def test_append_continues_the_names():
    listed = nn.ModuleList()
    assert listed.append(nn.Linear(1, 1)) is listed
    listed.append(nn.Linear(1, 1, bias=False))
    assert [n for n, _ in listed.named_parameters()] == ["0.weight", "0.bias", "1.weight"]


def test_many_modules_stay_in_order():
    listed = nn.ModuleList(nn.Linear(1, i + 1, bias=False) for i in range(12))
    assert [p.shape[0] for p in listed.parameters()] == list(range(1, 13))


@pytest.mark.parametrize("wrong", [[nn.ReLU()], tt.nn.functional.relu, nn.ReLU, None])
def test_only_modules_go_in(wrong):
    with pytest.raises(TypeError, match="Sequential holds modules, got a "):
        nn.Sequential(nn.ReLU(), wrong)


def test_sequential_composes_and_may_be_empty():
    first, second = nn.Linear(2, 3), nn.Linear(3, 1)
    x = tt.randn(4, 2)
    assert nn.Sequential(first, nn.ReLU(), second)(x).tolist() == second(first(x).relu()).tolist()
    assert nn.Sequential()(x) is x


def test_a_module_list_is_not_callable_as_a_layer():
    with pytest.raises(AttributeError, match="forward"):
        nn.ModuleList([nn.ReLU()])(tt.ones(1))
