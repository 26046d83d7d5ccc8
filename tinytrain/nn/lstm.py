"""The recurrent layer with a memory cell."""

from tinytrain.nn import functional as F
from tinytrain.nn.recurrent import RecurrentLayer
from tinytrain.tensor import Tensor


class LSTM(RecurrentLayer):
    """Long short-term memory: c = s(a_f) c + s(a_i) tanh(a_g), h = s(a_o) tanh c.

    The gates are a = W_ih x + b_ih + W_hh h + b_hh, and the rows of the parameters those of i, f,
    g and o.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As for `RNN`.
    proj_size : int
        Where it is not 0, h is multiplied by a matrix (proj_size, H) and has that width.

    Raises
    ------
    ValueError
        A size or the dropout probability is not possible.

    References
    ----------
    S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9 (1997);
    F. Gers et al., "Learning to Forget" (2000); H. Sak et al., arXiv 1402.1128 (projection).

    Examples
    --------
    >>> import tinytrain as tt
    >>> output, (h_n, c_n) = LSTM(3, 4, num_layers=2)(tt.randn(5, 2, 3))
    >>> output.shape, h_n.shape, c_n.shape
    ((5, 2, 4), (2, 2, 4), (2, 2, 4))
    """

    gate_count = 4

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Map (L, N, I) or (L, I), and states (h, c), to outputs (L, N, D H) and final (h, c).

        States are (D layers, N, H), or (D layers, N, proj_size) for h; without them it starts
        from 0.
        """
        output, (hidden, cell) = self.run(input, hx)
        return output, (hidden, cell)

    def recur(self, gates: Tensor, states: list[Tensor], suffix: str) -> tuple[Tensor, ...]:
        """Walk one layer in one direction."""
        names = ("weight_hh", "bias_hh", "weight_hr")
        weight, bias, projection = (self.parameter(name, suffix) for name in names)
        reverse = suffix.endswith("_reverse")
        hidden, cell = states
        both = F.lstm_recurrence(gates, hidden, cell, weight, bias, projection, reverse)
        return both[:, :, : self.output_size], both[:, :, self.output_size :]

    def _kinds(self) -> int:
        return 2
