"""A write through one array is noticed by whoever needs another one that shows its memory."""

import gc

import pytest

import tinytrain as tt
from tinytrain import view_families
from tinytrain.in_place import writable
from tinytrain.view_families import family_of


def refused():
    return pytest.raises(ValueError, match="read-only")


def late():
    return pytest.raises(RuntimeError, match="changed in place since")


VIEWS = {
    "slice": lambda x: x[:2],
    "chunk": lambda x: x.chunk(2)[0],
    "split": lambda x: x.split([1, 3])[1],
    "narrow": lambda x: x.narrow(0, 1, 2),
    "expand": lambda x: x.expand(3, 4),
    "unbind": lambda x: x.reshape(2, 2).unbind()[1],
    "diagonal": lambda x: x.reshape(2, 2).diagonal(),
    "transposed": lambda x: x.reshape(2, 2).T,
    "detached": lambda x: x.detach()[:2],
    "recorded": lambda x: x.requires_grad_()[:2].detach(),
    "of a recorded one": lambda x: x.requires_grad_().reshape(2, 2).T[0].detach(),
}
SOURCES = {"owns": lambda: tt.ones(4), "is a view": lambda: tt.ones(2, 2).reshape(4)}


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """After each test, none of its arrays is in a family any more."""
    before = set(view_families.families)
    yield
    if not set(view_families.families) <= before:
        gc.collect()
    assert set(view_families.families) <= before


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_write_to_the_source_of_a_part(view, source):
    x = source()
    seen = view(x)
    weight = tt.ones(*seen.shape, requires_grad=True)
    y = (seen * weight).sum()
    with refused():
        x.data[0] = 5.0
    y.backward()
    assert (weight.grad == 1.0).all().item()
    x.data[0] = 5.0


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_write_to_another_view_of_the_source(source):
    x = source()
    seen, other, weight = x[:2], x[:3], tt.ones(2, requires_grad=True)
    y = (seen * weight).sum()
    with refused():
        other.data[0] = 5.0
    y.backward()
    other.data[0] = 5.0
    assert x.tolist() == [5, 1, 1, 1]


def test_write_to_a_view_of_what_a_graph_needs():
    x, weight = tt.ones(4), tt.ones(4, requires_grad=True)
    part = x[:2]
    y = (x * weight).sum()
    with refused():
        part.data[0] = 5.0
    y.backward()
    part.data[0] = 5.0


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_writes_on_purpose_are_noticed(view, source, device):
    x = source()
    seen = view(x)
    weight = tt.ones(*seen.shape, requires_grad=True)
    y = (seen * weight).sum()
    writable(x.data)[...] = 5.0
    with late():
        y.backward()


def test_step_after_a_view_of_a_parameter(device):
    first, second = (tt.ones(2, 2, requires_grad=True) for _ in range(2))
    optimizer = tt.optim.SGD([first, second], lr=0.5)
    weight = tt.ones(2, requires_grad=True)
    of_first, of_second = ((parameter.detach()[0] * weight).sum() for parameter in (first, second))
    first.grad = tt.ones(2, 2)
    optimizer.step()
    of_second.backward()  # its parameter had no gradient and was left alone
    assert weight.grad.tolist() == [1, 1]
    with late():
        of_first.backward()


def test_parameters_of_one_buffer_do_not_lock_each_other():
    first, second = (tt.ones(2, 2, requires_grad=True) for _ in range(2))
    optimizer = tt.optim.SGD([first, second], lr=0.5)
    y = (first.detach()[0] * tt.ones(2, requires_grad=True)).sum()
    second.data[0] = 7.0
    y.backward()
    assert len(optimizer.param_groups[0]["params"]) == 2


def test_a_copy_is_no_relative(device):
    x = tt.ones(4)
    taken = x[tt.tensor([0, 1])]
    weight = tt.ones(2, requires_grad=True)
    y = (taken * weight).sum()
    writable(x.data)[...] = 5.0
    y.backward()
    assert weight.grad.tolist() == [1, 1]


def test_families_end_with_their_arrays():
    x = tt.ones(4)
    for _ in range(3):
        assert len(family_of(x[:2].data)) == 2
    assert len(family_of(x.data)) == 1
    array = x.data
    del x
    assert [member is array for member in family_of(array)] == [True]


def test_recorded_views_are_noted_once_they_are_detached():
    x = tt.ones(4, requires_grad=True)
    seen = x.reshape(2, 2).T
    assert family_of(x.data) == []
    part = seen.detach()
    assert len(family_of(x.data)) == 2
    with tt.no_grad():
        row = seen[0]
    assert len(family_of(x.data)) == 3
    assert part.shape == (2, 2)
    assert row.shape == (2,)


def test_parts_that_do_not_overlap_are_free():
    """As double buffering needs: one half is computed with while the other is filled."""
    x, weight = tt.ones(2, 3), tt.ones(3, requires_grad=True)
    now, coming = x[0], x[1]
    y = (now * weight).sum()
    coming.data[...] = 5.0
    with refused():
        now.data[...] = 5.0
    y.backward()
    assert weight.grad.tolist() == [1, 1, 1]


def test_a_view_made_while_its_array_is_held_is_unlocked_with_it():
    x, weight = tt.zeros(6, 3), tt.ones(3, 2, requires_grad=True)
    loss = (x @ weight).sum()
    part, turned, row = x[1:3], x.T, weight.detach()[0]
    for view in (part, turned, row):
        with refused():
            view.data[...] = 1.0
    loss.backward()
    del loss
    for view in (part, turned, row):
        view.data[...] = 1.0
    assert x.sum().item() == 18
    assert weight[0].tolist() == [1, 1]


def test_the_cost_does_not_grow_with_the_number_of_views():
    x, weight = tt.zeros(200, 3), tt.ones(3, requires_grad=True)
    rows = [x[i] for i in range(200)]
    y = (rows[7] * weight).sum()
    assert len(y.node.edges[0].holds) <= 3
    with refused():
        x.data[7] = 1.0
    y.backward()
    rows[7].data[...] = 1.0
    assert weight.grad.tolist() == [0, 0, 0]
