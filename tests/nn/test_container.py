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
    with pytest.raises(TypeError, match="an integer, got str"):
        listed["0"]


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
    with pytest.raises(NotImplementedError, match=r"has no forward: .* in a loop, or use nn.Seq"):
        nn.ModuleList([nn.ReLU()])(tt.ones(1))


def test_a_single_module_is_no_list():
    with pytest.raises(TypeError, match="takes a list of modules, got a ReLU: put it in brackets"):
        nn.ModuleList(nn.ReLU())


CHANGES = {
    "extend": lambda held, new: held.extend([new, new]),
    "extend_by_itself": lambda held, new: held.extend(held),
    "add_in_place": lambda held, new: held.__iadd__([new]),
    "insert_first": lambda held, new: held.insert(0, new),
    "insert_inside": lambda held, new: held.insert(-1, new),
    "insert_last": lambda held, new: held.insert(4, new),
    "assign": lambda held, new: held.__setitem__(-2, new),
    "delete": lambda held, new: held.__delitem__(1),
    "delete_last": lambda held, new: held.__delitem__(-1),
    "delete_slice": lambda held, new: held.__delitem__(slice(None, None, 2)),
    "pop": lambda held, new: held.pop(),
    "pop_first": lambda held, new: held.pop(0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("kind", [nn.ModuleList, lambda modules: nn.Sequential(*modules)])
def test_a_list_of_modules_changes_as_a_list(kind, change):
    modules = [nn.Linear(1, i + 1, bias=False) for i in range(4)]
    held, plain = kind(modules), list(modules)
    new = nn.Linear(1, 9, bias=False)
    change(held, new)
    change(plain, new)
    assert list(held) == plain
    assert [name for name, _ in held.named_children()] == [str(i) for i in range(len(plain))]


@pytest.mark.parametrize("part", [slice(1, 3), slice(None, None, -1), slice(9, None)])
def test_a_slice_is_a_new_list_of_the_same_modules(part):
    modules = [nn.ReLU() for _ in range(4)]
    for held in (nn.ModuleList(modules), nn.Sequential(*modules)):
        assert type(held[part]) is type(held)
        assert list(held[part]) == modules[part]
        assert len(held) == 4


def test_a_sum_leaves_both_lists_alone():
    first, second = nn.ModuleList([nn.ReLU()]), [nn.Tanh(), nn.ReLU()]
    assert list(first + second) == [*first, *second]
    assert len(first) == 1
    both = nn.Sequential(nn.ReLU()) + nn.Sequential(nn.Tanh())
    assert both(tt.tensor([-1.0])).tolist() == [0.0]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda held: held.__setitem__(2, nn.ReLU()), IndexError),
        (lambda held: held.__delitem__(-3), IndexError),
        (lambda held: held.insert(3, nn.ReLU()), IndexError),
        (lambda held: held.pop(2), IndexError),
        (lambda held: held.extend([nn.ReLU(), 1]), TypeError),
        (lambda held: held.__setitem__(0, 1), TypeError),
        (lambda held: held.insert(0, 1), TypeError),
        (lambda held: held + 3, TypeError),
    ],
)
def test_a_change_that_fails_changes_nothing(change, error):
    held = nn.ModuleList([nn.ReLU(), nn.Tanh()])
    before = list(held)
    with pytest.raises(error):
        change(held)
    assert list(held) == before
