"""Losses between probabilities, element by element: binary cross-entropy and KL divergence."""

import numpy as np

from tinytrain.autograd import Function, unbroadcast
from tinytrain.backend import Array, device_of, xp_of
from tinytrain.ops.logistic import log_one_plus_exp, logistic

LOWEST_LOGARITHM = -100.0
"""What `BinaryCrossEntropy` takes for the logarithm of 0, so that a loss stays finite."""
LEAST_VARIANCE = 1e-12
"""What it takes for x (1 - x) at least, so that a gradient stays finite."""


class BinaryCrossEntropy(Function):
    """z = -t log x - (1 - t) log(1 - x), with logarithms of -100 at least.

    dL/dx = g (x - t) / max(x (1 - x), 1e-12);  dL/dt = g (log(1 - x) - log x).
    Probabilities x and targets t have one shape. On the CPU values outside of 0 to 1 are an error;
    a GPU would have to be waited for to know them, and gives NaN.
    """

    is_loss = True

    def forward(self, x: Array, t: Array) -> Array:
        """Compare probabilities with targets."""
        xp = xp_of(x, t)
        if device_of(x) == "cpu":
            _check_probabilities("input", x)
            _check_probabilities("target", t)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_yes = xp.maximum(xp.log(x), LOWEST_LOGARITHM)
            log_no = xp.maximum(xp.log1p(-x), LOWEST_LOGARITHM)
        self.save(x, t, log_no - log_yes)
        return -(t * log_yes + (1 - t) * log_no)

    def backward(self, gradient: Array) -> tuple[Array, Array | None]:
        """Divide the distance from the target by the variance of such a coin."""
        x, t, log_odds_against = self.saved
        dx = gradient * ((x - t) / xp_of(x).maximum(x * (1 - x), LEAST_VARIANCE))
        return dx, gradient * log_odds_against if self.needs[1] else None


def _check_probabilities(name: str, x: Array) -> None:
    if x.size and not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(
            f"binary_cross_entropy: the {name} must lie between 0 and 1, got values from {x.min()} "
            f"to {x.max()}; binary_cross_entropy_with_logits takes logits"
        )


class BinaryCrossEntropyWithLogits(Function):
    """z = (1 - t) log(1 + e^x) + w t log(1 + e^-x): two terms that never cancel.

    With s(x) = 1 / (1 + e^-x): dL/dx = g ((1 - t) s(x) - w t s(-x));
    dL/dt = g (w log(1 + e^-x) - log(1 + e^x));  dL/dw = g t log(1 + e^-x).
    Logits x and targets t have one shape; the weight w of the positive answers is None for 1, or
    broadcasts to that shape.
    """

    is_loss = True

    def forward(self, x: Array, t: Array, positive_weight: Array | None) -> Array:
        """Compare logits with targets."""
        xp_of(x, t, positive_weight)
        cost_of_yes, cost_of_no = log_one_plus_exp(-x), log_one_plus_exp(x)
        self.save(x, t, positive_weight)
        if positive_weight is not None:
            cost_of_yes = cost_of_yes * positive_weight
        return (1 - t) * cost_of_no + t * cost_of_yes

    def backward(self, gradient: Array) -> tuple[Array, Array | None, Array | None]:
        """Take the distance between probability and target."""
        x, t, weight = self.saved
        if weight is None:
            dx = gradient * (logistic(x) - t)
            return dx, -gradient * x if self.needs[1] else None, None
        dx = gradient * ((1 - t) * logistic(x) - weight * t * logistic(-x))
        cost_of_yes = log_one_plus_exp(-x)
        dt = gradient * (weight * cost_of_yes - log_one_plus_exp(x)) if self.needs[1] else None
        dw = unbroadcast(gradient * t * cost_of_yes, weight.shape) if self.needs[2] else None
        return dx, dt, dw


class KLDivergence(Function):
    """z = t (log t - x), which is 0 where t is 0; x is the logarithm of the other distribution.

    dL/dx = -g t;  dL/dt = g (log t + 1 - x). Where the target's logarithm u is given instead of t:
    z = e^u (u - x), dL/dx = -g e^u, dL/du = g e^u (u - x + 1).

    References
    ----------
    S. Kullback and R. A. Leibler, "On Information and Sufficiency", Annals of Mathematical
    Statistics 22 (1951), section 2.
    """

    is_loss = True

    def __init__(self, log_target: bool = False) -> None:
        self.log_target = log_target

    def forward(self, x: Array, target: Array) -> Array:
        """Compare the logarithms, weighted by the target's probabilities."""
        xp = xp_of(x, target)
        with np.errstate(divide="ignore", invalid="ignore"):
            probability = xp.exp(target) if self.log_target else target
            difference = (target if self.log_target else xp.log(target)) - x
            z = probability * difference
        self.save(probability, difference)
        return xp.where(probability == 0, x.dtype.type(0), z)

    def backward(self, gradient: Array) -> tuple[Array, Array | None]:
        """Differentiate the product."""
        probability, difference = self.saved
        dx = -gradient * probability
        if not self.needs[1]:
            return dx, None
        if not self.log_target:
            return dx, gradient * (difference + 1)
        xp = xp_of(gradient)
        with np.errstate(invalid="ignore"):
            slope = probability * (difference + 1)
        return dx, gradient * xp.where(probability == 0, gradient.dtype.type(0), slope)
