"""Running statistics that move once for several passes: for the micro-batches of one step."""

from typing import ClassVar

from tinytrain.backend import Array
from tinytrain.nn.module import Module


class PooledMoments:
    """Count, mean and summed squared deviation of values that arrive in pieces, per channel.

    References
    ----------
    T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for Computing the Sample Variance",
    The American Statistician 37 (1983), equation 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> values, moments = np.array([[1.0], [2.0], [3.0], [6.0]]), PooledMoments()
    >>> for piece in (values[:1], values[1:]):
    ...     moments.add(len(piece), piece.mean(0), piece.var(0))
    >>> moments.mean, moments.unbiased_variance * 3
    (array([3.]), array([14.]))
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Array = None
        self.squares: Array = None

    def add(self, count: int, mean: Array, variance: Array) -> None:
        """Take in a piece with its own mean (C,) and biased variance (C,); an empty one is none."""
        if count == 0:
            return
        if self.count == 0:
            self.count, self.mean, self.squares = count, mean, variance * count
            return
        total = self.count + count
        distance = mean - self.mean
        self.squares = (
            self.squares + variance * count + distance * distance * (self.count * count / total)
        )
        self.mean = self.mean + distance * (count / total)
        self.count = total

    @property
    def variance(self) -> Array:
        """The summed squares (C,) divided by the count."""
        return self.squares / self.count

    @property
    def unbiased_variance(self) -> Array:
        """The summed squares (C,) divided by count - 1."""
        return self.squares / (self.count - 1)


class PooledMeans(PooledMoments):
    """The mean of means, and of unbiased variances, of instances that arrive in pieces.

    Examples
    --------
    >>> import numpy as np
    >>> means = PooledMeans()
    >>> means.add(1, np.array([2.0]), np.array([3.0]))
    >>> means.add(3, np.array([6.0]), np.array([7.0]))
    >>> means.mean, means.unbiased_variance
    (array([5.]), array([6.]))
    """

    def add(self, count: int, mean: Array, variance: Array) -> None:
        """Take in the means (C,) over so many instances."""
        if count == 0:
            return
        total = self.count + count
        before = (0.0, 0.0) if self.count == 0 else (self.mean, self.squares)
        self.mean = before[0] + (mean - before[0]) * (count / total)
        self.squares = before[1] + variance * count
        self.count = total

    @property
    def unbiased_variance(self) -> Array:
        """The mean (C,) of the variances, which were unbiased."""
        return self.variance


class PoolingLayer(Module):
    """A layer whose running statistics may be pooled over several passes.

    They move with every forward pass in training, or, between `start_pooling` and `finish_pooling`,
    once with the statistics of all passes in between: a trainer that splits a batch into
    micro-batches gets the statistics of the whole batch. A layer that a model uses several times
    in a pass moves its statistics once for each use, in order, as the whole batch would have done:
    `start_pass` tells where the passes begin, so that the first use of each is pooled with the
    first of the others, and so on. Without it all is one use.

    Attributes
    ----------
    pooled : list of PooledMoments or None
        What was collected, by use; None while nothing is pooled.
    """

    moments: ClassVar[type[PooledMoments]] = PooledMoments
    """How statistics are pooled."""

    def __init__(self) -> None:
        self.pooled: list[PooledMoments] | None = None
        self._use: int | None = None  # of the pass that is going on

    def start_pooling(self) -> None:
        """Collect the statistics of the passes to come instead of following each.

        What an earlier call has collected and `finish_pooling` has not used is dropped.
        """
        self.pooled, self._use = [], None

    def start_pass(self) -> None:
        """Say that the next use of the layer is the first of a pass."""
        self._use = 0

    def finish_pooling(self) -> None:
        """Move the running statistics once for each use, towards what was collected, if any."""
        collected, self.pooled = self.pooled, None
        for moments in collected or ():
            if moments.count:
                self._move_towards(moments)

    def collect(self, count: int, mean: Array, variance: Array) -> None:
        """Take in the mean (C,) and the biased variance (C,) of so many values per channel."""
        if self.pooled is None:
            moments = self.moments()
            moments.add(count, mean, variance)
            self._move_towards(moments)
            return
        use = self._use or 0
        if use == len(self.pooled):
            self.pooled.append(self.moments())
        self.pooled[use].add(count, mean, variance)
        if self._use is not None:
            self._use += 1

    def _move_towards(self, moments: PooledMoments) -> None:
        """Move the running statistics by one step."""
        raise NotImplementedError(f"{type(self).__name__} does not say how its statistics move")
