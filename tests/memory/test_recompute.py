"""Activation checkpointing: the same gradients bit for bit, in less memory."""

import gc
import weakref

import numpy as np
import pytest
from device_helpers import host

import tinytrain as tt
from tinytrain import nn
from tinytrain.memory import count_memory
from tinytrain.models import GPT, GPTConfig
from tinytrain.testing.graph_checks import nodes_below

pytestmark = pytest.mark.usefixtures("device")


def plainly(function, *inputs, **settings):
    return function(*inputs, **settings)


def run(call, make, forward):
    """Train one step's gradients with `call` in the place of checkpoint, from the same seed."""
    tt.manual_seed(3)
    model = make()
    own = tt.Generator(5)
    for layer in model.modules():
        if isinstance(layer, nn.Dropout) and layer.p == 0.25:
            layer.generator = own
    tt.manual_seed(4)
    x = tt.randn(6, 8).requires_grad_()
    loss = forward(model, x, call)
    loss.backward()
    after = (tt.default_generator().raw32(2).tolist(), own.raw32(2).tolist())
    state = [host(value) for value in model.state_dict().values()]
    gradients = [host(p.grad) for p in model.parameters()]
    return [host(loss), host(x.grad), *gradients, *state], after


def layers():
    return nn.Sequential(
        nn.Linear(8, 16),
        nn.BatchNorm1d(16),
        nn.GELU(),
        nn.Dropout(0.5),
        nn.Linear(16, 16),
        nn.Tanh(),
        nn.Dropout(0.25),
        nn.LayerNorm(16),
        nn.Linear(16, 8),
    )


def whole(model, x, call):
    return (call(model, x) ** 2).sum()


def in_halves(model, x, call):
    first, second = model[0], list(model)[1:]
    h = call(first, x)
    for layer in second:
        h = call(layer, h)
    return (h * x).sum()


def nested(model, x, call):
    def inner(h):
        return call(model[1], h).exp()

    def outer(h):
        return call(inner, call(model[0], h)) * 2

    h = call(outer, x)
    for layer in list(model)[2:]:
        h = call(lambda v, layer=layer: call(layer, v) * 1.5, h)
    return h.sum()


def several_outputs(model, x, call):
    def function(h, plus, scale=1.0):
        y = model(h)
        return y, {"sum": (y * scale + plus).relu(), "text": "kept"}, (h > 0)

    y, named, positive = call(function, x, tt.ones(8), scale=0.5)
    assert named["text"] == "kept"
    assert not positive.requires_grad
    return (y * named["sum"]).sum() + named["sum"].mean()


def shared_inside_and_outside(model, x, call):
    weight = model[0].weight
    inside = call(lambda h: (h @ weight.T).tanh() @ weight, x)
    inside = call(lambda h: h * (h.detach() > 0.1).float() + weight.sum(), inside)
    return (inside @ weight.T + x.sum()).sum() + call(model, inside).sum()


def no_gradient_for_the_input(model, x, call):
    return call(model, x.detach()).sum() + x.sum()


FORWARDS = [
    whole,
    in_halves,
    nested,
    several_outputs,
    shared_inside_and_outside,
    no_gradient_for_the_input,
]


@pytest.mark.parametrize("forward", FORWARDS)
def test_everything_is_equal_bit_for_bit(forward):
    expected, generators = run(plainly, layers, forward)
    found, generators_found = run(tt.checkpoint, layers, forward)
    assert generators_found == generators
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_what_is_random_would_show():
    """The comparison above can fail: other masks give other gradients."""
    expected, _ = run(plainly, layers, whole)
    tt.manual_seed(99)
    found, _ = run(plainly, layers, lambda m, x, call: tt.rand(1).sum() * 0 + whole(m, x, call))
    assert any(not np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_graph_kept_for_a_second_pass():
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    y = tt.checkpoint(lambda v: v.exp() * v, x).sum()
    y.backward(retain_graph=True)
    first = host(x.grad).copy()
    y.backward()
    np.testing.assert_array_equal(host(x.grad), 2 * first)


def test_nothing_is_kept_where_no_gradient_is_wanted():
    x = tt.ones(3)
    with tt.no_grad():
        assert tt.checkpoint(lambda v: v * 2, x).node is None
    assert tt.checkpoint(lambda v: v * 2, x).node is None


def test_an_error_inside_comes_out_and_ends_the_recording():
    with pytest.raises(ValueError, match="own error"):
        tt.checkpoint(lambda _: (_ for _ in ()).throw(ValueError("own error")), tt.ones(1))
    assert tt.autograd.watchers() == ()


def test_the_function_runs_once():
    calls = []
    x = tt.ones(2, requires_grad=True)
    tt.checkpoint(lambda v: calls.append(1) or v.exp(), x).sum().backward()
    assert calls == [1]


@pytest.mark.parametrize("with_backward", [False, True])
def test_the_graph_goes_without_the_garbage_collector(with_backward):
    gc.collect()
    gc.disable()
    try:
        x = tt.ones(4, requires_grad=True)
        y = tt.checkpoint(lambda v: (v.exp() * v).tanh(), x).sum()
        nodes = [weakref.ref(node) for node in nodes_below([y])]
        assert len(nodes) == 4
        if with_backward:
            y.backward()
        del y
        assert [node() for node in nodes] == [None] * 4
    finally:
        gc.enable()


def test_anomaly_mode_still_names_the_line_of_the_forward_pass():
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    with tt.detect_anomaly():
        y = tt.checkpoint(lambda v: v.exp() * v, x)
        y.sum().backward()
        y = tt.checkpoint(lambda v: v.exp() * v, x)
        tt.in_place.writable(x.data)[:] += 1
        with pytest.raises(tt.AnomalyError, match="was changed before backward came") as caught:
            y.sum().backward()
    assert "test_recompute.py, line" in str(caught.value)
    assert "tt.checkpoint" in str(caught.value)


def gpt_memory(checkpoint_blocks, layers=6):
    """Bytes after the forward pass and at most, of a GPT, and its gradients."""
    tt.manual_seed(0)
    config = GPTConfig(
        vocab_size=32,
        context_length=32,
        num_layers=layers,
        num_heads=2,
        embed_dim=16,
        dropout=0.1,
        checkpoint_blocks=checkpoint_blocks,
    )
    model = GPT(config)
    ids = tt.from_numpy(np.arange(4 * 32).reshape(4, 32) % 32)
    with count_memory() as ledger:
        loss = model(ids).logsumexp(dim=-1).sum()
        held = ledger.used
        loss.backward()
    return held, ledger.peak, [host(p.grad) for p in model.parameters()]


def test_a_gpt_trains_the_same_in_a_fraction_of_the_memory():
    held, peak, expected = gpt_memory(False)
    held_less, peak_less, gradients = gpt_memory(True)
    for one, other in zip(gradients, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert held_less < 0.4 * held
    assert peak_less < 0.5 * peak


def test_memory_falls_as_predicted():
    """A checkpointed block adds its input alone: B T D numbers."""
    held = [gpt_memory(True, layers)[0] for layers in (2, 3, 4)]
    parameters = sum(p.numel() for p in GPT(GPTConfig(32, 32, 1, 2, 16)).blocks[0].parameters())
    assert held[1] - held[0] == held[2] - held[1]
    assert held[1] - held[0] - 4 * parameters == 4 * 4 * 32 * 16


def test_a_change_of_what_is_needed_to_run_again_is_impossible_or_noticed():
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    bias = tt.tensor([1.0, 2.0])  # saved by no node, and yet needed
    y = tt.checkpoint(lambda v: (v + bias).exp() * v, x).sum()
    if tt.get_device() == "cpu":  # a GPU's arrays cannot be read-only
        with pytest.raises(ValueError, match="read-only"):
            bias.data += 1
    tt.in_place.writable(bias.data)[:] += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()
    assert x.grad is None
    del y
    bias.data += 1
