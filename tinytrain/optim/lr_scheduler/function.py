"""Learning rates by a function of one's own: LambdaLR, MultiplicativeLR."""

import types
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from tinytrain.optim.lr_scheduler.base import LRScheduler, check_optimizer, one_per_group
from tinytrain.optim.lr_scheduler.checks import check_state
from tinytrain.optim.optimizer import Optimizer

Factor = Callable[[int], float]


class LambdaLR(LRScheduler):
    """The base rate times a function of the step: base f(t).

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : function of int to float, or list of them
        One for all parameter groups, or one for each. Functions are not part of the state; of an
        object with `__call__`, the attributes are.
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = LambdaLR(optimizer, lambda step: 1 / (1 + step))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Factor | Sequence[Factor],
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.lr_lambdas: list[Factor] = one_per_group(optimizer, "lr_lambda", lr_lambda)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"lr_lambda must be a function, got {function!r:.60}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Compute the rates from the base rates."""
        pairs = zip(self.lr_lambdas, self.base_lrs, strict=True)
        return [base * float(function(self.last_epoch)) for function, base in pairs]

    def state_dict(self) -> dict[str, Any]:
        """Return the state, with copies of the attributes of those lambdas that are objects."""
        saved = [deepcopy(_attributes(function)) for function in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": saved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a saved position; functions stay those that were given."""
        check_state(state_dict)
        saved = state_dict.get("lr_lambdas")
        if not isinstance(saved, list) or len(saved) != len(self.lr_lambdas):
            raise ValueError(f"the state has no lr_lambdas of {len(self.lr_lambdas)} groups")
        for number, (function, attributes) in enumerate(zip(self.lr_lambdas, saved, strict=True)):
            if attributes is not None and (
                not isinstance(attributes, Mapping) or _attributes(function) is None
            ):
                raise ValueError(
                    f"lr_lambda {number} is {function!r:.60}, which cannot take the saved "
                    f"attributes {attributes!r:.60}"
                )
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "lr_lambdas"})
        for function, attributes in zip(self.lr_lambdas, saved, strict=True):
            if attributes is not None:
                vars(function).update(deepcopy(dict(attributes)))


def _attributes(function: Factor) -> dict[str, Any] | None:
    """Return the attributes of an object, and None of a function."""
    plain = types.FunctionType | types.BuiltinFunctionType
    return None if isinstance(function, plain) else getattr(function, "__dict__", None)


class MultiplicativeLR(LambdaLR):
    """The present rate times a function of the step, at every step but the first.

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : function of int to float, or list of them
        As in `LambdaLR`.
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> optimizer = tt.optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = MultiplicativeLR(optimizer, lambda step: 0.5)
    >>> schedule.step()
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def get_lr(self) -> list[float]:
        """Compute the rates from the present ones."""
        if self._is_initial:
            return self.present_lrs()
        pairs = zip(self.lr_lambdas, self.present_lrs(), strict=True)
        return [rate * float(function(self.last_epoch)) for function, rate in pairs]
