"""Batch normalisation, with running statistics that may be pooled over several passes."""

from collections.abc import Callable
from numbers import Real
from typing import ClassVar

from tinytrain.backend import Array
from tinytrain.creation import ones, zeros
from tinytrain.in_place import writable
from tinytrain.nn.module import Parameter
from tinytrain.nn.pooled_statistics import PooledMoments, PoolingLayer
from tinytrain.ops.normalization import BatchNorm
from tinytrain.tensor import Tensor, apply


def is_share(value: object) -> bool:
    """Whether a value is a number from 0 to 1.

    Examples
    --------
    >>> is_share(0.1), is_share(5), is_share("0.1"), is_share(True)
    (True, False, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) <= 1


class BatchNormBase(PoolingLayer):
    """What batch normalisations of all numbers of axes share.

    Running statistics move with every forward pass in training, or are pooled: see `PoolingLayer`.
    The normalisation itself is that of the micro-batch at hand, unless `window_normalizer` does it:
    see `tinytrain.train.exact_batch_norm`.
    """

    axes: ClassVar[dict[int, str]] = {}
    """The numbers of axes that an input may have, with what follows (N, C) in each."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ) -> None:
        if momentum is not None and not is_share(momentum):
            raise ValueError(
                f"{type(self).__name__}: momentum is the share of the new statistics, from 0 to 1, "
                f"or None for the mean of all batches; got {momentum!r}"
            )
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.track_running_stats = track_running_stats
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine and bias else None
        self.window_normalizer: Callable[[BatchNormBase, Tensor], Tensor] | None = None
        if track_running_stats:
            self.register_buffer("running_mean", zeros(num_features))
            self.register_buffer("running_var", ones(num_features))
            self.register_buffer("num_batches_tracked", zeros((), dtype="int64"))

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each channel.

        Raises
        ------
        ValueError
            The shape is another one, or in training there is one value per channel only.
        TypeError
            The dtype is not that of the parameters and statistics.
        """
        self._check(input)
        if self.track_running_stats and not self.training:
            statistics = (self.running_mean.data, self.running_var.data)
            return apply(BatchNorm(self.eps, statistics), input, self.weight, self.bias)
        if self.window_normalizer is not None:
            return self.window_normalizer(self, input)
        operation = BatchNorm(self.eps)
        output = apply(operation, input, self.weight, self.bias)
        if self.track_running_stats:
            self.collect(operation.count, operation.mean, operation.variance)
        return output

    def _check(self, input: Tensor) -> None:
        name = f"{type(self).__name__}({self.num_features})"
        if input.ndim not in self.axes or input.shape[1] != self.num_features:
            shapes = (f"(N, {self.num_features}{rest})" for rest in self.axes.values())
            raise ValueError(f"{name} expects shape {' or '.join(shapes)}, got {input.shape}")
        if self.track_running_stats and input.dtype != self.running_mean.dtype:
            raise TypeError(
                f"{name}: input is {input.dtype}, running statistics "
                f"are {self.running_mean.dtype}; bring them to one dtype with .to(...)"
            )

    def _move_towards(self, moments: PooledMoments) -> None:
        count = writable(self.num_batches_tracked.data)
        count += 1
        if not moments.count:
            return
        newest: Array = self.momentum
        if newest is None:  # stays on the device: to read the number would mean waiting for it
            newest = 1 / self.num_batches_tracked.data.astype(self.running_mean.dtype)
        pairs = (
            (self.running_mean.data, moments.mean),
            (self.running_var.data, moments.unbiased_variance),
        )
        for running, batch in pairs:
            writable(running)
            running *= 1 - newest
            running += newest * batch

    def extra_repr(self) -> str:
        """Show the settings."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.weight is not None}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(BatchNormBase):
    """Normalise each channel over the batch, then scale and shift it; see `functional.batch_norm`.

    y = (x - mean) / sqrt(var + eps) * weight + bias, per channel. Input and output (N, C) or
    (N, C, L); weight, bias, running_mean and running_var (C,).

    Parameters
    ----------
    num_features : int
        The number of channels, C.
    eps : float
        Added to the variance.
    momentum : float, optional
        The weight of the newest statistics; None for the average of all batches so far.
    affine : bool
        Whether there are weight and bias.
    track_running_stats : bool
        Whether there are running statistics; without them evaluation uses the batch's.
    bias : bool
        Whether there is a bias beside the weight.

    References
    ----------
    S. Ioffe and C. Szegedy, arXiv 1502.03167, algorithms 1 and 2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> layer = BatchNorm1d(4)
    >>> layer(tt.randn(8, 4)).shape
    (8, 4)
    >>> layer.num_batches_tracked
    tensor(1, dtype=int64, device=cpu)
    """

    axes: ClassVar[dict[int, str]] = {2: "", 3: ", L"}


class BatchNorm2d(BatchNormBase):
    """Normalise each channel over the batch, then scale and shift it; see `functional.batch_norm`.

    y = (x - mean) / sqrt(var + eps) * weight + bias, per channel. Input and output (N, C, H, W);
    weight, bias, running_mean and running_var (C,).

    Parameters
    ----------
    num_features : int
        The number of channels, C.
    eps : float
        Added to the variance.
    momentum : float, optional
        The weight of the newest statistics; None for the average of all batches so far.
    affine : bool
        Whether there are weight and bias.
    track_running_stats : bool
        Whether there are running statistics; without them evaluation uses the batch's.
    bias : bool
        Whether there is a bias beside the weight.

    References
    ----------
    S. Ioffe and C. Szegedy, arXiv 1502.03167, algorithms 1 and 2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> BatchNorm2d(3)(tt.randn(2, 3, 5, 4)).shape
    (2, 3, 5, 4)
    """

    axes: ClassVar[dict[int, str]] = {4: ", H, W"}
