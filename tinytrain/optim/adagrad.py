"""Adagrad: gradients over the root of the sum of all squares so far."""

from collections.abc import Mapping
from typing import Any

from tinytrain.backend import Array, xp_of
from tinytrain.optim.optimizer import Optimizer, Parameters
from tinytrain.optim.settings import check_flags, check_from_zero, descent_gradient, floats


class Adagrad(Optimizer):
    """Adagrad: each coordinate's steps shrink with the squares of its gradients.

    With gradient g, parameter p, sum s (`initial_accumulator_value` at first) and step
    t = 1, 2, ...::

        g <- g + weight_decay p   (or -g + weight_decay p, to maximize)
        s <- s + g^2
        p <- p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
    lr : float
        The learning rate.
    lr_decay : float
        How fast the learning rate falls with the steps.
    weight_decay : float
        Added to the gradient, times the parameter (an L2 penalty).
    initial_accumulator_value : float
        Where the sums start: above 0, the first steps are smaller.
    eps : float
        Keeps the division finite.
    maximize : bool
        Climb instead of descending.

    References
    ----------
    J. Duchi, E. Hazan and Y. Singer, "Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization", JMLR 12 (2011), section 1.1, equation 1, with the diagonal matrix.

    Examples
    --------
    >>> import tinytrain as tt
    >>> w = tt.tensor([1.0], requires_grad=True)
    >>> optimizer = Adagrad([w], lr=0.1)
    >>> (3 * w).sum().backward()
    >>> optimizer.step()  # the first step has the size of the learning rate
    >>> round(w.item(), 4)
    0.9
    """

    state_names = ("sum",)

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raise where a setting makes no sense."""
        super().check_settings(settings)
        check_from_zero(settings, "Adagrad", "lr_decay", "initial_accumulator_value", "eps")
        check_flags(settings, "Adagrad", "maximize")

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
        lr, lr_decay, eps = floats(settings, "lr", "lr_decay", "eps")
        gradient = descent_gradient(parameter, gradient, settings)
        total = state["sum"]
        if step == 1:
            total[...] = settings["initial_accumulator_value"]
        total += gradient * gradient
        rate = lr / (1 + (step - 1) * lr_decay)
        parameter -= rate * (gradient / (xp.sqrt(total) + eps))
