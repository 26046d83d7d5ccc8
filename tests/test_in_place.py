"""A change of an array that a pending backward needs is impossible or an error, never unnoticed."""

import gc
import itertools
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytrain as tt
from tinytrain import in_place, nn
from tinytrain.anomaly import AnomalyError
from tinytrain.autograd import Function
from tinytrain.in_place import hold, writable
from tinytrain.nn import functional as F
from tinytrain.nn import init
from tinytrain.tensor import apply

REFUSED = pytest.raises(ValueError, match="read-only")


def leaf(*values):
    return tt.tensor(list(values), requires_grad=True)


def late():
    """What a backward raises that comes after the change."""
    return pytest.raises(RuntimeError, match=r"changed in place since.*Call backward before")


@pytest.fixture(autouse=True)
def _nothing_stays_locked():
    """After each test, no array of it is held any more."""
    before = set(in_place._references)
    yield
    if not set(in_place._references) <= before:
        gc.collect()
    assert set(in_place._references) <= before


# ---------------------------------------------------------------- writes that are refused


def test_write_through_data():
    x = leaf(1.0, 2.0)
    y = x * x
    with REFUSED:
        x.data[0] = 5.0
    with REFUSED:
        x.data += 1.0
    y.sum().backward()
    assert x.grad.tolist() == [2, 4]
    x.data[0] = 5.0
    assert x.tolist() == [5, 2]


def test_write_to_the_array_a_tensor_was_made_from():
    array, x = np.ones(2, dtype=np.float32), leaf(1.0, 2.0)
    y = (x * tt.from_numpy(array)).sum()
    with REFUSED:
        array[:] = 100
    y.backward()
    assert x.grad.tolist() == [1, 1]
    array[:] = 100


def test_write_to_a_result():
    x = leaf(1.0, 2.0)
    y = x.exp()
    with REFUSED:
        y.data[0] = 0.0
    y.sum().backward()
    with REFUSED:  # for good
        y.data[0] = 0.0
    y.detach().clone().data[0] = 0.0
    y.data.copy()[0] = 0.0


def test_results_without_a_graph_can_be_written_to():
    x = tt.ones(2)
    with tt.no_grad():
        y = leaf(1.0, 2.0) * x
    for result in (x * x, y):
        result.data[0] = 3.0
        assert result.tolist()[0] == 3.0


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.reshape(-1),
        lambda x: x.T,
        lambda x: x[0],
        lambda x: x.T[1:].reshape(-1),
        lambda x: x.expand(5, 2, 2),
        lambda x: x.detach().requires_grad_(),
    ],
)
def test_write_to_the_source_of_a_view(view):
    x = tt.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    seen = view(x)
    y = (seen * seen).sum()
    with REFUSED:
        x.data[0, 0] = 5.0
    y.backward()
    x.data[0, 0] = 5.0


def test_write_to_the_source_of_a_view_without_gradient():
    weight, x = tt.tensor([[1.0, 2.0]]), leaf(1.0)
    y = (x * weight.T).sum()
    with REFUSED:
        weight.data[...] = 0.0
    y.backward()
    weight.data[...] = 0.0


def test_views_of_a_piece_of_a_larger_array():
    array = np.ones((4, 2), dtype=np.float32)
    x = tt.from_numpy(array[1:3]).requires_grad_()
    y = (x.T * x.T).sum()
    with REFUSED:
        x.data[0] = 5.0
    array[3] = 7.0  # another piece: a batch that is prepared meanwhile
    y.backward()
    assert x.grad.tolist() == [[2, 2], [2, 2]]
    x.data[0] = 5.0


def test_indices_of_a_pending_graph():
    ids, x = np.array([0, 1]), leaf(1.0, 2.0, 3.0)
    y = (x * 2.0)[tt.from_numpy(ids)].sum()
    with REFUSED:
        ids[0] = 2
    y.backward()
    assert x.grad.tolist() == [2, 2, 0]
    ids[0] = 2


def test_an_array_that_no_backward_needs_can_be_written_to():
    x, bias = leaf(1.0, 2.0), leaf(0.0, 0.0)
    y = (x * 2.0 + bias).sum()
    x.data[0] = 5.0
    bias.data[0] = 5.0
    y.backward()
    assert x.grad.tolist() == [2, 2]


def test_an_array_that_was_read_only_stays_so():
    array, x = np.ones(2, dtype=np.float32), leaf(1.0, 2.0)
    array.flags.writeable = False
    (x * tt.from_numpy(array)).sum().backward()
    assert not array.flags.writeable
    with REFUSED:
        writable(array)[0] = 1.0


class HandsThrough(Function):
    """z = x, the same array, which it keeps in a list."""

    def forward(self, x):
        self.save([(x,)])
        return x

    def backward(self, gradient):
        return gradient * self.saved[0][0][0]


def test_operation_that_returns_its_input():
    x = leaf(1.0, 2.0)
    y = apply(HandsThrough(), x)
    with REFUSED:
        x.data[0] = 5.0
    with REFUSED:
        y.data[0] = 5.0
    y.sum().backward()
    x.data[0] = 5.0
    assert y.tolist() == [5, 2]


# ---------------------------------------------------------------- when arrays are let go


def test_dropped_graph_unlocks():
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = (x * x).sum()
        with REFUSED:
            x.data[0] = 5.0
        del y
        x.data[0] = 5.0
    finally:
        gc.enable()


def test_retained_graph_stays_locked():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    with REFUSED:
        x.data[0] = 5.0
    y.backward()
    x.data[0] = 5.0
    assert x.grad.tolist() == [4, 8]


def test_two_graphs_share_a_parameter():
    x = leaf(1.0, 2.0)
    first, second = (x * x).sum(), x.exp().sum() + (x * x).sum()
    first.backward()
    with REFUSED:
        x.data[0] = 5.0
    second.backward()
    x.data[0] = 5.0


@given(st.permutations(range(4)), st.integers(0, 15))
def test_in_whatever_order_graphs_go(order, backwards):
    x = leaf(1.0, 2.0)
    flat = x.detach().reshape(2, 1)
    graphs = {i: (x * (x if i % 2 else 1.0) * flat).sum() for i in range(4)}
    for i in order:
        assert not x.data.flags.writeable
        assert not flat.data.flags.writeable
        graph = graphs.pop(i)
        if backwards >> i & 1:
            graph.backward()
        del graph
    assert x.data.flags.writeable
    assert flat.data.flags.writeable


def test_view_and_its_source_are_let_go_in_either_order():
    array = np.ones((2, 3))
    view = array.T
    for first in (0, 1):
        holds = [hold(array), hold(view)]
        del holds[first]
        assert [array.flags.writeable, view.flags.writeable] == [first == 0, first == 1]
        holds.clear()
        assert array.flags.writeable
        assert view.flags.writeable


def test_failed_backward_leaves_the_graph_locked():
    x = leaf(1.0, 2.0)
    y = x * x
    with pytest.raises(RuntimeError, match="needs a gradient"):
        y.backward()
    with REFUSED:
        x.data[0] = 5.0
    del y


def test_gradient_used_in_a_graph():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    y = (x * x.grad).sum()
    (x * x).sum().backward()  # adds to the gradient, which the first graph needs
    assert x.grad.tolist() == [4, 8]
    with late():
        y.backward()
    assert x.grad.tolist() == [4, 8]


# ---------------------------------------------------------------- writes on purpose


OPTIMIZERS = [tt.optim.SGD, tt.optim.Adam, tt.optim.AdamW, tt.optim.RMSprop, tt.optim.Lion]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_step_between_forward_and_backward(kind, device):
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    optimizer = kind([x], lr=0.5)
    (x * x).sum().backward()
    y = (x * x).sum()
    before = x.tolist()
    optimizer.step()
    assert x.tolist() != before
    with pytest.raises(RuntimeError, match=r"^Mul saved an array float32 \(2,\) for its backward"):
        y.backward()
    assert x.grad.tolist() == [2, 4]  # nothing was added
    x.grad = None
    (x * x).sum().backward()
    assert x.grad.tolist() == [2 * value for value in x.tolist()]


@pytest.mark.parametrize("view", [lambda w: w.T, lambda w: w.reshape(1, -1), lambda w: w[0]])
def test_step_changes_views(view, device):
    layer = nn.Linear(2, 3)
    optimizer = tt.optim.SGD(layer.parameters(), lr=0.5)
    layer(tt.ones(1, 2)).sum().backward()
    seen = view(layer.weight)
    y = (seen * seen).sum()
    optimizer.step()
    with late():
        y.backward()


def test_step_leaves_alone_what_it_does_not_change(device):
    used, unused = leaf(1.0), leaf(2.0)
    optimizer = tt.optim.SGD([used, unused], lr=0.5)
    used.sum().backward()
    y = (unused * unused).sum()
    optimizer.step()
    y.backward()
    assert unused.grad.tolist() == [4]


def test_bias_and_step_between(device):
    """No backward needs the bias: a step that changes it alone spoils nothing."""
    layer = nn.Linear(2, 2)
    optimizer = tt.optim.SGD([layer.bias], lr=0.5)
    layer.bias.grad = tt.ones(2)
    y = layer(tt.ones(1, 2)).sum()
    optimizer.step()
    y.backward()
    assert layer.bias.grad.tolist() == [2, 2]


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.load_state_dict(nn.Linear(2, 3).state_dict()),
        lambda layer: init.normal_(layer.weight),
        lambda layer: init.constant_(layer.weight, 0.0),
    ],
)
def test_loading_and_initialising(change, device):
    layer, x = nn.Linear(2, 3), tt.ones(1, 2, requires_grad=True)
    y = layer(x).sum()
    change(layer)
    with late():
        y.backward()
    layer(x).sum().backward()


def test_running_statistics(device):
    layer = nn.BatchNorm1d(2)
    x = tt.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
    mean = (layer.running_mean * x).sum()
    layer(x).sum().backward()
    with late():
        mean.backward()
    y = layer.eval()(x).sum()
    layer.train()(x)
    y.backward()  # it computed with what it needs of them in the forward pass


def test_moving_a_model_leaves_old_graphs_as_they_were():
    layer, x = nn.Linear(2, 1), tt.ones(1, 2, requires_grad=True)
    weight = layer.weight.tolist()
    y = layer(x).sum()
    layer.to("float64")
    y.backward()
    assert x.grad.tolist() == weight


def test_training_that_keeps_evaluations():
    layer, x = nn.Linear(3, 1), tt.randn(4, 3)
    optimizer = tt.optim.AdamW(layer.parameters(), lr=0.1)
    kept = []
    for _ in range(3):
        optimizer.zero_grad()
        F.mse_loss(layer(x), tt.ones(4, 1)).backward()
        optimizer.step()
        x.requires_grad_()
        kept.append(F.mse_loss(layer(x), tt.ones(4, 1)))  # recorded, and never walked
        x.requires_grad_(False)
    kept[-1].backward()
    with late():
        kept[0].backward()


def test_array_assigned_to_a_held_parameter():
    x = leaf(1.0, 2.0)
    optimizer = tt.optim.SGD([x], lr=0.0)
    y = (x * x).sum()
    x.data = np.array([7.0, 7.0], dtype=np.float32)
    x.grad = tt.ones(2)
    optimizer.step()
    assert x.tolist() == [7, 7]
    with late():
        y.backward()


def test_clipping_a_gradient_that_a_graph_needs():
    x = leaf(3.0, 4.0)
    (x * 1.0).sum().backward()
    y = (x * x.grad).sum()
    nn.utils.clip_grad_norm_([x], 0.5)
    with late():
        y.backward()


def test_retained_graph_and_step():
    x = leaf(1.0, 2.0)
    optimizer = tt.optim.SGD([x], lr=0.5)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    optimizer.step()
    with late():
        y.backward()


# ---------------------------------------------------------------- what only anomaly mode finds


def test_write_through_an_earlier_view_is_found_by_anomaly_mode():
    x = leaf(1.0, 2.0)
    first = x.data[:1]
    with tt.detect_anomaly():
        y = (x * x).sum()
        first[0] = 5.0
        with pytest.raises(AnomalyError, match="was changed before backward"):
            y.backward()


def test_anomaly_mode_entered_after_the_change():
    x = leaf(1.0, 2.0)
    optimizer = tt.optim.SGD([x], lr=0.5)
    (x * x).sum().backward()
    y = (x * x).sum()
    optimizer.step()
    with tt.detect_anomaly(), late():
        y.backward()


# ---------------------------------------------------------------- memory and threads


def test_no_cycles_and_nothing_left():
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        before = len(in_place._references)
        for _ in range(3):
            y = ((x * x).exp() * x).sum()
            y.backward()
        del y
        (x * x).sum()  # dropped at once
        assert len(in_place._references) == before
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_threads_share_a_parameter():
    x = tt.ones(3, requires_grad=True)
    start, faults = threading.Barrier(4), []

    def work():
        start.wait()
        for _ in range(200):
            y = x * x
            if x.data.flags.writeable:
                faults.append("unlocked while a graph needs it")
            del y

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert x.data.flags.writeable


def test_a_new_hold_before_the_old_one_has_unlocked():
    """What another thread may do between the end of a hold and the unlocking."""
    array = np.ones(2)
    old = hold(array)
    reference = in_place._references[id(array)]
    new = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_place, "_let_go", lambda _: None)
        in_place._references[id(array)] = in_place._Reference(old, array, reference.locks)
        del old
        new.append(hold(array))
    in_place._let_go(reference)  # comes late, and must leave the new hold alone
    assert not array.flags.writeable
    new.clear()
    in_place._references.pop(id(array), None)
    array.flags.writeable = True


@pytest.mark.parametrize("sizes", list(itertools.product([0, 1, 3], repeat=2)))
def test_pieces_of_a_flat_array(sizes, device):
    tensors = [tt.ones(size, 2, requires_grad=True) for size in (*sizes, 1)]
    optimizer = tt.optim.SGD(tensors, lr=1.0)
    sum((tensor * 2.0).sum() for tensor in tensors).backward()
    optimizer.step()
    assert all((tensor.detach() == -1.0).all().item() for tensor in tensors)
