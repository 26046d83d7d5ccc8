"""Functions of each element, and softmax."""

from typing import Self

from numpy.typing import DTypeLike

from tinytrain.ops import arithmetic, clamp, elementwise, selection, softmax, special, steps
from tinytrain.tensor_methods.base import Operand, TensorBase


class ElementwiseMethods(TensorBase):
    """Functions of each element; where the result is no integer, integers give float32."""

    __slots__ = ()

    def abs(self) -> Self:
        """Return the absolute values."""
        return self._apply(elementwise.Abs(), self)

    def neg(self) -> Self:
        """Return the elements with the other sign."""
        return self._apply(elementwise.Neg(), self)

    def sign(self) -> Self:
        """Return -1, 0 or 1 by the sign of each element."""
        return self._apply(steps.Sign(), self)

    def exp(self) -> Self:
        """Return e to the power of each element."""
        return self._apply(elementwise.Exp(), self)

    def expm1(self) -> Self:
        """Return e^x - 1, exact near 0 too."""
        return self._apply(special.Expm1(), self)

    def log(self) -> Self:
        """Return the natural logarithms."""
        return self._apply(elementwise.Log(), self)

    def log1p(self) -> Self:
        """Return ln(1 + x), exact near 0 too."""
        return self._apply(special.Log1p(), self)

    def sqrt(self) -> Self:
        """Return the square roots."""
        return self._apply(elementwise.Sqrt(), self)

    def rsqrt(self) -> Self:
        """Return 1 / sqrt(x)."""
        return self._apply(special.Rsqrt(), self)

    def square(self) -> Self:
        """Return x^2."""
        return self._apply(arithmetic.Pow(), self, 2)

    def reciprocal(self) -> Self:
        """Return 1 / x."""
        return self._apply(arithmetic.Div(), 1, self)

    def sin(self) -> Self:
        """Return the sines."""
        return self._apply(special.Sin(), self)

    def cos(self) -> Self:
        """Return the cosines."""
        return self._apply(special.Cos(), self)

    def tanh(self) -> Self:
        """Return the hyperbolic tangents."""
        return self._apply(elementwise.Tanh(), self)

    def sigmoid(self) -> Self:
        """Return 1 / (1 + e^-x)."""
        return self._apply(elementwise.Sigmoid(), self)

    def erf(self) -> Self:
        """Return the error function."""
        return self._apply(special.Erf(), self)

    def relu(self) -> Self:
        """Return max(x, 0)."""
        return self._apply(elementwise.ReLU(), self)

    def floor(self) -> Self:
        """Round down to whole numbers; the gradient is 0."""
        return self._apply(steps.Floor(), self)

    def ceil(self) -> Self:
        """Round up to whole numbers; the gradient is 0."""
        return self._apply(steps.Ceil(), self)

    def trunc(self) -> Self:
        """Round towards 0; the gradient is 0."""
        return self._apply(steps.Trunc(), self)

    def round(self, *, decimals: int = 0) -> Self:
        """Round to the nearest, at a tie to the even one; the gradient is 0."""
        return self._apply(steps.Round(decimals), self)

    def clamp(self, min: Operand | None = None, max: Operand | None = None) -> Self:
        """Limit the elements to a closed interval, whose ends are numbers or tensors."""
        if isinstance(min, TensorBase) or isinstance(max, TensorBase):
            return self._apply(clamp.ClampTensors(), self, min, max)
        return self._apply(elementwise.Clamp(min, max), self)

    def masked_fill(self, mask: Self, value: Operand) -> Self:
        """Replace the elements where a boolean mask is True, by a number or a tensor of one.

        The shapes of input and mask are broadcast; errors as for `tinytrain.masked_fill`.
        """
        if not isinstance(value, TensorBase):
            return self._apply(selection.MaskedFill(value), self, mask)
        if value.ndim:
            raise ValueError(f"masked_fill takes a value without axes, got shape {value.shape}")
        if value.dtype != self.dtype:
            value = self._apply(elementwise.Cast(self.dtype), value)
        return self._apply(selection.Where(), mask, value, self)

    def where(self, condition: Self, other: Operand) -> Self:
        """Keep the elements where a condition holds, and take the other's elsewhere.

        The three shapes are broadcast; errors as for `tinytrain.where`.
        """
        return self._apply(selection.Where(), condition, self, other)

    def softmax(self, dim: int, dtype: DTypeLike | None = None) -> Self:
        """Return e^x, normalised to sum to 1 along an axis; computed in `dtype`."""
        return self._apply(softmax.Softmax(dim), self._cast(dtype))

    def log_softmax(self, dim: int, dtype: DTypeLike | None = None) -> Self:
        """Return the logarithm of softmax."""
        return self._apply(softmax.LogSoftmax(dim), self._cast(dtype))
