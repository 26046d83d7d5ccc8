"""Pooling layers."""

from collections.abc import Sequence
from typing import Any

from tinytrain.nn import functional as F
from tinytrain.nn.module import Module
from tinytrain.ops.windows import one_per_axis
from tinytrain.tensor import Tensor

Sizes = int | Sequence[int]


class _MaxPool(Module):
    """The settings of a largest-element pooling."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.padding, self.dilation = kernel_size, padding, dilation
        self.stride = kernel_size if stride is None else stride
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    @property
    def _settings(self) -> tuple[Any, ...]:
        return (
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """Take the largest element of each window, from (N, C, L) to (N, C, L').

    See `functional.max_pool1d` for the settings; here `return_indices` stands before `ceil_mode`,
    as in PyTorch.

    Examples
    --------
    >>> import tinytrain as tt
    >>> MaxPool1d(2)(tt.ones(1, 3, 9)).shape
    (1, 3, 4)
    """

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Map (N, C, L) to (N, C, L'); with `return_indices`, to two tensors of that shape."""
        return F.max_pool1d(input, *self._settings)


class MaxPool2d(_MaxPool):
    """Take the largest element of each window of images, from (N, C, H, W) to (N, C, H', W').

    See `functional.max_pool2d` for the settings; here `return_indices` stands before `ceil_mode`,
    as in PyTorch.

    Examples
    --------
    >>> import tinytrain as tt
    >>> MaxPool2d(2)(tt.ones(1, 3, 8, 9)).shape
    (1, 3, 4, 4)
    """

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Map (N, C, H, W) to (N, C, H', W'); with `return_indices`, to two tensors."""
        return F.max_pool2d(input, *self._settings)


class AvgPool1d(Module):
    """Take the mean of each window, from (N, C, L) to (N, C, L'); see `functional.avg_pool1d`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> AvgPool1d(3, stride=2)(tt.ones(1, 3, 9)).shape
    (1, 3, 4)
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = one_per_axis(kernel_size, 1, "AvgPool1d: kernel_size", 1)
        own = stride is None
        self.stride = self.kernel_size if own else one_per_axis(stride, 1, "AvgPool1d: stride", 1)
        self.padding = one_per_axis(padding, 1, "AvgPool1d: padding", 0)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, L) to (N, C, L')."""
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """Take the mean of each window of images, from (N, C, H, W) to (N, C, H', W').

    See `functional.avg_pool2d` for the settings.

    Examples
    --------
    >>> import tinytrain as tt
    >>> AvgPool2d((2, 4))(tt.ones(1, 3, 8, 8)).shape
    (1, 3, 4, 2)
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H', W')."""
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool1d(Module):
    """Take `output_size` means, from (N, C, L) to (N, C, n); see `functional.adaptive_avg_pool1d`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> AdaptiveAvgPool1d(4)(tt.ones(1, 3, 9)).shape
    (1, 3, 4)
    """

    def __init__(self, output_size: Sizes) -> None:
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, L) to (N, C, n)."""
        return F.adaptive_avg_pool1d(input, self.output_size)

    def extra_repr(self) -> str:
        """Show the size."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(Module):
    """Take means on a grid of `output_size`, from (N, C, H, W) to (N, C, H', W').

    See `functional.adaptive_avg_pool2d`; `output_size` 1 is the mean of each channel.

    Examples
    --------
    >>> import tinytrain as tt
    >>> AdaptiveAvgPool2d(1)(tt.ones(1, 3, 9, 7)).shape
    (1, 3, 1, 1)
    """

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H', W')."""
        return F.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        """Show the size."""
        return f"output_size={self.output_size}"
