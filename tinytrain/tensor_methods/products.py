"""Products of vectors and matrices."""

from typing import Self

from tinytrain.ops import arithmetic, matmul
from tinytrain.tensor_methods.shapes import ShapeMethods


class ProductMethods(ShapeMethods):
    """Products that add up."""

    __slots__ = ()

    def __matmul__(self, other: Self) -> Self:
        if not hasattr(other, "shape"):  # a number: Python's own error names both types
            return NotImplemented
        return self._apply(matmul.Matmul(), self, other)

    def __rmatmul__(self, other: Self) -> Self:
        if not hasattr(other, "shape"):
            return NotImplemented
        return self._apply(matmul.Matmul(), other, self)

    def matmul(self, other: Self) -> Self:
        """Multiply matrices, batched over the axes before the last two.

        From (..., I, J) and (..., J, K) to (..., I, K). A vector (J,) may stand on either side;
        the result has no axis for it; errors as for `tinytrain.matmul`.
        """
        return self._apply(matmul.Matmul(), self, other)

    def mm(self, mat2: Self) -> Self:
        """Multiply two matrices.

        From (I, J) and (J, K) to (I, K); errors as for `tinytrain.mm`.
        """
        return self._product("mm", (2, 2), mat2)

    def bmm(self, mat2: Self) -> Self:
        """Multiply two batches of equally many matrices.

        From (B, I, J) and (B, J, K) to (B, I, K); errors as for `tinytrain.bmm`.
        """
        product = self._product("bmm", (3, 3), mat2)
        if self.shape[0] != mat2.shape[0]:
            raise ValueError(f"bmm needs equal batches, got shapes {self.shape} and {mat2.shape}")
        return product

    def mv(self, vec: Self) -> Self:
        """Multiply a matrix by a vector.

        From (I, J) and (J,) to (I,); errors as for `tinytrain.mv`.
        """
        return self._product("mv", (2, 1), vec)

    def dot(self, tensor: Self) -> Self:
        """Return the scalar product of two vectors.

        From (N,) and (N,) to (); errors as for `tinytrain.dot`.
        """
        return self._product("dot", (1, 1), tensor)

    def outer(self, vec2: Self) -> Self:
        """Return the matrix of all products of an element here and one of another vector.

        From (M,) and (N,) to (M, N); errors as for `tinytrain.outer`.
        """
        if self.ndim != 1 or vec2.ndim != 1:
            raise ValueError(f"outer needs two vectors, got shapes {self.shape} and {vec2.shape}")
        return self._apply(arithmetic.Mul(), self.reshape(-1, 1), vec2)

    def _product(self, name: str, axes: tuple[int, int], other: Self) -> Self:
        if (self.ndim, other.ndim) != axes:
            raise ValueError(
                f"{name} needs {axes[0]} and {axes[1]} axes, got shapes {self.shape} and "
                f"{other.shape}; matmul takes any"
            )
        return self._apply(matmul.Matmul(), self, other)
