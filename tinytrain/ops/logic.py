"""Questions that are answered by true or false; none has a gradient."""

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.ops.promotion import Operand, is_float, promote
from tinytrain.ops.reduce import Reduction


class Truth(Function):
    """Combine two operands of which whatever differs from 0 counts as true.

    `function` is "logical_and", "logical_or" or "logical_xor".
    """

    differentiable = False
    broadcasts = True

    def __init__(self, function: str) -> None:
        self.function = function

    def forward(self, x: Operand, y: Operand) -> Array:
        """Combine."""
        x, y = promote(x, y)
        xp = xp_of(x if hasattr(x, "dtype") else y)
        return getattr(xp, self.function)(x, y)


class Not(Function):
    """Whether an element is 0."""

    differentiable = False

    def forward(self, x: Array) -> Array:
        """Negate the truth of each element."""
        return xp_of(x).logical_not(x)


class Classify(Function):
    """Whether an element is NaN, infinite or finite: "isnan", "isinf" or "isfinite"."""

    differentiable = False

    def __init__(self, question: str) -> None:
        self.question = question

    def forward(self, x: Array) -> Array:
        """Ask; integers are finite."""
        xp = xp_of(x)
        if not is_float(x.dtype):
            return xp.full(x.shape, self.question == "isfinite", dtype=bool)
        return getattr(xp, self.question)(x)


class All(Reduction):
    """Whether every element along the axes differs from 0; true where there is none."""

    differentiable = False
    function = "all"

    def forward(self, x: Array) -> Array:
        """Ask."""
        axes = self.resolve(x)
        return getattr(xp_of(x), self.function)(x != 0, axis=axes, keepdims=self.keepdims)


class Any(All):
    """Whether some element along the axes differs from 0; false where there is none."""

    function = "any"
