"""Random graphs against the chain rule carried out forwards, by dual numbers."""

import numpy as np
import pytest
from device_helpers import host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinytrain as tt

pytestmark = pytest.mark.usefixtures("device")  # each example makes all that it uses
fixture_may_stay = [HealthCheck.function_scoped_fixture]

SIZE = 3
LEAVES = 3

UNARY = {
    "neg": (lambda x: -x, lambda v: -np.ones_like(v)),
    "tanh": (lambda x: x.tanh(), lambda v: 1 - np.tanh(v) ** 2),
    "sigmoid": (lambda x: x.sigmoid(), lambda v: np.exp(-v) / (1 + np.exp(-v)) ** 2),
    "square": (lambda x: x**2, lambda v: 2 * v),
    "reshape": (lambda x: x.reshape(SIZE, 1).reshape(SIZE), np.ones_like),
    "copy": (lambda x: x.clone(), np.ones_like),
    "relu_of_shifted": (lambda x: (x + 100).relu(), np.ones_like),
    "half": (lambda x: x / 2, lambda v: np.full_like(v, 0.5)),
}
BINARY = {
    "add": (lambda x, y: x + y, lambda u, v: (np.ones_like(u), np.ones_like(v))),
    "sub": (lambda x, y: x - y, lambda u, v: (np.ones_like(u), -np.ones_like(v))),
    "mul": (lambda x, y: x * y, lambda u, v: (v, u)),
    "damped": (
        lambda x, y: x / (y * y + 1),
        lambda u, v: (1 / (v * v + 1), -2 * u * v / (v * v + 1) ** 2),
    ),
}
MIXING = {  # these mix elements: linear maps, given by their matrices
    "flip": (lambda x: x[::-1], np.eye(SIZE)[::-1]),
    "repeat_first": (lambda x: x[[0, 0, 1]], np.eye(SIZE)[[0, 0, 1]]),
    "mean": (lambda x: x.mean().expand(SIZE), np.full((SIZE, SIZE), 1 / SIZE)),
    "matmul": (
        lambda x: tt.from_numpy(np.arange(9.0).reshape(3, 3) / 10) @ x,
        np.arange(9.0).reshape(3, 3) / 10,
    ),
}


@st.composite
def programs(draw):
    """A list of steps; each names an operation and which earlier values it takes."""
    steps = []
    for position in range(LEAVES, LEAVES + draw(st.integers(1, 20))):
        earlier = st.integers(0, position - 1)
        # The newest value more often than others, so that graphs are deep as well as wide.
        operand = st.one_of(st.just(position - 1), earlier)
        name = draw(st.sampled_from([*UNARY, *BINARY, *MIXING]))
        steps.append((name, draw(operand), draw(earlier)))
    return steps


def run_tinytrain(steps, starts):
    leaves = [tt.from_numpy(start.copy()).requires_grad_() for start in starts]
    values = list(leaves)
    for name, i, j in steps:
        if name in BINARY:
            values.append(BINARY[name][0](values[i], values[j]))
        else:
            values.append({**UNARY, **MIXING}[name][0](values[i]))
    values[-1].sum().backward()
    gradients = [np.zeros(SIZE) if x.grad is None else host(x.grad) for x in leaves]
    return host(values[-1]), gradients


def run_forwards(steps, starts):
    """Carry each value together with its whole Jacobian with respect to all leaves, on the CPU."""
    values = list(starts)
    width = LEAVES * SIZE
    jacobians = [np.eye(width)[k * SIZE : (k + 1) * SIZE] for k in range(LEAVES)]
    for name, i, j in steps:
        u, v = values[i], values[j]
        if name in BINARY:
            function, slopes = BINARY[name]
            du, dv = slopes(u, v)
            values.append(function(tt.Tensor(u), tt.Tensor(v)).data)
            jacobians.append(du[:, None] * jacobians[i] + dv[:, None] * jacobians[j])
        elif name in MIXING:
            matrix = MIXING[name][1]
            values.append(matrix @ u)
            jacobians.append(matrix @ jacobians[i])
        else:
            function, slope = UNARY[name]
            values.append(function(tt.Tensor(u)).data)
            jacobians.append(slope(u)[:, None] * jacobians[i])
    return values[-1], np.split(jacobians[-1].sum(axis=0), LEAVES)


def limited(steps, starts):
    """Replace squares and products where values would run away."""
    values = list(starts)
    result = []
    for name, i, j in steps:
        u, v = values[i], values[j]
        if max(abs(u).max(), abs(v).max()) > 50 and name in ("square", "mul", "relu_of_shifted"):
            name = "tanh"
        result.append((name, i, j))
        values.append(run_forwards([(name, 0, 1)], [u, v, v])[0])
    return result


@settings(max_examples=80, deadline=None, suppress_health_check=fixture_may_stay)
@given(programs(), st.integers(0, 2**32 - 1))
def test_random_graphs_equal_the_forward_chain_rule(steps, seed):
    starts = list(np.random.default_rng(seed).uniform(-1.5, 1.5, (LEAVES, SIZE)))
    steps = limited(steps, starts)
    value, gradients = run_tinytrain(steps, starts)
    expected, slopes = run_forwards(steps, starts)
    np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-12)
    for gradient, slope in zip(gradients, slopes, strict=True):
        scale = 1 + np.abs(slope).max()
        np.testing.assert_allclose(gradient / scale, slope / scale, rtol=1e-9, atol=1e-11)


@settings(max_examples=30, deadline=None, suppress_health_check=fixture_may_stay)
@given(programs(), st.integers(0, 2**32 - 1))
def test_leaves_gradients_add_over_passes_and_stay_apart(steps, seed):
    starts = list(np.random.default_rng(seed).uniform(-1.5, 1.5, (LEAVES, SIZE)))
    steps = limited(steps, starts)
    once = run_tinytrain(steps, starts)[1]
    leaves = [tt.from_numpy(start.copy()).requires_grad_() for start in starts]
    for _ in range(2):
        values = list(leaves)
        for name, i, j in steps:
            operands = (values[i], values[j]) if name in BINARY else (values[i],)
            values.append({**UNARY, **BINARY, **MIXING}[name][0](*operands))
        values[-1].sum().backward()
    for x, gradient in zip(leaves, once, strict=True):
        both = np.zeros(SIZE) if x.grad is None else host(x.grad)
        np.testing.assert_allclose(both, 2 * gradient, rtol=1e-12, atol=1e-12)
