"""Adam: steps whose size is the mean of recent gradients over their root mean square."""

import math
from collections.abc import Mapping
from typing import Any

from tinytrain.backend import Array, xp_of
from tinytrain.kernels import kernels_for
from tinytrain.optim.optimizer import Optimizer, Parameters
from tinytrain.optim.settings import (
    check_betas,
    check_flags,
    check_from_zero,
    descent_gradient,
    floats,
)


class Adam(Optimizer):
    """Adam, with weight decay as an L2 penalty.

    With gradient g, parameter p, moments m and v (zeros at first) and step t = 1, 2, ...::

        g <- g + weight_decay p   (or -g + weight_decay p, to maximize)
        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        p <- p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    With AMSGrad the last line has the largest v so far in place of v.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
    lr : float
        The learning rate.
    betas : tuple of float
        The decay of the two moments, each in [0, 1).
    eps : float
        Keeps the division finite.
    weight_decay : float
        Added to the gradient, times the parameter.
    amsgrad : bool
        Let no coordinate's step grow again because its gradients have become small.
    maximize : bool
        Climb instead of descending.
    decoupled_weight_decay : bool
        Decay the parameter instead of adding to the gradient, as `AdamW` does.

    References
    ----------
    D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", arXiv 1412.6980,
    algorithm 1; S. Reddi, S. Kale and S. Kumar, "On the Convergence of Adam and Beyond",
    arXiv 1904.09237, algorithm 2, for AMSGrad (there without the corrections by 1 - beta^t).

    Examples
    --------
    >>> import tinytrain as tt
    >>> w = tt.tensor([1.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.1)
    >>> (3 * w).sum().backward()
    >>> optimizer.step()  # the first step has the size of the learning rate
    >>> round(w.item(), 4)
    0.9
    """

    state_names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raise where a setting makes no sense."""
        super().check_settings(settings)
        name = type(self).__name__
        check_from_zero(settings, name, "eps")
        check_betas(settings, name)
        check_flags(settings, name, "amsgrad", "maximize", "decoupled_weight_decay")

    def needed_state(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the moments, with the largest second one for AMSGrad."""
        return self.state_names if settings["amsgrad"] else self.state_names[:2]

    def update(
        self,
        parameter: Array,
        gradient: Array,
        state: dict[str, Array],
        settings: Mapping[str, Any],
        step: int,
    ) -> None:
        """Make one step on a stretch of parameters."""
        lr, eps, decay = floats(settings, "lr", "eps", "weight_decay")
        beta1, beta2 = map(float, settings["betas"])
        if settings["decoupled_weight_decay"]:
            gradient = -gradient if settings["maximize"] else gradient
        else:
            gradient, decay = descent_gradient(parameter, gradient, settings), 0.0
        if settings["amsgrad"]:
            parameter *= 1 - lr * decay
            parameter -= lr * _amsgrad_direction(gradient, state, beta1, beta2, eps, step)
            return
        kernels_for(parameter).adamw(
            parameter,
            gradient,
            state["exp_avg"],
            state["exp_avg_sq"],
            learning_rate=lr,
            beta1=beta1,
            beta2=beta2,
            eps=eps,
            weight_decay=decay,
            step=step,
        )


def _amsgrad_direction(
    gradient: Array, state: dict[str, Array], beta1: float, beta2: float, eps: float, step: int
) -> Array:
    """Move the moments, and return the step at a learning rate of 1."""
    xp = xp_of(gradient)
    m, v, largest = state["exp_avg"], state["exp_avg_sq"], state["max_exp_avg_sq"]
    m += (1 - beta1) * (gradient - m)
    v *= beta2
    v += (1 - beta2) * (gradient * gradient)
    xp.maximum(largest, v, out=largest)
    root = xp.sqrt(largest) / math.sqrt(1 - beta2**step) + eps
    return m / root / (1 - beta1**step)
