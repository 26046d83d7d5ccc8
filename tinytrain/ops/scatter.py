"""Writing or adding elements at positions: the counterparts of taking them.

Positions must lie in 0 .. size - 1, on every device. `extremes` is what `index.extremes_of` said of
them, if it is known.
"""

from tinytrain.autograd import Function
from tinytrain.backend import Array, xp_of
from tinytrain.ops.index import along_axis, check_range
from tinytrain.ops.promotion import is_boolean, plain_number
from tinytrain.ops.reduce import normalize_axis

Extremes = tuple[int, ...] | None


class ScatterAdd(Function):
    """z = x, where source[.., i, ..] is added to z[.., positions[.., i, ..], ..] along an axis.

    dL/dx = g, and dL/dsource = g taken at the positions. Repeated positions add.
    """

    def __init__(self, axis: int, extremes: Extremes = None) -> None:
        self.axis, self.extremes = axis, extremes

    def forward(self, x: Array, positions: Array, source: Array) -> Array:
        """Add to a copy; booleans, which a GPU cannot add so, are counted."""
        where = self.places(x, positions, source)
        self.save(where)
        if is_boolean(x):
            count = x.astype("int32")
            xp_of(x).add.at(count, where, source.astype("int32"))
            return count != 0
        z = x.copy()
        xp_of(x).add.at(z, where, source)
        return z

    def backward(self, gradient: Array) -> tuple[Array | None, None, Array | None]:
        """Hand the gradient on, and take it at the positions for the source."""
        (where,) = self.saved
        return gradient, None, gradient[where] if self.needs[2] else None

    def places(self, x: Array, positions: Array, source: Array) -> tuple[Array, ...]:
        """Check the arguments, and return the positions as one index array per axis."""
        xp_of(x, positions, source)
        if source.dtype != x.dtype:
            raise TypeError(
                f"{self.name}: the tensor is {x.dtype} and the source {source.dtype}; bring them "
                "to one dtype with .to(...)"
            )
        axis = normalize_axis(self.axis, x.ndim)
        check_range(positions, x.shape[axis], "index", self.extremes)
        return along_axis(positions, axis)


class Scatter(ScatterAdd):
    """z = x, where source[.., i, ..] replaces z[.., positions[.., i, ..], ..] along an axis.

    dL/dx = g except where something was replaced, dL/dsource = g taken at the positions. Which of
    several elements for one place wins is not defined.
    """

    def forward(self, x: Array, positions: Array, source: Array) -> Array:
        """Write into a copy."""
        where = self.places(x, positions, source)
        self.save(where)
        z = x.copy()
        z[where] = source
        return z

    def backward(self, gradient: Array) -> tuple[Array | None, None, Array | None]:
        """Stop the gradient where the element was replaced."""
        (where,) = self.saved
        zero = gradient.dtype.type(0)
        return (
            xp_of(gradient).where(_hit(gradient, where), zero, gradient) if self.needs[0] else None,
            None,
            gradient[where] if self.needs[2] else None,
        )


class ScatterFill(Function):
    """z = x, where a number replaces z[.., positions[.., i, ..], ..];  dL/dx = g elsewhere."""

    def __init__(self, axis: int, value: float, extremes: Extremes = None) -> None:
        self.axis, self.value, self.extremes = axis, plain_number(value), extremes

    def forward(self, x: Array, positions: Array) -> Array:
        """Replace."""
        xp = xp_of(x, positions)
        axis = normalize_axis(self.axis, x.ndim)
        check_range(positions, x.shape[axis], "index", self.extremes)
        hit = _hit(x, along_axis(positions, axis))
        self.save(hit)
        return xp.where(hit, x.dtype.type(self.value), x)

    def backward(self, gradient: Array) -> tuple[Array, None]:
        """Stop the gradient where the element was replaced."""
        (hit,) = self.saved
        return xp_of(hit).where(hit, gradient.dtype.type(0), gradient), None


def _hit(x: Array, where: tuple[Array, ...]) -> Array:
    """Mark the places that an index names; by counting, for a place may be named twice."""
    xp = xp_of(x)
    count = xp.zeros(x.shape, dtype="float32")
    xp.add.at(count, where, 1)
    return count > 0


class IndexAdd(Function):
    """z = x, where alpha source[.., i, ..] is added to z[.., positions[i], ..] along an axis.

    dL/dx = g, and dL/dsource = alpha g taken at the positions. Repeated positions add.
    """

    def __init__(self, axis: int, alpha: float = 1, extremes: Extremes = None) -> None:
        self.axis, self.alpha, self.extremes = axis, plain_number(alpha), extremes

    def forward(self, x: Array, positions: Array, source: Array) -> Array:
        """Add to a copy."""
        xp = xp_of(x, positions, source)
        axis = normalize_axis(self.axis, x.ndim)
        wanted = (*x.shape[:axis], positions.size, *x.shape[axis + 1 :])
        if source.dtype != x.dtype:
            raise TypeError(f"index_add: the tensor is {x.dtype} and the source {source.dtype}")
        if positions.ndim != 1 or source.shape != wanted:
            raise ValueError(
                f"index_add into shape {x.shape} along axis {axis} with positions of shape "
                f"{positions.shape} needs a source of shape {wanted}, got {source.shape}"
            )
        check_range(positions, x.shape[axis], "index", self.extremes)
        where = (*(slice(None),) * axis, positions)
        self.save(where)
        z = x.copy()
        xp.add.at(z, where, source if self.alpha == 1 else source * self.alpha)
        return z

    def backward(self, gradient: Array) -> tuple[Array, None, Array | None]:
        """Hand the gradient on, and take it at the positions for the source."""
        (where,) = self.saved
        if not self.needs[2]:
            return gradient, None, None
        taken = gradient[where]
        return gradient, None, taken if self.alpha == 1 else taken * self.alpha
