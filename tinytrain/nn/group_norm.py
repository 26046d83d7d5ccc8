"""Layers that normalise single items: over groups of channels, or over each channel."""

from typing import ClassVar

from tinytrain.creation import ones, zeros, zeros_like
from tinytrain.nn import functional as F
from tinytrain.nn.functional.batch_normalization import move_running
from tinytrain.nn.module import Module, Parameter
from tinytrain.nn.pooled_statistics import PooledMeans, PooledMoments, PoolingLayer
from tinytrain.tensor import Tensor


class GroupNorm(Module):
    """Normalise each item over groups of channels; see `functional.group_norm`.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with the statistics of a group. Input and
    output (N, C) or (N, C, ...); weight, which starts at 1, and bias, which starts at 0, (C,).

    Parameters
    ----------
    num_groups : int
        Divides num_channels.
    num_channels : int
        C.
    eps : float
        Added to the variance.
    affine : bool
        Whether there are weight and bias.
    bias : bool
        Whether there is a bias beside the weight.

    References
    ----------
    Y. Wu and K. He, arXiv 1803.08494, section 3.

    Examples
    --------
    >>> import tinytrain as tt
    >>> GroupNorm(2, 4)(tt.randn(8, 4, 5)).shape
    (8, 4, 5)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm cannot part {num_channels} channels in {num_groups} groups"
            )
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = Parameter(ones(num_channels)) if affine else None
        self.bias = Parameter(zeros(num_channels)) if affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, ...)."""
        if input.ndim < 2 or input.shape[1] != self.num_channels:
            raise ValueError(
                f"GroupNorm({self.num_groups}, {self.num_channels}) expects shape "
                f"(N, {self.num_channels}, ...), got {input.shape}"
            )
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Show the settings."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, "
            f"affine={self.weight is not None}, bias={self.bias is not None}"
        )


class InstanceNormBase(PoolingLayer):
    """What instance normalisations of all numbers of axes share.

    Running statistics move with every forward pass in training, or are pooled over several: see
    `PoolingLayer`.
    """

    moments: ClassVar[type[PooledMoments]] = PooledMeans

    spatial: ClassVar[tuple[str, ...]] = ()
    """The axes that follow (N, C)."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.track_running_stats = track_running_stats
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine and bias else None
        if track_running_stats:
            self.register_buffer("running_mean", zeros(num_features))
            self.register_buffer("running_var", ones(num_features))
            self.register_buffer("num_batches_tracked", zeros((), dtype="int64"))

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each channel of each item, or of the one item without an axis for items.

        Raises
        ------
        ValueError
            The shape is another one, or there is one position per channel only.
        """
        axes = len(self.spatial) + 1
        if input.ndim not in (axes, axes + 1) or input.shape[-axes] != self.num_features:
            rest = ", ".join((str(self.num_features), *self.spatial))
            raise ValueError(
                f"{type(self).__name__}({self.num_features}) expects shape (N, {rest}) or "
                f"({rest}), got {input.shape}"
            )
        items = input if input.ndim > axes else input.unsqueeze(0)
        tracked = self.track_running_stats
        pools = tracked and self.training and self.pooled is not None
        mean, variance = (self.running_mean, self.running_var) if tracked else (None, None)
        if pools:  # a momentum of 1 leaves the statistics of this pass there
            mean, variance = zeros_like(self.running_mean), zeros_like(self.running_var)
        momentum = 0.0 if self.momentum is None else self.momentum
        output = F.instance_norm(
            items,
            mean,
            variance,
            self.weight,
            self.bias,
            self.training or not tracked,
            1.0 if pools else momentum,
            self.eps,
        )
        if pools and mean is not None and variance is not None:
            self.collect(len(items), mean.data, variance.data)
        return output.reshape(input.shape)

    def _move_towards(self, moments: PooledMoments) -> None:
        momentum = 0.0 if self.momentum is None else self.momentum
        move_running(self.running_mean, moments.mean, momentum)
        move_running(self.running_var, moments.unbiased_variance, momentum)

    def extra_repr(self) -> str:
        """Show the settings."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.weight is not None}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class InstanceNorm1d(InstanceNormBase):
    """Normalise each channel of each item over its positions; see `functional.instance_norm`.

    Input and output (N, C, L) or (C, L); weight, bias, running_mean and running_var (C,).

    Parameters
    ----------
    num_features : int
        The number of channels, C.
    eps : float
        Added to the variance.
    momentum : float, optional
        The weight of the newest statistics. With None the running ones stay as they are, as in
        PyTorch: there is no cumulative average, unlike in `BatchNorm1d`.
    affine : bool
        Whether there are weight and bias.
    track_running_stats : bool
        Whether there are running statistics, which then normalise in evaluation.
    bias : bool
        Whether there is a bias beside the weight.

    References
    ----------
    D. Ulyanov, A. Vedaldi and V. Lempitsky, arXiv 1607.08022, section 2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> InstanceNorm1d(3)(tt.randn(2, 3, 5)).shape
    (2, 3, 5)
    """

    spatial: ClassVar[tuple[str, ...]] = ("L",)


class InstanceNorm2d(InstanceNormBase):
    """Normalise each channel of each item over its positions; see `functional.instance_norm`.

    Input and output (N, C, H, W) or (C, H, W); weight, bias, running_mean and running_var (C,).
    The parameters are those of `InstanceNorm1d`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> InstanceNorm2d(3)(tt.randn(2, 3, 5, 4)).shape
    (2, 3, 5, 4)
    """

    spatial: ClassVar[tuple[str, ...]] = ("H", "W")
