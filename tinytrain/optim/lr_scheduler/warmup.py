"""A linear rise, and then a fall: along a cosine, along a line, or as an inverse square root."""

import math

from tinytrain.optim.lr_scheduler.checks import check_count, check_range
from tinytrain.optim.lr_scheduler.schedule import Schedule
from tinytrain.optim.optimizer import Optimizer


class _WarmupAndFall(Schedule):
    """What the schedules with an end share: the rise, the fall to a floor, and the floor after."""

    state_names = ("warmup_steps", "total_steps", "floor")

    def __init__(
        self, optimizer: Optimizer, warmup_steps: int, total_steps: int, floor: float = 0.0
    ) -> None:
        self.warmup_steps, self.total_steps, self.floor = warmup_steps, total_steps, floor
        super().__init__(optimizer)

    def check_settings(self) -> None:
        """Raise where a setting makes no sense."""
        name, warmup_steps, total_steps = type(self).__name__, self.warmup_steps, self.total_steps
        check_range(name, "warmup_steps", warmup_steps, -math.inf, math.inf)
        check_range(name, "total_steps", total_steps, -math.inf, math.inf)
        if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
            raise ValueError(
                f"warm-up of {warmup_steps} steps of {total_steps}: give 0 <= warm-up <= total, "
                "and a total of at least 1"
            )
        check_count(name, "warmup_steps", warmup_steps, low=0)
        check_count(name, "total_steps", total_steps)
        if not 0 <= self.floor <= 1:
            raise ValueError(f"the floor is a share of the full rate, 0 to 1, got {self.floor}")
        self.warmup_steps, self.total_steps = int(warmup_steps), int(total_steps)

    def factor(self, step: int) -> float:
        """Return the share of the full learning rate at a step, from 0."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        if step >= self.total_steps:
            return self.floor
        progress = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        return self.floor + (1 - self.floor) * self._height(progress)

    def _height(self, progress: float) -> float:
        """Return how far above the floor the fall is, from 1 at progress 0 to 0 at 1."""
        raise NotImplementedError(f"{type(self).__name__} must define _height()")


class WarmupCosine(_WarmupAndFall):
    """A linear rise over the first steps, then half a cosine down to a floor, and the floor after.

    With w warm-up steps of n in all, at step t = 0, 1, ...: the factor is (t + 1) / (w + 1) for
    t < w; then floor + (1 - floor) (1 + cos(pi (t - w) / (n - w))) / 2 for t < n; then the floor.
    So step 0 already learns, the full rate comes at step w, every one of the n steps has a rate
    above 0, and after them the rate stays at the floor instead of rising again.

    Parameters
    ----------
    optimizer : Optimizer
    warmup_steps : int
        From 0 to `total_steps`.
    total_steps : int
        At least 1.
    floor : float
        The last rate as a share of the full one, in 0 to 1.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
    arXiv 1608.03983, equation 5 (here without restarts).

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = WarmupCosine(optimizer, warmup_steps=2, total_steps=4, floor=0.1)
    >>> [round(schedule.factor(step), 3) for step in range(6)]
    [0.333, 0.667, 1.0, 0.55, 0.1, 0.1]
    """

    def _height(self, progress: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * progress))


class WarmupLinear(_WarmupAndFall):
    """A linear rise over the first steps, then a line down to a floor, and the floor after.

    With w warm-up steps of n in all, at step t = 0, 1, ...: the factor is (t + 1) / (w + 1) for
    t < w; then floor + (1 - floor) (n - t) / (n - w) for t < n; then the floor. Every one of the n
    steps has a rate above 0.

    Parameters
    ----------
    optimizer : Optimizer
    warmup_steps : int
        From 0 to `total_steps`.
    total_steps : int
        At least 1.
    floor : float
        The last rate as a share of the full one, in 0 to 1.

    References
    ----------
    J. Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language
    Understanding", arXiv 1810.04805, appendix A.2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = WarmupLinear(optimizer, warmup_steps=1, total_steps=5)
    >>> [schedule.factor(step) for step in range(7)]
    [0.5, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    def _height(self, progress: float) -> float:
        return 1 - progress


class WarmupInverseSquareRoot(Schedule):
    """A linear rise over the first steps, then a fall with the root of the steps: without an end.

    With w warm-up steps, at step t = 0, 1, ...: the factor is (t + 1) / (w + 1) for t < w, then
    sqrt((w + 1) / (t + 1)). So the full rate comes at step w, and half of it 3 (w + 1) steps later.

    Parameters
    ----------
    optimizer : Optimizer
    warmup_steps : int
        From 0.

    References
    ----------
    A. Vaswani et al., "Attention Is All You Need", arXiv 1706.03762, section 5.3, equation 3:
    there the full rate is 1 / sqrt(width (w + 1)).

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = WarmupInverseSquareRoot(optimizer, warmup_steps=3)
    >>> [schedule.factor(step) for step in (0, 1, 2, 3, 15, 63)]
    [0.25, 0.5, 0.75, 1.0, 0.5, 0.25]
    """

    state_names = ("warmup_steps",)

    def __init__(self, optimizer: Optimizer, warmup_steps: int) -> None:
        self.warmup_steps = warmup_steps
        super().__init__(optimizer)

    def check_settings(self) -> None:
        """Raise where a setting makes no sense."""
        check_range("WarmupInverseSquareRoot", "warmup_steps", self.warmup_steps, 0, math.inf)
        check_count("WarmupInverseSquareRoot", "warmup_steps", self.warmup_steps, low=0)
        self.warmup_steps = int(self.warmup_steps)

    def factor(self, step: int) -> float:
        """Return the share of the full learning rate at a step, from 0."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        return math.sqrt((self.warmup_steps + 1) / (step + 1))
