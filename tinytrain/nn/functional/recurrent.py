"""Recurrences over all time steps, and their twins, composed step by step.

Shapes: L steps, batch size N, hidden size H. What the input adds to the gates is one product,
`linear(input, weight_ih, bias_ih)`, for all steps; these functions take it from there.
"""

from tinytrain.functions import cat, stack
from tinytrain.functions.checks import checked, checked_optional
from tinytrain.nn.functional.linear import linear_simple
from tinytrain.ops import recurrent as ops
from tinytrain.tensor import Tensor, apply


def rnn_recurrence(
    gates: Tensor,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> Tensor:
    """Return h_t = f(x_t + W h_(t-1) + b) for all steps.

    Parameters
    ----------
    gates : Tensor (L, N, H)
        x, one row for each step and sequence.
    hidden : Tensor (N, H)
        The state before the first step.
    weight, bias : Tensor (H, H), and (H,) or None
    nonlinearity : {"tanh", "relu"}
    reverse : bool
        Walk from the last step to the first.

    Returns
    -------
    Tensor (L, N, H)

    Raises
    ------
    ValueError, TypeError
        Shapes, dtypes or the nonlinearity do not fit.

    Examples
    --------
    >>> import tinytrain as tt
    >>> rnn_recurrence(tt.ones(3, 1, 1), tt.zeros(1, 1), tt.ones(1, 1), None, "relu").flatten()
    tensor([1., 2., 3.], dtype=float32, device=cpu)
    """
    checked(gates, "rnn_recurrence", "gates")
    checked(hidden, "rnn_recurrence", "hidden")
    checked(weight, "rnn_recurrence", "weight")
    checked_optional(bias, "rnn_recurrence", "bias")
    check_nonlinearity(nonlinearity)
    return apply(ops.RNNRecurrence(nonlinearity, reverse), gates, hidden, weight, bias)


def check_nonlinearity(nonlinearity: str) -> None:
    """Raise where the function of a plain recurrent layer is not one of the two.

    Examples
    --------
    >>> check_nonlinearity("gelu")
    Traceback (most recent call last):
        ...
    ValueError: nonlinearity must be 'tanh' or 'relu', got 'gelu'
    """
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")


def rnn_recurrence_simple(
    gates: Tensor,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> Tensor:
    """Compose `rnn_recurrence`, gates (L, N, H) to states (L, N, H), step by step.

    Examples
    --------
    >>> import tinytrain as tt
    >>> rnn_recurrence_simple(tt.ones(3, 1, 2), tt.zeros(1, 2), tt.ones(2, 2)).shape
    (3, 1, 2)
    """
    checked(gates, "rnn_recurrence_simple", "gates")
    checked(hidden, "rnn_recurrence_simple", "hidden")
    checked(weight, "rnn_recurrence_simple", "weight")
    checked_optional(bias, "rnn_recurrence_simple", "bias")
    states = []
    for x in _steps(gates, reverse):
        total = x + linear_simple(hidden, weight, bias)
        hidden = total.tanh() if nonlinearity == "tanh" else total.relu()
        states.append(hidden)
    return stack(states[::-1] if reverse else states)


def gru_recurrence(
    gates: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor | None = None, reverse: bool = False
) -> Tensor:
    """Return the hidden states of a gated recurrent unit; the gates are reset, update and new.

    With y = W h + b, r = s(x_r + y_r), z = s(x_z + y_z), n = tanh(x_n + r y_n), a step makes
    (1 - z) n + z h out of h.

    Parameters
    ----------
    gates : Tensor (L, N, 3 H)
    hidden : Tensor (N, H)
    weight, bias : Tensor (3 H, H), and (3 H,) or None
    reverse : bool
        Walk from the last step to the first.

    Returns
    -------
    Tensor (L, N, H)

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes do not fit.

    Examples
    --------
    >>> import tinytrain as tt
    >>> gru_recurrence(tt.ones(3, 1, 6), tt.zeros(1, 2), tt.ones(6, 2)).shape
    (3, 1, 2)
    """
    checked(gates, "gru_recurrence", "gates")
    checked(hidden, "gru_recurrence", "hidden")
    checked(weight, "gru_recurrence", "weight")
    checked_optional(bias, "gru_recurrence", "bias")
    return apply(ops.GRURecurrence(reverse), gates, hidden, weight, bias)


def gru_recurrence_simple(
    gates: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor | None = None, reverse: bool = False
) -> Tensor:
    """Compose `gru_recurrence`, gates (L, N, 3 H) to states (L, N, H), step by step.

    Examples
    --------
    >>> import tinytrain as tt
    >>> gru_recurrence_simple(tt.ones(3, 1, 6), tt.zeros(1, 2), tt.ones(6, 2)).shape
    (3, 1, 2)
    """
    checked(gates, "gru_recurrence_simple", "gates")
    checked(hidden, "gru_recurrence_simple", "hidden")
    checked(weight, "gru_recurrence_simple", "weight")
    checked_optional(bias, "gru_recurrence_simple", "bias")
    states = []
    for x in _steps(gates, reverse):
        x_reset, x_update, x_new = x.chunk(3, 1)
        y_reset, y_update, y_new = linear_simple(hidden, weight, bias).chunk(3, 1)
        reset, update = (x_reset + y_reset).sigmoid(), (x_update + y_update).sigmoid()
        new = (x_new + reset * y_new).tanh()
        hidden = (1 - update) * new + update * hidden
        states.append(hidden)
    return stack(states[::-1] if reverse else states)


def lstm_recurrence(
    gates: Tensor,
    hidden: Tensor,
    cell: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    projection: Tensor | None = None,
    reverse: bool = False,
) -> Tensor:
    """Return hidden and cell states of a long short-term memory, side by side.

    With the gates a = x + W h + b (input, forget, new, output) a step makes c = s(a_f) c +
    s(a_i) tanh(a_g) and h = P (s(a_o) tanh c).

    Parameters
    ----------
    gates : Tensor (L, N, 4 H)
    hidden, cell : Tensor (N, R), (N, H)
        R is H where there is no projection.
    weight, bias : Tensor (4 H, R), and (4 H,) or None
    projection : Tensor (R, H), optional
    reverse : bool
        Walk from the last step to the first.

    Returns
    -------
    Tensor (L, N, R + H)

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes do not fit.

    Examples
    --------
    >>> import tinytrain as tt
    >>> lstm_recurrence(tt.ones(3, 1, 8), tt.zeros(1, 2), tt.zeros(1, 2), tt.ones(8, 2)).shape
    (3, 1, 4)
    """
    checked(gates, "lstm_recurrence", "gates")
    checked(hidden, "lstm_recurrence", "hidden")
    checked(cell, "lstm_recurrence", "cell")
    checked(weight, "lstm_recurrence", "weight")
    checked_optional(bias, "lstm_recurrence", "bias")
    checked_optional(projection, "lstm_recurrence", "projection")
    inputs = (gates, hidden, cell, weight, bias, projection)
    return apply(ops.LSTMRecurrence(reverse), *inputs)


def lstm_recurrence_simple(
    gates: Tensor,
    hidden: Tensor,
    cell: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    projection: Tensor | None = None,
    reverse: bool = False,
) -> Tensor:
    """Compose `lstm_recurrence`, gates (L, N, 4 H) to states (L, N, R + H), step by step.

    Examples
    --------
    >>> import tinytrain as tt
    >>> nothing = tt.zeros(1, 2)
    >>> lstm_recurrence_simple(tt.ones(3, 1, 8), nothing, nothing, tt.ones(8, 2)).shape
    (3, 1, 4)
    """
    checked(gates, "lstm_recurrence_simple", "gates")
    checked(hidden, "lstm_recurrence_simple", "hidden")
    checked(cell, "lstm_recurrence_simple", "cell")
    checked(weight, "lstm_recurrence_simple", "weight")
    checked_optional(bias, "lstm_recurrence_simple", "bias")
    checked_optional(projection, "lstm_recurrence_simple", "projection")
    states = []
    for x in _steps(gates, reverse):
        admit, forget, new, show = (x + linear_simple(hidden, weight, bias)).chunk(4, 1)
        cell = forget.sigmoid() * cell + admit.sigmoid() * new.tanh()
        hidden = show.sigmoid() * cell.tanh()
        if projection is not None:
            hidden = linear_simple(hidden, projection)
        states.append(cat([hidden, cell], 1))
    return stack(states[::-1] if reverse else states)


def _steps(gates: Tensor, reverse: bool) -> tuple[Tensor, ...]:
    steps = gates.unbind(0)
    return steps[::-1] if reverse else steps
