"""AdamW: Adam with decoupled weight decay."""

from collections.abc import Mapping
from typing import Any

from tinytrain.optim.adam import Adam
from tinytrain.optim.optimizer import Parameters


class AdamW(Adam):
    """Adam with decoupled weight decay.

    With gradient g, parameter p, moments m and v (zeros at first) and step t = 1, 2, ...::

        p <- p - lr weight_decay p
        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        p <- p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    An L2 penalty in the gradient, as in `Adam`, would be divided by the root of v like the rest of
    the gradient: parameters with large gradients would hardly decay. Here all decay alike.

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
    amsgrad : bool
        Divide by the root of the largest v so far.
    maximize : bool
        Climb: g is the negative gradient. The decay stays a decay.

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

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
        )

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raise where a setting makes no sense."""
        super().check_settings(settings)
        if not settings["decoupled_weight_decay"]:
            raise ValueError("AdamW decouples weight decay; for an L2 penalty take Adam")
