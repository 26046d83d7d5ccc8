"""The hand-written steps are right, and the variants that are timed do the same work."""

import harness
import numpy as np
import pytest
from numpy_gpt import NumpyGPT
from numpy_mlp import NumpyMLP
from numpy_parts import AdamW, FlatParameters, clip_gradient
from numpy_steps import make_step as make_numpy_step
from tinytrain_steps import make_step as make_tinytrain_step
from workloads import (
    MAX_NORM,
    WORKLOADS,
    Batches,
    GPTShape,
    MLPShape,
    Shape,
    initial_weights,
)

SMALL = {
    "mlp": MLPShape(sizes=(7, 6, 5, 3), batch=4),
    "gpt": GPTShape(layers=2, heads=2, width=8, context=4, vocabulary=7, batch=2),
}


def build(shape: Shape, dtype: type = np.float64):
    """Parameters, model and one batch of a small model."""
    weights = {name: weight.astype(dtype) for name, weight in initial_weights(shape).items()}
    parameters = FlatParameters(weights)
    inputs, targets = Batches(shape).take()
    if isinstance(shape, GPTShape):
        return parameters, NumpyGPT(shape, parameters), inputs, targets
    return parameters, NumpyMLP(shape, parameters), inputs.astype(dtype), targets


@pytest.mark.parametrize("name", SMALL)
def test_every_gradient_matches_finite_differences(name):
    parameters, model, inputs, targets = build(SMALL[name])
    model.forward(inputs, targets)
    model.backward()
    gradient = parameters.gradient.copy()
    step = 1e-5
    for index in range(parameters.data.size):
        value = parameters.data[index]
        parameters.data[index] = value + step
        above = model.forward(inputs, targets)
        parameters.data[index] = value - step
        below = model.forward(inputs, targets)
        parameters.data[index] = value
        assert gradient[index] == pytest.approx((above - below) / (2 * step), abs=1e-8, rel=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_a_second_backward_overwrites_the_gradient(name):
    parameters, model, inputs, targets = build(SMALL[name])
    gradients = []
    for _ in range(2):
        model.forward(inputs, targets)
        model.backward()
        gradients.append(parameters.gradient.copy())
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize("length", [0.5, 1.0, 30.0])
def test_clipping_shortens_only_longer_gradients(length):
    gradient = np.full(100, length / 10)
    assert clip_gradient(gradient) == pytest.approx(length)
    assert np.linalg.norm(gradient) == pytest.approx(min(length, MAX_NORM), rel=1e-5)


def test_adamw_moves_every_weight_by_the_learning_rate_at_first():
    parameters = FlatParameters({"weight": np.array([2.0, -3.0, 0.0])})
    parameters.gradient[:] = [0.3, 700.0, -1e-3]
    AdamW(parameters).step()
    decayed = np.array([2.0, -3.0, 0.0]) * (1 - 1e-5)
    np.testing.assert_allclose(parameters.data, decayed - [1e-3, 1e-3, -1e-3], rtol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_tinytrain_does_the_same_work_as_the_floor(name, monkeypatch):
    monkeypatch.setitem(WORKLOADS, "small", SMALL[name])
    steps = {"floor": make_numpy_step("small"), "tinytrain": make_tinytrain_step("small")}
    harness.check_same_work(
        [harness.Result(variant, [step() for _ in range(5)]) for variant, step in steps.items()]
    )


def test_variants_that_do_other_work_are_not_compared():
    same = harness.Result("floor", [2.0] * 5)
    harness.check_same_work([same, harness.Result("torch", [2.0 + 1e-6] * 5)])
    with pytest.raises(RuntimeError, match=r"Loss 1 of torch is 2\.1"):
        harness.check_same_work([same, harness.Result("torch", [2.1] * 5)])
    with pytest.raises(RuntimeError, match="Loss 5 of torch is nan"):
        harness.check_same_work([same, harness.Result("torch", [2.0] * 4 + [float("nan")])])


def test_ratios_are_taken_within_rounds():
    slow_later = harness.Result("floor", [], seconds=[1.0, 1.0, 9.0])
    other = harness.Result("torch", [], seconds=[2.0, 2.0, 18.0])
    assert harness.time_ratio(slow_later, other) == 0.5


def test_the_harness_runs_a_variant_in_its_own_process():
    variant = harness.Variant("floor", "numpy_steps", "make_step", ("mlp-32",))
    (result,) = harness.measure([variant], threads=1, rounds=2, seconds=0.01)
    assert len(result.losses) == 5
    assert len(result.seconds) == 2
    assert all(seconds > 0 for seconds in result.seconds)
    assert result.peak_mb > 10


@pytest.mark.oracle
@pytest.mark.parametrize("name", SMALL)
def test_loss_gradient_and_steps_match_torch(name):
    torch = pytest.importorskip("torch")
    from torch_steps import make_model, make_optimizer

    parameters, model, inputs, targets = build(SMALL[name], np.float32)
    torch_model = make_model(SMALL[name])
    torch_optimizer = make_optimizer(torch_model)
    optimizer = AdamW(parameters)
    for _ in range(3):
        loss = model.forward(inputs, targets)
        model.backward()
        torch_optimizer.zero_grad()
        logits = torch_model(torch.from_numpy(inputs)).flatten(0, -2)
        torch_loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets).flatten())
        torch_loss.backward()
        assert loss == pytest.approx(torch_loss.item(), rel=1e-5)
        for key, parameter in torch_model.named_parameters():
            np.testing.assert_allclose(
                parameters.gradients[key], parameter.grad.numpy(), rtol=1e-3, atol=2e-6
            )
        torch.nn.utils.clip_grad_norm_(torch_model.parameters(), MAX_NORM)
        torch_optimizer.step()
        clip_gradient(parameters.gradient)
        optimizer.step()
