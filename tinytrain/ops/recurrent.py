"""Recurrent layers, one operation for all time steps: backpropagation through time by hand.

What the input adds to the gates is one product for all steps, made before; here is what must wait
for the step before. The gradient of a recurrent weight is one product for all steps, too.

L is the number of steps, N the batch size, H the hidden size and G the number of gates.
"""

from collections.abc import Iterable

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.kernels import kernels_for
from tinytrain.ops.logistic import logistic
from tinytrain.ops.promotion import check_float


class Recurrence(Function):
    """What the three recurrences share. `reverse` walks from the last step to the first."""

    gate_count = 1

    def __init__(self, reverse: bool = False) -> None:
        self.reverse = reverse

    def steps(self, length: int) -> Iterable[int]:
        """Return the steps in the order of the walk."""
        return range(length - 1, -1, -1) if self.reverse else range(length)

    def previous(self, states: Array, initial: Array) -> Array:
        """Return the state (L, N, H) that each step started from."""
        xp = xp_of(states)
        if self.reverse:
            return xp.concatenate([states[1:], initial[None]])
        return xp.concatenate([initial[None], states[:-1]])

    def check(self, gates: Array, hidden: Array, weight: Array, bias: Array | None) -> None:
        """Raise where shapes or dtypes do not fit."""
        check_float(self.name, gates)
        if gates.ndim != 3 or not gates.shape[0] or hidden.ndim != 2 or weight.ndim != 2:
            raise ValueError(
                f"{self.name} needs gates (L, N, {self.gate_count} H) of at least one step, a "
                f"hidden state (N, H) and a weight ({self.gate_count} H, H), got {gates.shape}, "
                f"{hidden.shape} and {weight.shape}"
            )
        wanted = {
            "hidden state": (hidden, (gates.shape[1], weight.shape[1])),
            "weight": (weight, (gates.shape[2], weight.shape[1])),
            "bias": (bias, (gates.shape[2],)),
        }
        for what, (array, shape) in wanted.items():
            self.check_one(what, array, shape, gates)

    def check_one(self, what: str, array: Array | None, shape: tuple[int, ...], x: Array) -> None:
        """Raise where one array has not the shape it should have, or not the dtype of the gates."""
        if array is not None and array.shape != shape:
            raise ValueError(
                f"{self.name}: for gates {x.shape} the {what} must be {shape}, got {array.shape}"
            )
        if array is not None and array.dtype != x.dtype:
            raise TypeError(
                f"{self.name}: the gates are {x.dtype} and the {what} {array.dtype}; "
                "bring them to one dtype with .to(...)"
            )


def _weight_gradient(gradients: Array, inputs: Array) -> Array:
    """Sum g^T x over all steps and rows: (L, N, G H) and (L, N, H) to (G H, H)."""
    g = gradients.reshape(-1, gradients.shape[2])
    return xp_of(g).matmul(g.T, inputs.reshape(-1, inputs.shape[2]))


def _bias_gradient(gradients: Array) -> Array:
    return kernels_for(gradients).column_sums(gradients.reshape(-1, gradients.shape[2]))


class RNNRecurrence(Recurrence):
    """h_t = f(x_t + W h_(t-1) + b) with f = tanh or ReLU, for the steps t of gates x.

    With d_t = (dL/dh_t) f'(h_t): dL/dx_t = d_t, dL/dh_(t-1) gets d_t W, dL/dW sums d_t^T h_(t-1).
    Shapes: x (L, N, H), initial h (N, H), W (H, H), b (H,) or None; all h_t (L, N, H).

    References
    ----------
    J. Elman, "Finding Structure in Time", Cognitive Science 14 (1990).
    """

    def __init__(self, nonlinearity: str = "tanh", reverse: bool = False) -> None:
        super().__init__(reverse)
        self.nonlinearity = nonlinearity

    def forward(self, gates: Array, hidden: Array, weight: Array, bias: Array | None) -> Array:
        """Walk over the steps."""
        self.check(gates, hidden, weight, bias)
        xp = xp_of(gates, hidden, weight)
        states = xp.empty(gates.shape, dtype=gates.dtype)
        state = hidden
        for t in self.steps(len(gates)):
            x = gates[t] + xp.matmul(state, weight.T)
            if bias is not None:
                x += bias
            state = xp.tanh(x) if self.nonlinearity == "tanh" else xp.maximum(x, 0)
            states[t] = state
        self.save(states, hidden, weight)
        return states

    def backward(self, gradient: Array) -> tuple[Array | None, ...]:
        """Walk back."""
        states, initial, weight = self.saved
        xp = xp_of(states)
        slopes = 1 - states * states if self.nonlinearity == "tanh" else states > 0
        dgates = xp.empty(states.shape, dtype=states.dtype)
        dstate = xp.zeros(initial.shape, dtype=states.dtype)
        for t in reversed(list(self.steps(len(states)))):
            dgates[t] = (gradient[t] + dstate) * slopes[t]
            dstate = xp.matmul(dgates[t], weight)
        previous = self.previous(states, initial)
        return (
            dgates,
            dstate,
            _weight_gradient(dgates, previous) if self.needs[2] else None,
            _bias_gradient(dgates) if self.needs[3] else None,
        )


class GRURecurrence(Recurrence):
    """h_t = (1 - z) n + z h, with h = h_(t-1), y = W h + b and three gates of size H each:

    r = s(x_r + y_r), z = s(x_z + y_z), n = tanh(x_n + r y_n), s the logistic function.
    Shapes: x (L, N, 3 H), initial h (N, H), W (3 H, H), b (3 H,) or None; all h_t (L, N, H).

    References
    ----------
    K. Cho et al., arXiv 1406.1078, section 2.3; the reset gate stands after the product here.
    """

    gate_count = 3

    def forward(self, gates: Array, hidden: Array, weight: Array, bias: Array | None) -> Array:
        """Walk over the steps."""
        self.check(gates, hidden, weight, bias)
        xp = xp_of(gates, hidden, weight)
        length, batch, size = len(gates), gates.shape[1], hidden.shape[1]
        states = xp.empty((length, batch, size), dtype=gates.dtype)
        opened = xp.empty((length, batch, 4 * size), dtype=gates.dtype)  # r, z, n and y_n
        state = hidden
        for t in self.steps(length):
            y = xp.matmul(state, weight.T)
            if bias is not None:
                y += bias
            x, last = gates[t], slice(2 * size, None)
            both = logistic(x[:, : 2 * size] + y[:, : 2 * size])
            r, z = both[:, :size], both[:, size:]
            n = xp.tanh(x[:, last] + r * y[:, last])
            opened[t] = xp.concatenate([both, n, y[:, last]], axis=1)
            state = n + z * (state - n)
            states[t] = state
        self.save(states, opened, hidden, weight)
        return states

    def backward(self, gradient: Array) -> tuple[Array | None, ...]:
        """Walk back; x and y differ in the new gate, where the reset gate stands between."""
        states, opened, initial, weight = self.saved
        xp, size = xp_of(states), initial.shape[1]
        previous = self.previous(states, initial)
        dx = xp.empty((*states.shape[:2], 3 * size), dtype=states.dtype)
        dy = xp.empty((*states.shape[:2], 3 * size), dtype=states.dtype)
        dstate = xp.zeros(initial.shape, dtype=states.dtype)
        for t in reversed(list(self.steps(len(states)))):
            r, z, n, y = (opened[t][:, i * size : (i + 1) * size] for i in range(4))
            g = gradient[t] + dstate
            dn = g * (1 - z) * (1 - n * n)
            dz = g * (previous[t] - n) * z * (1 - z)
            dr = dn * y * r * (1 - r)
            dx[t] = xp.concatenate([dr, dz, dn], axis=1)
            dy[t] = xp.concatenate([dr, dz, dn * r], axis=1)
            dstate = g * z + xp.matmul(dy[t], weight)
        return (
            dx,
            dstate,
            _weight_gradient(dy, previous) if self.needs[2] else None,
            _bias_gradient(dy) if self.needs[3] else None,
        )


class LSTMRecurrence(Recurrence):
    """c_t = f c_(t-1) + i g and h_t = P (o tanh c_t), with the gates a = x_t + W h_(t-1) + b:

    i = s(a_i), f = s(a_f), g = tanh(a_g), o = s(a_o), s the logistic function; no P is P = 1.
    Shapes: x (L, N, 4 H), initial h (N, R) and c (N, H), W (4 H, R), b (4 H,) or None, P (R, H) or
    None, where R = H. All h_t and c_t side by side: (L, N, R + H).

    References
    ----------
    S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9 (1997);
    F. Gers et al., "Learning to Forget" (2000); H. Sak et al., arXiv 1402.1128 (P).
    """

    gate_count = 4

    def forward(
        self,
        gates: Array,
        hidden: Array,
        cell: Array,
        weight: Array,
        bias: Array | None,
        projection: Array | None,
    ) -> Array:
        """Walk over the steps."""
        self.check(gates, hidden, weight, bias)
        size = gates.shape[2] // 4
        rows = weight.shape[1]
        self.check_one("cell state", cell, (gates.shape[1], size), gates)
        self.check_one("projection", projection, (rows, size), gates)
        if gates.shape[2] % 4 or (projection is None and rows != size):
            raise ValueError(f"LSTMRecurrence: gates {gates.shape} are not 4 x {rows} wide")
        xp = xp_of(gates, hidden, cell, weight)
        states = xp.empty((*gates.shape[:2], rows + size), dtype=gates.dtype)
        opened = xp.empty(gates.shape, dtype=gates.dtype)
        state, memory = hidden, cell
        added = gates if bias is None else gates + bias
        turned = xp.ascontiguousarray(weight.T)  # once, for small products of many steps
        for t in self.steps(len(gates)):
            a = xp.matmul(state, turned)
            a += added[t]
            opened[t] = logistic(a)
            opened[t, :, 2 * size : 3 * size] = xp.tanh(a[:, 2 * size : 3 * size])
            i, f, g, o = (opened[t][:, k * size : (k + 1) * size] for k in range(4))
            memory = f * memory + i * g
            state = o * xp.tanh(memory)
            if projection is not None:
                state = xp.matmul(state, projection.T)
            states[t, :, :rows], states[t, :, rows:] = state, memory
        self.save(states, opened, hidden, cell, weight, projection)
        return states

    def backward(self, gradient: Array) -> tuple[Array | None, ...]:
        """Walk back, with one gradient for the hidden state and one for the cell."""
        states, opened, hidden, cell, weight, projection = self.saved
        xp, size, rows = xp_of(states), cell.shape[1], hidden.shape[1]
        cells = states[:, :, rows:]
        earlier, squashed = self.previous(cells, cell), xp.tanh(cells)
        i, f, g, o = (opened[:, :, k * size : (k + 1) * size] for k in range(4))
        through = o * (1 - squashed * squashed)
        dgates = xp.empty((*opened.shape[:2], 4, size), dtype=states.dtype)  # at first the slopes
        dgates[:, :, 0], dgates[:, :, 1] = g * i * (1 - i), earlier * f * (1 - f)
        dgates[:, :, 2], dgates[:, :, 3] = i * (1 - g * g), squashed * o * (1 - o)
        dhidden = xp.zeros(hidden.shape, dtype=states.dtype)
        dcell = xp.zeros(cell.shape, dtype=states.dtype)
        dstates = xp.empty((*states.shape[:2], rows), dtype=states.dtype)
        for t in reversed(list(self.steps(len(states)))):
            dstates[t] = gradient[t, :, :rows] + dhidden
            dh = dstates[t] if projection is None else xp.matmul(dstates[t], projection)
            dc = gradient[t, :, rows:] + dcell + dh * through[t]
            dgates[t, :, :3] *= dc[:, None]
            dgates[t, :, 3] *= dh
            dhidden = xp.matmul(dgates[t].reshape(-1, 4 * size), weight)
            dcell = dc * f[t]
        dgates = dgates.reshape(opened.shape)
        dweight = dprojection = None
        if self.needs[3]:
            dweight = _weight_gradient(dgates, self.previous(states[:, :, :rows], hidden))
        if self.needs[5]:
            dprojection = _weight_gradient(dstates, opened[:, :, 3 * size :] * squashed)
        dbias = _bias_gradient(dgates) if self.needs[4] else None
        return dgates, dhidden, dcell, dweight, dbias, dprojection
