"""Batch normalisation over all micro-batches of a step, exactly, in the memory of one of them.

A batch normalisation takes its mean and variance from the whole batch. Cut into micro-batches, each
normalises by its own: another function, and another gradient, which no adding-up mends. Here every
micro-batch is normalised by the statistics s_1, s_2, ... of the whole window (s_l belongs to the
l-th normalisation that a forward pass meets), and the gradient flows through them:

    L = sum_m f_m(w, s)        s_l = sum_m c_lm(w, s_1, ..., s_{l-1})

f_m is the summed loss of micro-batch m, and c_lm what it contributes to the statistics s_l. The
micro-batches need each other twice: for s_l, and for what the loss makes of it, dL/ds_l. Both are
small vectors, which are found in the order of the model's depth, by one sweep over the
micro-batches each:

1. *Statistics*, from the first to the last l, without a tape: with s_1 ... s_{l-1} known, add up
   s_l.
2. *Multipliers*, from the last to the first l:
   q_l = dL/ds_l = sum_m d(f_m + sum_{j>l} q_j c_jm)/ds_l.
   Only what comes after the l-th normalisation is on the tape.
3. *Gradients*: dL/dw = sum_m d(f_m + sum_l q_l c_lm)/dw, with all s_l and q_l as constants.

For d normalisations that is 2 d + 1 sweeps instead of one. The q_l are Lagrange's multipliers of
the equations for s_l. For d = 1 they come to the two sums, of dL/dy and of dL/dy times the
normalised input, in the usual formula for the gradient of batch normalisation.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from tinytrain.autograd import no_grad
from tinytrain.backend import Array
from tinytrain.creation import to_device
from tinytrain.nn.batch_norm import BatchNormBase
from tinytrain.nn.module import Module
from tinytrain.nn.pooled_statistics import PooledMoments
from tinytrain.ops.normalization import BatchNorm
from tinytrain.tensor import Tensor, apply
from tinytrain.train.accumulation import (
    LossFunction,
    checked_loss,
    pooling_layers,
    sum_gradients,
    sum_losses,
)
from tinytrain.train.random_state import generators_of

Summing: TypeAlias = Callable[..., tuple[Tensor | None, float]]
"""`sum_gradients`, or `sum_gradients_exactly`, which has the same arguments."""


def sum_gradients_exactly(
    model: Module,
    loss_function: LossFunction,
    micro_batches: Iterable[Any],
    after_micro_batch: Callable[[float], None] | None = None,
) -> tuple[Tensor | None, float]:
    """Add up gradients as `sum_gradients` does, normalised by the statistics of all micro-batches.

    Every micro-batch goes through the model 2 d + 1 times for d batch normalisations, with the same
    random numbers each time. At most one micro-batch's tape is in memory. A micro-batch of a single
    row is fine, if the window has more. A micro-batch without items still has its share in the
    statistics, as it would have in the whole batch.

    Parameters, returns and errors are those of `tinytrain.train.accumulate_gradients`, and

    Raises
    ------
    RuntimeError
        The micro-batches do not go through the same normalisations in the same order.
    ValueError
        There is one value per channel in all micro-batches together.

    Examples
    --------
    >>> import tinytrain as tt
    >>> model = tt.nn.Sequential(tt.nn.Linear(1, 2), tt.nn.BatchNorm1d(2))
    >>> def loss_function(model, x):
    ...     return model(x).relu().sum(), len(x)
    >>> _ = sum_gradients_exactly(model, loss_function, [tt.ones(1, 1), tt.zeros(1, 1)])
    """
    batches = list(micro_batches)
    layers = [layer for _, layer in active_batch_norms(model)]
    if not layers or not batches:
        return sum_gradients(model, loss_function, batches, after_micro_batch)
    window = _Window(model, loss_function, batches)
    with _normalizing(layers, window.normalize):
        with no_grad():
            window.measure()
        with _frozen(model):
            window.find_multipliers()
        for layer in pooling_layers(model):  # what was collected up to now were tries
            if layer.pooled is not None:
                layer.start_pooling()
        result = window.add_gradients(after_micro_batch)
    for layer in layers:
        layer.start_pass()
    for use in window.uses:
        if use.layer.pooled is not None and use.layer.track_running_stats and use.moments.count:
            use.layer.collect(use.moments.count, use.moments.mean, use.moments.variance)
    return result


class _Use:
    """One use of a batch normalisation in a forward pass: its statistics, and their multipliers."""

    def __init__(self, layer: BatchNormBase) -> None:
        self.layer = layer
        self.moments = PooledMoments()
        self.mean: Tensor | None = None  # (C,), once it is known
        self.variance: Tensor | None = None
        self.multipliers: tuple[Tensor, Tensor] | None = None  # dL/dmean and dL/dvariance, (C,)

    def fix_statistics(self) -> None:
        """Take what was collected as the statistics of the window."""
        if self.moments.count == 1:
            raise ValueError(
                f"{type(self.layer).__name__}({self.layer.num_features}) in training needs more "
                "than one value per channel, and all micro-batches of the step have one together"
            )
        if self.moments.count:
            self.mean, self.variance = Tensor(self.moments.mean), Tensor(self.moments.variance)

    def contribution(self, input: Tensor) -> Tensor:
        """Return q c: what a micro-batch adds to mean and variance, times the multipliers."""
        assert self.mean is not None
        assert self.multipliers is not None
        of_mean, of_variance = (_per_channel(q, input) for q in self.multipliers)
        centered = input - _per_channel(self.mean, input)
        added = input * of_mean + centered * centered * of_variance
        return added.sum() / self.moments.count


class _Window:
    """The micro-batches of one optimizer step, and the sweeps over them."""

    def __init__(self, model: Module, loss_function: LossFunction, batches: list[Any]) -> None:
        self.model, self.loss_function, self.batches = model, loss_function, batches
        self.generators = generators_of(model)
        self.random_states: list[list[Any]] = []
        self.uses: list[_Use] = []
        self.order_is_known = False
        self.position = 0  # in a forward pass: how many normalisations it has met
        self.measured = 0  # the position of the use whose statistics are being collected
        self.contributions: Tensor | None = None

    # ---------------------------------------------------------------- the three kinds of sweeps

    def measure(self) -> None:
        """Find the statistics of all uses, by one sweep for each."""
        self._measure_use(0)  # which also finds how many there are, and the random numbers
        for position in range(1, len(self.uses)):
            self._measure_use(position)

    def _measure_use(self, position: int) -> None:
        self.measured = position
        for number in range(len(self.batches)):
            if number == len(self.random_states):
                self.random_states.append([source.get_state() for source in self.generators])
            self._forward(number)
        if self.uses:
            self.uses[position].fix_statistics()

    def find_multipliers(self) -> None:
        """Find dL/dmean and dL/dvariance of all uses, from the last to the first."""
        for use in reversed(self.uses):
            if use.mean is None or use.variance is None:
                continue  # no micro-batch had any rows
            leaves = (use.mean, use.variance)
            for leaf in leaves:
                leaf.requires_grad = True
            for number in range(len(self.batches)):
                loss_sum, items = self._forward(number)
                self._backward(loss_sum if items else None)
            found = [leaf.grad for leaf in leaves]
            for leaf in leaves:
                leaf.requires_grad, leaf.grad = False, None
            if found[0] is not None and found[1] is not None:  # else nothing depends on it
                use.multipliers = (found[0], found[1])

    def add_gradients(
        self, after_micro_batch: Callable[[float], None] | None
    ) -> tuple[Tensor | None, float]:
        """Add the gradients of the parameters; return the sum of the losses, and the items."""

        def forward_and_backward(number: int) -> tuple[Tensor, float]:
            loss_sum, items = self._forward(number)
            self._backward(loss_sum if items else None)
            return loss_sum, items

        return sum_losses(map(forward_and_backward, range(len(self.batches))), after_micro_batch)

    # ---------------------------------------------------------------- one micro-batch

    def _forward(self, number: int) -> tuple[Tensor, float]:
        """Run one micro-batch through the model, with its own random numbers."""
        for generator, state in zip(self.generators, self.random_states[number], strict=True):
            generator.set_state(state)
        self.position, self.contributions = 0, None
        for layer in pooling_layers(self.model):  # whose statistics move: instance normalisation
            layer.start_pass()
        result = checked_loss(self.loss_function(self.model, to_device(self.batches[number])))
        self.order_is_known = True
        if self.position != len(self.uses):
            raise RuntimeError(
                f"micro-batch {number} went through {self.position} batch normalisations, others "
                f"through {len(self.uses)}: batch_norm='exact' needs the same ones in each"
            )
        return result

    def _backward(self, loss_sum: Tensor | None) -> None:
        """Differentiate a micro-batch's part of the sums."""
        parts = [part for part in (loss_sum, self.contributions) if part is not None]
        for part in parts[1:]:
            parts[0] = parts[0] + part
        if parts and parts[0].requires_grad:
            parts[0].backward()

    # ---------------------------------------------------------------- one normalisation

    def normalize(self, layer: BatchNormBase, input: Tensor) -> Tensor:
        """Do what a batch normalisation does in training, by the statistics of the window."""
        use = self._use_of(layer)
        if input.numel() == 0:
            return apply(BatchNorm(layer.eps), input, layer.weight, layer.bias)
        if use.mean is None or use.variance is None:
            own = self._own_statistics(input)
            return apply(BatchNorm(layer.eps, own), input, layer.weight, layer.bias)
        if use.multipliers is not None:
            added = use.contribution(input)
            self.contributions = added if self.contributions is None else self.contributions + added
        if use.mean.requires_grad:
            return _normalized(layer, input, use.mean, use.variance)
        fixed = (use.mean.data, use.variance.data)
        return apply(BatchNorm(layer.eps, fixed), input, layer.weight, layer.bias)

    def _use_of(self, layer: BatchNormBase) -> _Use:
        """Return the use that a forward pass has come to, and count it."""
        if not self.order_is_known:
            self.uses.append(_Use(layer))
        if self.position >= len(self.uses) or self.uses[self.position].layer is not layer:
            raise RuntimeError(
                f"{type(layer).__name__}({layer.num_features}) comes as batch normalisation number "
                f"{self.position + 1}, where another micro-batch has another or none: "
                "batch_norm='exact' needs the same ones in each"
            )
        self.position += 1
        return self.uses[self.position - 1]

    def _own_statistics(self, input: Tensor) -> tuple[Array, Array]:
        """Return the micro-batch's own mean and variance; collect them if it is this use's turn."""
        axes = tuple(axis for axis in range(input.ndim) if axis != 1)
        mean = input.mean(axes)
        centered = input - _per_channel(mean, input)
        variance = (centered * centered).mean(axes)
        if self.position - 1 == self.measured:
            count = input.numel() // input.shape[1]
            self.uses[self.measured].moments.add(count, mean.data, variance.data)
        return mean.data, variance.data


def _per_channel(values: Tensor, input: Tensor) -> Tensor:
    """Give values (C,) the axes of an input (N, C, ...)."""
    return values.reshape(1, -1, *[1] * (input.ndim - 2))


def _normalized(layer: BatchNormBase, input: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Compose the normalisation from steps that differentiate with respect to the statistics."""
    centered = input - _per_channel(mean, input)
    output = centered / _per_channel((variance + layer.eps).sqrt(), input)
    if layer.weight is not None:
        output = output * _per_channel(layer.weight, input)
    return output if layer.bias is None else output + _per_channel(layer.bias, input)


def active_batch_norms(model: Module) -> list[tuple[str, BatchNormBase]]:
    """List the layers that normalise by the statistics of a batch: in training, or always."""
    return [
        (name, layer)
        for name, layer in model.named_modules()
        if isinstance(layer, BatchNormBase) and (layer.training or not layer.track_running_stats)
    ]


@contextmanager
def _normalizing(
    layers: list[BatchNormBase], normalizer: Callable[[BatchNormBase, Tensor], Tensor]
) -> Iterator[None]:
    """Let something else do what these layers do, in the block."""
    for layer in layers:
        layer.window_normalizer = normalizer
    try:
        yield
    finally:
        for layer in layers:
            layer.window_normalizer = None


@contextmanager
def _frozen(model: Module) -> Iterator[None]:
    """Want no gradients of the parameters in the block: what they alone need is not recorded."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad = True
