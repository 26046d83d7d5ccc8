"""The error function, which NumPy lacks and the exact GELU needs."""

import math

from tinytrain.backend import Array, xp_of

# Numerator and denominator of W. J. Cody's rational approximations, highest power first.
_NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2,
     3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2,
     1.28261652607737228e3, 2.84423683343917062e3),
)  # fmt: skip
_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
     2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
     1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
     1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3,
     1.23033935480374942e3),
)  # fmt: skip
_FAR = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
     1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242, 1.87295284992346047, 5.27905102951428412e-1,
     6.05183413124413191e-2, 2.33520497626869185e-3),
)  # fmt: skip


def erf(x: Array) -> Array:
    """Return the error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.

    Parameters
    ----------
    x : array
        Any shape, floating point.

    Returns
    -------
    array
        The shape and dtype of `x`, correct to about one unit in the last place.

    References
    ----------
    W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of
    Computation 23 (1969), 631-637: three ranges, |x| <= 0.46875, |x| <= 4 and beyond.

    Examples
    --------
    >>> import numpy as np
    >>> erf(np.array([-10.0, 0.0, 0.5]))
    array([-1.        ,  0.        ,  0.52049988])
    """
    xp = xp_of(x)
    size = xp.abs(x)
    square = size * size
    near = x * _rational(_NEAR, xp.minimum(square, 0.22))
    tail = xp.exp(-xp.minimum(square, 700))
    middle = 1 - tail * _rational(_MIDDLE, xp.clip(size, 0.46875, 4))
    inverse = 1 / xp.clip(square, 16, 1e6)
    series = 1 / math.sqrt(math.pi) - inverse * _rational(_FAR, inverse)
    far = 1 - tail * series / xp.clip(size, 4, 1e3)
    outside = xp.where(size <= 4, middle, far)
    return xp.where(size <= 0.46875, near, xp.copysign(outside, x))


def _rational(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    """Evaluate a quotient of two polynomials by Horner's rule."""
    numerator, denominator = (row[0] for row in coefficients)
    for above, below in zip(coefficients[0][1:], coefficients[1][1:], strict=True):
        numerator = numerator * x + above
        denominator = denominator * x + below
    return numerator / denominator
