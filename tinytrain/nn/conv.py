"""Convolution layers."""

import math
from collections.abc import Sequence
from typing import Any

from tinytrain.creation import zeros
from tinytrain.nn import functional as F
from tinytrain.nn import init
from tinytrain.nn.module import Module, Parameter
from tinytrain.ops.padding import MODES
from tinytrain.ops.windows import one_per_axis
from tinytrain.tensor import Tensor

Sizes = int | Sequence[int]


class _Conv(Module):
    """What the convolutions share: parameters, settings, padding that is not zeros."""

    axes: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: str | Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None:
        what = type(self).__name__
        (groups,) = one_per_axis(groups, 1, f"{what}: groups", 1)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels < 1 or channels % groups:
                raise ValueError(
                    f"{what}: {name} must be positive and divisible by groups={groups}, "
                    f"got {channels}"
                )
        if padding_mode not in ("zeros", *MODES[1:]):
            raise ValueError(
                f"{what}: padding_mode must be one of zeros, {', '.join(MODES[1:])}, "
                f"got {padding_mode!r}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = one_per_axis(kernel_size, self.axes, f"{what}: kernel_size", 1)
        self.stride = one_per_axis(stride, self.axes, f"{what}: stride", 1)
        self.dilation = one_per_axis(dilation, self.axes, f"{what}: dilation", 1)
        self.padding = self._checked_padding(padding)
        self.padding_mode = padding_mode
        self.weight = Parameter(zeros(out_channels, in_channels // groups, *self.kernel_size))
        self.bias = Parameter(zeros(out_channels)) if bias else None
        self.reset_parameters()

    def _checked_padding(self, padding: Any) -> str | tuple[int, ...]:
        what = type(self).__name__
        if not isinstance(padding, str):
            return one_per_axis(padding, self.axes, f"{what}: padding", 0)
        if padding not in ("same", "valid"):
            raise ValueError(f"{what}: padding is 'same', 'valid' or integers, not {padding!r}")
        if padding == "same" and set(self.stride) != {1}:
            raise ValueError(f"{what}: padding='same' needs stride 1, not {self.stride}")
        return padding

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, uniform in ±1 / sqrt(in_channels / groups * kernel)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def _padded(self, input: Tensor) -> tuple[Tensor, str | tuple[int, ...]]:
        """Return the input and the zeros still to be put around it."""
        if self.padding_mode == "zeros":
            return input, self.padding
        return F.pad(input, self._pad_pairs(), mode=self.padding_mode), (0,) * self.axes

    def _pad_pairs(self) -> list[int]:
        """Return the padding as `functional.pad` takes it: from the last axis on."""
        pairs: list[int] = []
        for axis in reversed(range(self.axes)):
            if self.padding == "same":
                total = self.dilation[axis] * (self.kernel_size[axis] - 1)
                pairs += [total // 2, total - total // 2]
            else:
                places = 0 if isinstance(self.padding, str) else self.padding[axis]
                pairs += [places, places]
        return pairs

    def extra_repr(self) -> str:
        """Show the sizes, and the settings that differ from the defaults."""
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        parts.append(f"stride={self.stride}")
        if self.padding != (0,) * self.axes:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * self.axes:
            parts.append(f"dilation={self.dilation}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class Conv1d(_Conv):
    """Slide kernels over sequences, from (N, in_channels, L) to (N, out_channels, L').

    See `functional.conv1d` for the formula. Weight (out_channels, in_channels / groups, K) and bias
    (out_channels,) start uniform in ±1 / sqrt(in_channels / groups K), as in PyTorch. A sequence
    (in_channels, L) without a batch is taken too.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride : int or sequence of one int
    padding : int, sequence of one int, "same" or "valid"
    dilation : int or sequence of one int
    groups : int
    bias : bool
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What the padding holds; see `functional.pad`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> Conv1d(3, 8, kernel_size=5, padding="same")(tt.ones(2, 3, 20)).shape
    (2, 8, 20)
    """

    axes = 1

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, in_channels, L) to (N, out_channels, L')."""
        x, padding = self._padded(input)
        return F.conv1d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Conv):
    """Slide kernels over images, from (N, in_channels, H, W) to (N, out_channels, H', W').

    See `functional.conv2d` for the formula. Weight (out_channels, in_channels / groups, K, K') and
    bias (out_channels,) start uniform in ±1 / sqrt(in_channels / groups K K'), as in PyTorch. An
    image (in_channels, H, W) without a batch is taken too.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride : int or sequence of two
    padding : int, sequence of two, "same" or "valid"
    dilation : int or sequence of two
    groups : int
    bias : bool
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What the padding holds; see `functional.pad`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> layer = Conv2d(3, 8, kernel_size=3, stride=2, padding=1)
    >>> layer
    Conv2d(3, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))
    >>> layer(tt.ones(2, 3, 32, 32)).shape
    (2, 8, 16, 16)
    """

    axes = 2

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H', W')."""
        x, padding = self._padded(input)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
