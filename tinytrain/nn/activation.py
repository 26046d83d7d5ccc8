"""Activations as layers."""

from tinytrain.nn import functional as F
from tinytrain.nn.functional.activation import refuse_inplace
from tinytrain.nn.module import Module
from tinytrain.tensor import Tensor


class ReLU(Module):
    """max(x, 0), elementwise: any shape in, the same out.

    Examples
    --------
    >>> import tinytrain as tt
    >>> ReLU()(tt.tensor([-1.0, 2.0]))
    tensor([0., 2.], dtype=float32, device=cpu)
    """

    def __init__(self, inplace: bool = False) -> None:
        refuse_inplace("ReLU", inplace)

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.relu(input)


class Tanh(Module):
    """The hyperbolic tangent, elementwise: any shape in, the same out.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Tanh()(tt.tensor([0.0, 100.0]))
    tensor([0., 1.], dtype=float32, device=cpu)
    """

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.tanh(input)


class Sigmoid(Module):
    """1 / (1 + e^-x), elementwise: any shape in, the same out.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Sigmoid()(tt.tensor([0.0, 100.0]))
    tensor([0.5, 1. ], dtype=float32, device=cpu)
    """

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.sigmoid(input)


class GELU(Module):
    """x Phi(x), elementwise: any shape in, the same out; see `functional.gelu`.

    Parameters
    ----------
    approximate : {"none", "tanh"}
        The exact form, or the approximation by tanh.

    Examples
    --------
    >>> import tinytrain as tt
    >>> GELU("tanh")(tt.tensor([0.0, 2.0]))
    tensor([0.       , 1.9545977], dtype=float32, device=cpu)
    """

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """Show the form."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x sigmoid(x), elementwise: any shape in, the same out; see `functional.silu`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> SiLU()(tt.tensor([0.0, 100.0]))
    tensor([  0., 100.], dtype=float32, device=cpu)
    """

    def __init__(self, inplace: bool = False) -> None:
        refuse_inplace("SiLU", inplace)

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.silu(input)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope x, elementwise: any shape in, the same out.

    Parameters
    ----------
    negative_slope : float

    Examples
    --------
    >>> import tinytrain as tt
    >>> LeakyReLU(0.5)(tt.tensor([-2.0, 2.0]))
    tensor([-1.,  2.], dtype=float32, device=cpu)
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        refuse_inplace("LeakyReLU", inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """x where x > 0, else alpha (e^x - 1), elementwise: any shape in, the same out.

    Parameters
    ----------
    alpha : float

    Examples
    --------
    >>> import tinytrain as tt
    >>> ELU()(tt.tensor([-100.0, 2.0]))
    tensor([-1.,  2.], dtype=float32, device=cpu)
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        refuse_inplace("ELU", inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.elu(input, self.alpha)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"alpha={self.alpha}"


class Softplus(Module):
    """log(1 + e^{beta x}) / beta, elementwise: any shape in, the same out.

    Parameters
    ----------
    beta : float
    threshold : float
        Where beta x is larger, the result is x.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Softplus()(tt.tensor([-1000.0, 1000.0]))
    tensor([   0., 1000.], dtype=float32, device=cpu)
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"beta={self.beta}, threshold={self.threshold}"


class LogSigmoid(Module):
    """log sigmoid(x), elementwise: any shape in, the same out; see `functional.logsigmoid`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> LogSigmoid()(tt.tensor([-1000.0]))
    tensor([-1000.], dtype=float32, device=cpu)
    """

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.logsigmoid(input)


class Hardtanh(Module):
    """min(max(x, min_val), max_val), elementwise: any shape in, the same out.

    Parameters
    ----------
    min_val, max_val : float

    Examples
    --------
    >>> import tinytrain as tt
    >>> Hardtanh()(tt.tensor([-3.0, 0.5]))
    tensor([-1. ,  0.5], dtype=float32, device=cpu)
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        refuse_inplace("Hardtanh", inplace)
        if min_val >= max_val:
            raise ValueError(f"Hardtanh needs min_val below max_val, got {min_val} and {max_val}")
        self.min_val, self.max_val = min_val, max_val

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"min_val={self.min_val}, max_val={self.max_val}"


class ReLU6(Module):
    """min(max(x, 0), 6), elementwise: any shape in, the same out.

    Examples
    --------
    >>> import tinytrain as tt
    >>> ReLU6()(tt.tensor([-3.0, 8.0]))
    tensor([0., 6.], dtype=float32, device=cpu)
    """

    def __init__(self, inplace: bool = False) -> None:
        refuse_inplace("ReLU6", inplace)

    def forward(self, input: Tensor) -> Tensor:
        """Apply elementwise."""
        return F.relu6(input)
