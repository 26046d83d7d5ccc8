"""Learning rates on a cosine: CosineAnnealingLR, CosineAnnealingWarmRestarts."""

import math

from tinytrain.optim.lr_scheduler.base import LRScheduler
from tinytrain.optim.lr_scheduler.checks import check_count, check_number, check_range
from tinytrain.optim.optimizer import Optimizer


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the base rate down to `eta_min`, and up again if the run goes on.

    eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2

    Unlike `WarmupCosine` it rises again after `T_max` steps, as PyTorch's does.

    Parameters
    ----------
    optimizer : Optimizer
    T_max : int
        The step of the lowest rate.
    eta_min : float
        The lowest rate.
    last_epoch : int
        See `LRScheduler`.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
    arXiv 1608.03983, equation 5.

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = CosineAnnealingLR(optimizer, T_max=4)
    >>> for _ in range(2):
    ...     schedule.step()
    >>> round(schedule.get_last_lr()[0], 4)
    0.5
    """

    state_names = ("T_max", "eta_min")

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        """Raise where a setting makes no sense."""
        check_count("CosineAnnealingLR", "T_max", self.T_max)
        check_number("CosineAnnealingLR", "eta_min", self.eta_min)
        self.T_max = int(self.T_max)

    def get_lr(self) -> list[float]:
        """Compute the rates from the present ones."""
        if self._is_initial:
            return self.present_lrs()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # The step before was the lowest point: from there no factor leads up.
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [
                rate + (base - self.eta_min) * rise
                for rate, base in zip(self.present_lrs(), self.base_lrs, strict=True)
            ]
        factor = self._height(self.last_epoch) / self._height(self.last_epoch - 1)
        return [factor * (rate - self.eta_min) + self.eta_min for rate in self.present_lrs()]

    def _height(self, step: int) -> float:
        return 1 + math.cos(math.pi * step / self.T_max)

    def closed_form_lr(self) -> list[float]:
        """Compute the rates from the base rates."""
        height = self._height(self.last_epoch) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from the base rate down to `eta_min`, again and again.

    eta_min + (base - eta_min) (1 + cos(pi T_cur / T_i)) / 2, with T_cur steps since the last
    restart, and T_i steps in this round.

    Parameters
    ----------
    optimizer : Optimizer
    T_0 : int
        The number of steps in the first round.
    T_mult : int
        How many times longer each round is than the one before.
    eta_min : float
        The lowest rate.
    last_epoch : int
        See `LRScheduler`.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
    arXiv 1608.03983, equation 5.

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [1.0, 0.5, 1.0, 0.5]
    """

    state_names = ("T_0", "T_i", "T_mult", "eta_min", "T_cur")

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        """Raise where a setting makes no sense."""
        name = "CosineAnnealingWarmRestarts"
        check_count(name, "T_0", self.T_0)
        check_count(name, "T_mult", self.T_mult)
        check_count(name, "T_i", self.T_i)
        check_range(name, "T_cur", self.T_cur, -1, math.inf)
        check_number(name, "eta_min", self.eta_min)
        self.T_0, self.T_i, self.T_mult = int(self.T_0), int(self.T_i), int(self.T_mult)

    def get_lr(self) -> list[float]:
        """Compute the rates from the base rates."""
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Set the learning rates of the next step, or of any point given.

        Parameters
        ----------
        epoch : float, optional
            The point, from 0; between two integers as well, such as epoch + i / batches.
        """
        if epoch is None:
            self._advance()
            return
        self._check_groups()
        self._move_to(epoch)
        self._set(self.get_lr())

    def _advance(self) -> None:
        self._check_groups()
        if self.last_epoch < 0:
            self._move_to(0)
        else:
            self.last_epoch += 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        self._set(self.get_lr())

    def restart(self) -> None:
        """Set the learning rates of step 0."""
        self.step(0)

    def _move_to(self, epoch: float) -> None:
        """Find the round that a point lies in."""
        if not 0 <= epoch < math.inf:
            raise ValueError(f"CosineAnnealingWarmRestarts: epoch must be from 0, got {epoch}")
        self.T_i, self.T_cur = self.T_0, epoch
        if self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult
        self.last_epoch = math.floor(epoch)
