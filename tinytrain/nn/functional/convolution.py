"""Convolution over sequences and images."""

from collections.abc import Sequence

from tinytrain.functions import cat
from tinytrain.functions.checks import checked, checked_optional
from tinytrain.nn.functional.padding import pad
from tinytrain.ops.convolution import Convolution
from tinytrain.tensor import Tensor, apply

Sizes = int | Sequence[int]


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: str | Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Return y[n, o, t] = b[o] + sum over c and k of W[o, c, k] x[n, c, t stride + k dilation].

    Strictly it is a cross-correlation: the kernel is not flipped. Positions t count from the
    beginning of the padded input.

    Parameters
    ----------
    input : Tensor (N, C, L) or (C, L)
    weight : Tensor (O, C / groups, K)
    bias : Tensor (O,), optional
    stride, dilation : int or sequence of one int
        The distance of windows, and of places within a window.
    padding : int, sequence of one int, "valid" or "same"
        Zeros at both ends; "valid" is 0, "same" keeps the length (with stride 1).
    groups : int
        Group i of the outputs reads group i of the channels alone.

    Returns
    -------
    Tensor (N, O, L') or (O, L')
        With L' = (L + 2 padding - dilation (K - 1) - 1) // stride + 1.

    Raises
    ------
    ValueError, TypeError
        Shapes, dtypes or settings do not fit.

    References
    ----------
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning",
    arXiv 1603.07285, chapter 2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> x = tt.tensor([[0.0, 1.0, 4.0, 9.0]])
    >>> conv1d(x, tt.tensor([[[-1.0, 1.0]]])).tolist()  # differences
    [[1.0, 3.0, 5.0]]
    """
    checked(input, "conv1d", "input")
    checked(weight, "conv1d", "weight")
    checked_optional(bias, "conv1d", "bias")
    return apply(Convolution(1, stride, padding, dilation, groups), input, weight, bias)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: str | Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Slide kernels over images: `conv1d` with two axes.

    y[n, o, h, w] = b[o] + sum over c, i, j of W[o, c, i, j] x[n, c, h s + i d, w s + j d], with the
    stride s and the dilation d.

    Parameters
    ----------
    input : Tensor (N, C, H, W) or (C, H, W)
    weight : Tensor (O, C / groups, K, K')
    bias : Tensor (O,), optional
    stride, dilation : int or sequence of two
        The distance of windows, and of places within a window.
    padding : int, sequence of two, "valid" or "same"
        Rows and columns of zeros on each side; "valid" is 0, "same" keeps the size (stride 1).
    groups : int
        Group i of the outputs reads group i of the channels alone.

    Returns
    -------
    Tensor (N, O, H', W') or (O, H', W')
        With H' = (H + 2 padding - dilation (K - 1) - 1) // stride + 1.

    Raises
    ------
    ValueError, TypeError
        Shapes, dtypes or settings do not fit.

    Examples
    --------
    >>> import tinytrain as tt
    >>> conv2d(tt.ones(8, 3, 32, 32), tt.ones(16, 3, 3, 3), stride=2, padding=1).shape
    (8, 16, 16, 16)
    """
    checked(input, "conv2d", "input")
    checked(weight, "conv2d", "weight")
    checked_optional(bias, "conv2d", "bias")
    return apply(Convolution(2, stride, padding, dilation, groups), input, weight, bias)


def conv2d_simple(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """Compose `conv2d` from one matrix product for each of the kernel's positions.

    From (N, C, H, W) and (O, C / groups, K, K') to (N, O, H', W').

    Examples
    --------
    >>> import tinytrain as tt
    >>> conv2d_simple(tt.ones(1, 2, 5, 5), tt.ones(3, 2, 3, 3), padding=1).shape
    (1, 3, 5, 5)
    """
    checked(input, "conv2d_simple", "input")
    checked(weight, "conv2d_simple", "weight")
    checked_optional(bias, "conv2d_simple", "bias")
    x = pad(input, (padding,) * 4)
    rows, columns = weight.shape[2:]
    height = (x.shape[2] - dilation * (rows - 1) - 1) // stride + 1
    width = (x.shape[3] - dilation * (columns - 1) - 1) // stride + 1
    outputs = []
    of_group = zip(
        x.split(x.shape[1] // groups, 1), weight.split(weight.shape[0] // groups, 0), strict=True
    )
    for channels, kernels in of_group:
        total: Tensor | None = None
        for i in range(rows):
            for j in range(columns):
                down = slice(i * dilation, i * dilation + (height - 1) * stride + 1, stride)
                right = slice(j * dilation, j * dilation + (width - 1) * stride + 1, stride)
                seen = channels[:, :, down, right].flatten(2)  # (N, C / groups, H' W')
                product = kernels[:, :, i, j] @ seen  # (N, O / groups, H' W')
                total = product if total is None else total + product
        assert total is not None
        outputs.append(total)
    y = cat(outputs, 1).reshape(len(x), -1, height, width)
    return y if bias is None else y + bias.reshape(-1, 1, 1)
