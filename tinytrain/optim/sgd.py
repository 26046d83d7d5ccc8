"""Stochastic gradient descent."""

from collections.abc import Mapping
from typing import Any

from tinytrain.backend import Array
from tinytrain.optim.optimizer import Optimizer, Parameters
from tinytrain.optim.settings import (
    check_flags,
    check_from_zero,
    check_numbers,
    descent_gradient,
    floats,
)


class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    With gradient g, parameter p, momentum buffer b (b = g at the first step) and step t::

        g <- g + weight_decay p   (or -g + weight_decay p, to maximize)
        b <- momentum b + (1 - dampening) g
        g <- g + momentum b   with Nesterov,   else   g <- b
        p <- p - lr g

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
    lr : float
        The learning rate.
    momentum, dampening : float
    weight_decay : float
        Added to the gradient (an L2 penalty).
    nesterov : bool
        Needs momentum, and no dampening.
    maximize : bool
        Climb instead of descending.

    References
    ----------
    I. Sutskever et al., "On the importance of initialization and momentum in deep learning",
    ICML 2013, section 2, for Nesterov's form.

    Examples
    --------
    >>> import tinytrain as tt
    >>> w = tt.tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.item() < 0.81
    True
    """

    state_names = ("momentum_buffer",)
    counts_steps = False

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raise where a setting makes no sense."""
        super().check_settings(settings)
        check_from_zero(settings, "SGD", "momentum")
        check_numbers(settings, "SGD", "dampening")
        check_flags(settings, "SGD", "nesterov", "maximize")
        if settings["nesterov"] and (settings["momentum"] == 0 or settings["dampening"] != 0):
            raise ValueError("SGD: Nesterov momentum needs a momentum and no dampening")

    def needed_state(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the momentum buffer's name where there is momentum."""
        return self.state_names if settings["momentum"] else ()

    def update(
        self,
        parameter: Array,
        gradient: Array,
        state: dict[str, Array],
        settings: Mapping[str, Any],
        step: int,
    ) -> None:
        """Make one step on a stretch of parameters."""
        lr, momentum, dampening = floats(settings, "lr", "momentum", "dampening")
        gradient = descent_gradient(parameter, gradient, settings)
        if momentum:
            buffer = state["momentum_buffer"]
            if step == 1:
                buffer[...] = gradient
            else:
                buffer *= momentum
                buffer += (1 - dampening) * gradient
            gradient = gradient + momentum * buffer if settings["nesterov"] else buffer
        parameter -= lr * gradient
