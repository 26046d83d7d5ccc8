"""Recurrent layers over sequences: plain (RNN), gated (GRU), and with a memory cell (LSTM)."""

import math
import warnings
from typing import Any

from tinytrain.backend import xp_of
from tinytrain.creation import zeros
from tinytrain.functions import cat, stack
from tinytrain.nn import functional as F
from tinytrain.nn import init
from tinytrain.nn.functional.recurrent import check_nonlinearity
from tinytrain.nn.module import Module, Parameter
from tinytrain.tensor import Tensor

State = Tensor | tuple[Tensor, Tensor]


class RecurrentLayer(Module):
    """What RNN, GRU and LSTM share: parameters, several layers, directions and layouts.

    Parameters are `weight_ih_l0` (G H, I), `weight_hh_l0` (G H, H), `bias_ih_l0`, `bias_hh_l0`
    (G H,) and, of an LSTM with a projection, `weight_hr_l0` (R, H); then those of `l0_reverse`,
    `l1` and so on. All start uniform in ±1 / sqrt(H), as in PyTorch.
    """

    gate_count = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ) -> None:
        name = type(self).__name__
        if min(input_size, hidden_size, num_layers) < 1:
            raise ValueError(
                f"{name} needs positive sizes, got input_size {input_size}, "
                f"hidden_size {hidden_size}, num_layers {num_layers}"
            )
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"dropout probability must lie in 0 to 1, got {dropout}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(
                f"proj_size must lie in 0 to hidden_size - 1 = {hidden_size - 1}, got {proj_size}"
            )
        if dropout and num_layers == 1:
            warnings.warn(
                f"{name}: dropout={dropout} stands between layers, and there is only one: "
                "it has no effect",
                stacklevel=3,
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self.output_size = proj_size or hidden_size  # of one direction
        self.suffixes = tuple(
            f"_l{layer}{direction}"
            for layer in range(num_layers)
            for direction in (("", "_reverse") if bidirectional else ("",))
        )
        for position, suffix in enumerate(self.suffixes):
            self._make_parameters(position, suffix)

    def _make_parameters(self, position: int, suffix: str) -> None:
        directions = 1 + self.bidirectional
        gates, rows = self.gate_count * self.hidden_size, self.output_size
        width = self.input_size if position < directions else rows * directions
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (gates, width)}
        shapes["weight_hh"] = (gates, rows)
        if self.bias:
            shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
        if self.proj_size:
            shapes["weight_hr"] = (rows, self.hidden_size)
        bound = 1 / math.sqrt(self.hidden_size)
        for name, shape in shapes.items():
            parameter = Parameter(zeros(*shape))
            init.uniform_(parameter, -bound, bound)
            setattr(self, name + suffix, parameter)

    def parameter(self, name: str, suffix: str) -> Any:
        """Return the parameter of a layer and direction, None where it has none."""
        return getattr(self, name + suffix, None)

    def recur(self, gates: Tensor, states: list[Tensor], suffix: str) -> tuple[Tensor, ...]:
        """Walk one layer in one direction: gates (L, N, G H) to the states (L, N, H) of all steps.

        `states` are those before the first step, (N, H) each: hidden, and cell where there is one.
        """
        raise NotImplementedError(f"{type(self).__name__} must define recur")

    def run(self, input: Tensor, hx: State | None) -> tuple[Tensor, list[Tensor]]:
        """Walk through all layers: the last one's output, and all final states of each kind."""
        batched = self._check_input(input)
        axis = 0 if self.batch_first else 1
        x = input if batched else input.unsqueeze(axis)
        x = x.transpose(0, 1) if self.batch_first else x  # (L, N, I)
        initial = self._initial_states(x, hx, batched)
        final: list[list[Tensor]] = [[] for _ in initial]
        directions = 1 + self.bidirectional
        for layer in range(self.num_layers):
            outputs = []
            for position in range(layer * directions, (layer + 1) * directions):
                suffix = self.suffixes[position]
                weight, bias = (self.parameter(n, suffix) for n in ("weight_ih", "bias_ih"))
                gates = F.linear(x, weight, bias)
                walked = self.recur(gates, [kind[position] for kind in initial], suffix)
                end = 0 if suffix.endswith("_reverse") else -1
                for kind, states in zip(final, walked, strict=True):
                    kind.append(states[end])
                outputs.append(walked[0])
            x = outputs[0] if directions == 1 else cat(outputs, 2)
            if layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        ends = [stack(kind) for kind in final]
        x = x.transpose(0, 1) if self.batch_first else x
        return (x, ends) if batched else (x.squeeze(axis), [end.squeeze(1) for end in ends])

    def _check_input(self, input: Tensor) -> bool:
        name, order = type(self).__name__, "(N, L, I)" if self.batch_first else "(L, N, I)"
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{name} expects {order} or (L, I) with I = {self.input_size}, got {input.shape}"
            )
        batched: bool = input.ndim == 3
        if input.shape[1 if batched and self.batch_first else 0] == 0:
            raise ValueError(f"{name} needs at least one step, got {order} = {input.shape}")
        return batched

    def _initial_states(self, x: Tensor, hx: State | None, batched: bool) -> list[Tensor]:
        widths = [self.output_size, self.hidden_size][: self._kinds()]
        count, batch = len(self.suffixes), x.shape[1]
        if hx is None:
            make = xp_of(x.data).zeros
            return [Tensor(make((count, batch, width), dtype=x.dtype)) for width in widths]
        given = list(hx) if isinstance(hx, tuple | list) else [hx]
        shapes = [(count, batch, width) if batched else (count, width) for width in widths]
        if [getattr(state, "shape", None) for state in given] != shapes:
            raise ValueError(
                f"{type(self).__name__} expects initial states of shapes "
                f"{', '.join(map(str, shapes))} for an input "
                f"{'with' if batched else 'without'} a batch axis, got "
                + ", ".join(str(getattr(s, "shape", type(s).__name__)) for s in given)
            )
        return given if batched else [state.unsqueeze(1) for state in given]

    def _kinds(self) -> int:
        return 1

    def extra_repr(self) -> str:
        """Show the sizes, and the settings that are not the default."""
        settings = {
            "num_layers": (self.num_layers, 1),
            "bias": (self.bias, True),
            "batch_first": (self.batch_first, False),
            "dropout": (self.dropout, 0.0),
            "bidirectional": (self.bidirectional, False),
            "proj_size": (self.proj_size, 0),
        }
        changed = (
            f", {name}={value}" for name, (value, usual) in settings.items() if value != usual
        )
        return f"{self.input_size}, {self.hidden_size}{''.join(changed)}"


class RNN(RecurrentLayer):
    """h_t = f(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), the plain recurrent layer.

    Parameters
    ----------
    input_size, hidden_size : int
        The widths I and H of a step's input and state.
    num_layers : int
        Each layer reads the states of the one before.
    nonlinearity : {"tanh", "relu"}
    bias : bool
    batch_first : bool
        Whether input and output are (N, L, ...) rather than (L, N, ...); states are not.
    dropout : float
        Between layers, in training.
    bidirectional : bool
        Whether a second set of parameters walks from the last step to the first.

    Raises
    ------
    ValueError
        A size, the dropout probability or the nonlinearity is not possible.

    References
    ----------
    J. Elman, "Finding Structure in Time", Cognitive Science 14 (1990).

    Examples
    --------
    >>> import tinytrain as tt
    >>> output, h_n = RNN(3, 4, num_layers=2)(tt.randn(5, 2, 3))
    >>> output.shape, h_n.shape
    ((5, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        check_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map (L, N, I) or (L, I), and states (D layers, N, H), to outputs (L, N, D H) and states.

        D is 2 where the layer is bidirectional, else 1. Without states it starts from 0.
        """
        output, (final,) = self.run(input, hx)
        return output, final

    def recur(self, gates: Tensor, states: list[Tensor], suffix: str) -> tuple[Tensor, ...]:
        """Walk one layer in one direction."""
        weight, bias = (self.parameter(name, suffix) for name in ("weight_hh", "bias_hh"))
        reverse = suffix.endswith("_reverse")
        return (F.rnn_recurrence(gates, states[0], weight, bias, self.nonlinearity, reverse),)


class GRU(RecurrentLayer):
    """Gated recurrent units: r = s(W_r x + U_r h), z = s(W_z x + U_z h), n = tanh(W_n x + r U_n h).

    A step makes h = (1 - z) n + z h; each product has its bias. The rows of the parameters are
    those of r, z and n.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As for `RNN`.

    Raises
    ------
    ValueError
        A size or the dropout probability is not possible.

    References
    ----------
    K. Cho et al., arXiv 1406.1078, section 2.3; the reset gate stands after the product, as in
    PyTorch.

    Examples
    --------
    >>> import tinytrain as tt
    >>> output, h_n = GRU(3, 4, bidirectional=True, batch_first=True)(tt.randn(2, 5, 3))
    >>> output.shape, h_n.shape
    ((2, 5, 8), (2, 2, 4))
    """

    gate_count = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map inputs (L, N, I) and states to outputs (L, N, D H) and states, as `RNN.forward`."""
        output, (final,) = self.run(input, hx)
        return output, final

    def recur(self, gates: Tensor, states: list[Tensor], suffix: str) -> tuple[Tensor, ...]:
        """Walk one layer in one direction."""
        weight, bias = (self.parameter(name, suffix) for name in ("weight_hh", "bias_hh"))
        return (F.gru_recurrence(gates, states[0], weight, bias, suffix.endswith("_reverse")),)
