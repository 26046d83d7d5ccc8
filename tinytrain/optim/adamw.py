"""AdamW: Adam with decoupled weight decay."""

from collections.abc import Mapping
from typing import Any

from tinytrain.backend import Array
from tinytrain.kernels import kernels_for
from tinytrain.optim.optimizer import Optimizer, Parameters


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    With gradient g, parameter p, moments m and v (zeros at first) and step t = 1, 2, ...::

        p <- p - lr weight_decay p
        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        p <- p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

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
        The share of the parameter taken off at each step, times the learning rate.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", arXiv 1711.05101,
    algorithm 2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> w = tt.tensor([1.0], requires_grad=True)
    >>> optimizer = AdamW([w], lr=0.1, weight_decay=0.0)
    >>> (3 * w).sum().backward()
    >>> optimizer.step()  # the first step has the size of the learning rate
    >>> round(w.item(), 4)
    0.9
    """

    state_names = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raise where a setting makes no sense."""
        super().check_settings(settings)
        if not settings["eps"] >= 0:
            raise ValueError(f"AdamW: eps is {settings['eps']}, not from 0")
        if len(settings["betas"]) != 2 or not all(0 <= beta < 1 for beta in settings["betas"]):
            raise ValueError(f"AdamW: betas must be two numbers in [0, 1), got {settings['betas']}")

    def update(
        self,
        parameter: Array,
        gradient: Array,
        state: dict[str, Array],
        settings: Mapping[str, Any],
        step: int,
    ) -> None:
        """Make one step on a stretch of parameters."""
        beta1, beta2 = settings["betas"]
        kernels_for(parameter).adamw(
            parameter,
            gradient,
            state["exp_avg"],
            state["exp_avg_sq"],
            learning_rate=settings["lr"],
            beta1=beta1,
            beta2=beta2,
            eps=settings["eps"],
            weight_decay=settings["weight_decay"],
            step=step,
        )
