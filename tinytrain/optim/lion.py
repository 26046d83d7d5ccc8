"""Lion: the sign of a mean of gradients."""

from collections.abc import Mapping
from typing import Any

from tinytrain.backend import Array, xp_of
from tinytrain.optim.optimizer import Optimizer, Parameters
from tinytrain.optim.settings import check_betas, check_flags, floats


class Lion(Optimizer):
    """Lion: every coordinate moves by the learning rate, up or down.

    With gradient g (or its negative, to maximize), parameter p and momentum m (zeros at first)::

        p <- p - lr (sign(beta1 m + (1 - beta1) g) + weight_decay p)
        m <- beta2 m + (1 - beta2) g

    It keeps one array where Adam keeps two. As all steps have full size, the learning rate is to be
    3 to 10 times smaller than Adam's, and the weight decay as much larger (section 5 of the paper).
    PyTorch has no Lion; arguments and names of states follow its other optimizers.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
    lr : float
        The learning rate.
    betas : tuple of float
        The share of the momentum in the step, and the momentum's decay; each in [0, 1).
    weight_decay : float
        The share of the parameter taken off at each step, times the learning rate.
    maximize : bool
        Climb instead of descending. The decay stays a decay.

    References
    ----------
    X. Chen et al., "Symbolic Discovery of Optimization Algorithms", arXiv 2302.06675,
    algorithm 2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> w = tt.tensor([1.0, 1.0, 1.0], requires_grad=True)
    >>> optimizer = Lion([w], lr=0.25)
    >>> (w * tt.tensor([100.0, -0.001, 0.0])).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.75, 1.25, 1.0]
    """

    state_names = ("exp_avg",)

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raise where a setting makes no sense."""
        super().check_settings(settings)
        check_betas(settings, "Lion")
        check_flags(settings, "Lion", "maximize")

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
        lr, weight_decay = floats(settings, "lr", "weight_decay")
        beta1, beta2 = map(float, settings["betas"])
        if settings["maximize"]:
            gradient = -gradient
        momentum = state["exp_avg"]
        direction = xp.sign(beta1 * momentum + (1 - beta1) * gradient)
        parameter *= 1 - lr * weight_decay
        parameter -= lr * direction
        momentum += (1 - beta2) * (gradient - momentum)
