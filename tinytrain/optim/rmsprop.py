"""RMSprop: gradients over the root mean square of the recent ones."""

from collections.abc import Mapping
from typing import Any

from tinytrain.backend import Array, xp_of
from tinytrain.optim.optimizer import Optimizer, Parameters
from tinytrain.optim.settings import check_flags, check_from_zero, descent_gradient, floats


class RMSprop(Optimizer):
    """RMSprop, with momentum and centring if wanted.

    With gradient g, parameter p, and v, a and b zeros at first::

        g <- g + weight_decay p   (or -g + weight_decay p, to maximize)
        v <- alpha v + (1 - alpha) g^2
        a <- alpha a + (1 - alpha) g         where centered
        d = sqrt(v) + eps                    where centered: sqrt(v - a^2) + eps
        b <- momentum b + g / d
        p <- p - lr b

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
    lr : float
        The learning rate.
    alpha : float
        The decay of the mean square, from 0 to 1.
    eps : float
        Keeps the division finite.
    weight_decay : float
        Added to the gradient, times the parameter (an L2 penalty).
    momentum : float
    centered : bool
        Divide by an estimate of the gradient's standard deviation.
    maximize : bool
        Climb instead of descending.

    References
    ----------
    T. Tieleman and G. Hinton, "Lecture 6.5: RMSProp", COURSERA: Neural Networks for Machine
    Learning, 2012; A. Graves, "Generating Sequences With Recurrent Neural Networks",
    arXiv 1308.0850, equations 38 to 41, for the centred form (there eps is under the root).

    Examples
    --------
    >>> import tinytrain as tt
    >>> w = tt.tensor([1.0], requires_grad=True)
    >>> optimizer = RMSprop([w], lr=0.1, alpha=0.75)
    >>> (3 * w).sum().backward()
    >>> optimizer.step()  # the first step is lr / sqrt(1 - alpha)
    >>> round(w.item(), 4)
    0.8
    """

    state_names = ("square_avg", "momentum_buffer", "grad_avg")

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raise where a setting makes no sense."""
        super().check_settings(settings)
        check_from_zero(settings, "RMSprop", "alpha", "eps", "momentum")
        check_flags(settings, "RMSprop", "centered", "maximize")
        if settings["alpha"] > 1:
            raise ValueError(f"RMSprop: alpha is {settings['alpha']}, not from 0 to 1")

    def needed_state(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the mean square's name, with those of the buffers that the settings ask for."""
        wanted = {
            "square_avg": True,
            "momentum_buffer": settings["momentum"],
            "grad_avg": settings["centered"],
        }
        return tuple(name for name in self.state_names if wanted[name])

    def update(
        self,
        parameter: Array,
        gradient: Array,
        state: dict[str, Array],
        settings: Mapping[str, Any],
        step: int,
    ) -> None:
        """Make one step on a stretch of parameters."""
        xp = xp_of(parameter)
        lr, alpha, eps, momentum = floats(settings, "lr", "alpha", "eps", "momentum")
        gradient = descent_gradient(parameter, gradient, settings)
        mean_square = state["square_avg"]
        mean_square *= alpha
        mean_square += (1 - alpha) * (gradient * gradient)
        variance = mean_square
        if settings["centered"]:
            mean = state["grad_avg"]
            mean += (1 - alpha) * (gradient - mean)
            variance = mean_square - mean * mean
        direction = gradient / (xp.sqrt(variance) + eps)
        if momentum:
            buffer = state["momentum_buffer"]
            buffer *= momentum
            buffer += direction
            direction = buffer
        parameter -= lr * direction
