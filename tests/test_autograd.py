"""The backward walk on graphs: accumulation, sharing, depth, ownership, memory; its switches."""

import contextlib
import gc
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest
from device_helpers import ACCELERATORS, host, share_memory

import tinytrain as tt
from tinytrain import autograd
from tinytrain.autograd import Function, LeafGradient
from tinytrain.ops.arithmetic import Mul

pytestmark = pytest.mark.usefixtures("device")
on_the_cpu = pytest.mark.parametrize("device", ["cpu"], indirect=True)


def tensor(*values, dtype=np.float64):
    return tt.from_numpy(np.array(values if len(values) > 1 else values[0], dtype=dtype))


def leaf(*values, dtype=np.float64):
    return tensor(*values, dtype=dtype).requires_grad_()


@pytest.fixture
def executions(monkeypatch):
    """Count how often each node's backward runs."""
    counts = {}
    original = Function.input_gradients

    def counting(self, gradient):
        counts[self] = counts.get(self, 0) + 1
        return original(self, gradient)

    monkeypatch.setattr(Function, "input_gradients", counting)
    return counts


@pytest.fixture
def no_collector():
    """Switch the garbage collector off: memory must come back without it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def in_thread(function):
    """Run a function in another thread and return its result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


# ---------------------------------------------------------------- accumulation


def test_sum_that_takes_an_operand_twice():
    a, b = leaf(1.0), leaf(1.0)
    (a + (a + b)).backward()
    assert (a.grad.item(), b.grad.item()) == (2, 1)


def test_broadcast_views_as_gradients_of_a_sum():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    ((a + b) + 5 * a).sum().backward()
    assert a.grad.tolist() == [6, 6]
    assert b.grad.tolist() == [1, 1]


def test_two_passes_over_fresh_graphs_add():
    a, b = leaf(1.0), leaf(1.0)
    for count in (1, 2, 3):
        (a + b).backward()
        assert (a.grad.item(), b.grad.item()) == (count, count)


@pytest.mark.parametrize("times", range(1, 7))
def test_fan_out_to_many_consumers(times):
    a = leaf([1.0, 2.0])
    b = a * 3
    total = b * 1
    for factor in range(2, times + 1):
        total = total + b * factor
    total.sum().backward()
    assert a.grad.tolist() == [3 * times * (times + 1) / 2] * 2


def test_one_tensor_as_both_operands():
    a = leaf(3.0)
    b = a * 2
    (b * b + b / b - b).backward()
    assert a.grad.item() == 2 * (2 * 6 + 0 - 1)


def test_diamond_waits_for_both_sides(executions):
    a = leaf(2.0)
    top = a * 3
    short, long = top * 5, ((top + 1) * 2).exp().log()
    (short + long).backward()
    assert a.grad.item() == pytest.approx(3 * (5 + 2))
    assert set(executions.values()) == {1}


def test_nested_diamonds_with_a_leaf_at_every_level(executions):
    a = leaf(1.5)
    x = a
    for _ in range(6):
        x = x * 0.5 + x * a
    x.backward()
    f = lambda v: v * (0.5 + v) ** 6  # noqa: E731
    assert a.grad.item() == pytest.approx((f(1.5 + 1e-6) - f(1.5 - 1e-6)) / 2e-6, rel=1e-6)
    assert len(executions) == 18


def test_sharing_30_levels_deep_takes_linear_time(executions):
    a = leaf(1.0)
    x = a
    for _ in range(30):
        x = x + x
    x.backward()
    assert a.grad.item() == 2**30
    assert len(executions) == 30
    assert set(executions.values()) == {1}


def test_consumers_that_give_no_gradient_are_waited_for():
    class Half(Function):
        """Hands a gradient to its second input alone."""

        def forward(self, x, y):
            return x + y

        def backward(self, gradient):
            return None, gradient

    a, b = leaf(1.0), leaf(1.0)
    x, y = a * 2, b * 2
    tt.apply(Half(), x, y * 3).backward()
    assert a.grad is None
    assert b.grad.item() == 6


def test_branch_that_is_left_out_changes_nothing():
    a = leaf(2.0)
    b = a * 3
    unused = b.exp()
    (b * 4).backward()
    assert a.grad.item() == 12
    assert unused.requires_grad


def test_backward_of_a_leaf_itself():
    a = leaf([1.0, 2.0])
    a.backward(tensor(3.0, 4.0))
    a.backward(tensor(3.0, 4.0))
    assert a.grad.tolist() == [6, 8]


def test_gradient_of_a_part_of_the_graph():
    a = leaf(2.0)
    b = a * a
    c = b * 10
    b.backward(retain_graph=True)
    assert a.grad.item() == 4
    c.backward()
    assert a.grad.item() == 4 + 40


def test_mixed_dtypes_come_back_in_the_dtype_of_each_input():
    narrow, wide = leaf([1.0, 2.0], dtype=np.float32), leaf([3.0, 4.0])
    (narrow * wide).sum().backward()
    assert narrow.grad.dtype == np.float32
    assert wide.grad.dtype == np.float64
    assert narrow.grad.tolist() == [3, 4]


# ---------------------------------------------------------------- depth


def test_chain_of_10_000():
    assert sys.getrecursionlimit() < 10_000
    a = leaf(1.0)
    x = a
    for _ in range(10_000):
        x = x + 1.0
    x.backward()
    assert a.grad.item() == 1


@on_the_cpu  # nodes are the same everywhere, and the mock would take long
def test_forward_graph_of_100_000_that_is_dropped(device, no_collector):
    a = leaf(1.0)
    x = a
    for _ in range(100_000):
        x = x + 1.0
    last = weakref.ref(x.node)
    del x
    assert last() is None


# ---------------------------------------------------------------- freed and retained graphs


def test_second_backward_through_a_freed_graph_raises_and_adds_nothing():
    a = leaf([1.0, 2.0])
    loss = (a * a).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match=r"Sum, whose part of the graph was freed.*retain_graph"):
        loss.backward()
    assert a.grad.tolist() == [2, 4]


def test_graph_that_is_freed_in_part_raises_before_anything_is_added():
    a, b = leaf(1.0), leaf(1.0)
    shared = a * 2
    (shared * 3).backward()
    with pytest.raises(RuntimeError, match="backward reached Mul"):
        (b * 5 + shared).backward()
    assert (a.grad.item(), b.grad) == (6, None)


def test_retained_graph_adds_the_same_again():
    a = leaf([1.0, 2.0])
    loss = (a.exp() * a).sum()
    loss.backward(retain_graph=True)
    once = host(a.grad).copy()
    loss.backward(retain_graph=True)
    loss.backward()
    np.testing.assert_allclose(host(a.grad), 3 * once)
    with pytest.raises(RuntimeError, match="freed"):
        loss.backward()


def test_retain_grad_of_an_intermediate_result():
    a = leaf([1.0, 2.0])
    b = a * 3
    c = b * b
    assert b.grad is None
    b.retain_grad()
    (c + b).sum().backward()
    assert b.grad.tolist() == [2 * 3 + 1, 2 * 6 + 1]
    assert c.grad is None
    assert a.grad.tolist() == [21, 39]


def test_retain_grad_of_the_root_and_of_a_leaf():
    a = leaf(2.0)
    a.retain_grad()
    b = a * 3
    b.retain_grad()
    b.retain_grad()
    b.backward()
    assert (a.grad.item(), b.grad.item()) == (3, 1)


def test_retain_grad_needs_a_gradient():
    with pytest.raises(RuntimeError, match="requires no gradient"):
        tt.ones(2).retain_grad()


def test_detach_shares_memory_and_cuts():
    a = leaf([1.0, 2.0])
    cut = (a * 3).detach()
    assert (cut.is_leaf, cut.requires_grad) == (True, False)
    (a * cut).sum().backward()
    assert a.grad.tolist() == [3, 6]
    assert share_memory(a.detach().data, a.data)


# ---------------------------------------------------------------- errors of the caller


def test_backward_needs_a_gradient_for_several_elements():
    with pytest.raises(RuntimeError, match=r"shape \(2,\) needs a gradient"):
        (leaf([1.0, 2.0]) * 2).backward()


def test_backward_of_one_element_in_any_shape():
    a = leaf([[3.0]])
    (a * 2).backward()
    assert a.grad.tolist() == [[2]]


def test_backward_of_what_requires_no_gradient():
    for constant in (tt.ones(()), tt.ones(()) * 2, leaf(1.0).detach()):
        with pytest.raises(RuntimeError, match="requires no gradient"):
            constant.backward()


@pytest.mark.parametrize(
    ("gradient", "error", "words"),
    [
        (lambda: tt.ones(3).double(), ValueError, r"shape \(3,\) for a tensor of \(2,\)"),
        (lambda: tt.ones(1, 2).double(), ValueError, r"shape \(1, 2\)"),
        (lambda: tt.ones(2), TypeError, "float32 for a tensor of float64"),
        (lambda: tt.ones(2).data, TypeError, "must be a Tensor, got ndarray"),
    ],
)
def test_gradient_that_does_not_fit(gradient, error, words):
    a, gradient = leaf([1.0, 2.0]), gradient()
    with pytest.raises(error, match=words):
        (a * 2).backward(gradient)
    assert a.grad is None
    with pytest.raises(error, match=words):
        a.grad = gradient


@pytest.mark.parametrize("device", ACCELERATORS, indirect=True)
def test_gradient_on_another_device(device):
    a = leaf([1.0, 2.0])
    words = rf"a gradient on cpu for a tensor of shape \(2,\) on {device}; bring them to one device"
    for set_gradient in ((a * 2).backward, a.backward, lambda g: setattr(a, "grad", g)):
        with pytest.raises(RuntimeError, match=words):
            set_gradient(tensor(1.0, 1.0).cpu())
    assert a.grad is None


# ---------------------------------------------------------------- errors of an operation's author


class Faulty(Function):
    """Gives back what the test tells it to."""

    def __init__(self, results, broadcasts=False):
        self.results = results
        self.broadcasts = broadcasts

    def forward(self, x, y):
        return x * y

    def backward(self, gradient):
        return self.results


def ones(*shape, dtype=np.float64):
    return tt.ones(*shape, dtype=dtype).data


@pytest.mark.parametrize(
    ("results", "broadcasts", "words"),
    [
        (lambda: ones(3), False, "1 gradients for 2 inputs"),
        (lambda: (ones(3), ones(3), ones(3)), False, "3 gradients for 2 inputs"),
        (lambda: (ones(3), ones(2, 3)), False, r"shape \(2, 3\) for input 1 of shape \(3,\)"),
        (lambda: (ones(2), ones(3)), False, r"shape \(2,\) for input 0 of shape \(3,\)"),
        (lambda: (ones(3), ones(4)), True, r"shape \(4,\) for input 1 of shape \(3,\)"),
        (lambda: (ones(3), ones()), True, r"shape \(\) for input 1 of shape \(3,\)"),
    ],
)
def test_wrong_gradients_of_an_operation(results, broadcasts, words, device):
    a, b = leaf([1.0, 2.0, 3.0]), leaf([1.0, 2.0, 3.0])
    product = tt.apply(Faulty(results(), broadcasts), a, b)
    with pytest.raises(RuntimeError, match=f"Faulty.backward returned.*{words}") as caught:
        product.sum().backward()
    assert f"in the backward of Faulty, gradient float64 (3,) on {device}" in caught.value.__notes__


def test_gradient_of_another_dtype_is_converted():
    a, b = leaf([1.0, 2.0, 3.0], dtype=np.float32), leaf([1.0, 2.0, 3.0], dtype=np.float32)
    tt.apply(Faulty((ones(3), ones(3))), a, b).sum().backward()
    assert b.grad.dtype == np.float32


def test_forward_error_names_the_operation_and_its_inputs(device):
    with pytest.raises(ValueError, match="cannot be broadcast") as caught:
        tt.ones(2, 3) + tt.ones(4)
    assert caught.value.__notes__ == [
        f"in operation Add(float32 (2, 3) on {device}, float32 (4,) on {device})"
    ]


def test_operation_object_serves_one_call():
    a = leaf(2.0)
    operation = Mul()
    product = tt.apply(operation, a, 3.0)
    with pytest.raises(RuntimeError, match="this Mul object is a node of a graph already"):
        tt.apply(operation, a, 5.0)
    product.backward()
    assert a.grad.item() == 3
    with pytest.raises(RuntimeError, match="already"):
        tt.apply(operation, a, 5.0)


# ---------------------------------------------------------------- ownership


def test_gradients_own_their_memory():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    s = tensor(1.0, 1.0)
    (a + b).backward(s)
    for one, other in [(a.grad, b.grad), (a.grad, s), (b.grad, s)]:
        assert not share_memory(one.data, other.data)
    a.grad.data += 100
    assert (b.grad.tolist(), s.tolist()) == ([1, 1], [1, 1])


def test_gradient_that_was_set_is_a_copy():
    a = leaf([1.0, 2.0])
    given = tensor(5.0, 5.0)
    a.grad = given
    (a * 1).sum().backward()
    assert a.grad.tolist() == [6, 6]
    assert given.tolist() == [5, 5]
    a.grad = None
    assert a.grad is None


def frozen(array):
    array.flags.writeable = False
    return array


@on_the_cpu  # a GPU's arrays cannot be frozen; the values are tested on every device below
def test_nobody_writes_into_arrays_it_did_not_allocate(device, monkeypatch):
    """Freeze inputs and all gradients on their way: fan-out must allocate its sums."""
    original = Function.input_gradients

    def freezing(self, gradient):
        return [g if g is None else frozen(g) for g in original(self, frozen(gradient))]

    monkeypatch.setattr(Function, "input_gradients", freezing)
    a = tt.Tensor(frozen(np.array([1.0, 2.0])), requires_grad=True)
    b = a + a
    c = b + b + b.sum() + b.reshape(2, 1).reshape(2) + b[...]
    for _ in range(2):
        c.backward(tt.Tensor(frozen(np.ones(2))), retain_graph=True)
    assert a.grad.tolist() == [2 * 2 * (4 + 2)] * 2


def test_gradients_that_fan_out_are_not_written_to(monkeypatch):
    """Compare every gradient on its way before and after the pass."""
    original = Function.input_gradients
    seen = []

    def watching(self, gradient):
        found = original(self, gradient)
        seen.extend((g, host(g).copy()) for g in (gradient, *found) if g is not None)
        return found

    monkeypatch.setattr(Function, "input_gradients", watching)
    a = leaf([1.0, 2.0])
    b = a * 1
    (b * 1 + b[...] + b.sum()).backward(tensor(1.0, 1.0))
    assert a.grad.tolist() == [4, 4]
    assert len(seen) > 10
    for gradient, before in seen:
        assert host(gradient).tolist() == before.tolist()


def test_view_of_an_optimizer_is_written_and_kept():
    buffer = tt.full(4, 7.0, dtype=np.float64).data
    a = leaf([1.0, 2.0])
    a.leaf_gradient.view = buffer[1:3]
    (a * 3).sum().backward()
    assert buffer.tolist() == [7, 3, 3, 7]
    (a * 3).sum().backward()
    assert buffer.tolist() == [7, 6, 6, 7]
    a.grad = None
    assert a.grad is None
    (a * 5).sum().backward()
    assert buffer.tolist() == [7, 5, 5, 7]
    assert share_memory(a.grad.data, buffer)


def test_third_contribution_is_added_in_place():
    node, gradients, summed = Mul(), {}, set()
    first, second = ones(2), ones(2)
    autograd._accumulate(gradients, summed, node, first)
    assert gradients[node] is first
    autograd._accumulate(gradients, summed, node, second)
    total = gradients[node]
    assert total is not first
    autograd._accumulate(gradients, summed, node, second)
    assert gradients[node] is total
    assert (total.tolist(), first.tolist(), second.tolist()) == ([3, 3], [1, 1], [1, 1])


def test_walk_frees_the_graph_unless_told_otherwise():
    node = (leaf(2.0) * 3).node
    autograd.backward(node, ones())
    assert (node.edges, node.saved) == (None, ())


def test_leaf_gradient_of_a_broadcast_view_is_writeable():
    collected = LeafGradient()
    collected.add(tt.ones(1).expand(3).data)
    collected.add(tt.ones(3).data)
    assert collected.array.tolist() == [2, 2, 2]


# ---------------------------------------------------------------- memory


def test_intermediate_arrays_die_with_the_backward(no_collector):
    x = leaf(np.ones(10))
    kept = []
    for _ in range(5):
        x = x.tanh()
        kept.append(weakref.ref(x.data))
    loss = x.sum()
    del x
    assert all(array() is not None for array in kept)
    loss.backward()
    assert all(array() is None for array in kept)


def test_intermediate_arrays_die_with_a_dropped_graph(no_collector):
    x = leaf(np.ones(10)).exp()
    array, node = weakref.ref(x.data), weakref.ref(x.node)
    y = x * x
    del x, y
    assert array() is None
    assert node() is None


def test_what_nobody_saved_is_not_kept(no_collector):
    a = leaf(np.ones(10))
    x = a * 2
    array = weakref.ref(x.data)
    y = (x + 1).reshape(2, 5).sum()
    del x
    assert array() is None
    y.backward()
    assert a.grad.tolist() == [2] * 10


def test_retained_gradient_makes_no_cycle(no_collector):
    b = leaf(np.ones(3)) * 2
    b.retain_grad()
    tensor, node = weakref.ref(b), weakref.ref(b.node)
    b.sum().backward()
    del b
    assert tensor() is None
    assert node() is None


def test_error_in_the_graph_leaves_no_memory_behind(no_collector):
    a = leaf(np.ones(10))
    x = a.exp()
    array = weakref.ref(x.data)
    with pytest.raises(RuntimeError, match="needs a gradient"):
        x.backward()
    del x
    assert array() is None


def test_memory_falls_during_the_backward(monkeypatch):
    size, steps = 100_000, 12
    one_array = size * 8
    levels = []
    original = Function.input_gradients

    def measuring(self, gradient):
        levels.append(tracemalloc.get_traced_memory()[0])
        return original(self, gradient)

    monkeypatch.setattr(Function, "input_gradients", measuring)
    a = leaf(np.zeros(size))
    tracemalloc.start()
    try:
        x = a
        for _ in range(steps):
            x = x.tanh()
        loss = x.sum()
        del x
        loss.backward()
        last = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    falls = -np.diff(levels[2:])  # after the sum's and the first gradient, which is a view
    assert len(falls) == steps - 2
    assert falls.min() > 0.9 * one_array
    assert last < 1.1 * one_array  # the leaf's gradient


def test_gradient_of_a_leaf_does_not_live_through_the_next_backward():
    alive = []

    class Watched(Function):
        """Makes new arrays for its two inputs, and reports whether those made before live."""

        contributions = ()

        def forward(self, x, y):
            return x + y

        def backward(self, gradient):
            alive.append(sum(array() is not None for array in Watched.contributions))
            made = gradient * 1, gradient * 1
            Watched.contributions = (weakref.ref(made[1]),)
            return made

    a, b, c = (leaf(np.ones(4)) for _ in range(3))
    tt.apply(Watched(), tt.apply(Watched(), a, b), c).sum().backward()
    assert alive == [0, 0]


def training_like_steps(count):
    """Run steps of a small network with fan-out, indexing, retained gradients and errors."""
    weight = tt.full((40, 40), 0.1, dtype=np.float64, requires_grad=True)
    bias = tt.zeros(40, dtype=np.float64, requires_grad=True)
    ids = tt.tensor([0, 1, 1])
    for _ in range(count):
        hidden = tt.nn.functional.linear(weight[ids], weight, bias).tanh()
        hidden.retain_grad()
        logits = hidden @ weight.T + hidden
        loss = tt.nn.functional.cross_entropy(logits, ids) + (weight * weight).mean()
        loss.backward()
        with tt.no_grad():
            for parameter in (weight, bias):
                parameter.data -= 0.1 * parameter.grad.data
                parameter.grad = None
        with contextlib.suppress(RuntimeError):
            loss.backward()


def traced_memory():
    """Return the bytes in use, after the interpreter gave up its stock of freed tuples."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def live_objects():
    """Count what a graph is made of, arrays included where the collector knows them."""
    kinds = (tt.Tensor, Function, LeafGradient, type(tt.ones(1).data))
    return sum(issubclass(type(o), kinds) for o in gc.get_objects())


def test_no_object_is_left_behind_by_20_steps(no_collector):
    training_like_steps(5)
    before = live_objects()
    training_like_steps(20)
    assert live_objects() <= before


@on_the_cpu  # it measures host memory, where the arrays are
def test_memory_does_not_grow_over_200_steps(device, no_collector):
    training_like_steps(5)
    before = live_objects()
    tracemalloc.start()
    try:
        training_like_steps(5)
        early = traced_memory()
        training_like_steps(200)
        after = live_objects()  # counted first: a collection would hide cycles
        late = traced_memory()
    finally:
        tracemalloc.stop()
    assert after <= before
    # 200 hidden layers are 192 kB; NumPy keeps some 50 kB of small freed blocks for itself.
    assert late - early < 100_000


# ---------------------------------------------------------------- no_grad and enable_grad


def test_no_grad_as_a_context():
    a = leaf(1.0)
    with tt.no_grad():
        assert not tt.is_grad_enabled()
        assert not (a * 2).requires_grad
    assert tt.is_grad_enabled()
    assert (a * 2).requires_grad


def test_no_grad_as_a_decorator():
    @tt.no_grad()
    def double(x, factor=2):
        """Say so."""
        return x * factor

    assert not double(leaf(1.0), factor=3).requires_grad
    assert (double.__name__, double.__doc__) == ("double", "Say so.")
    assert tt.is_grad_enabled()


def test_switches_nest():
    switch = tt.no_grad()
    with switch:
        with switch, tt.enable_grad():
            assert tt.is_grad_enabled()
            with switch:
                assert not tt.is_grad_enabled()
            assert tt.is_grad_enabled()
        assert not tt.is_grad_enabled()
    assert tt.is_grad_enabled()


def test_decorated_function_may_call_itself():
    @tt.no_grad()
    def countdown(n):
        assert not tt.is_grad_enabled()
        return n if n == 0 else countdown(n - 1)

    assert countdown(3) == 0
    assert tt.is_grad_enabled()


def test_exception_restores_the_mode():
    @tt.no_grad()
    def fail():
        raise KeyError("x")

    with pytest.raises(KeyError), tt.no_grad():
        raise KeyError("x")
    assert tt.is_grad_enabled()
    with pytest.raises(KeyError):
        fail()
    assert tt.is_grad_enabled()


def test_mode_belongs_to_the_thread():
    with tt.no_grad():
        assert in_thread(tt.is_grad_enabled)

    def switch_off_in_here():
        tt.no_grad().__enter__()
        return tt.is_grad_enabled()

    assert not in_thread(switch_off_in_here)
    assert tt.is_grad_enabled()


def test_generator_functions_cannot_be_decorated():
    def numbers():
        yield 1

    async def later():
        return 1

    for function in (numbers, later):
        with pytest.raises(TypeError, match=r"no_grad cannot decorate .*with block inside"):
            tt.no_grad()(function)


def test_graph_made_under_no_grad_ends_there():
    a = leaf(2.0)
    with tt.no_grad():
        constant = a * a
    (constant * a).backward()
    assert a.grad.item() == 4


def test_parallel_graphs_of_threads_do_not_meet():
    def gradient(k):
        a = leaf(float(k))
        x = a
        for _ in range(50):
            x = x * 1.0 + a
        x.backward()
        return a.grad.item()

    results = [0.0] * 4

    def work(k):
        results[k] = [gradient(k) for _ in range(10)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[51.0] * 10] * 4


# ---------------------------------------------------------------- helpers


def test_unbroadcast():
    values = np.arange(24.0).reshape(2, 3, 4)
    g = tensor(values).data
    for shape in [(2, 3, 4), (3, 4), (1, 4), (4,), (1,), (), (2, 1, 4), (1, 1, 1), (3, 1)]:
        expected = sum(
            np.broadcast_to(
                np.eye(1, max(int(np.prod(shape)), 1), i).reshape(shape), values.shape
            ).ravel()
            @ values.ravel()
            * np.eye(1, max(int(np.prod(shape)), 1), i).reshape(shape)
            for i in range(max(int(np.prod(shape)), 1))
        )
        result = autograd.unbroadcast(g, shape)
        assert result.shape == shape
        np.testing.assert_array_equal(host(result), expected)


def test_unbroadcast_of_an_axis_of_nothing():
    assert autograd.unbroadcast(ones(0, 3), (1, 3)).tolist() == [[0, 0, 0]]


def test_unbroadcast_returns_what_fits_untouched():
    g = ones(2, 3)
    assert autograd.unbroadcast(g, (2, 3)) is g


# ---------------------------------------------------------------- what messages say


@pytest.mark.parametrize("device", ACCELERATORS, indirect=True)
def test_arguments_on_different_devices_have_the_names_of_forward(device):
    here, there = tt.ones(2), tt.ones(2).cpu()
    with pytest.raises(RuntimeError, match=r": x is float32 \(2,\) on \w+, y is float32 \(2,\) on"):
        here * there
    with pytest.raises(RuntimeError, match=r"pieces\[0\] is .*, pieces\[1\] is .* on cpu; "):
        tt.cat([here, there])


def test_only_what_has_a_dtype_and_a_shape_is_described_as_an_array():
    class Typed:
        dtype = "float32"

        def __repr__(self):
            return "a typed thing"

    assert autograd.describe(Typed()) == "a typed thing"
