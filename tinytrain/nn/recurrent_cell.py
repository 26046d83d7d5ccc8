"""One step of a recurrent layer, for loops of your own."""

import math

from tinytrain.backend import xp_of
from tinytrain.creation import zeros
from tinytrain.nn import functional as F
from tinytrain.nn import init
from tinytrain.nn.functional.recurrent import check_nonlinearity
from tinytrain.nn.module import Module, Parameter
from tinytrain.tensor import Tensor


class RecurrentCell(Module):
    """What the cells share: `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`, and their checks."""

    gate_count = 1

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        if min(input_size, hidden_size) < 1:
            raise ValueError(
                f"{type(self).__name__} needs positive sizes, got {input_size}, {hidden_size}"
            )
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        gates, bound = self.gate_count * hidden_size, 1 / math.sqrt(hidden_size)
        self.weight_ih = Parameter(zeros(gates, input_size))
        self.weight_hh = Parameter(zeros(gates, hidden_size))
        self.bias_ih = Parameter(zeros(gates)) if bias else None
        self.bias_hh = Parameter(zeros(gates)) if bias else None
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def prepare(self, input: Tensor, *states: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Return gates (1, N, G H) and states (N, H), zeros where none are given."""
        name, width = type(self).__name__, self.hidden_size
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{name} expects (N, {self.input_size}) or ({self.input_size},), got {input.shape}"
            )
        shape = (*input.shape[:-1], width)
        filled = []
        for state in states:
            if state is None:
                state = Tensor(xp_of(input.data).zeros(shape, dtype=input.dtype))
            if state.shape != shape:
                raise ValueError(
                    f"{name} expects states {shape} for an input {input.shape}, got {state.shape}"
                )
            filled.append(state.reshape(-1, width))
        gates = F.linear(input.reshape(1, -1, self.input_size), self.weight_ih, self.bias_ih)
        return gates, filled

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RecurrentCell):
    """h' = f(W_ih x + b_ih + W_hh h + b_hh), from (N, I) and (N, H) to (N, H).

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    nonlinearity : {"tanh", "relu"}

    Examples
    --------
    >>> import tinytrain as tt
    >>> RNNCell(3, 4)(tt.randn(2, 3)).shape
    (2, 4)
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh"
    ) -> None:
        check_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Make one step, from 0 where no state is given; the batch axis may be missing."""
        gates, (hidden,) = self.prepare(input, hx)
        states = F.rnn_recurrence(gates, hidden, self.weight_hh, self.bias_hh, self.nonlinearity)
        return states.reshape(*input.shape[:-1], self.hidden_size)


class GRUCell(RecurrentCell):
    """One step of `GRU`, from (N, I) and (N, H) to (N, H).

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool

    Examples
    --------
    >>> import tinytrain as tt
    >>> GRUCell(3, 4)(tt.randn(2, 3)).shape
    (2, 4)
    """

    gate_count = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Make one step, from 0 where no state is given; the batch axis may be missing."""
        gates, (hidden,) = self.prepare(input, hx)
        states = F.gru_recurrence(gates, hidden, self.weight_hh, self.bias_hh)
        return states.reshape(*input.shape[:-1], self.hidden_size)


class LSTMCell(RecurrentCell):
    """One step of `LSTM`, from (N, I) and a pair of (N, H) to such a pair (h, c).

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool

    Examples
    --------
    >>> import tinytrain as tt
    >>> h, c = LSTMCell(3, 4)(tt.randn(2, 3))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    gate_count = 4

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Make one step, from 0 where no states are given; the batch axis may be missing."""
        gates, states = self.prepare(input, *((None, None) if hx is None else hx))
        hidden, cell = states
        both = F.lstm_recurrence(gates, hidden, cell, self.weight_hh, self.bias_hh)
        hidden, cell = both.reshape(*input.shape[:-1], 2 * self.hidden_size).chunk(2, -1)
        return hidden, cell
