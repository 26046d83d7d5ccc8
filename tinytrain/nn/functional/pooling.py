"""The largest element or the mean of each window."""

from collections.abc import Sequence

from tinytrain.functions.checks import checked
from tinytrain.ops.adaptive_pooling import AdaptiveAvgPool
from tinytrain.ops.pooling import AvgPool, MaxPool
from tinytrain.tensor import Tensor, apply

Sizes = int | Sequence[int]
Pooled = Tensor | tuple[Tensor, Tensor]


def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Pooled:
    """Return the largest element of each window: z[n, c, t] = max over k of x[n, c, t stride + k].

    The gradient goes to the element that was taken; of equal ones, to the first.

    Parameters
    ----------
    input : Tensor (N, C, L) or (C, L)
    kernel_size : int or sequence of one int
        The number of elements in a window, K.
    stride : int or sequence of one int, optional
        The distance of windows; `kernel_size` if not given.
    padding : int or sequence of one int
        Elements of -inf at both ends; at most half a window.
    dilation : int or sequence of one int
        The distance of elements within a window.
    ceil_mode : bool
        Round the number of windows up: the last one may reach beyond the input.
    return_indices : bool
        Return also where the elements were found along L, in int64.

    Returns
    -------
    Tensor (N, C, L') or (C, L'), or two of them
        With L' = (L + 2 padding - dilation (K - 1) - 1) / stride + 1, rounded.

    Raises
    ------
    ValueError, TypeError
        Shapes or settings do not fit.

    Examples
    --------
    >>> import tinytrain as tt
    >>> x = tt.tensor([[1.0, 3.0, 2.0, 2.0]])
    >>> values, indices = max_pool1d(x, 2, return_indices=True)
    >>> values.tolist(), indices.tolist()
    ([[3.0, 2.0]], [[1, 2]])
    """
    checked(input, "max_pool1d", "input")
    return _max_pool(
        MaxPool(1, kernel_size, stride, padding, dilation, ceil_mode, return_indices), input
    )


def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Pooled:
    """Return the largest element of each window of images: `max_pool1d` with two axes.

    Parameters
    ----------
    input : Tensor (N, C, H, W) or (C, H, W)
    kernel_size : int or sequence of two
        The height and width of a window.
    stride : int or sequence of two, optional
        The distance of windows; `kernel_size` if not given.
    padding : int or sequence of two
        Rows and columns of -inf on each side; at most half a window.
    dilation : int or sequence of two
        The distance of elements within a window.
    ceil_mode : bool
        Round the number of windows up: the last ones may reach beyond the input.
    return_indices : bool
        Return also where the elements were found, as numbers h W + w, in int64.

    Returns
    -------
    Tensor (N, C, H', W') or (C, H', W'), or two of them

    Raises
    ------
    ValueError, TypeError
        Shapes or settings do not fit.

    Examples
    --------
    >>> import tinytrain as tt
    >>> max_pool2d(tt.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2).tolist()
    [[[4.0]]]
    """
    checked(input, "max_pool2d", "input")
    return _max_pool(
        MaxPool(2, kernel_size, stride, padding, dilation, ceil_mode, return_indices), input
    )


def _max_pool(operation: MaxPool, input: Tensor) -> Pooled:
    values = apply(operation, input)
    return (values, Tensor(operation.indices())) if operation.return_indices else values


def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window: z[n, c, t] = sum over k of x[n, c, t stride + k] / K.

    Parameters
    ----------
    input : Tensor (N, C, L) or (C, L)
    kernel_size : int or sequence of one int
        The number of elements in a window, K.
    stride : int or sequence of one int, optional
        The distance of windows; `kernel_size` if not given.
    padding : int or sequence of one int
        Zeros at both ends; at most half a window.
    ceil_mode : bool
        Round the number of windows up: the last one may reach beyond the padded input, and is
        divided by the number of elements it has there.
    count_include_pad : bool
        Whether the zeros of the padding count as elements.

    Returns
    -------
    Tensor (N, C, L') or (C, L')
        With L' = (L + 2 padding - K) / stride + 1, rounded.

    Raises
    ------
    ValueError, TypeError
        Shapes or settings do not fit.

    Examples
    --------
    >>> import tinytrain as tt
    >>> avg_pool1d(tt.tensor([[1.0, 3.0, 2.0, 4.0]]), 2).tolist()
    [[2.0, 3.0]]
    """
    checked(input, "avg_pool1d", "input")
    return apply(AvgPool(1, kernel_size, stride, padding, ceil_mode, count_include_pad), input)


def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Return the mean of each window of images: `avg_pool1d` with two axes.

    Parameters
    ----------
    input : Tensor (N, C, H, W) or (C, H, W)
    kernel_size : int or sequence of two
        The height and width of a window.
    stride : int or sequence of two, optional
        The distance of windows; `kernel_size` if not given.
    padding : int or sequence of two
        Rows and columns of zeros on each side; at most half a window.
    ceil_mode : bool
        Round the number of windows up.
    count_include_pad : bool
        Whether the zeros of the padding count as elements.
    divisor_override : int, optional
        What to divide the sums by, instead of the number of elements.

    Returns
    -------
    Tensor (N, C, H', W') or (C, H', W')

    Raises
    ------
    ValueError, TypeError
        Shapes or settings do not fit.

    Examples
    --------
    >>> import tinytrain as tt
    >>> avg_pool2d(tt.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2).tolist()
    [[[2.5]]]
    """
    checked(input, "avg_pool2d", "input")
    return apply(
        AvgPool(2, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override),
        input,
    )


def adaptive_avg_pool1d(input: Tensor, output_size: Sizes) -> Tensor:
    """Return the means of `output_size` windows that share the length evenly.

    Window i of n runs from floor(i L / n) to ceil((i + 1) L / n).

    Parameters
    ----------
    input : Tensor (N, C, L) or (C, L)
    output_size : int or sequence of one int
        The number of windows, n.

    Returns
    -------
    Tensor (N, C, n) or (C, n)

    Examples
    --------
    >>> import tinytrain as tt
    >>> adaptive_avg_pool1d(tt.tensor([[1.0, 2.0, 3.0]]), 2).tolist()
    [[1.5, 2.5]]
    """
    checked(input, "adaptive_avg_pool1d", "input")
    return apply(AdaptiveAvgPool(1, output_size), input)


def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:
    """Return the means of windows that share the height and the width evenly.

    Parameters
    ----------
    input : Tensor (N, C, H, W) or (C, H, W)
    output_size : int, or sequence of two
        The size of the output; None stands for the input's.

    Returns
    -------
    Tensor (N, C, H', W') or (C, H', W')

    Examples
    --------
    >>> import tinytrain as tt
    >>> adaptive_avg_pool2d(tt.tensor([[[1.0, 2.0], [4.0, 3.0]]]), (None, 1)).tolist()
    [[[1.5], [3.5]]]
    """
    checked(input, "adaptive_avg_pool2d", "input")
    return apply(AdaptiveAvgPool(2, output_size), input)
